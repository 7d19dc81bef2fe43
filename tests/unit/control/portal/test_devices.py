"""Pages of devices say in words what they show."""

from __future__ import annotations

from gateway.control.portal import devices
from gateway.engine.network.plans.plan import Difference


def test_every_kind_of_drift_has_a_title() -> None:
    assert set(devices._DIFFERENCES) == {each.value for each in Difference}
