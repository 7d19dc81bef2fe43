"""What only one node may hold: its listening addresses and its state folder.

Every listener has one SO_REUSEPORT socket per worker slot, and the supervisor keeps them all for its whole life,
because closing one resets the connections that wait in its queue. The kernel spreads new connections over the
slots by hash; a slot whose worker is being replaced keeps its queue.

SO_REUSEPORT has a trap: a second node of the same user could bind the same address and silently take half of the
connections. So each address is first bound the ordinary way, which fails while anybody listens there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import ConfigError, StagedoorError, StateError

BACKLOG: Final = 4096  # the kernel lowers it to net.core.somaxconn
LOCK_FILE: Final = "node.lock"
ORPHANS_END_S: Final = 5.0  # how long children of a killed supervisor may still hold the lock


class AddressError(StagedoorError):
    """The node cannot listen where it is told to."""


class Wanted(NamedTuple):
    """A listening address and the setting that says so."""

    name: str
    address: str
    setting: str


def open_sockets(
    wanted: Iterable[Wanted], slots: int, passed: Mapping[str, socket.socket]
) -> dict[str, tuple[socket.socket, ...]]:
    """One listening socket per slot for each name. A socket passed by systemd is shared by all slots; one that no
    listener takes would let clients connect and wait for nobody, so it is a `ConfigError`."""
    wanted = tuple(wanted)
    if strangers := sorted(passed.keys() - {want.name for want in wanted}):
        names = ", ".join(f"`{want.name}`" for want in wanted)
        raise ConfigError(
            f"systemd passes a socket called `{strangers[0]}`, and no listener is: "
            f"write the name of one ({names}) as `FileDescriptorName` of its socket unit"
        )
    opened: dict[str, tuple[socket.socket, ...]] = {}
    for want in wanted:
        if want.name in passed:
            opened[want.name] = (passed[want.name],) * slots
        else:
            opened[want.name] = _listen(want, slots)
    return opened


def address_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(want: Wanted, slots: int) -> tuple[socket.socket, ...]:
    try:
        family, place = _place(want.address)
        with _socket(family) as probe:
            probe.bind(place)
            place = (place[0], probe.getsockname()[1])  # port 0: the other slots share what the first was given
        return tuple(_bound(family, place) for _ in range(slots))
    except (OSError, ValueError) as error:
        raise AddressError(_explained(want, error)) from error


def _place(address: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not 0 <= int(port) < 65536:  # getaddrinfo would take it modulo 65536
        raise ValueError("no such port")
    found = socket.getaddrinfo(host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _type, _proto, _name, where = found[0]
    return family, (str(where[0]), int(where[1]))


def _socket(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections in TIME_WAIT are no hindrance
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # an address means itself, not IPv4 too
    return sock


def _bound(family: socket.AddressFamily, place: tuple[str, int]) -> socket.socket:
    sock = _socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(place)
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


def _explained(want: Wanted, error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            why = "is in use by another program"
            todo = f"stop that program (`ss -ltnp` names it), or choose another port in `{want.setting}`"
        case errno.EACCES:
            why = "needs a privilege this user lacks"
            todo = f"choose a port from 1024 up in `{want.setting}`, or grant CAP_NET_BIND_SERVICE"
        case errno.EADDRNOTAVAIL:
            why = "belongs to no interface of this machine"
            todo = f"correct `{want.setting}`, or give the machine the address first"
        case _:
            why = f"cannot be listened on ({error})"
            todo = f"correct `{want.setting}`"
    return f"address `{want.address}` {why}: {todo}"


# === the state folder ===


def lock_state(folder: Path) -> int:
    """Hold the state folder and return the lock's descriptor, which the children inherit: a node that was killed
    keeps the folder until its last child has ended, and a new one waits for that alone. Raises `StateError`."""
    fd = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + ORPHANS_END_S
    while not _locked(fd):
        owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        if _is_alive(owner) or time.monotonic() > deadline:
            os.close(fd)
            raise StateError(
                f"state folder `{folder}` belongs to a running node (pid {owner or 'unknown'}): "
                "stop that node, or give this one its own `state.folder`"
            )
        time.sleep(0.05)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
