"""How much one caller, one address, one host may take of a worker, and how slowly a body may come.

All of it is one worker's share. No clock is read here, and nothing waits; how it is counted is in `door.rates`.
"""

from __future__ import annotations

from collections import deque
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from gateway.config import Limits
from gateway.door.faults import body_broken
from gateway.door.holds import HOLD_PACE
from gateway.door.rates import SECOND_NS, Buckets, Limiter, Seats
from gateway.door.turns import TURN_REQUESTS
from policy.facts import Refusal

if TYPE_CHECKING:
    from gateway.door.downstream import Downstream
    from gateway.door.exchange import Exchange
    from gateway.errors import Fault
    from policy.facts import Principal

WINDOW_S: Final = 30.0  # a body is judged by what comes in that time
PACE_S: Final = 0.24  # at least, until somebody who asks too much is read again
UNPACED: Final = 4  # of them in each tick
PACED: Final = 512  # at the most, so that nobody waits longer than three seconds
CONNECTS_BURST_S: Final = 5.0  # what a peer may connect in that time, it may at once
VAIN: Final = (400, 401, 403, 404, 405)
NETWORKS: Final = 4096  # IPv6 addresses whose network is remembered


class Guard:
    """The limits of one worker on callers, hosts and peers."""

    __slots__ = (
        "addresses", "callers", "callers_limited", "connects", "hosts", "hosts_limited", "peers", "refusals",
        "trusted_most", "_connects", "_networks",
    )  # fmt: skip

    def __init__(self, limits: Limits, workers: int) -> None:
        self.callers = Limiter(limits.principals, workers)  # by ref
        self.addresses = Limiter(limits.addresses, workers)  # of those who are nobody, by network
        self.hosts = Limiter(limits.hosts, workers)
        self.refusals = Limiter(limits.refusals, workers)  # of those who are nobody, by network
        self.peers = Seats(0)  # connections by network
        self.connects: Buckets | None = None  # new ones by network
        self._connects = 0.0  # how many of them in a second
        self._networks: dict[str, str] = {}
        self.configure(limits, workers)

    def configure(self, limits: Limits, workers: int) -> None:
        for limiter, rate in (
            (self.callers, limits.principals), (self.addresses, limits.addresses), (self.hosts, limits.hosts),
            (self.refusals, limits.refusals),
        ):  # fmt: skip
            if limiter.rate != rate or limiter.workers != workers:
                limiter.configure(rate, workers)
        self.callers_limited = self.callers.active or self.addresses.active
        self.hosts_limited = self.hosts.active
        connects = limits.peer_connects / workers
        if connects != self._connects:
            self._connects = connects
            self.connects = Buckets(connects, max(1, int(connects * CONNECTS_BURST_S))) if connects else None
        self.peers.most = limits.peer_connections
        self.trusted_most = limits.trusted_peer_connections

    def network_of(self, address: str) -> str:
        """Who counts as one: an IPv4 address; of IPv6 the /64, because a host has all addresses of it."""
        if ":" not in address:
            return address
        network = self._networks.get(address)
        if network is None:
            if len(self._networks) >= NETWORKS:
                self._networks.clear()
            network = self._networks[address] = _network(address)
        return network

    def connect(self, network: str, trusted: bool, now_s: float) -> bool:
        """False when a peer has as many connections as it may, or makes them too fast; else `disconnect` is owed."""
        peers = self.peers
        most = self.trusted_most if trusted else peers.most
        taken = peers.taken.get(network, 0)
        if most and taken >= most:
            return False
        if self.connects is not None and not trusted and self.connects.take(network, int(now_s * SECOND_NS)):
            return False
        peers.taken[network] = taken + 1
        return True

    def disconnect(self, network: str) -> None:
        self.peers.leave(network)


def _network(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped) if mapped is not None else str(ip_network((parsed, 64), strict=False))


class Paced:
    """Connections whose callers ask too much: not read for a while, and then a few of them in each tick, because what
    they ask next is most likely too much again and must not come all at once."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: deque[tuple[float, Downstream]] = deque()  # until when

    def add(self, tick_s: float, connection: Downstream) -> bool:
        """True when ``connection`` goes on some time later; False where too many wait: they must not hold slots."""
        if len(self.waiting) >= PACED:
            return False
        self.waiting.append((tick_s + PACE_S, connection))
        return True

    def release(self, tick_s: float) -> None:
        for _ in range(UNPACED):
            if not self.waiting or self.waiting[0][0] > tick_s:
                return
            _unpace(self.waiting.popleft()[1])


def pace(client: Downstream) -> bool:
    """Its caller has been told to slow down: the next request has to wait. Not of a trusted peer, whose connection
    brings those of others, too. False if too many wait already: then it had better end."""
    if client.peer.trusted or client.least_turn:
        return True
    if not client.door.paced.add(client.door.tick_s, client):
        return False
    client.turn = client.least_turn = TURN_REQUESTS
    client.hold(HOLD_PACE)
    return True


def _unpace(client: Downstream) -> None:
    client.turn = client.least_turn = 0
    client.release(HOLD_PACE)
    if client.queue and not client.advancing:
        client.advance()


# === what a request meets ===


def caller_is_over(exchange: Exchange, principal: Principal) -> bool:
    """Whether ``principal`` asks too much; the request is answered then. Who is nobody counts by client address."""
    guard = exchange.door.guard
    if principal.ref or principal.subject:
        limiter, key = guard.callers, principal.ref or f"{principal.issuer} {principal.subject}"
        return limiter.active and _is_over(exchange, limiter, key)
    return address_is_over(exchange)


def address_is_over(exchange: Exchange) -> bool:
    limiter = exchange.door.guard.addresses
    return limiter.active and _is_over(exchange, limiter, _network_of_client(exchange))


def refusal_is_over(exchange: Exchange) -> bool:
    """Whether the client's address is refused too often, nobody knows whom; the request is answered then."""
    limiter = exchange.door.guard.refusals
    return limiter.active and _is_over(exchange, limiter, _network_of_client(exchange))


def is_asked_in_vain(fault: Fault) -> bool:
    """Whether it was the client that asked for what is not there, or without saying who it is."""
    return fault.status in VAIN


def _network_of_client(exchange: Exchange) -> str:
    """By which the client counts: of its connection, or behind a trusted peer the one that this peer names."""
    client = exchange.client
    if not client.peer.trusted:
        return client.peer.network
    return exchange.door.guard.network_of(client.listening.address_of(client.peer, exchange.head))


def host_is_over(exchange: Exchange) -> bool:
    """Whether the host of a request that is permitted has enough to do; the request is answered then."""
    limiter = exchange.door.guard.hosts
    key = exchange.head.host
    wait_ns = limiter.enter(key, exchange.began_ns)
    if wait_ns:
        exchange.refuse("rate_limited", "there are too many for this host", retry_s=_whole_seconds(wait_ns))
        return True
    exchange.seats = [*(exchange.seats or ()), (limiter, key)]
    return False


def _is_over(exchange: Exchange, limiter: Limiter, key: str) -> bool:
    wait_ns = limiter.enter(key, exchange.began_ns)
    if wait_ns:
        if not pace(exchange.client):
            exchange.keep_alive = False
        exchange.refused = Refusal("rate_limited")
        exchange.refuse("rate_limited", "there are too many of this caller", retry_s=_whole_seconds(wait_ns))
        return True
    exchange.seats = [*(exchange.seats or ()), (limiter, key)]
    return False


def _whole_seconds(wait_ns: int) -> int:
    return -(-wait_ns // SECOND_NS)


def give_back(seats: list[tuple[Limiter, str]]) -> None:
    """Called when the exchange that has them ends."""
    for limiter, key in seats:
        limiter.leave(key)


# === how slowly a body may come ===


def upload_resumes(exchange: Exchange) -> None:
    """The body is waited for from now on: what held it up before was not the client."""
    exchange.window_s = exchange.door.tick_s + WINDOW_S
    exchange.window_bytes = exchange.bytes_in


def judge_upload(exchange: Exchange) -> None:
    """A piece now and then keeps `timeouts.body` from passing, which must not hold a connection for ever."""
    came = exchange.bytes_in - exchange.window_bytes
    if came < exchange.door.limits.upload_rate_bytes * WINDOW_S and exchange.body_left:
        body_broken(exchange, "request_timeout", "its body arrives too slowly")
    else:
        upload_resumes(exchange)
