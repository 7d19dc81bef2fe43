"""How much one caller, one address, one host may take of a worker, and how slowly a body may come.

Rates are kept as one number per key: when the next request would be on time, had they come evenly (the generic cell
rate algorithm, which is a token bucket without the bucket). A key whose number is past has its whole burst, so that
forgetting it gives nothing away. What is remembered is bounded by two generations: what was not asked for during a
generation as long as a bucket takes to fill is full and is dropped with the older one. Somebody who cycles through
identities ends a generation early and so has running buckets dropped; until those would have been full, a key that is
not known begins with an empty bucket and one request instead of a burst. Nobody gains by being forgotten, and nobody
who is new is locked out.

All of it is one worker's share. No clock is read here, and nothing waits.
"""

from __future__ import annotations

from collections import deque
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from gateway.config import Limits, Rate

if TYPE_CHECKING:
    from gateway.door.downstream import Downstream
    from gateway.door.exchange import Exchange
    from policy.facts import Principal

REMEMBERED: Final = 16_384  # keys of one generation
SECOND_NS: Final = 1_000_000_000
SEAT_WAIT_NS: Final = SECOND_NS  # when to try again where requests are under way: nobody knows how long they take
WINDOW_S: Final = 30.0  # a body is judged by what comes in that time
PACE_S: Final = 0.24  # at least, until somebody who asks too much is read again
UNPACED: Final = 4  # of them in each tick
PACED: Final = 512  # at the most, so that nobody waits longer than three seconds
NETWORKS: Final = 4096  # IPv6 addresses whose network is remembered


class Buckets:
    """Requests per second and burst for any number of keys, in bounded memory. Times are monotonic nanoseconds."""

    __slots__ = ("crowded_ns", "full_ns", "interval_ns", "older", "slack_ns", "turned_ns", "younger")

    def __init__(self, per_second: float, burst: int) -> None:
        self.interval_ns = max(1, int(SECOND_NS / per_second))
        self.slack_ns = (burst - 1) * self.interval_ns
        self.full_ns = max(SECOND_NS, burst * self.interval_ns)
        self.younger: dict[str, int] = {}
        self.older: dict[str, int] = {}
        self.turned_ns = 0
        self.crowded_ns = 0  # until then an unknown key begins without a burst

    def take(self, key: str, now_ns: int) -> int:
        """0 = one request may go on; else after how many nanoseconds it may."""
        if now_ns - self.turned_ns >= self.full_ns:
            self._turn(now_ns)
        due_ns = self.younger.get(key, 0)
        if not due_ns:
            due_ns = self.older.get(key, 0)
            if not due_ns and now_ns < self.crowded_ns:
                due_ns = now_ns + self.slack_ns
            if len(self.younger) >= REMEMBERED:
                self.crowded_ns = now_ns + self.full_ns
                self._turn(now_ns)
        if due_ns < now_ns:
            due_ns = now_ns
        wait_ns = due_ns - now_ns - self.slack_ns
        if wait_ns > 0:
            return wait_ns
        self.younger[key] = due_ns + self.interval_ns
        return 0

    def _turn(self, now_ns: int) -> None:
        self.older = self.younger
        self.younger = {}
        self.turned_ns = now_ns


class Seats:
    """How many of a key may be there at once: requests under way, or connections."""

    __slots__ = ("most", "taken")

    def __init__(self, most: int) -> None:
        self.most = most  # 0 = any number; they are counted nevertheless
        self.taken: dict[str, int] = {}

    def take(self, key: str) -> bool:
        taken = self.taken.get(key, 0)
        if self.most and taken >= self.most:
            return False
        self.taken[key] = taken + 1
        return True

    def leave(self, key: str) -> None:
        left = self.taken[key] - 1
        if left:
            self.taken[key] = left
        else:
            del self.taken[key]


class Limiter:
    """One worker's share of one kind of limit: a rate, and requests under way."""

    __slots__ = ("active", "buckets", "rate", "seats", "workers")

    def __init__(self, rate: Rate, workers: int) -> None:
        self.seats = Seats(0)
        self.configure(rate, workers)

    def configure(self, rate: Rate, workers: int) -> None:
        """Take another limit. Who has a seat keeps it, and gives it back."""
        self.rate = rate
        self.workers = workers
        self.buckets: Buckets | None = None
        if rate.requests_per_second:
            burst = rate.burst or max(1, int(rate.requests_per_second))
            self.buckets = Buckets(rate.requests_per_second / workers, max(1, burst // workers))
        self.seats.most = max(1, rate.concurrent // workers) if rate.concurrent else 0
        self.active = self.buckets is not None or self.seats.most > 0

    def enter(self, key: str, now_ns: int) -> int:
        """0 = one request more may go on, and `leave` is owed; else after how many nanoseconds it is worth a try."""
        buckets = self.buckets
        if buckets is not None:
            wait_ns = buckets.take(key, now_ns)
            if wait_ns:
                return wait_ns
        return 0 if self.seats.take(key) else SEAT_WAIT_NS

    def leave(self, key: str) -> None:
        self.seats.leave(key)


class Guard:
    """The limits of one worker on callers, hosts and peers."""

    __slots__ = (
        "addresses", "callers", "callers_limited", "hosts", "hosts_limited", "peers", "trusted_most", "_networks",
    )  # fmt: skip

    def __init__(self, limits: Limits, workers: int) -> None:
        self.callers = Limiter(limits.principals, workers)  # by ref
        self.addresses = Limiter(limits.addresses, workers)  # of those who are nobody, by network
        self.hosts = Limiter(limits.hosts, workers)
        self.peers = Seats(0)  # connections by network
        self._networks: dict[str, str] = {}
        self.configure(limits, workers)

    def configure(self, limits: Limits, workers: int) -> None:
        for limiter, rate in (
            (self.callers, limits.principals), (self.addresses, limits.addresses), (self.hosts, limits.hosts)
        ):  # fmt: skip
            if limiter.rate != rate or limiter.workers != workers:
                limiter.configure(rate, workers)
        self.callers_limited = self.callers.active or self.addresses.active
        self.hosts_limited = self.hosts.active
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

    def connect(self, network: str, trusted: bool) -> bool:
        """False when a peer has as many connections as it may; else `disconnect` is owed."""
        peers = self.peers
        most = self.trusted_most if trusted else peers.most
        taken = peers.taken.get(network, 0)
        if most and taken >= most:
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
        """True when ``connection`` will be told `unpace`; False where too many wait: they must not hold slots."""
        if len(self.waiting) >= PACED:
            return False
        self.waiting.append((tick_s + PACE_S, connection))
        return True

    def release(self, tick_s: float) -> None:
        for _ in range(UNPACED):
            if not self.waiting or self.waiting[0][0] > tick_s:
                return
            self.waiting.popleft()[1].unpace()


# === what a request meets ===


def caller_is_over(exchange: Exchange, principal: Principal) -> bool:
    """Whether ``principal`` asks too much; the request is answered then. Who is nobody counts by client address."""
    guard = exchange.door.guard
    if principal.ref or principal.subject:
        limiter, key = guard.callers, principal.ref or f"{principal.issuer} {principal.subject}"
        return limiter.active and _is_over(exchange, limiter, key)
    return address_is_over(exchange)


def address_is_over(exchange: Exchange) -> bool:
    guard = exchange.door.guard
    if not guard.addresses.active:
        return False
    client = exchange.client
    network = client.peer.network
    if client.peer.trusted:
        head = exchange.head
        address, _ = client.listening.client_behind(client.peer.address, head.forwarded_for, head.forwarded_proto)
        network = guard.network_of(address)
    return _is_over(exchange, guard.addresses, network)


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
        exchange.client.pace()
        exchange.refuse("rate_limited", "there are too many of this caller", retry_s=_whole_seconds(wait_ns))
        return True
    exchange.seats = [(limiter, key)]
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
        exchange.body_broken("request_timeout", "its body arrives too slowly")
    else:
        upload_resumes(exchange)
