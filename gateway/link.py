"""Messages between the roles of one node: length-prefixed JSON on Unix sockets in the state folder.

A message is an object with a type ``t``; four bytes, big endian, say how long it is. The link carries it and
knows no type. Both ends check the other's uid (``SO_PEERCRED``) before the first byte counts, because a
message can carry keys and revocations. Whatever is wrong with a peer (too long, no JSON, no object, too slow
to read) ends that connection and nothing else: the client comes back and says ``hello`` again, and the answer
to ``hello`` is whatever it lacks. So no message is ever repeated or stored here.

What a role is started with (`gateway/child.py`) is offered here too: a role imports one module to meet the others.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, cast

import orjson

from gateway import telemetry
from gateway.child import DRAINING, FAILING, STARTING, UP, NodeState, ParentChannel, RoleContext
from gateway.socket_file import SocketFile, connect

__all__ = [
    "DRAINING", "FAILING", "STARTING", "UP",
    "Link", "LinkClient", "LinkServer", "Message", "NodeState", "ParentChannel", "PeerCredentials", "RoleContext",
]  # fmt: skip

LIMIT_BYTES: Final = 64 * 1024 * 1024
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
SETTLED_S: Final = 1.0  # a connection that lived this long starts the pauses anew
OWN_UIDS: Final = frozenset((os.getuid(), 0))
_RANDOM: Final = Random()  # spreads the clients of a server that came back

Message = dict[str, Any]


class PeerCredentials(NamedTuple):
    """Who is at the other end, as the kernel says."""

    pid: int
    uid: int
    gid: int


def _peer_of(sock: socket.socket) -> PeerCredentials:
    return PeerCredentials(*struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


class Link(asyncio.Protocol):
    """One connection. ``name`` is free for its owner: the door's slot, say."""

    __slots__ = ("_buffer", "_limit", "_on_close", "_on_message", "_on_open", "_transport", "_uids", "name", "peer")

    def __init__(
        self,
        on_open: Callable[[Link], None],
        on_message: Callable[[Link, Message], None],
        on_close: Callable[[Link], None],
        uids: frozenset[int],
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._on_open = on_open
        self._on_message = on_message
        self._on_close = on_close
        self._uids = uids
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.peer = PeerCredentials(0, -1, -1)
        self.name: object = None

    def send(self, message: Message) -> bool:
        """False when the connection is gone, or is now ended because its peer does not read."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        body = orjson.dumps(message)
        if len(body) > self._limit:
            raise ValueError(f"message `{message.get('t')}` of {len(body)} bytes is over the limit of a link")
        if transport.get_write_buffer_size() > self._limit:
            self._refuse("peer does not read")
            return False
        transport.write(len(body).to_bytes(4, "big") + body)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # === called by the loop ===

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _peer_of(transport.get_extra_info("socket"))
        if self.peer.uid not in self._uids:
            self._refuse("uid is not ours")
            return
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 4 and self._transport is not None and not self._transport.is_closing():
            end = 4 + int.from_bytes(buffer[:4], "big")
            if end - 4 > self._limit:
                self._refuse("message is too long")
                return
            if len(buffer) < end:
                return
            body = bytes(memoryview(buffer)[4:end])
            del buffer[:end]
            self._deliver(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_close(self)

    # === inside ===

    def _deliver(self, body: bytes) -> None:
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError:
            self._refuse("message is not json")
            return
        if type(message) is not dict or type(message.get("t")) is not str:
            self._refuse("message has no type")
            return
        self._on_message(self, message)

    def _refuse(self, why: str) -> None:
        telemetry.log("link_refused", level="warning", why=why, peer_pid=self.peer.pid, peer_uid=self.peer.uid)
        if self._transport is not None:
            self._transport.abort()


class LinkServer:
    """The listening side, one per socket file. ``links`` are the connections that are open now."""

    def __init__(
        self,
        path: Path,
        on_message: Callable[[Link, Message], None],
        on_close: Callable[[Link], None],
        *,
        on_open: Callable[[Link], None] = lambda link: None,
        uids: frozenset[int] = OWN_UIDS,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.path = path
        self.links: set[Link] = set()
        self._on_open = on_open
        self._on_message = on_message
        self._on_close = on_close
        self._uids = uids
        self._limit = limit_bytes
        self._file = SocketFile(path, self._listen)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        await self._file.start()

    def broadcast(self, message: Message) -> None:
        for link in tuple(self.links):
            link.send(message)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in tuple(self.links):
            link.close()
        self._file.close()

    async def _listen(self, sock: socket.socket) -> None:
        if self._server is not None:
            self._server.close()
        self._server = await asyncio.get_running_loop().create_unix_server(self._accepted, sock=sock)

    def _accepted(self) -> Link:
        return Link(self._opened, self._on_message, self._closed, self._uids, self._limit)

    def _opened(self, link: Link) -> None:
        self.links.add(link)
        self._on_open(link)

    def _closed(self, link: Link) -> None:
        if link in self.links:  # a refused peer never was, and its owner never hears of it
            self.links.discard(link)
            self._on_close(link)


class LinkClient:
    """The connecting side. It connects again for ever, with growing pauses, and says ``hello`` each time."""

    def __init__(
        self,
        path: Path,
        hello: Callable[[], Message],
        on_message: Callable[[Message], None],
        on_state: Callable[[bool], None] = lambda connected: None,
        *,
        uids: frozenset[int] = OWN_UIDS,
    ) -> None:
        self.path = path
        self.connected = False
        self._hello = hello
        self._on_message = on_message
        self._on_state = on_state
        self._uids = uids
        self._link: Link | None = None
        self._lost = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._stay_connected())

    def send(self, message: Message) -> bool:
        """False when there is no connection: the message is dropped, ``hello`` will tell what matters."""
        return self._link is not None and self._link.send(message)

    def close(self) -> None:
        """``on_state`` is not called any more."""
        if self._running is not None:
            self._running.cancel()
        if self._link is not None:
            self._link.close()

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            opened = loop.time()
            with suppress(OSError):
                self._lost.clear()
                await connect(self.path, self._made)
                await self._lost.wait()
            self._set_state(False)
            if loop.time() - opened >= SETTLED_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s * _RANDOM.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _made(self) -> Link:
        return Link(self._opened, lambda link, message: self._on_message(message), self._closed, self._uids)

    def _opened(self, link: Link) -> None:
        self._link = link
        link.send(self._hello())
        self._set_state(True)

    def _closed(self, link: Link) -> None:
        self._link = None
        self._lost.set()

    def _set_state(self, connected: bool) -> None:
        if self.connected != connected:
            self.connected = connected
            self._on_state(connected)
