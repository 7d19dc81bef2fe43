"""What a node says: the merged counts for the admin listener, and its own log lines.

The counts come from `gateway.counters`. prometheus-client is imported when somebody asks for them, so that
workers never load it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import orjson

from gateway.counters import (
    BUCKETS_US,
    CELLS,
    CLASSES,
    DURATION,
    DURATION_SUM_US,
    OUTCOME,
    RESPONSES,
    TUNNEL_ENDS,
    TUNNELS_ENDED,
    Merged,
)

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

# === exposition (control) ===


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

    tunnels = CounterMetricFamily("stagedoor_tunnels_ended", "Tunnels by who ended them, or what did.", labels=["by"])
    for number, name in enumerate(TUNNEL_ENDS):
        tunnels.add_metric([name], values[TUNNELS_ENDED + number])
    yield tunnels

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
