"""The three things systemd says to a service over its environment, and the one it wants to hear.

sd_notify(3), sd_listen_fds(3) and the journal's mark on stderr are plain strings and descriptors; the protocol is
the environment, so this is read here and nowhere else, and is taken away from the children, who would otherwise
believe it was meant for them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Final

_FIRST_FD: Final = 3
_WORDS: Final = ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Systemd:
    """What the service manager passed to this process. Without one every method does nothing."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._names: tuple[str, ...] = ()
        if environ.get("LISTEN_PID") == str(pid):
            count = int(environ.get("LISTEN_FDS", "0"))
            names = environ.get("LISTEN_FDNAMES", "").split(":")
            self._names = tuple((names + [""] * count)[:count])
        self.journal = "JOURNAL_STREAM" in environ

    @classmethod
    def of_this_process(cls) -> Systemd:
        return cls(os.environ, os.getpid())  # noqa: TID251  the environment is this protocol's carrier

    def sockets(self) -> dict[str, socket.socket]:
        """Listening sockets passed by ``FileDescriptorName=``, which is the listener's name."""
        passed: dict[str, socket.socket] = {}
        for number, name in enumerate(self._names):
            sock = socket.socket(fileno=_FIRST_FD + number)
            sock.setblocking(False)
            sock.set_inheritable(False)
            passed[name] = sock
        return passed

    def notify(self, *assignments: str) -> None:
        """Say ``READY=1`` and the like. The manager's absence or death is no fault of the node."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            try:
                sock.sendto("\n".join(assignments).encode(), address)
            except OSError:
                return


def environment_of_children(package_root: str) -> MutableMapping[str, str]:
    """Our environment without systemd's words; children find this very package, never one in the working folder."""
    environ = dict(os.environ)  # noqa: TID251  passed on whole, not read
    for word in _WORDS:
        environ.pop(word, None)
    paths = [package_root, *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    return environ
