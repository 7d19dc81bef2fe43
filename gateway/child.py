"""What a child of the supervisor is given: its settings, its sockets, the channel to its parent, the node's state.

The supervisor starts every role by exec and talks to it over one socketpair in lines of plain words:

    parent → child   settings NAME · drain · stop
    child → parent   ready · restart · unrecorded · recorded

`drain` means: accept no more, finish what runs, then end. `stop` means: end now. The role's `run` returns to end.
`unrecorded` means: it cannot write its audit trail and refuses everything; `recorded`: it can again.

End of file on that channel means the supervisor is gone. No role may outlive it: the channel says `stop` to
the role, and a watcher thread ends the process after :data:`ORPHAN_S`, whatever the event loop is doing.

The node's state lives in one shared page: the supervisor writes one byte, every worker reads it without a
system call, so the health answer never depends on a message having been read.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import config

STARTING: Final = 0
UP: Final = 1
DRAINING: Final = 2
FAILING: Final = 3
STATE_NAMES: Final = ("starting", "up", "draining", "failing")

ORPHAN_S: Final = 2.0
LINE_BYTES: Final = 4096

OnLine = Callable[[str, list[str]], None]


def _ignore(word: str, rest: list[str]) -> None:
    """The role listens to nothing yet; lines wait in the socket until :meth:`ParentChannel.start`."""


class NodeState:
    """One byte that all roles see: ``STARTING``, ``UP``, ``DRAINING`` or ``FAILING``."""

    __slots__ = ("_page", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._page = mmap.mmap(fd, mmap.PAGESIZE)

    @classmethod
    def create(cls) -> NodeState:
        fd = os.memfd_create("stagedoor-node")
        os.ftruncate(fd, mmap.PAGESIZE)
        return cls(fd)

    @property
    def value(self) -> int:
        return self._page[0]

    @value.setter
    def value(self, state: int) -> None:
        self._page[0] = state

    @property
    def name(self) -> str:
        return STATE_NAMES[self._page[0]]


class ParentChannel:
    """The child's end of the socketpair to the supervisor.

    A role assigns ``on_line`` and calls :meth:`start` inside its running loop. End of file reaches the role
    as the line ``stop``.
    """

    __slots__ = ("_buffer", "_loop", "_recorded", "_sock", "on_line")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._buffer = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._recorded = True  # as the supervisor knows it
        self.on_line: OnLine = _ignore

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock.fileno(), self._readable)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop = None

    def ready(self) -> None:
        """This role serves: it accepts connections, its predecessor may drain."""
        self.say("ready")

    def say(self, line: str) -> bool:
        """Tell the supervisor; one that is gone or does not listen (False) is not this role's trouble."""
        try:
            self._sock.send(line.encode() + b"\n")
        except OSError:
            return False
        return True

    def recorded(self, can: bool) -> None:
        """Whether this role can write its audit trail; said when it changes, and again if it was not heard."""
        if can != self._recorded and self.say("recorded" if can else "unrecorded"):
            self._recorded = can

    def watch(self) -> None:
        """Start the thread that ends this process :data:`ORPHAN_S` after the supervisor's end is closed."""
        threading.Thread(target=_outlive, args=(self._sock.fileno(),), name="orphan", daemon=True).start()

    def _readable(self) -> None:
        try:
            received = self._sock.recv(LINE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        if not received:
            self.close()
            self.on_line("stop", [])
            return
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        for line in lines:
            if words := line.decode("utf-8", "replace").split():
                self.on_line(words[0], words[1:])


def _outlive(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, 0)  # no events asked for: it wakes on POLLHUP and POLLERR alone
    while not poll.poll():
        pass
    time.sleep(ORPHAN_S)
    os._exit(1)


@dataclass(frozen=True, slots=True)
class RoleContext:
    """Everything a role is given.

    ``sockets`` are bound, listening and non-blocking: a door gets one per listener, keyed by the listener's
    name; control gets one, keyed ``admin``; the engine none. They outlive the role: close them freely, never
    ``shutdown`` them.
    """

    role: str
    slot: int
    settings: config.Settings
    state_folder: Path
    sockets: Mapping[str, socket.socket]
    parent: ParentChannel
    node: NodeState

    def read_settings(self, name: str) -> config.Settings:
        """The settings the line ``settings NAME`` speaks of."""
        return config.decode((self.state_folder / name).read_bytes())
