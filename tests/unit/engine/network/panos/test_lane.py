"""A firewall's environment in the reconciler: what is remembered of another device, and a plan that was edited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network import plan_file
from gateway.engine.network.faults import Rejected
from gateway.engine.network.guards import Consent, Terms
from gateway.engine.network.ledger import Applied
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.reconcile import Lane
from tests.support.network import Bench
from tests.support.panos import RunningFirewall
from tests.support.panos_rules import DESIRED, ENVIRONMENT, TEAM, Standing, serving_firewall, standing
from tests.support.scripted_device import FakeTime

PERSON = Consent("olga", removals=True)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFirewall]:
    with serving_firewall(tmp_path_factory.mktemp("panos")) as firewall:
        yield firewall


@pytest.fixture
def at(serving: RunningFirewall, tmp_path: Path) -> Standing:
    return standing(serving, tmp_path)


def run(at: Standing, folder: Path, scene: Callable[[Lane, Bench], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        units, bench = Units(at.device, FakeTime().time()), Bench(folder)
        lane = Lane(PanosTarget(units, ENVIRONMENT, lambda desired: (), folder), Terms("enforce"), bench.means)
        lane.desired = DESIRED
        try:
            await scene(lane, bench)
        finally:
            await units.close()

    asyncio.run(main())


@pytest.mark.parametrize("content", [{"class": "ADC", "stagedoor_prod": {}}, [], "x", {"rules": 1}, None])
def test_what_is_remembered_of_another_vendors_device_of_this_name_is_no_memory(
    at: Standing, tmp_path: Path, content: Any
) -> None:
    async def scene(lane: Lane, bench: Bench) -> None:
        await lane.turn()
        applied = bench.ledger.read("edge", "prod")
        assert applied is not None
        bench.ledger.write("edge", "prod", Applied(content, "d", "v", "f", bench.now_s, "olga"))
        sight = await lane.look()
        assert (sight.plan.steps, sight.drifts) == ((), ())
        found = bench.ledger.read("edge", "prod")
        assert found is not None and (found.content, found.by) == (applied.content, "found")

    run(at, tmp_path, scene)


def wide_group(content: dict[str, Any]) -> None:
    content["user_groups"][names.group_name(names.team_tag(TEAM), "prod")]["filter"] = f"'{names.everyone_tag()}'"


def every_address(content: dict[str, Any]) -> None:
    for fields in content["address_groups"].values():
        fields["filter"] = f"'{names.WATERMARK}'"


def no_closing(content: dict[str, Any]) -> None:
    content["rules"].pop()


def closing_first(content: dict[str, Any]) -> None:
    content["rules"].insert(0, content["rules"].pop())


def round_the_door(content: dict[str, Any]) -> None:
    direct = next(rule for rule in content["rules"] if names.kind_of(rule["name"]) == "direct")
    for rule in content["rules"]:
        if names.kind_of(rule["name"]) == "back":
            rule.update(source=["any"], source_user=direct["source_user"])


@pytest.mark.parametrize("edit", [wide_group, every_address, no_closing, closing_first, round_the_door])
def test_a_plan_that_a_hand_made_wider_is_refused_though_it_is_in_order_otherwise(
    at: Standing, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    """With steps and digest made anew, as whoever reads the source can."""

    async def scene(lane: Lane, bench: Bench) -> None:
        sight = await lane.look()
        content = plan_file.from_json(plan_file.as_json(sight.plan)).content
        edit(content)
        plan = replace(sight.plan, content=content, steps=lane.target.steps(content, sight.observed))
        with pytest.raises(Rejected, match="the plan's rules may not be written"):
            await lane.apply(plan_file.from_json(plan_file.as_json(plan)), PERSON)
        assert not any(name.startswith("sd-") for name in at.names() if name not in ("sd-begin", "sd-end"))

    run(at, tmp_path, scene)
