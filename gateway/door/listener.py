"""A listener: the socket, its TLS, and what it knows about the hop in front of it.

Sockets come from the supervisor already listening and stay open there, so a worker that ends resets nobody. They
are accepted from here, not by the event loop's own server: for a slice of a turn, so that a flood of connections
delays no request; one there is no room for ends before it has cost more than its accept, the others line up
(`door.arrivals`); and a shortage of descriptors pauses instead of spinning.
A peer is trusted when its address lies in the listener's ``trusted_peers``; only then are its forwarding fields
read (never its identity fields), or its PROXY header, whose client is judged in its place in the same way. TLS
material is validated in a context of its own before it replaces the one in use, so a broken renewal changes nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from ipaddress import ip_address, ip_network
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, cast

from gateway import counters, telemetry
from gateway.config import Limits, Listener, ListenerTls
from gateway.door.arrivals import Arrival
from gateway.door.buffers import bound_unsent
from gateway.door.client_certificates import ClientCertificates
from gateway.door.connect import OWN_SHORTAGES
from gateway.door.downstream import Downstream
from gateway.door.peer import Peer
from gateway.door.turns import SLICE_NS
from gateway.http1.forwarded import client_address, forwarded_block
from gateway.http1.head import HeadRules

if TYPE_CHECKING:
    import socket

    from gateway.door.worker import Door
    from gateway.http1.request import Head

REMEMBERED: Final = 4096  # peers, and clients behind trusted peers; each memory starts afresh when it is full
ACCEPTS: Final = 16  # sockets in one turn of the loop
LEAST_S: Final = 0.05  # of a handshake that is begun late
PAUSE_S: Final = 0.25  # of accepting, when the machine has no descriptor or memory left
SAID_AGAIN_S: Final = 10.0
REMEMBERED_BYTES: Final = 256  # of a longer X-Forwarded-For nothing is kept


def _certificates(listener: Listener) -> ClientCertificates | None:
    """Only where a client's certificate says something about the client."""
    return ClientCertificates(listener) if listener.direct or listener.client_certificate_header else None


def tls_context(tls: ListenerTls, *, direct: bool = False) -> ssl.SSLContext:
    """A server context; raises `OSError` or `ssl.SSLError` when the files do not fit.

    Where a certificate says who the client is, every connection shows it anew: TLS 1.3 without tickets resumes
    nothing, and sends no client's certificate in the clear.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if direct else ssl.TLSVersion.TLSv1_2
    if direct:
        context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_ca:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Listening:
    """One listener of one worker."""

    def __init__(self, door: Door, listener: Listener, limits: Limits) -> None:
        self.door = door
        self.secure = listener.tls is not None
        self.proto = "https" if self.secure else "http"
        self._context = tls_context(listener.tls, direct=listener.direct) if listener.tls is not None else None
        self._newest = self._context
        if self._context is not None:
            self._context.sni_callback = self._renew
        self._take(listener, limits)
        self._socket: socket.socket | None = None  # while it accepts
        self._short_s = float("-inf")  # when a shortage was last said

    # === accepting ===

    def start(self, sock: socket.socket) -> None:
        """Accept from ``sock``, which is the listener's own from here on."""
        bound_unsent(sock)
        self._socket = sock
        self.door.loop.add_reader(sock.fileno(), self._incoming)

    def stop(self) -> None:
        """Accept no more. The supervisor's copy of the socket keeps the accept queue for a successor."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self.door.loop.remove_reader(sock.fileno())
            sock.close()

    def _incoming(self) -> None:
        """A few of those that wait in the accept queue; those that are connected already have their turn, too."""
        sock = self._socket
        if sock is None:
            return
        until_ns = perf_counter_ns() + SLICE_NS
        for _ in range(ACCEPTS):
            try:
                connection, where = sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in OWN_SHORTAGES:
                    self._pause(sock, str(error.strerror))
                    return
                continue  # accept(2): a fault of the network, or of a connection that has ended by now
            peer = self.peer_at(str(where[0]))
            if self.proxied:
                self.door.arrivals.introductions.add(self, connection, peer)
            else:
                self.welcome(connection, peer)
            if perf_counter_ns() >= until_ns:
                return

    def _pause(self, sock: socket.socket, why: str) -> None:
        """There is no descriptor or memory for one more: the loop must not ask again and again meanwhile."""
        loop = self.door.loop
        loop.remove_reader(sock.fileno())
        loop.call_later(PAUSE_S, self._resume)
        if self.door.tick_s - self._short_s >= SAID_AGAIN_S:
            self._short_s = self.door.tick_s
            telemetry.log("accept_shortage", level="error", listener=self.listener.name, why=why)

    def _resume(self) -> None:
        if self._socket is not None:
            self.door.loop.add_reader(self._socket.fileno(), self._incoming)

    def welcome(self, connection: socket.socket, peer: Peer) -> None:
        """An accepted socket lines up, or ends before it cost more, where there is no room for it."""
        door = self.door
        if not door.admit(peer):
            connection.close()
            return
        share = door.turns.join(peer.network, peer.trusted)
        door.arrivals.add(Arrival(self, connection, peer, share, door.tick_s))

    def begin(self, arrival: Arrival) -> None:
        """Make a connection of a socket whose turn it is; `Arrivals.ended` is owed."""
        client = Downstream(self, arrival.peer, arrival.share)
        making = self.door.loop.create_task(self._make(arrival, client))
        arrival.give_up = making.cancel
        making.add_done_callback(partial(self._made, arrival, client))

    async def _make(self, arrival: Arrival, client: Downstream) -> None:
        door = self.door
        left_s = door.timeouts.handshake_s - (door.tick_s - arrival.since_s)
        await door.loop.connect_accepted_socket(
            lambda: cast(asyncio.Protocol, client),
            arrival.sock,
            ssl=self._context,
            ssl_handshake_timeout=max(left_s, LEAST_S) if self.secure else None,
        )

    def _made(self, arrival: Arrival, client: Downstream, making: asyncio.Task[None]) -> None:
        """A connection was made, or came to nothing: its handshake failed, took too long, or gave way to another."""
        door = self.door
        door.arrivals.ended(arrival)
        if self.secure:
            door.values[counters.TLS_HANDSHAKES if client.arrived else counters.TLS_HANDSHAKES_FAILED] += 1
        if not client.arrived:
            arrival.sock.close()
            door.depart(client.peer)
        error = None if making.cancelled() else making.exception()
        if error is not None and not isinstance(error, OSError):
            telemetry.log("door_fault", level="error", why=repr(error))

    # === settings ===

    def _take(self, listener: Listener, limits: Limits) -> None:
        self.listener = listener
        self.limits = limits
        self.bigip = listener.bigip
        self.proxied = listener.proxy_protocol
        self.health_only = listener.health_only
        self.rules = HeadRules(limits, client_certificate_header=listener.client_certificate_header)
        self._networks = [ip_network(network, strict=False) for network in listener.trusted_peers]
        self._peers: dict[str, Peer] = {}
        self._clients: dict[tuple[str, bytes, bytes], tuple[str, bytes]] = {}
        self.certificates = _certificates(listener)

    def check(self, listener: Listener) -> None:
        """Raises `OSError` or `ValueError` when the files of ``listener`` could not be served."""
        if listener.tls is not None:
            tls_context(listener.tls, direct=listener.direct)
        _certificates(listener)

    def configure(self, listener: Listener, limits: Limits) -> None:
        """Take other settings of the same address, after `check`. Certificate, key and authorities are read again.
        Open connections keep what was known about their peer when they came."""
        self._take(listener, limits)
        if self._context is not None and listener.tls is not None:
            self._newest = tls_context(listener.tls, direct=listener.direct)
            self._context.minimum_version = self._newest.minimum_version
            self._context.verify_mode = self._newest.verify_mode
            self._context.num_tickets = self._newest.num_tickets

    def _renew(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Every handshake begins here, whether it names a server or not: it goes on with the files as they were read
        last. A context forgets no authority, so that another one has to take its place."""
        if self._newest is not None and self._newest is not context:
            connection.context = self._newest

    def is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        parsed = mapped if mapped is not None else parsed
        return any(parsed in network for network in self._networks if network.version == parsed.version)

    def shown(self, peer: Peer, transport: asyncio.BaseTransport) -> Peer:
        """``peer`` with the certificate of a connection that was just made."""
        if self.certificates is None:
            return peer
        return peer._replace(certificate=self.certificates.of_connection(transport))

    def peer_at(self, address: str) -> Peer:
        peer = self._peers.get(address)
        if peer is None:
            if len(self._peers) >= REMEMBERED:
                self._peers.clear()
            network = self.door.guard.network_of(address)
            peer = Peer(address, self.is_trusted(address), forwarded_block(address, self.proto), network)
            self._peers[address] = peer
        return peer

    def address_of(self, peer: Peer, head: Head) -> str:
        """The client's address: of what a trusted peer brought, the one that this peer names."""
        if not peer.trusted:
            return peer.address
        return self.client_behind(peer.address, head.forwarded_for, head.forwarded_proto)[0]

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
