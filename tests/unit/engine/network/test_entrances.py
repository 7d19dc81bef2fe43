"""Where clients meet a wish on all devices: made once, and the last one where a device cannot say so now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.engine.network.desired import Desired
from gateway.engine.network.entrances import Entrances
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.fronts import Front
from gateway.engine.network.reconcile.group import Group

FRONT = Front("component:default/pay", "", "", "pay.test", "/", "198.51.100.10", 443, "")


class OneLane:
    """Of a device in `prod` that can or cannot say where clients meet it."""

    def __init__(self) -> None:
        self.desired: Desired | None = Desired("prod", "1", ())
        self.seen = SimpleNamespace(looked_s=None)
        self.target = SimpleNamespace(device="dc1")
        self.fault = False
        self.asked = 0

    def fronts_of(self, _: Desired) -> list[Front]:
        self.asked += 1
        if self.fault:
            raise DeviceFault("its file is damaged")
        return [FRONT]


async def at_once(act: Callable[..., Any], *arguments: Any) -> Any:
    return act(*arguments)


def entrances_of(lane: OneLane) -> Entrances:
    groups = cast("dict[str, Group]", {"dc1": SimpleNamespace(lanes={"prod": lane})})
    return Entrances(lambda: groups, at_once)


def test_the_same_wish_is_met_once_however_many_ask() -> None:
    lane = OneLane()
    entrances = entrances_of(lane)
    assert asyncio.run(entrances.fronts_in("prod")) == asyncio.run(entrances.fronts_in("prod")) == [FRONT]
    assert (lane.asked, entrances.addresses_in("prod")) == (1, ("198.51.100.10",))


def test_a_device_that_cannot_say_keeps_what_it_said_last() -> None:
    lane = OneLane()
    entrances = entrances_of(lane)
    asyncio.run(entrances.fronts_in("prod"))
    lane.desired, lane.fault = Desired("prod", "2", ()), True
    assert asyncio.run(entrances.fronts_in("prod")) == [FRONT]


def test_of_a_device_that_never_said_nothing_is_made_up() -> None:
    lane = OneLane()
    lane.fault = True
    with pytest.raises(DeviceFault, match="damaged"):
        asyncio.run(entrances_of(lane).fronts_in("prod"))


def test_another_environment_is_met_nowhere() -> None:
    assert asyncio.run(entrances_of(OneLane()).fronts_in("dev")) == []
