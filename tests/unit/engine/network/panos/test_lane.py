"""A firewall's environment in the reconciler: what is remembered of another device, and a plan that was edited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.faults import Busy, Rejected
from gateway.engine.network.history.experience import Budget
from gateway.engine.network.history.ledger import Applied
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.guards import Consent, Terms
from gateway.engine.network.plans.plan import Difference
from gateway.engine.network.reconcile import Lane
from tests.support.network import Bench
from tests.support.panos import RULES, RunningFirewall, rule
from tests.support.panos_rules import CLOSED, DESIRED, TEAM, Standing, serving_firewall, standing
from tests.support.scripted_device import FakeTime

GAP_S = 900.0
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
        target = PanosTarget(units, at.device.environments[0], lambda desired: (), folder)
        budget = Budget(GAP_S)
        lane = Lane(target, Terms("enforce"), bench.means, budget=budget)
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
    direct = next(each for each in content["rules"] if names.kind_of(each["name"]) == "direct")
    for each in content["rules"]:
        if names.kind_of(each["name"]) == "back":
            each.update(source=["any"], source_user=direct["source_user"])


@pytest.mark.parametrize("edit", [wide_group, every_address, no_closing, closing_first, round_the_door])
def test_a_plan_that_a_hand_made_wider_is_refused_though_it_is_in_order_otherwise(
    at: Standing, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    """With steps and digest made anew, as whoever reads the source can."""
    is_refused(at, tmp_path, edit)


def is_refused(at: Standing, folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    async def scene(lane: Lane, bench: Bench) -> None:
        sight = await lane.look()
        content = plan_file.from_json(plan_file.as_json(sight.plan)).content
        edit(content)
        plan = replace(sight.plan, content=content, steps=lane.target.steps(content, sight.observed))
        with pytest.raises(Rejected, match="the plan's rules may not be written"):
            await lane.apply(plan_file.from_json(plan_file.as_json(plan)), PERSON)
        assert not any(name.startswith("sd-") for name in at.names() if name not in ("sd-begin", "sd-end"))

    run(at, folder, scene)


def smaller_network(content: dict[str, Any]) -> None:
    content["addresses"][names.network_name("192.0.2.0/24", "prod")]["network"] = "192.0.2.0/30"


def another_network(content: dict[str, Any]) -> None:
    """In order by itself: name, object, rule and sentence agree."""
    name, other = (names.network_name(text, "prod") for text in ("192.0.2.0/24", "192.0.2.0/30"))
    content["addresses"][other] = {**content["addresses"].pop(name), "network": "192.0.2.0/30"}
    closing = content["rules"][-1]
    closing["destination"] = sorted(other if each == name else each for each in closing["destination"])
    closing["description"] = closing["description"].replace("192.0.2.0/24", "192.0.2.0/30")


def one_network_less(content: dict[str, Any]) -> None:
    content["rules"][-1]["destination"].pop()


def let_in(content: dict[str, Any]) -> None:
    content["rules"][0]["destination"] = list(content["addresses"])


@pytest.mark.parametrize(
    "edit", [smaller_network, another_network, one_network_less, let_in, no_closing, closing_first, round_the_door]
)
def test_a_plan_that_a_hand_made_close_less_is_refused(
    serving: RunningFirewall, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:  # fmt: skip
    is_refused(standing(serving, tmp_path, environments=(CLOSED,)), tmp_path, edit)


def test_what_was_applied_before_networks_could_be_closed_is_still_a_memory(at: Standing, tmp_path: Path) -> None:
    """It speaks of no addresses."""

    async def scene(lane: Lane, bench: Bench) -> None:
        await lane.turn()
        applied = bench.ledger.read("edge", "prod")
        assert applied is not None
        before = {key: value for key, value in applied.content.items() if key != "addresses"}
        bench.ledger.write("edge", "prod", replace(applied, content=before))
        at.api.written(f"{RULES}/entry[@name='{at.names()[2]}']", "<schedule>night</schedule>")
        at.api.committed()
        assert [drift.difference for drift in (await lane.look()).drifts] == [Difference.EDITED]

    run(at, tmp_path, scene)


def test_a_try_that_met_somebody_elses_commit_costs_no_turn_of_the_device(at: Standing, tmp_path: Path) -> None:
    async def scene(lane: Lane, bench: Bench) -> None:
        at.firewall.knobs.hold_jobs = True
        await asyncio.to_thread(at.api.written, RULES, rule("of-jane", destination="192.0.2.99"))
        await asyncio.to_thread(at.api.commit)
        with pytest.raises(Busy, match="is at work"):
            await lane.turn()
        at.firewall.knobs.hold_jobs = False
        await lane.turn()
        assert lane.waits == () and lane.last.by == "engine"
        assert [each["result"] for each in bench.applies() if "result" in each] == ["busy", "done"]

    run(at, tmp_path, scene)


def test_a_lock_that_somebody_holds_for_hours_is_met_rarely_and_status_says_whose(at: Standing, tmp_path: Path) -> None:
    """It is on another virtual system, so no look tells of it."""

    async def scene(lane: Lane, bench: Bench) -> None:
        at.firewall.device.config_locks.add("jane", "vsys2", "", bench.now_s)
        tries = 0
        for _ in range(6 * 12):
            try:
                await lane.turn()
            except Busy:
                tries += 1
            bench.now_s += 300.0
        assert 20 <= tries <= 30
        assert len(bench.applies()) == 2 * tries
        (waits,) = lane.waits
        assert "config lock of `jane` on vsys2" in waits.why and "tried again in" in waits.todo
        at.firewall.device.config_locks.remove("jane", "vsys2")
        bench.now_s += 900.0
        await lane.turn()
        assert (lane.waits, lane.last.by) == ((), "engine")

    run(at, tmp_path, scene)


def test_a_change_that_the_firewall_refused_costs_its_turn(at: Standing, tmp_path: Path) -> None:
    async def scene(lane: Lane, bench: Bench) -> None:
        at.firewall.knobs.fail_jobs = "out of memory"
        with pytest.raises(Rejected, match="out of memory"):
            await lane.turn()
        at.firewall.knobs.fail_jobs = ""
        lane.desired = replace(DESIRED, places=DESIRED.places[:1], version="v2")
        await lane.look()
        assert "budget" in {each.code for each in lane.waits}

    run(at, tmp_path, scene)
