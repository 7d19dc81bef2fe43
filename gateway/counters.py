"""What is counted: one array of ints per worker, and their sum.

A worker counts with ``values[REQUEST_BYTES] += n``: an array and an index known at import, nothing to look up
or to lock. Each second it sends ``take()`` to control, which keeps the newest array of every worker in
:class:`Merged`. Label sets are closed (outcome codes, status classes, buckets): no service, no user.

Counters only grow, so a worker that ends leaves its counts behind in the sum and takes its gauges with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from typing import Final, Literal, NamedTuple

from gateway.errors import FAULTS
from policy.reasons import PERMITS, REFUSALS


class Cell(NamedTuple):
    """One int of the array. ``counter`` and ``sum`` add up over workers, ``max`` is the worst worker's;
    ``peak`` is a maximum that starts anew when it is read."""

    name: str
    kind: Literal["counter", "sum", "max", "peak"]
    text: str
    unit: float = 1.0  # what 1 in the cell is in the exported unit


CELLS: Final = (
    Cell("request_bytes", "counter", "Body bytes received from clients."),
    Cell("response_bytes", "counter", "Bytes sent to clients."),
    Cell("health_requests", "counter", "Answers to BIG-IP health monitors, in no other count."),
    Cell("downstream_opened", "counter", "Client connections accepted."),
    Cell("downstream_open", "sum", "Client connections open now."),
    Cell("tls_handshakes", "counter", "TLS handshakes completed with clients."),
    Cell("tls_handshakes_failed", "counter", "TLS handshakes with clients that failed or timed out."),
    Cell("upstream_connects", "counter", "Upstream connections opened."),
    Cell("upstream_connects_failed", "counter", "Upstream connections that could not be opened."),
    Cell("upstream_reused", "counter", "Requests sent on an upstream connection that was already open."),
    Cell("upstream_open", "sum", "Upstream connections open now."),
    Cell("tokens_verified", "counter", "Token signatures verified."),
    Cell("token_cache_hits", "counter", "Requests whose token was verified before."),
    Cell("tokens_cached", "sum", "Verified tokens held."),
    Cell("loop_lag_max_seconds", "peak", "Longest stall of a worker's event loop since the last scrape.", 1e-6),
    Cell("snapshot_age_seconds", "max", "Seconds since the oldest snapshot in use was confirmed."),
    Cell("overlay_age_seconds", "max", "Seconds since control was last heard by the worker that hears it worst."),
    Cell("audit_queued", "sum", "Audit records not yet written."),
    Cell("audit_failed", "max", "1 while a worker cannot write its audit trail."),
    Cell("duration_us", "counter", "Sum of the request durations."),
    Cell("upstream_ejections", "counter", "Times that an upstream endpoint was put aside for its failures."),
    Cell("upstream_ejected", "sum", "Upstream endpoints put aside now, counted by each worker that does so."),
    Cell("upstream_down", "max", "Upstream endpoints that the engine's checks found down."),
    Cell("upstream_retries", "counter", "Requests sent again after a reused upstream connection failed."),
    Cell("upstream_retries_withheld", "counter", "Requests not sent again, because too many were."),
    Cell("tunnels_opened", "counter", "Connections that became a tunnel after an upgrade."),
    Cell("tunnels_open", "sum", "Tunnels open now."),
    Cell("downstream_refused", "counter", "Client connections ended at once: too many, or no room for them."),
    Cell("descriptors_open", "max", "Descriptors in use by the worker that uses most."),
    Cell("resident_bytes", "max", "Physical memory of the worker that uses most."),
    Cell("shedding", "max", "1 while a worker refuses what comes new for want of memory (`limits.memory`)."),
    Cell("session_cache_hits", "counter", "Requests whose session cookie was at hand with its caller."),
    Cell("sessions_held", "sum", "Sessions that workers know something of."),
    Cell("arrivals_waiting", "sum", "Client connections accepted that wait for their turn to begin."),
    Cell("clock_ahead_seconds", "max", "By how much a worker is ahead of the machine's clock, which was set back."),
)
# The place of each cell. Written out, so that a compiled door adds to a constant place.
REQUEST_BYTES: Final = 0
RESPONSE_BYTES: Final = 1
HEALTH_REQUESTS: Final = 2
DOWNSTREAM_OPENED: Final = 3
DOWNSTREAM_OPEN: Final = 4
TLS_HANDSHAKES: Final = 5
TLS_HANDSHAKES_FAILED: Final = 6
UPSTREAM_CONNECTS: Final = 7
UPSTREAM_CONNECTS_FAILED: Final = 8
UPSTREAM_REUSED: Final = 9
UPSTREAM_OPEN: Final = 10
TOKENS_VERIFIED: Final = 11
TOKEN_CACHE_HITS: Final = 12
TOKENS_CACHED: Final = 13
LOOP_LAG_MAX_US: Final = 14
SNAPSHOT_AGE_S: Final = 15
OVERLAY_AGE_S: Final = 16
AUDIT_QUEUED: Final = 17
AUDIT_FAILED: Final = 18
DURATION_SUM_US: Final = 19
UPSTREAM_EJECTIONS: Final = 20
UPSTREAM_EJECTED: Final = 21
UPSTREAM_DOWN: Final = 22
UPSTREAM_RETRIES: Final = 23
UPSTREAM_RETRIES_WITHHELD: Final = 24
TUNNELS_OPENED: Final = 25
TUNNELS_OPEN: Final = 26
DOWNSTREAM_REFUSED: Final = 27
DESCRIPTORS_OPEN: Final = 28
RESIDENT_BYTES: Final = 29
SHEDDING: Final = 30
SESSION_CACHE_HITS: Final = 31
SESSIONS_HELD: Final = 32
ARRIVALS_WAITING: Final = 33
CLOCK_AHEAD_S: Final = 34

# Responses by class: ``values[RESPONSES + status // 100] += 1``; class 0 is a connection ended without answer.
RESPONSES: Final = len(CELLS)
CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")

# Durations: one cell per bucket, not cumulative, the last one for everything longer.
DURATION: Final = RESPONSES + len(CLASSES)
BUCKETS_US: Final[tuple[int, ...]] = (  # of any length: compiled, one of known length is made anew for each call
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
)  # fmt: skip

# Tunnels by who ended them, or what did: ``values[TUNNELS_ENDED + BY_CLIENT] += 1``.
TUNNELS_ENDED: Final = DURATION + len(BUCKETS_US) + 1
TUNNEL_ENDS: Final = ("client", "upstream", "permit", "token", "idle", "drain")
BY_CLIENT: Final = 0
BY_UPSTREAM: Final = 1
BY_PERMIT: Final = 2  # it would no longer be given
BY_TOKEN: Final = 3  # it ended, or its issuer takes it back
BY_IDLE: Final = 4
BY_DRAIN: Final = 5  # of the worker

# Requests by outcome code: ``values[OUTCOME[code]] += 1``.
_CODES: Final = tuple(sorted({*PERMITS, *REFUSALS, *FAULTS}))
OUTCOME: Final = {code: TUNNELS_ENDED + len(TUNNEL_ENDS) + n for n, code in enumerate(_CODES)}

LENGTH: Final = TUNNELS_ENDED + len(TUNNEL_ENDS) + len(_CODES)
_PEAKS: Final = tuple(index for index, cell in enumerate(CELLS) if cell.kind == "peak")
_WORST: Final = tuple(index for index, cell in enumerate(CELLS) if cell.kind in ("max", "peak"))
_GAUGES: Final = tuple(index for index, cell in enumerate(CELLS) if cell.kind != "counter")


class Counters:
    """One worker's array. The hot path binds ``values`` and adds to it; gauges are set, not added."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[int] = [0] * LENGTH

    def observe(self, duration_us: int) -> None:
        values = self.values
        values[DURATION + bisect_left(BUCKETS_US, duration_us)] += 1
        values[DURATION_SUM_US] += duration_us

    def lagged(self, lag_us: int) -> None:
        if lag_us > self.values[LOOP_LAG_MAX_US]:
            self.values[LOOP_LAG_MAX_US] = lag_us

    def take(self) -> list[int]:
        """A copy to send; peaks start anew."""
        taken = self.values.copy()
        for index in _PEAKS:
            self.values[index] = 0
        return taken


class Merged:
    """The newest arrays of all workers of the node, and what ended workers counted."""

    def __init__(self) -> None:
        self._newest: dict[Hashable, list[int]] = {}
        self._ended = [0] * LENGTH
        self._peaks = dict.fromkeys(_PEAKS, 0)  # since the last scrape

    @property
    def workers(self) -> int:
        return len(self._newest)

    def put(self, worker: Hashable, values: list[int]) -> bool:
        """False, and nothing changes, when the array is of another version's length."""
        if len(values) != LENGTH:
            return False
        self._newest[worker] = values
        for index in _PEAKS:
            self._peaks[index] = max(self._peaks[index], values[index])
        return True

    def retire(self, worker: Hashable) -> None:
        """The worker ended: its counts stay in the sum, its gauges go."""
        values = self._newest.pop(worker, None)
        if values is None:
            return
        for index in _GAUGES:
            values[index] = 0
        self._ended = [ended + last for ended, last in zip(self._ended, values, strict=True)]

    def total(self) -> list[int]:
        arrays = list(self._newest.values())
        total = [sum(cells) for cells in zip(self._ended, *arrays, strict=True)]
        for index in _WORST:
            total[index] = max((values[index] for values in arrays), default=0)
        for index, peak in self._peaks.items():
            total[index] = peak
        return total

    def scrape(self) -> list[int]:
        """:meth:`total`, and peaks start anew."""
        total = self.total()
        self._peaks = dict.fromkeys(_PEAKS, 0)
        return total
