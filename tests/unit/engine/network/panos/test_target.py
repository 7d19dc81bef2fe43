"""An environment on a firewall as the reconciler sees it: what is wished is written, found again, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import Busy, DeviceFault, Outdated, Rejected
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device import writes
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.rules import entries
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.plans.plan import Difference, Kind, Observed, Plan
from tests.support.panos import RULES, VSYS1, Api, RunningFirewall, rule
from tests.support.panos_rules import (
    CLOSED,
    DESIRED,
    ENVIRONMENT,
    SCOPES,
    Standing,
    serving_firewall,
    standing,
    with_scopes,
)
from tests.support.scripted_device import FakeTime

MADE = "2026-01-01T00:00:00Z"
FEWER = with_scopes(SCOPES[0])


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFirewall]:
    with serving_firewall(tmp_path_factory.mktemp("panos")) as firewall:
        yield firewall


@pytest.fixture
def at(serving: RunningFirewall, tmp_path: Path) -> Standing:
    return standing(serving, tmp_path)


def told(
    at: Standing, folder: Path, scene: Callable[[PanosTarget], Coroutine[Any, Any, Any]],
    has: Callable[[str, str], bool | None] = lambda *_: True,
) -> Any:  # fmt: skip
    async def run() -> Any:
        units = Units(at.device, FakeTime().time())
        try:
            return await scene(PanosTarget(units, at.device.environments[0], lambda desired: (), folder, has))
        finally:
            await units.close()

    return asyncio.run(run())


def applied(at: Standing, folder: Path, desired: Desired = DESIRED, **changes: Any) -> Plan:
    async def scene(target: PanosTarget) -> Plan:
        plan = replace(target.plan(desired, await target.observe(), MADE), **changes)
        outcome = await target.apply(plan)
        assert outcome.done, outcome
        return plan

    plan: Plan = told(at, folder, scene)
    return plan


def seen(at: Standing, folder: Path, desired: Desired = DESIRED) -> tuple[Observed, Plan]:
    async def scene(target: PanosTarget) -> tuple[Observed, Plan]:
        observed = await target.observe()
        return observed, target.plan(desired, observed, MADE)

    found: tuple[Observed, Plan] = told(at, folder, scene)
    return found


def test_what_is_wished_is_applied_and_nothing_is_left_to_do(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    assert {step.kind for step in plan.steps} == {Kind.ADD}
    observed, again = seen(at, tmp_path)
    assert (observed.content, observed.ours, observed.stops, again.steps) == (plan.content, True, (), ())
    assert observed.entities == tuple(sorted((SCOPES[0].ref, SCOPES[1].ref, "component:default/payments-db")))


def test_a_scope_that_is_gone_loses_its_rules_first(at: Standing, tmp_path: Path) -> None:
    applied(at, tmp_path)
    plan = applied(at, tmp_path, FEWER)
    kinds = [step.kind for step in plan.steps]
    assert kinds == sorted(kinds, key=list(Kind).index) and kinds[0] is Kind.REMOVE
    assert ("system:default/payments",) in [step.entities for step in plan.steps if step.kind is Kind.REMOVE]
    assert seen(at, tmp_path, FEWER)[1].steps == ()


def test_networks_are_closed_and_opened_again_and_nothing_stays(
    serving: RunningFirewall, tmp_path: Path
) -> None:  # fmt: skip
    at = standing(serving, tmp_path)
    usual = applied(at, tmp_path)
    closed = at._replace(device=replace(at.device, environments=(CLOSED,)))
    plan = applied(closed, tmp_path)
    observed, again = seen(closed, tmp_path)
    assert (observed.content, again.steps, len(plan.content["addresses"])) == (plan.content, (), 2)
    applied(at, tmp_path)
    assert seen(at, tmp_path)[0].content == usual.content
    assert at.api.config("show", f"{VSYS1}/address").xml.findall("result/address/entry") == []


def test_networks_are_not_closed_before_the_firewall_was_told_of_the_doors(
    serving: RunningFirewall, tmp_path: Path
) -> None:  # fmt: skip
    """Once they are closed a firewall that loses its tags stops nothing."""
    at = standing(serving, tmp_path)
    closed = at._replace(device=replace(at.device, environments=(CLOSED,)))
    tags: dict[str, bool | None] = {}

    async def scene(target: PanosTarget) -> list[Observed]:
        found = []
        for has in (None, False, True):
            tags[CLOSED.doors[0]] = has
            found.append(await target.observe())
            plan = target.plan(DESIRED, found[-1], MADE)
            if not has:
                with pytest.raises(Busy, match="`closes: networks` would stop the doors, too: edge was not told of"):
                    await target.apply(plan)
        assert (await target.apply(plan)).done
        tags.clear()
        return [*found, await target.observe()]

    def has(address: str, tag: str) -> bool | None:
        assert tag == names.doors_tag("prod")
        return tags.get(address)

    found = told(closed, tmp_path, scene, has)
    assert [len(each.stops) for each in found] == [1, 1, 0, 0]


def test_with_long_lists_and_a_change_in_parts_all_ends_as_with_short_ones(
    at: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "MANY", 0)
    monkeypatch.setattr(entries, "NAMED", 2)
    monkeypatch.setattr(writes, "PART_BYTES", 4_000)

    async def scene(target: PanosTarget) -> None:
        for desired in (DESIRED, FEWER, DESIRED):
            await target.observe()
            plan = target.plan(desired, await target.observe(), MADE)
            outcome = await target.apply(plan)
            observed = await target.observe()
            assert outcome.done and observed.content == plan.content, outcome
            assert target.plan(desired, observed, MADE).steps == ()

    before = len(at.firewall.front.calls)
    told(at, tmp_path, scene)
    sent = [call for call in at.firewall.front.calls[before:] if call.action == "multi-config"]
    assert len(sent) > 3
    assert at.names()[:2] == ["allow-dns", "sd-begin"] and at.names()[-2:] == ["sd-end", "deny-rest"]


# === what another hand does ===


def drifts(at: Standing, folder: Path, plan: Plan) -> dict[Difference, list[str]]:
    async def scene(target: PanosTarget) -> dict[Difference, list[str]]:
        found: dict[Difference, list[str]] = {}
        for drift in target.drift(DESIRED, plan.content, await target.observe()):
            found.setdefault(drift.difference, []).append(drift.object)
        return found

    found: dict[Difference, list[str]] = told(at, folder, scene)
    return found


def at_rule(name: str) -> str:
    return f"{RULES}/entry[@name='{name}']"


FIRST = names.rule_name("front", "", "prod")
CLOSING = names.rule_name("closing", "", "prod")


def test_a_device_as_it_was_left_has_no_drift(at: Standing, tmp_path: Path) -> None:
    assert drifts(at, tmp_path, applied(at, tmp_path)) == {}


def test_a_rule_that_was_taken_away_is_missing_and_comes_back(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    before = at.names()
    at.api.config("delete", at_rule(CLOSING))
    at.api.committed()
    assert drifts(at, tmp_path, plan) == {Difference.MISSING: [f"prod rules {CLOSING}"]}
    applied(at, tmp_path)
    assert at.names() == before


def test_a_rule_that_was_opened_is_told_and_put_back(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    at.api.written(f"{at_rule(FIRST)}/source-user", "<source-user><member>any</member></source-user>", "edit")
    at.api.written(at_rule(FIRST), "<schedule>night</schedule>")
    at.api.committed()
    assert drifts(at, tmp_path, plan) == {Difference.EDITED: [f"prod rules {FIRST}"]}
    found = applied(at, tmp_path)
    assert any("schedule" in step.sentence for step in found.steps)
    assert seen(at, tmp_path)[0].content == plan.content


def test_a_network_that_another_hand_made_smaller_is_told_and_put_back(
    serving: RunningFirewall, tmp_path: Path
) -> None:  # fmt: skip
    at = standing(serving, tmp_path, environments=(CLOSED,))
    plan = applied(at, tmp_path)
    name = names.network_name("192.0.2.0/24", "prod")
    network = f"{VSYS1}/address/entry[@name='{name}']"
    at.api.written(f"{network}/ip-netmask", "<ip-netmask>192.0.2.0/30</ip-netmask>", "edit")
    at.api.committed()
    assert drifts(at, tmp_path, plan) == {Difference.EDITED: [f"prod addresses {name}"]}
    assert [step.sentence for step in applied(at, tmp_path).steps] == [
        f"Changes `{name}`: network from `192.0.2.0/30` to `192.0.2.0/24`."
    ]
    assert drifts(at, tmp_path, plan) == {}


def test_a_network_that_was_taken_out_of_the_rule_and_away_is_told_and_comes_back(
    serving: RunningFirewall, tmp_path: Path
) -> None:  # fmt: skip
    at = standing(serving, tmp_path, environments=(CLOSED,))
    plan = applied(at, tmp_path)
    name, other = plan.content["rules"][-1]["destination"]
    kept = f"<destination><member>{other}</member></destination>"
    at.api.written(f"{at_rule(CLOSING)}/destination", kept, "edit")
    at.api.config("delete", f"{VSYS1}/address/entry[@name='{name}']")
    at.api.committed()
    assert drifts(at, tmp_path, plan) == {
        Difference.MISSING: [f"prod addresses {name}"], Difference.EDITED: [f"prod rules {CLOSING}"],
    }  # fmt: skip
    applied(at, tmp_path)
    assert drifts(at, tmp_path, plan) == {}


def test_an_address_with_a_name_of_ours_and_not_our_tags_stops_us(serving: RunningFirewall, tmp_path: Path) -> None:
    at = standing(serving, tmp_path, environments=(CLOSED,))
    name = names.network_name("192.0.2.0/24", "prod")
    at.api.written(f"{VSYS1}/address", f"<entry name='{name}'><ip-netmask>10.0.0.0/8</ip-netmask></entry>")
    at.api.committed()
    observed, _ = seen(at, tmp_path)
    assert observed.parts["alike"] == (name,)
    assert observed.stops and "has a name of ours and not our tags" in observed.stops[0][0]


def test_a_plan_from_before_the_setting_was_another_is_not_applied(at: Standing, tmp_path: Path) -> None:
    _, plan = seen(at, tmp_path)
    closed = at._replace(device=replace(at.device, environments=(CLOSED,)))

    async def scene(target: PanosTarget) -> None:
        with pytest.raises(Rejected, match="is not what `closes: networks` is about now"):
            await target.apply(plan)

    told(closed, tmp_path, scene)


def test_a_group_that_was_widened_is_told_and_put_back(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    name = next(iter(plan.content["user_groups"]))
    group = f"{VSYS1}/dynamic-user-group/entry[@name='{name}']"
    at.api.written(f"{group}/filter", "<filter>'all' or 'staff'</filter>", "edit")
    at.api.committed()
    assert drifts(at, tmp_path, plan) == {Difference.EDITED: [f"prod user_groups {name}"]}
    applied(at, tmp_path)
    assert seen(at, tmp_path)[0].content == plan.content


def test_rules_in_another_order_are_told_and_put_back(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    before = at.names()
    at.api.config("move", at_rule(CLOSING), where="after", dst="sd-begin")
    at.api.committed()
    assert list(drifts(at, tmp_path, plan)) == [Difference.MOVED]
    assert [step.object for step in applied(at, tmp_path).steps] == [f"prod rules {CLOSING} order"]
    assert at.names() == before


def test_a_rule_that_left_the_block_is_told_and_put_back(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    before = at.names()
    at.api.config("move", at_rule(CLOSING), where="bottom")
    at.api.committed()
    assert drifts(at, tmp_path, plan) == {Difference.MOVED: [f"prod rules {CLOSING}"]}
    assert [step.object for step in applied(at, tmp_path).steps] == [f"prod rules {CLOSING} order"]
    assert at.names() == before


def test_a_rule_of_others_amid_ours_is_told_and_left_alone(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    at.api.written(RULES, rule("break-glass"))
    at.api.config("move", at_rule("break-glass"), where="before", dst="sd-end")
    at.api.committed()
    assert drifts(at, tmp_path, plan) == {Difference.EXTRA: ["prod rules break-glass"]}
    observed, again = seen(at, tmp_path)
    assert again.steps == () and "1 rule of others lie amid ours" in again.remarks[0]
    applied(at, tmp_path, FEWER)
    assert "break-glass" in at.names()


def test_a_copy_of_our_rule_is_not_ours(at: Standing, tmp_path: Path) -> None:
    """Made again by another hand under the same name: its identity is another."""
    applied(at, tmp_path)
    body = (
        at.api.config("show", at_rule(FIRST)).text.partition("<result")[2].partition(">")[2].partition("</result>")[0]
    )
    at.api.config("delete", at_rule(FIRST))
    at.api.committed()
    at.api.written(RULES, body.replace(body.partition("uuid=")[2][:38], '""', 1).replace(' uuid=""', ""))
    at.api.config("move", at_rule(FIRST), where="after", dst="sd-begin")
    at.api.committed()
    observed, plan = seen(at, tmp_path)
    assert not observed.ours and [step.caution for step in plan.steps] == ["find out who made it before"]
    with pytest.raises(Rejected, match="adopt"):
        applied(at, tmp_path)
    applied(at, tmp_path, adopts=True)
    assert seen(at, tmp_path)[0].ours


def test_a_memory_that_is_lost_makes_nothing_ours(at: Standing, tmp_path: Path) -> None:
    applied(at, tmp_path)
    observed, plan = seen(at, tmp_path / "elsewhere")
    assert not observed.ours and len(plan.steps) == len(plan.content["rules"])


def test_a_rule_without_our_tags_stops_us(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    at.api.config("delete", f"{at_rule(CLOSING)}/tag")
    at.api.committed()
    observed, _ = seen(at, tmp_path)
    assert observed.stops == (
        (f"`{CLOSING}` has a name of ours and not our tags", "give it the tags back, or another name"),
    )
    assert Difference.MISSING in drifts(at, tmp_path, plan)


def test_without_anchors_nothing_may_be_written(serving: RunningFirewall, tmp_path: Path) -> None:
    at = standing(serving, tmp_path, ("sd-end", "sd-begin"))
    assert seen(at, tmp_path)[0].stops == (("the rule `sd-begin` stands below `sd-end`", "put it above"),)
    at = standing(serving, tmp_path, ())
    assert [why for why, _ in seen(at, tmp_path)[0].stops] == [
        "the rule `sd-begin`, which ours lie by, is not there",
        "the rule `sd-end`, which ours lie by, is not there",
    ]


def test_rules_may_stand_before_one_that_the_operator_names(serving: RunningFirewall, tmp_path: Path) -> None:
    at = standing(serving, tmp_path, (), anchor="deny-rest")
    plan = applied(at, tmp_path)
    assert at.names() == ["allow-dns", *(each["name"] for each in plan.content["rules"]), "deny-rest"]
    assert seen(at, tmp_path)[1].steps == ()


def test_a_lock_of_others_and_edits_of_theirs_on_ours_stop_us(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    at.api.written(f"{at_rule(FIRST)}/disabled", "<disabled>yes</disabled>", "edit")
    at.api.op("<request><config-lock><add><comment>night</comment></add></config-lock></request>", vsys="vsys1")
    observed, _ = seen(at, tmp_path)
    assert [why.partition(" of ")[0] for why, _ in observed.stops] == [
        "there is a config lock",
        observed.stops[1][0].partition(" of ")[0],
    ]
    assert "`operator` has edited" in observed.stops[1][0]
    assert drifts(at, tmp_path, plan).keys() == {Difference.LOCKED, Difference.UNCOMMITTED}


@pytest.mark.parametrize("noun", ["config", "commit"])
def test_a_lock_that_a_dead_process_of_ours_left_is_told_and_stops_nobody(
    at: Standing, tmp_path: Path, noun: str
) -> None:
    plan = applied(at, tmp_path)
    comment = "<comment>stagedoor stagedoor plan 0a1b2c3d</comment>"
    Api(at.firewall).op(f"<request><{noun}-lock><add>{comment}</add></{noun}-lock></request>", vsys="vsys1")
    assert seen(at, tmp_path)[0].stops == ()
    assert drifts(at, tmp_path, plan).keys() == {Difference.LOCKED}
    applied(at, tmp_path, FEWER)
    assert drifts(at, tmp_path, plan).keys().isdisjoint({Difference.LOCKED})


def test_an_anchor_that_is_enabled_is_told(at: Standing, tmp_path: Path) -> None:
    plan = applied(at, tmp_path)
    at.api.config("delete", f"{at_rule('sd-begin')}/disabled")
    at.api.committed()
    assert drifts(at, tmp_path, plan) == {Difference.MOVED: ["prod anchors"]}
    assert "`sd-begin` only marks a place, and is not disabled" in seen(at, tmp_path)[1].remarks[0]


async def _does(act: str, plan: Plan, target: PanosTarget) -> Any:
    return await getattr(target, act)(plan)


def test_an_anchor_that_goes_after_the_plan_was_made_stops_it(at: Standing, tmp_path: Path) -> None:
    _, plan = seen(at, tmp_path)
    at.api.config("delete", at_rule("sd-begin"))
    at.api.committed()
    for act in ("apply", "dry_run"):
        with pytest.raises(Busy, match="`sd-begin`, which ours lie by, is not there: make it"):
            told(at, tmp_path, partial(_does, act, plan))
    assert at.names() == ["allow-dns", "sd-end", "deny-rest"]


@pytest.mark.parametrize("settings", [{"mode": "observe"}, {"frozen": "audit"}])
def test_a_device_that_is_not_to_be_written_is_not_asked_by_writing(
    at: Standing, tmp_path: Path, settings: dict[str, Any]
) -> None:
    _, plan = seen(at, tmp_path)

    async def scene() -> None:
        units = Units(at.device, FakeTime().time())
        target = PanosTarget(units, replace(ENVIRONMENT, **settings), lambda desired: (), tmp_path)
        try:
            with pytest.raises(Rejected, match="a deep look would lock and edit there"):
                await target.dry_run(plan)
        finally:
            await units.close()

    asyncio.run(scene())


def test_a_device_that_changed_since_the_plan_is_not_written(at: Standing, tmp_path: Path) -> None:
    applied(at, tmp_path)
    _, plan = seen(at, tmp_path, FEWER)
    at.api.written(f"{at_rule(FIRST)}/disabled", "<disabled>yes</disabled>", "edit")
    at.api.committed()
    with pytest.raises(Outdated):
        told(at, tmp_path, lambda target: target.apply(plan))


def test_a_plan_that_was_edited_into_something_wide_is_refused(at: Standing, tmp_path: Path) -> None:
    _, plan = seen(at, tmp_path)
    plan.content["rules"][-1]["action"] = "allow"
    with pytest.raises(Rejected, match="lets everything through"):
        told(at, tmp_path, lambda target: target.apply(plan))


def test_the_device_validates_and_keeps_nothing(at: Standing, tmp_path: Path) -> None:
    _, plan = seen(at, tmp_path)
    assert all(isinstance(each, str) for each in told(at, tmp_path, lambda target: target.dry_run(plan)))
    assert at.api.op("<check><pending-changes/></check>").said == "no"


def test_without_any_virtual_address_no_way_is_taken_from_anybody(at: Standing, tmp_path: Path) -> None:
    """A BIG-IP that cannot say where it is met makes no empty wish."""

    async def scene() -> None:
        units = Units(at.device, FakeTime().time())
        target = PanosTarget(units, replace(ENVIRONMENT, virtual_addresses=()), lambda desired: (), tmp_path)
        try:
            with pytest.raises(DeviceFault, match="no virtual address of prod is known"):
                target.plan(DESIRED, await target.observe(), MADE)
        finally:
            await units.close()

    asyncio.run(scene())
