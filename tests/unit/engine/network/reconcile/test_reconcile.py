"""One lane: what it applies by itself and what it leaves to a person, what it remembers, what it records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.chain import verify_paths
from gateway.engine.network.faults import DeviceFault, Outdated, Rejected, Unknown
from gateway.engine.network.history.experience import MENDED_MOST
from gateway.engine.network.history.trail import Untold
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.guards import Basis, Consent, Terms
from gateway.engine.network.reconcile import NotNow
from tests.support.network import Bench, FakeDevice, place, wish

ENFORCE, PLAN = Terms("enforce"), Terms("plan")
JANE = Consent("jane (uid 1000)")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def run(scene: Callable[[], Awaitable[Any]]) -> Any:
    async def running() -> Any:
        return await scene()

    return asyncio.run(running())


def test_enforce_applies_and_then_has_nothing_to_do(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a", "b")
        await lane.turn()
        assert device.content["prod"] == {"a.test": "component:default/a", "b.test": "component:default/b"}
        assert lane.standing().state == "in-step"
        await lane.turn()

    run(scene)
    assert len(device.applied) == 1


def test_plan_mode_waits_for_a_person_and_says_how(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        lane = bench.lane(device, PLAN)
        lane.desired = wish("a")
        await lane.turn()
        said = lane.standing().as_json(bench.now_s)
        assert (said["state"], said["steps"], device.applied) == ("waiting", 1, [])
        assert "apply FILE" in said["waits"][0]
        sight = await lane.look()
        outcome, digest = await lane.apply(sight.plan, JANE)
        assert outcome.done
        assert digest == plan_file.digest_of(sight.plan)
        assert lane.standing().as_json(bench.now_s)["applied_by"] == JANE.by

    run(scene)


def test_a_plan_is_refused_once_somebody_else_has_changed_the_device(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        lane = bench.lane(device, PLAN)
        lane.desired = wish("a")
        plan = (await lane.look()).plan
        device.content["prod"] = {"other.test": "component:default/other"}
        with pytest.raises(Outdated, match="plan again"):
            await lane.apply(plan, JANE)

    run(scene)
    assert device.applied == []
    assert bench.applies() == []


def test_a_plan_whose_sentences_hide_what_it_does_is_refused(bench: Bench) -> None:
    """Somebody edits the file, and its digest too: what is read must still be what is done."""
    device = FakeDevice()
    device.content["prod"] = {each.host: each.entity for each in wish("a", "b").places}

    async def scene() -> None:
        lane = bench.lane(device, PLAN)
        lane.desired = wish("b")
        plan = (await lane.look()).plan
        for hidden in (replace(plan, steps=()), replace(plan, content={**plan.content, "evil.test": "x"})):
            with pytest.raises(Rejected, match="steps are not what"):
                await lane.apply(hidden, JANE)

    run(scene)
    assert device.applied == []


def test_a_hindered_person_is_told_every_reason_at_once(bench: Bench) -> None:
    device = FakeDevice()
    device.content["prod"] = {each.host: each.entity for each in wish("a", "b", "c").places}

    async def scene() -> NotNow:
        lane = bench.lane(device, Terms("plan", frozen="year end", ticket=True))
        lane.desired = wish("a")
        with pytest.raises(NotNow) as caught:
            await lane.apply((await lane.look()).plan, JANE)
        return caught.value

    assert [each.code for each in run(scene).found] == ["frozen", "ticket", "removals"]


def test_what_is_applied_is_recorded_before_and_after(bench: Bench) -> None:
    device = FakeDevice()
    device.content["prod"] = {each.host: each.entity for each in wish("a", "b").places}

    async def scene() -> str:
        lane = bench.lane(device, Terms("plan", ticket=True))
        lane.desired = wish("b", "c")
        plan = (await lane.look()).plan
        await lane.apply(plan, Consent("jane (uid 1000)", "CHG-7"))
        return plan_file.digest_of(plan)

    digest = run(scene)
    assert device.applied_by == ["jane (uid 1000), ticket CHG-7"]  # for a history that the device keeps itself
    bench.trail.close()
    begun, ended = bench.applies()
    for said in (begun, ended):
        assert (said["plan"], said["by"], said["ticket"]) == (digest, "jane (uid 1000)", "CHG-7")
        assert (said["device"], said["environment"]) == ("lb1", "prod")
        assert said["removed"] == ["component:default/a"]
    assert (ended["result"], ended["task"]) == ("done", "task-1")
    assert verify_paths([bench.folder / "audit"]).ok
    applied = bench.ledger.read("lb1", "prod")
    assert applied is not None
    assert (applied.digest, applied.by, applied.ticket, applied.task) == (digest, "jane (uid 1000)", "CHG-7", "task-1")


def test_what_cannot_be_recorded_is_not_applied(bench: Bench) -> None:
    device = FakeDevice()
    (bench.folder / "audit").write_text("a file where the folder should be")

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a")
        with pytest.raises(Untold):
            await lane.turn()

    run(scene)
    assert device.applied == []


@pytest.mark.parametrize("fault", [Rejected("422 no such certificate"), Unknown("no answer to the POST")])
def test_an_apply_that_fails_is_recorded_with_its_result(bench: Bench, fault: DeviceFault) -> None:
    device = FakeDevice()
    device.faults["apply"].append(fault)

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a")
        with pytest.raises(type(fault)):
            await lane.turn()

    run(scene)
    assert [each.get("result") for each in bench.applies()] == [None, type(fault).__name__.lower()]
    assert bench.ledger.read("lb1", "prod") is None


def test_what_the_device_refused_is_not_sent_again_until_the_wish_changes_or_a_person_asks(bench: Bench) -> None:
    device = FakeDevice()
    device.faults["apply"].append(Rejected("422 no such certificate"))

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a")
        with pytest.raises(Rejected):
            await lane.turn()
        for _ in range(3):
            await lane.turn()
        assert device.applied == []
        assert "422 no such certificate" in lane.standing().waits[0]
        lane.desired = wish("a", "b")
        await lane.turn()
        assert len(device.applied) == 1
        device.faults["apply"].append(Rejected("422"))
        lane.desired = wish("a")
        with pytest.raises(Rejected):
            await lane.turn()
        await lane.apply((await lane.look()).plan, JANE)
        assert lane.standing().state == "in-step"

    run(scene)


def test_a_hand_that_changes_it_back_again_and_again_is_left_to_a_person(bench: Bench) -> None:
    """Two writers who both insist would otherwise write for ever."""
    device = FakeDevice()

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a", "b")
        await lane.turn()
        for _ in range(MENDED_MOST + 4):
            device.content["prod"] = {"a.test": "component:default/other", "b.test": "component:default/b"}
            await lane.turn()
        assert len(device.applied) == 1 + MENDED_MOST
        assert "changed it back" in lane.standing().waits[0]
        lane.desired = replace(lane.desired, places=(*lane.desired.places, place("c")))
        await lane.turn()
        assert len(device.applied) == 2 + MENDED_MOST  # a new wish is no fight
        device.content["prod"]["a.test"] = "component:default/other"
        bench.now_s += 3601
        await lane.turn()
        assert len(device.applied) == 3 + MENDED_MOST

    run(scene)


@pytest.mark.parametrize(("services", "left"), [(40, 35), (9, 8)])
def test_a_catalog_that_runs_empty_bit_by_bit_is_left_to_a_person(bench: Bench, services: int, left: int) -> None:
    """What would wait in one plan waits in many, too: for a person, or for an hour."""
    names, device = [f"s{number:02d}" for number in range(services)], FakeDevice()

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        for gone in range(services):
            lane.desired = wish(*names[gone:])
            await lane.turn()
            bench.now_s += 60
        assert len(device.content["prod"]) == left
        (waits,) = lane.waits
        assert waits.code == "removals"
        assert f"{services - left} went within the last hour (component:default/s00" in waits.why
        bench.now_s += 3600
        lane.desired = wish(*names[services - left + 1 :])
        await lane.turn()
        assert len(device.content["prod"]) == left - 1
        lane.desired = wish(*names[services - left + 2 :], "new")
        await lane.turn()
        assert ("new.test" in device.content["prod"]) == (services == 40)  # in a few, two are many
        plan = (await lane.look()).plan
        if plan.steps:
            await lane.apply(plan, JANE)
            lane.desired = wish(*names[services - left + 3 :], "new")
            await lane.turn()
            assert len(device.content["prod"]) == left - 2  # a person has looked

    run(scene)


def test_services_that_others_replace_do_not_run_a_catalog_empty(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        for number in range(6):
            lane.desired = wish("a", "b", f"c{number}")
            await lane.turn()
        assert f"c{number}.test" in device.content["prod"]
        lane.desired = wish("a", "b", "c6")
        await lane.turn()
        assert lane.waits[0].code == "removals"  # more than `removed_most` were taken away, whatever came

    run(scene)


def test_objects_made_by_hand_keep_the_engine_away(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a")
        await lane.turn()
        device.foreign["prod"] = ("vs_by_hand",)
        lane.desired = wish("a", "b")
        await lane.turn()
        assert len(device.applied) == 1
        assert "vs_by_hand" in lane.standing().waits[0]

    run(scene)


def test_a_device_that_is_as_wanted_teaches_a_lost_ledger(bench: Bench) -> None:
    device = FakeDevice()
    device.content["prod"] = {"a.test": "component:default/a"}

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a")
        await lane.turn()

    run(scene)
    applied = bench.ledger.read("lb1", "prod")
    assert applied is not None
    assert (applied.content, applied.by) == (device.content["prod"], "found")
    assert device.applied == []


def test_adopting_takes_over_what_is_not_ours_by_a_person_alone(bench: Bench) -> None:
    device = FakeDevice()
    device.content["prod"], device.ours["prod"] = {"old.test": "theirs"}, False

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a")
        await lane.turn()
        assert "stagedoor adopt" in lane.standing().waits[0]
        with pytest.raises(NotNow, match="our mark"):
            await lane.apply((await lane.look()).plan, Consent("jane", removals=True))
        await lane.apply((await lane.look(adopts=True)).plan, Consent("jane", removals=True))
        assert device.ours["prod"]
        assert device.content["prod"] == {"a.test": "component:default/a"}

    run(scene)
    assert bench.applies()[0]["adopts"] is True


def test_before_anything_is_published_nothing_is_asked_of_the_device(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        with pytest.raises(DeviceFault, match="nothing is published yet"):
            await lane.turn()

    run(scene)
    assert device.observed == 0


def test_losing_the_catalog_after_a_plan_was_made_holds_its_removals(bench: Bench) -> None:
    device = FakeDevice()
    device.content["prod"] = {each.host: each.entity for each in wish("a", "b").places}

    async def scene() -> None:
        lane = bench.lane(device, PLAN)
        lane.desired = wish("a")
        plan = (await lane.look()).plan
        bench.basis = Basis(10, "catalog main is away: no answer in time")
        with pytest.raises(NotNow, match="catalog main is away"):
            await lane.apply(plan, Consent("jane", removals=True))

    run(scene)


def test_a_version_that_changes_elsewhere_is_noted_once_a_minute(bench: Bench) -> None:
    """Each edit of a large catalog makes another base; a device is not written to for each of them."""
    device = FakeDevice(notes_version=True)

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        for number in range(10):
            lane.desired = wish("a", version=f"base{number}")
            await lane.turn()
        assert [plan.version for plan in device.applied] == ["base0"]
        assert lane.standing().waits == ()  # nothing to do about it
        lane.desired = wish("a", "b", version="base10")
        await lane.turn()
        assert len(device.applied) == 2  # what bears on the environment waits for nothing
        lane.desired = wish("a", "b", version="base11")
        await lane.turn()
        bench.now_s += 61
        await lane.turn()
        assert [plan.version for plan in device.applied] == ["base0", "base10", "base11"]

    run(scene)


def test_another_version_alone_does_not_send_again_what_the_device_refused(bench: Bench) -> None:
    device = FakeDevice(notes_version=True)
    device.faults["apply"] = [Rejected("422 no such certificate") for _ in range(9)]

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a")
        with pytest.raises(Rejected):
            await lane.turn()
        for number in range(5):
            lane.desired = wish("a", version=f"later{number}")
            await lane.turn()
        assert len(device.faults["apply"]) == 8
        lane.desired = wish("b")
        with pytest.raises(Rejected):
            await lane.turn()

    run(scene)


def test_a_fault_of_the_adapter_amid_an_apply_leaves_an_end_in_the_trail(bench: Bench) -> None:
    device = FakeDevice()
    device.faults["apply"].append(RuntimeError("a fault of the adapter"))

    async def scene() -> None:
        lane = bench.lane(device, ENFORCE)
        lane.desired = wish("a")
        with pytest.raises(RuntimeError):
            await lane.turn()
        assert lane.standing().applying == ""

    run(scene)
    assert [each.get("result") for each in bench.applies()] == [None, "runtimeerror"]
