"""A change on a Panorama with its firewalls, and on a pair: who gets it, and what happens when one does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.faults import Busy, Rejected
from gateway.engine.network.panos.commit.carrying import carry_out
from gateway.engine.network.panos.ruleless import RulelessTarget
from gateway.engine.network.plans.plan import Outcome
from gateway.lab.panos.pairs import Pair
from gateway.lab.panos.tree import Change
from tests.support.panos import VSYS1, Clock, RunningFirewall, running_pair
from tests.support.panos_change import ANCHORS, ME, NOTHING, WANTED, Scene, plan_of, scene_of
from tests.support.panos_panorama import applied, panorama, pushed, targeted
from tests.support.panos_rules import DESIRED, ENVIRONMENT


async def carried(scene: Scene, before: Any = NOTHING, after: Any = WANTED) -> Outcome:
    return await carry_out(scene.units, scene.rules, before, after, plan_of(scene.units.device, after))


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


# === Panorama ===


def test_a_panoramas_firewalls_get_the_rules_and_keep_their_own_half_done_edits(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path) as (scene, firewalls):
            local = firewalls[0].device.configuration
            local.write("jane", [Change("set", f"{VSYS1}/tag", "<entry name='jane'/>")])
            scene.firewall.knobs.job_s, scene.firewall.knobs.device_lag_s = 20.0, 10.0
            outcome = await carried(scene)
            assert (outcome.done, outcome.changed) == (True, True), outcome
            assert [pushed(each) for each in firewalls] == [WANTED["rules"], WANTED["rules"]]
            assert [entry.admin for entry in local.journal] == ["jane"]
            assert local.running.find(".//entry[@name='jane']") is None
            assert scene.locks_of(ME) == []

    run(main)


def test_a_push_says_no_to_every_dangerous_default(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path) as (scene, _):
            await carried(scene)
            (push,) = [call["cmd"] for call in scene.calls if call.get("action") == "all"]
            for name in ("merge-with-candidate-cfg", "include-template", "force-template-values"):
                assert f"<{name}>no</{name}>" in push

    run(main)


def test_a_firewall_without_the_zone_is_found_before_anything_is_written(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path) as (scene, firewalls):
            zones = firewalls[1].device.configuration.candidate.find(".//vsys/entry/zone")
            assert zones is not None
            zones.clear()
            with pytest.raises(Rejected, match=f"firewall {firewalls[1].device.serial} .* has no zone `trust`"):
                await carried(scene)
            assert not any(call.get("action") == "multi-config" for call in scene.calls)

    run(main)


def test_a_firewall_that_is_away_or_locked_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path) as (scene, firewalls):
            firewalls[0].knobs.disconnected = True
            with pytest.raises(Busy, match="has no connection to "):
                await carried(scene)
            firewalls[0].knobs.disconnected = False
            firewalls[1].device.commit_locks.add("jane", "shared", "", scene.clock())
            with pytest.raises(Busy, match="takes no push meanwhile: commit lock of `jane`"):
                await carried(scene)
            assert not any(call.get("action") == "multi-config" for call in scene.calls)

    run(main)


def test_a_push_that_one_firewall_refuses_is_undone_on_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path) as (scene, firewalls):

            def refuses(_: int, said: dict[str, str]) -> None:
                pushes = [call for call in scene.calls if call.get("action") == "all"]
                firewalls[1].knobs.fail_jobs = "zone is not valid" if len(pushes) == 1 else ""

            scene.before_call = refuses
            outcome = await carried(scene)
            assert (outcome.done, outcome.changed) == (False, False), outcome
            assert "what was there before is back" in outcome.sentence and "zone is not valid" in outcome.sentence
            assert [pushed(each) for each in firewalls] == [[], []]
            assert await scene.rules.read(scene.units.clients[0], "running") == NOTHING
            assert (scene.locks_of(ME), scene.pending_of(ME)) == ([], [])

    run(main)


def test_a_firewall_lost_on_the_way_is_told_of(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path) as (scene, firewalls):

            def goes(_: int, said: dict[str, str]) -> None:
                firewalls[1].knobs.disconnected = said.get("action") == "all"

            scene.before_call = goes
            outcome = await carried(scene)
            assert (outcome.done, outcome.changed) == (False, True), outcome
            assert f"not, as far as known, on {firewalls[1].device.serial}" in outcome.sentence or (
                f"on {firewalls[1].device.hostname}" in outcome.sentence
            )
            assert pushed(firewalls[0]) == WANTED["rules"]

    run(main)


def test_a_firewall_without_a_result_when_the_push_has_ended_is_told_of(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path) as (scene, firewalls):
            scene.firewall.knobs.device_lag_s = 1e6
            outcome = await carried(scene)
            assert (outcome.done, outcome.changed) == (False, True), outcome
            assert f"on {firewalls[0].device.hostname}, {firewalls[1].device.hostname}" in outcome.sentence

    run(main)


def test_a_push_that_is_refused_before_it_begins_is_told_of_as_half_done(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path) as (scene, firewalls):

            def expires(_: int, said: dict[str, str]) -> None:
                if said.get("action") == "all":
                    scene.device.admins.expire()

            scene.before_call = expires
            outcome = await carried(scene)
            assert (outcome.done, outcome.changed) == (False, True), outcome
            assert "how its push ended is not known" in outcome.sentence
            assert [pushed(each) for each in firewalls] == [[], []]

    run(main)


def test_an_older_panorama_is_not_asked_for_what_it_commits_only_for_everybody(tmp_path: Path) -> None:
    async def main() -> None:
        async with panorama(tmp_path, version="10.2.9") as (scene, _):
            with pytest.raises(Rejected, match="before 11.0.1 a Panorama commits"):
                await carried(scene)
            assert not any(call["type"] == "commit" for call in scene.calls)

    run(main)


@pytest.mark.parametrize("end", ["dead", "told"])
def test_a_process_that_dies_before_the_push_leaves_it_to_the_next(tmp_path: Path, end: str) -> None:
    async def main() -> None:
        async with targeted(tmp_path) as (scene, target, firewalls):
            task: asyncio.Task[Any] | None = None

            def dies(_: int, said: dict[str, str]) -> None:
                if said.get("action") == "all":
                    scene.is_dead = end == "dead"
                    if end == "told" and task is not None:
                        task.cancel()

            scene.before_call = dies
            task = asyncio.get_running_loop().create_task(applied(target))
            await asyncio.wait([task])
            assert task.cancelled() if end == "told" else not task.result()[1].done
            scene.is_dead, scene.before_call = False, lambda number, said: None
            assert [pushed(each) for each in firewalls] == [[], []]
            plan, outcome = await applied(target)
            (step,) = plan.steps
            serials = ", ".join(each.device.serial for each in firewalls)
            assert step.sentence.startswith("Pushes the rules of prod to 2 firewalls, which have others") and serials
            assert (outcome.done, outcome.changed) == (True, True), outcome
            names = [rule["name"] for rule in plan.content["rules"]]
            assert [pushed(each) for each in firewalls] == [names, names]
            assert target.plan(DESIRED, await target.observe(), "").steps == ()
            assert sum(call["type"] == "commit" and call.get("action") != "all" for call in scene.calls) == 1

    run(main)


def test_a_firewall_that_is_away_is_told_of_and_gets_the_rules_when_it_is_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with targeted(tmp_path) as (scene, target, firewalls):

            def goes(_: int, said: dict[str, str]) -> None:
                firewalls[1].knobs.disconnected = said.get("action") == "all"

            scene.before_call = goes
            assert not (await applied(target))[1].done
            scene.before_call = lambda number, said: None
            firewalls[1].knobs.disconnected = True
            (remark, *_) = (await target.observe()).remarks
            assert firewalls[1].device.serial in remark
            firewalls[1].knobs.disconnected = False
            plan, outcome = await applied(target)
            assert len(plan.steps) == 1 and outcome.done
            assert pushed(firewalls[1]) == pushed(firewalls[0])

    run(main)


def test_rules_that_no_leg_asks_for_any_more_leave_the_firewalls_too(tmp_path: Path) -> None:
    """Taken off the Panorama by a process that died before its push."""

    async def main() -> None:
        async with targeted(tmp_path) as (scene, target, firewalls):
            assert (await applied(target))[1].done
            bare = replace(ENVIRONMENT, front=None, back=None, direct=None)
            ruleless = RulelessTarget(scene.units, bare, lambda desired: (), tmp_path)

            def dies(_: int, said: dict[str, str]) -> None:
                scene.is_dead = scene.is_dead or said.get("action") == "all"

            scene.before_call = dies
            _, outcome = await applied(ruleless)
            assert not outcome.done and "It could not be looked at afterwards" in outcome.sentence
            scene.is_dead, scene.before_call = False, lambda number, said: None
            assert all(pushed(each) for each in firewalls)
            plan, outcome = await applied(ruleless)
            assert len(plan.steps) == 1 and outcome.done, outcome
            assert [pushed(each) for each in firewalls] == [[], []]

    run(main)


# === a pair ===


@asynccontextmanager
async def paired(folder: Path, pair: Pair) -> AsyncIterator[tuple[Scene, tuple[RunningFirewall, ...]]]:
    clock = Clock()
    async with (
        running_pair(folder, pair=pair, clock=clock) as firewalls,
        scene_of(folder, clock, *firewalls) as scene,
    ):
        yield scene, firewalls


def test_the_other_unit_of_a_pair_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with paired(tmp_path, Pair(lag_s=40.0)) as (scene, firewalls):
            assert (await carried(scene)).done
            assert scene.named(firewalls[1].device.configuration.running)[1:3] == WANTED["rules"]

    run(main)


def test_a_pair_that_is_not_in_step_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        pair = Pair(lag_s=1e6)
        async with paired(tmp_path, pair) as (scene, firewalls):
            pair.committed(firewalls[0].device)
            with pytest.raises(Busy, match="not in step"):
                await carried(scene)

    run(main)


def test_a_unit_that_becomes_active_without_the_change_is_told_of(tmp_path: Path) -> None:
    async def main() -> None:
        pair = Pair(lag_s=100.0)
        async with paired(tmp_path, pair) as (scene, _):

            def fails(_: int, said: dict[str, str]) -> None:
                ran = any(call["type"] == "commit" for call in scene.calls)
                if ran and "high-availability" in said.get("cmd", "") and pair.active == 0:
                    pair.fail_over()

            scene.before_call = fails
            outcome = await carried(scene)
            assert (outcome.done, outcome.changed) == (False, True), outcome
            assert "became active before it had the change" in outcome.sentence

    run(main)


@pytest.mark.parametrize("at", ["multi-config", "<config-lock><add>", "<validate>", "<commit>"])
def test_a_unit_that_becomes_passive_before_the_commit_is_tried_again_later(tmp_path: Path, at: str) -> None:
    async def main() -> None:
        pair = Pair()
        async with paired(tmp_path, pair) as (scene, firewalls):

            def fails(_: int, said: dict[str, str]) -> None:
                if pair.active == 0 and (at in said.get("cmd", "") or said.get("action") == at):
                    pair.fail_over()

            scene.before_call = fails
            with pytest.raises(Busy, match="not allowed on a passive device"):
                await carried(scene)
            found = {name for each in firewalls for name in scene.named(each.device.configuration.running)}
            assert found <= {*ANCHORS}

    run(main)
