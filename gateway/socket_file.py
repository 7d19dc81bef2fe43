"""A listening Unix socket in the state folder: its file appears complete, and again when somebody has removed it.

Roles find each other by that file alone. Where a state folder is emptied under a running node, who is connected stays
well and whoever comes later finds nobody, for ever; so the file is looked for, and where there is none a new socket
takes the place of the one that nobody reaches. Another's file at the path is a successor's, and stays.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from gateway import telemetry
from gateway.errors import StateError

BACKLOG: Final = 128
ADDRESS_BYTES: Final = 107  # sun_path without its closing NUL
LOOK_S: Final = 1.0
P = TypeVar("P", bound=asyncio.BaseProtocol)


class SocketFile:
    """``serve`` is given a listening socket, at the start and whenever there is a new one in its place."""

    def __init__(self, path: Path, serve: Callable[[socket.socket], Awaitable[None]]) -> None:
        self.path = path
        self._serve = serve
        self._inode = 0
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. The file takes the place of one left behind by a predecessor."""
        await self._serve(self._bound())
        self._looking = asyncio.get_running_loop().create_task(self._look())

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        with suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()

    async def _look(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._is_there():
                continue
            try:
                await self._serve(self._bound())
            except OSError as error:
                if said != (said := str(error)):
                    telemetry.log("socket_lost", level="error", path=str(self.path), why=said)
            else:
                said = ""
                telemetry.log("socket_made_again", level="warning", path=str(self.path))

    def _is_there(self) -> bool:
        return os.path.lexists(self.path)

    def _bound(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with suppress(FileNotFoundError):
                fresh.unlink()
            at_path(fresh, sock.bind)
            fresh.chmod(0o600)
            sock.listen(BACKLOG)
            self._inode = fresh.stat().st_ino
            fresh.rename(self.path)
        except IsADirectoryError:
            sock.close()
            raise StateError(f"`{self.path}` is a folder, and a socket must be there: remove it") from None
        except BaseException:
            sock.close()
            raise
        return sock


async def connect(path: Path, protocol: Callable[[], P]) -> P:
    """A connection to the socket at ``path``. Raises `OSError`, at once: both ends are on this machine."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        at_path(path, sock.connect)
        return (await asyncio.get_running_loop().create_unix_connection(protocol, sock=sock))[1]
    except BaseException:
        sock.close()
        raise


def at_path(path: Path, connect_or_bind: Callable[[str], None]) -> None:
    """Call it with an address of ``path`` that fits into `sun_path`, however deep the state folder lies."""
    if len(os.fsencode(path)) <= ADDRESS_BYTES:
        connect_or_bind(str(path))
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        connect_or_bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
