"""Gauges of network devices: one series for each environment on a device, nothing that is not known, nothing odd."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from gateway.control.device_gauges import device_gauges

WELL = {
    "device": "lb1", "environment": "prod", "fault": "", "looked_age_s": 2.0, "synced_age_s": 3.5, "steps": 4,
    "removes": 1, "drift": 2, "version_off": True,
    "applies": {"done": 3, "busy": 1, "odd": "text"}, "logins": 2,
}  # fmt: skip


def exposed(*devices: dict[str, Any]) -> str:
    class Scrape(Collector):
        def collect(self) -> Any:
            return device_gauges(devices)

    registry = CollectorRegistry()
    registry.register(Scrape())
    return generate_latest(registry).decode()


def test_a_device_that_is_well_shows_everything() -> None:
    text = exposed(WELL)
    labels = '{device="lb1",environment="prod"}'
    for line in (
        f"stagedoor_device_reachable{labels} 1.0", f"stagedoor_device_synced_age_seconds{labels} 3.5",
        f"stagedoor_device_waiting_steps{labels} 4.0", f"stagedoor_device_waiting_removals{labels} 1.0",
        f"stagedoor_device_drift{labels} 2.0", f"stagedoor_device_version_off{labels} 1.0",
        'stagedoor_device_applies_total{device="lb1",environment="prod",result="done"} 3.0',
        'stagedoor_device_logins_total{device="lb1"} 2.0',
    ):  # fmt: skip
        assert line in text


@pytest.mark.parametrize("changes", [{"fault": "away"}, {"looked_age_s": None}])
def test_a_device_that_is_away_or_was_never_seen_is_not_reachable(changes: dict[str, Any]) -> None:
    assert 'stagedoor_device_reachable{device="lb1",environment="prod"} 0.0' in exposed(WELL | changes)


def test_what_is_not_known_is_left_out() -> None:
    text = exposed({"device": "lb1", "environment": "prod", "synced_age_s": None, "steps": "many"})
    assert "stagedoor_device_synced_age_seconds{" not in text
    assert "stagedoor_device_waiting_steps{" not in text


def test_tags_are_told_once_for_a_whole_firewall() -> None:
    tags = {
        "state": "waiting", "fault": "", "judged_age_s": 1.0, "synced_age_s": 2.0, "refused": 3, "never_mapped": 4,
        "revocations": 5, "losses": 6, "gains": 7,
    }  # fmt: skip
    text = exposed(WELL | {"tags": tags}, WELL | {"environment": "test", "tags": tags})
    for name, value in (
        ("well", 1), ("synced_age_seconds", 2), ("refused", 3), ("never_mapped", 4), ("revocations", 5), ("losses", 6),
        ("gains", 7),
    ):  # fmt: skip
        assert text.count(f'stagedoor_device_tags_{name}{{device="lb1"}} {value}.0') == 1
    assert 'tags_well{device="lb1"} 0.0' in exposed(WELL | {"tags": tags | {"fault": "away"}})
    assert "tags_well{" not in exposed(WELL | {"tags": tags | {"state": "standby"}})
    assert "tags_well{" not in exposed(WELL | {"tags": None})
