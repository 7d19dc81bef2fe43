"""How network devices stand, as metrics: what the engine says of them, read with care."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Said = Mapping[str, Any]
LABELS: Final = ("device", "environment")


def _amount(name: str) -> Callable[[Said], float | None]:
    def read(said: Said) -> float | None:
        value = said.get(name)
        return float(value) if isinstance(value, int | float) else None

    return read


_GAUGES: Final[tuple[tuple[str, str, Callable[[Said], float | None]], ...]] = (
    ("reachable", "1 when the last look at an environment on a device was good.",
     lambda said: 0.0 if said.get("fault") or said.get("looked_age_s") is None else 1.0),
    ("synced_age_seconds", "Seconds since a device was last as the catalog wants it.", _amount("synced_age_s")),
    ("looked_age_seconds", "Seconds since a device was last looked at.", _amount("looked_age_s")),
    ("waiting_steps", "Steps of the plan that waits.", _amount("steps")),
    ("waiting_removals", "Services and objects that the waiting plan takes away.", _amount("removes")),
    ("drift", "Differences between a device and what was applied to it.", _amount("drift")),
    ("version_off", "1 when a device names another policy version than the doors serve.", _amount("version_off")),
)  # fmt: skip


# Of the tags of a whole firewall.
_TAG_GAUGES: Final[tuple[tuple[str, str, Callable[[Said], float | None]], ...]] = (
    ("tags_well", "1 when the last look at a firewall's tags was good.",
     lambda said: 0.0 if said.get("fault") or said.get("judged_age_s") is None else 1.0),
    ("tags_synced_age_seconds", "Seconds since a firewall's tags were last as wanted.", _amount("synced_age_s")),
    ("tags_refused", "Addresses and users whose tags a firewall did not take.", _amount("refused")),
    ("tags_never_mapped", "Tagged users whom a firewall has never mapped.", _amount("never_mapped")),
    ("tags_revocations", "Tags that are to be taken away at once.", _amount("revocations")),
    ("tags_losses", "Tags that are to be taken away.", _amount("losses")),
    ("tags_gains", "Tags that are to be given.", _amount("gains")),
)  # fmt: skip


def device_gauges(devices: Iterable[Said]) -> Iterator[Metric]:
    """A gauge each; an environment that says nothing of it is left out, and those that another node looks after."""
    shown = (said for said in devices if said.get("state") != "standby")
    known = [(str(said.get("device", "")), str(said.get("environment", "")), said) for said in shown]
    for name, text, value_of in _GAUGES:
        gauge = GaugeMetricFamily(f"stagedoor_device_{name}", text, labels=LABELS)
        for device, environment, said in known:
            value = value_of(said)
            if value is not None:
                gauge.add_metric([device, environment], value)
        yield gauge
    yield from _counters(known)
    yield from _tag_gauges(known)


def _tag_gauges(known: Iterable[tuple[str, str, Said]]) -> Iterator[Metric]:
    tags = {device: said["tags"] for device, _, said in known if isinstance(said.get("tags"), dict)}
    for name, text, value_of in _TAG_GAUGES:
        gauge = GaugeMetricFamily(f"stagedoor_device_{name}", text, labels=["device"])
        for device, said in tags.items():
            if said.get("state") != "standby" and (value := value_of(said)) is not None:
                gauge.add_metric([device], value)
        yield gauge


def _counters(known: Iterable[tuple[str, str, Said]]) -> Iterator[Metric]:
    applies = CounterMetricFamily(
        "stagedoor_device_applies", "Applies since the engine began, by how they ended.", labels=(*LABELS, "result")
    )
    logins = CounterMetricFamily("stagedoor_device_logins", "Logins since the engine began.", labels=["device"])
    counted: dict[str, float] = {}
    for device, environment, said in known:
        results = said.get("applies")
        for result, number in results.items() if isinstance(results, dict) else ():
            if type(number) is int:
                applies.add_metric([device, environment, str(result)], number)
        counted[device] = _amount("logins")(said) or 0.0
    for device, number in counted.items():
        logins.add_metric([device], number)
    yield from (applies, logins)
