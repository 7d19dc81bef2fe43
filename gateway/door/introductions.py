"""Whom a connection is for, where a load balancer says so before its first byte: the PROXY protocol.

A listener with `proxy_protocol` takes connections from its trusted peers alone; from anybody else not one byte is read.
What a trusted peer sends first is looked at in the kernel's buffer (MSG_PEEK) until the header is whole, and then
exactly the header is taken out of it: the socket goes on as if the client had connected itself, with TLS or without.
Whoever does not introduce a connection in time, or not so, loses it; nothing is answered, because nobody knows in which
language.

While its header is awaited a connection counts as the load balancer's, from then on as its client's: an address of a
client that is itself trusted, another proxy, is read further as any trusted peer's is.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway import telemetry
from gateway.counters import DOWNSTREAM_REFUSED
from gateway.http1.proxy_header import HEADER_BYTES, Introduction, introduction

if TYPE_CHECKING:
    from gateway.door.listener import Listening
    from gateway.door.peer import Peer
    from gateway.door.worker import Door

PEEK: Final = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
SAID_AGAIN_S: Final = 10.0


class Awaited(NamedTuple):
    """A socket whose header is not whole yet."""

    listening: Listening
    sock: socket.socket
    peer: Peer  # the load balancer
    since_s: float


class Introductions:
    """All of one worker."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.waiting: dict[socket.socket, Awaited] = {}  # oldest first
        self._said_s = float("-inf")

    def add(self, listening: Listening, sock: socket.socket, peer: Peer) -> None:
        """Take an accepted socket. It ends, or `Listening.welcome` takes it over once it was introduced."""
        door = self.door
        awaited = Awaited(listening, sock, peer, door.tick_s)
        if not peer.trusted:
            self._refuse(awaited, "it is none of `trusted_peers`")
            return
        if not door.admit(peer):
            sock.close()
            return
        door.turns.join(peer.network, peer.trusted)
        if len(self.waiting) >= listening.limits.handshakes:
            self._end(next(iter(self.waiting.values())), "others wait")
        self.waiting[sock] = awaited
        door.loop.add_reader(sock.fileno(), self._look, awaited)

    def sweep(self, latest_s: float) -> None:
        """End those that were accepted at ``latest_s`` or before."""
        while self.waiting:
            oldest = next(iter(self.waiting.values()))
            if oldest.since_s > latest_s:
                return
            self._end(oldest, "its PROXY header does not come in time")

    def end_all(self) -> None:
        for awaited in tuple(self.waiting.values()):
            self._let_go(awaited)
            awaited.sock.close()

    def _look(self, awaited: Awaited) -> None:
        """There is more to see than before, or no more will come."""
        sock = awaited.sock
        try:
            data = sock.recv(HEADER_BYTES, PEEK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        said = introduction(data)
        if isinstance(said, Introduction):
            self._introduced(awaited, said)
        elif isinstance(said, str):
            self._end(awaited, f"what it sends is no PROXY header: {said}")
        elif len(data) < sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) or not data:
            self._end(awaited, "it ends before its PROXY header does")  # ready all the same: nothing more will come
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, said)

    def _introduced(self, awaited: Awaited, said: Introduction) -> None:
        listening, sock, _, _ = awaited
        peer = listening.peer_at(awaited.peer.address)
        if not (listening.proxied and peer.trusted):  # other settings have come meanwhile
            self._end(awaited, "it is none of `trusted_peers`")
            return
        try:
            taken = sock.recv(said.size, socket.MSG_DONTWAIT)
        except OSError:
            taken = b""
        if len(taken) != said.size:
            self._end(awaited, "it ends behind its PROXY header")
            return
        self._let_go(awaited)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        if said.client:
            peer = listening.peer_at(said.client)._replace(hop=peer.address)
        listening.welcome(sock, peer._replace(trusted=False) if said.unknown else peer)

    def _let_go(self, awaited: Awaited) -> None:
        del self.waiting[awaited.sock]
        self.door.loop.remove_reader(awaited.sock.fileno())
        self.door.depart(awaited.peer)

    def _end(self, awaited: Awaited, why: str) -> None:
        self._let_go(awaited)
        self._refuse(awaited, why)

    def _refuse(self, awaited: Awaited, why: str) -> None:
        door = self.door
        door.values[DOWNSTREAM_REFUSED] += 1
        if door.tick_s - self._said_s >= SAID_AGAIN_S:
            self._said_s = door.tick_s
            name, peer = awaited.listening.listener.name, awaited.peer.address
            telemetry.log("proxy_refused", level="warning", listener=name, peer=peer, why=why)
        awaited.sock.close()
