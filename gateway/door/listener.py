"""A listener: the socket, its TLS, and what it knows about the hop in front of it.

Sockets come from the supervisor already listening and stay open there, so a worker that ends resets nobody.
A peer is trusted when its address lies in the listener's ``trusted_peers``; only then are its forwarding fields
read (never its identity fields). TLS material is validated in a context of its own before it replaces the one
in use, so a broken renewal changes nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final, cast

from gateway import counters
from gateway.config import Limits, Listener, ListenerTls
from gateway.door.downstream import Downstream, Peer
from gateway.http1.forward import client_address, forwarded_block
from gateway.http1.head import HeadRules

if TYPE_CHECKING:
    import socket

    from gateway.door.worker import Door

REMEMBERED: Final = 4096  # peers, and clients behind trusted peers; each memory starts afresh when it is full
REMEMBERED_BYTES: Final = 256  # of a longer X-Forwarded-For nothing is kept


def tls_context(tls: ListenerTls) -> ssl.SSLContext:
    """A server context; raises `OSError` or `ssl.SSLError` when the files do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_ca:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Arrival:
    """A connection between accept and connected: a turn of the loop, or as long as a handshake takes. One whose
    handshake fails is never heard of again, so that the end of this object is all that tells."""

    __slots__ = ("listening",)

    def __init__(self, listening: Listening) -> None:
        self.listening = listening
        listening.arriving += 1

    def __del__(self) -> None:
        self.listening.arriving -= 1


class Listening:
    """One listener of one worker."""

    def __init__(self, door: Door, listener: Listener, limits: Limits) -> None:
        self.door = door
        self.proto = "https" if listener.tls is not None else "http"
        self._context = tls_context(listener.tls) if listener.tls is not None else None
        self._take(listener, limits)
        self._server: asyncio.Server | None = None
        self.arriving = 0  # see `Arrival`
        self._accepted = 0
        self._arrived = 0

    async def start(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        timeout_s = self.door.timeouts.handshake_s if self._context is not None else None
        self._server = await loop.create_server(
            self._accept, sock=sock, ssl=self._context, ssl_handshake_timeout=timeout_s
        )

    def _accept(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, Downstream(self))

    def accepted(self) -> Arrival:
        """Kept by the new connection until it is connected, or gone."""
        self._accepted += 1
        return Arrival(self)

    def arrived(self) -> None:
        self._arrived += 1
        if self._context is not None:
            self.door.values[counters.TLS_HANDSHAKES] += 1

    @property
    def failed(self) -> int:
        """Handshakes that came to nothing."""
        return self._accepted - self._arrived - self.arriving

    def stop(self) -> None:
        """Accept no more. The supervisor's copy of the socket keeps the accept queue for a successor."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _take(self, listener: Listener, limits: Limits) -> None:
        self.listener = listener
        self.limits = limits
        self.rules = HeadRules(limits, client_certificate_header=listener.client_certificate_header)
        self._networks = [ip_network(network, strict=False) for network in listener.trusted_peers]
        self._peers: dict[str, Peer] = {}
        self._clients: dict[tuple[str, bytes, bytes], tuple[str, bytes]] = {}

    def check(self, listener: Listener) -> None:
        """Raises `OSError` when the certificate and key of ``listener`` could not be served."""
        if listener.tls is not None:
            tls_context(listener.tls)

    def configure(self, listener: Listener, limits: Limits) -> None:
        """Take other settings of the same address, after `check`. The certificate and key are read again. Open
        connections keep what was known about their peer when they came."""
        self._take(listener, limits)
        if self._context is not None and listener.tls is not None:
            self._context.load_cert_chain(listener.tls.certificate, listener.tls.key)

    def is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        parsed = mapped if mapped is not None else parsed
        return any(parsed in network for network in self._networks if network.version == parsed.version)

    def peer_of(self, address: str) -> Peer:
        peer = self._peers.get(address)
        if peer is None:
            if len(self._peers) >= REMEMBERED:
                self._peers.clear()
            peer = Peer(address, self.is_trusted(address), forwarded_block(address, self.proto))
            self._peers[address] = peer
        return peer

    def client_behind(self, peer: str, forwarded_for: bytes, proto: bytes) -> tuple[str, bytes]:
        """The client's address and the lines about it, for a request that a trusted peer brought."""
        key = (peer, forwarded_for, proto)
        client = self._clients.get(key)
        if client is None:
            address = client_address(forwarded_for, peer, self.is_trusted)
            client = address, forwarded_block(address, proto.decode("latin-1") or self.proto)
            if len(forwarded_for) <= REMEMBERED_BYTES:
                if len(self._clients) >= REMEMBERED:
                    self._clients.clear()
                self._clients[key] = client
        return client
