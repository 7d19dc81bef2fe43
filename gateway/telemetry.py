"""What a node counts and what it says: one array of ints per worker, their sum for the admin listener, own logs.

A worker counts with ``values[REQUEST_BYTES] += n``: an array and an index known at import, nothing to look up
or to lock. Each second it sends ``take()`` to control, which keeps the newest array of every worker in
:class:`Merged` and renders the sum when somebody asks. prometheus-client is imported then and there, so that
workers never load it. Label sets are closed (outcome codes, status classes, buckets): no service, no user.

Counters only grow, so a worker that ends leaves its counts behind in the sum and takes its gauges with it.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Hashable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import orjson

from gateway.errors import FAULTS
from policy.reasons import PERMITS, REFUSALS

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

# === what is counted ===


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
)
(
    REQUEST_BYTES, RESPONSE_BYTES, HEALTH_REQUESTS,
    DOWNSTREAM_OPENED, DOWNSTREAM_OPEN, TLS_HANDSHAKES, TLS_HANDSHAKES_FAILED,
    UPSTREAM_CONNECTS, UPSTREAM_CONNECTS_FAILED, UPSTREAM_REUSED, UPSTREAM_OPEN,
    TOKENS_VERIFIED, TOKEN_CACHE_HITS, TOKENS_CACHED,
    LOOP_LAG_MAX_US, SNAPSHOT_AGE_S, OVERLAY_AGE_S, AUDIT_QUEUED, AUDIT_FAILED,
    DURATION_SUM_US,
) = range(len(CELLS))  # fmt: skip

# Responses by class: ``values[RESPONSES + status // 100] += 1``; class 0 is a connection ended without answer.
RESPONSES: Final = len(CELLS)
CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")

# Durations: one cell per bucket, not cumulative, the last one for everything longer.
DURATION: Final = RESPONSES + len(CLASSES)
BUCKETS_US: Final = (
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
)  # fmt: skip

# Requests by outcome code: ``values[OUTCOME[code]] += 1``.
_CODES: Final = tuple(sorted(PERMITS | REFUSALS | FAULTS.keys()))
OUTCOME: Final = {code: DURATION + len(BUCKETS_US) + 1 + n for n, code in enumerate(_CODES)}

LENGTH: Final = DURATION + len(BUCKETS_US) + 1 + len(_CODES)
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


# === merging and exposition (control) ===


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


def collector(merged: Merged) -> Collector:
    """For a prometheus-client registry: the merged counts at each scrape."""
    from prometheus_client.registry import Collector

    class Scrape(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _metrics(merged.scrape(), merged.workers)

    return Scrape()


def exposition(merged: Merged) -> bytes:
    """The merged counts in the Prometheus text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(collector(merged))
    return generate_latest(registry)


def _metrics(values: list[int], workers: int) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    yield GaugeMetricFamily("stagedoor_workers", "Workers that report.", value=workers)
    for index, cell in enumerate(CELLS):
        if index == DURATION_SUM_US:
            continue
        family = CounterMetricFamily if cell.kind == "counter" else GaugeMetricFamily
        yield family(f"stagedoor_{cell.name}", cell.text, value=values[index] * cell.unit)

    requests = CounterMetricFamily("stagedoor_requests", "Requests by outcome.", labels=["outcome"])
    for code, index in OUTCOME.items():
        requests.add_metric([code], values[index])
    yield requests

    responses = CounterMetricFamily("stagedoor_responses", "Answers by status class.", labels=["class"])
    for number, name in enumerate(CLASSES):
        responses.add_metric([name], values[RESPONSES + number])
    yield responses

    yield HistogramMetricFamily(
        "stagedoor_request_duration_seconds",
        "From the first byte of a head to the last byte of its answer.",
        buckets=_cumulative(values),
        sum_value=values[DURATION_SUM_US] / 1e6,
    )


def _cumulative(values: list[int]) -> list[tuple[str, float]]:
    bounds = [str(bound / 1e6) for bound in BUCKETS_US] + ["+Inf"]
    so_far = 0
    buckets: list[tuple[str, float]] = []
    for number, bound in enumerate(bounds):
        so_far += values[DURATION + number]
        buckets.append((bound, so_far))
    return buckets


# === own logs ===

STDERR: Final = 2
Level = Literal["debug", "info", "warning", "error"]
# sd-daemon(3): a line on stderr that begins with <N> carries its priority into the journal.
_PRIORITY: Final = {"debug": b"<7>", "info": b"<6>", "warning": b"<4>", "error": b"<3>"}


class _Voice:
    """How this process writes; set once at its start."""

    __slots__ = ("as_text", "journal", "who")

    def __init__(self) -> None:
        self.as_text = False
        self.journal = False
        self.who: dict[str, object] = {}


_voice = _Voice()


def speak_as(
    role: str, slot: int = 0, log_format: Literal["auto", "json", "text"] = "auto", *, journal: bool = False
) -> None:
    """Name this process in its own log lines and choose their form; `auto` is text at a terminal."""
    _voice.who = {"role": role, "slot": slot, "pid": os.getpid()}
    _voice.journal = journal
    _voice.as_text = log_format == "text" or (log_format == "auto" and os.isatty(STDERR))


def log(event: str, level: Level = "info", **fields: object) -> None:
    """One event, one line on stderr: JSON, or text for a person at a terminal. Never a token, key or cookie."""
    now = datetime.fromtimestamp(time.time(), UTC)
    if _voice.as_text:
        line = _text(now, event, level, fields)
    else:
        stamp = now.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        line = orjson.dumps({"time": stamp, "level": level, **_voice.who, "event": event, **fields}, default=str)
    if _voice.journal:
        line = _PRIORITY[level] + line
    _write(line + b"\n")


def _text(now: datetime, event: str, level: Level, fields: dict[str, object]) -> bytes:
    who = f"{_voice.who['role']}/{_voice.who['slot']}" if _voice.who else "-"
    said = " ".join(f"{name}={_quoted(value)}" for name, value in fields.items())
    mark = "" if level in ("debug", "info") else f"{level}: "
    line = f"{now:%H:%M:%S}.{now.microsecond // 1000:03d} {who} {mark}{event} {said}"
    return line.rstrip().encode("utf-8", "replace")


def _quoted(value: object) -> str:
    text = str(value)
    plain = text != "" and all(" " < letter <= "~" and letter != '"' for letter in text)
    return text if plain else orjson.dumps(text).decode()


def _write(line: bytes) -> None:
    try:
        os.write(STDERR, line)
    except OSError:  # nobody reads our stderr; the work goes on
        return
