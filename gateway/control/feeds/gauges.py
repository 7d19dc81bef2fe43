"""How feeds are read, as metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from gateway.control.feeds.answering import Feeds

PLACE = ("vendor", "device", "environment")


def feed_gauges(feeds: Feeds) -> Iterator[Metric]:
    """Who is no reader is counted without a place: a path is what somebody wrote."""
    reads = CounterMetricFamily(
        "stagedoor_feed_reads", "Reads of feeds since control began, by how they ended.",
        labels=(*PLACE, "feed", "outcome"),
    )  # fmt: skip
    for labels, number in sorted(feeds.reads.items()):
        reads.add_metric(labels, number)
    age = GaugeMetricFamily(
        "stagedoor_feed_age_seconds", "Seconds since the engine stood to what was given last.", labels=PLACE
    )
    for key, age_s in sorted(feeds.ages().items()):
        age.add_metric(key, age_s)
    yield from (reads, age)
