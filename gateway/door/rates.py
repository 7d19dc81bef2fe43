"""How often a key may do something, and how many of it may be there at once.

Rates are kept as one number per key: when the next request would be on time, had they come evenly (the generic cell
rate algorithm, which is a token bucket without the bucket). A key whose number is past has its whole burst, so that
forgetting it gives nothing away. What is remembered is bounded by two generations: what was not asked for during a
generation as long as a bucket takes to fill is full and is dropped with the older one. Somebody who cycles through
identities ends a generation early and so has running buckets dropped; until those would have been full, a key that is
not known begins with an empty bucket and one request instead of a burst. Nobody gains by being forgotten, and nobody
who is new is locked out.

No clock is read here, and nothing waits.
"""

from __future__ import annotations

from typing import Final

from gateway.config import Rate

REMEMBERED: Final = 16_384  # keys of one generation
SECOND_NS: Final = 1_000_000_000
SEAT_WAIT_NS: Final = SECOND_NS  # when to try again where requests are under way: nobody knows how long they take


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
