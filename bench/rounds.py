"""Rounds: one gateway under load for some seconds; and the row that the median of several rounds makes.

CPU and memory are read the moment the generator says that its window opens and closes, over every process of the
gateway. The row keeps each round's CPU figure, so that a reader sees the spread behind the median.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import load
from bench.ground import Scale
from bench.load import Load, Target
from bench.peers import Gateway
from bench.processes import cpu_s, rss_bytes

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Round:
    load: Load
    cpu_us: float  # per request, whole tree
    busy: float  # share of the core the tree used
    rss: int
    worker_rss: int


@dataclass(slots=True)
class Row:
    """One line of the table. ``note`` says why figures are missing."""

    name: str
    cpu_us_per_request: float | None = None
    rps: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    rss_mb: float | None = None
    worker_rss_mb: float | None = None
    busy: float | None = None
    mib_s: float | None = None
    rounds_cpu_us: list[float] = field(default_factory=list)
    note: str = ""
    measured: str = ""  # when, in UTC: the rows of one scenario are of one time

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def one_round(gateway: Gateway, target: Target, scale: Scale, **options: object) -> Round:
    """Warm up, measure for ``scale.seconds``, and read the processes at both ends of the window."""
    taken: list[float] = []
    sizes: list[int] = []

    def on_line(word: str) -> None:
        if word in ("start", "stop"):
            pids = gateway.tree.pids
            taken.append(cpu_s(pids))
            if word == "stop":
                sizes.extend((rss_bytes(pids), rss_bytes([gateway.worker])))

    run = load.run(target, on_line, seconds=scale.seconds, warm=scale.warm_s, **options)
    used = taken[1] - taken[0]
    return Round(run, used / max(run.requests, 1) * 1e6, used / run.seconds, sizes[0], sizes[1])


def row_of(name: str, rounds: Sequence[Round], note: str = "") -> Row:
    def median(of: Callable[[Round], float], digits: int) -> float:
        return round(statistics.median(of(one) for one in rounds), digits)

    return Row(
        name,
        cpu_us_per_request=median(lambda r: r.cpu_us, 2),
        rps=median(lambda r: r.load.rps, 0),
        p50_ms=median(lambda r: r.load.p50_ms, 3),
        p99_ms=median(lambda r: r.load.p99_ms, 3),
        rss_mb=median(lambda r: r.rss / MIB, 1),
        worker_rss_mb=median(lambda r: r.worker_rss / MIB, 1),
        busy=median(lambda r: r.busy, 2),
        mib_s=median(lambda r: r.load.body_bytes / r.load.seconds / MIB, 1),
        rounds_cpu_us=[round(one.cpu_us, 2) for one in rounds],
        note=note,
        measured=now_utc(),
    )


def now_utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
