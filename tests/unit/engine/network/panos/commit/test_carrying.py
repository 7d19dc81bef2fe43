"""A change of rules against an emulated firewall: what it leaves, and what becomes of everybody else's work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.faults import Busy, Outdated, Rejected, Unknown, Unreachable
from gateway.engine.network.panos.commit.carrying import carry_out, validated
from gateway.engine.network.plans.plan import Outcome
from gateway.lab.panos.faults import Upset
from tests.support.panos import RULES, VSYS1, Clock, running_firewall
from tests.support.panos_change import ME, NOTHING, WANTED, Rules, Scene, plan_of, scene_of

OTHERS = f"{VSYS1}/address"
OTHER = "<entry name='elsewhere'><ip-netmask>192.0.2.1</ip-netmask></entry>"


@asynccontextmanager
async def alone(folder: Path, **how: Any) -> AsyncIterator[Scene]:
    clock = Clock()
    async with running_firewall(folder, clock=clock) as firewall, scene_of(folder, clock, firewall, **how) as scene:
        yield scene


async def carried(scene: Scene, before: Any = NOTHING, after: Any = WANTED, rules: Rules | None = None) -> Outcome:
    device = scene.units.device
    return await carry_out(scene.units, rules or scene.rules, before, after, plan_of(device, after))


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def clean(scene: Scene) -> None:
    """Nothing of ours is held or half-done."""
    assert scene.locks_of(ME) == []
    assert scene.pending_of(ME) == []


def test_a_change_is_committed_and_nothing_is_left_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.firewall.knobs.job_s = 21.0
            outcome = await carried(scene)
            assert (outcome.done, outcome.changed) == (True, True), outcome
            assert await scene.rules.read(scene.units.clients[0], "running") == WANTED
            names = scene.named(scene.device.configuration.running)
            assert names == ["sd-begin", *WANTED["rules"], "sd-end", *WANTED["tags"]]
            said = [str(text.text).partition("; ")[0] for _, text in scene.device.comment_history]
            assert said == [f"why {name} is there" for name in WANTED["rules"]]
            clean(scene)

    run(main)


def test_the_device_remembers_who_wanted_it_and_why(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            device, by = scene.units.device, "jane (uid 1000), ticket CHG-1042"
            await carry_out(scene.units, scene.rules, NOTHING, WANTED, plan_of(device, WANTED), by)
            sent = [call["cmd"] for call in scene.calls if call["type"] == "commit"]
            assert [f", applied by {by} (plan " in each for each in sent] == [True]
            said = [str(text.text) for _, text in scene.device.comment_history]
            assert len(said) == len(WANTED["rules"])
            assert all(f"; by {by}, plan " in each for each in said), said

    run(main)


def test_what_others_have_not_committed_stays_uncommitted(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.edits_as("admin", OTHERS, OTHER)
            assert (await carried(scene)).done
            assert scene.pending_of("admin") == [f"{OTHERS}/entry[@name='elsewhere']"]
            assert scene.device.configuration.running.find(".//entry[@name='elsewhere']") is None
            clean(scene)

    run(main)


def test_edits_of_others_on_what_is_ours_stop_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.edits_as("admin", f"{RULES}/entry[@name='sd-end']", "<description>mine</description>")
            with pytest.raises(Busy, match="`admin` edited `.*sd-end"):
                await carried(scene)
            assert not any(call.get("action") == "multi-config" for call in scene.calls)
            clean(scene)

    run(main)


@pytest.mark.parametrize("kind", ["config", "commit"])
def test_a_lock_of_somebody_else_stops_it_and_stays(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            locks = scene.device.config_locks if kind == "config" else scene.device.commit_locks
            locks.add("admin", "shared", "upgrade tonight", scene.clock())
            with pytest.raises(Busy, match=f"{kind} lock of `admin` on shared, `upgrade tonight`"):
                await carried(scene)
            assert len(scene.locks_of("admin")) == 1
            clean(scene)

    run(main)


def test_a_firewall_that_was_changed_since_is_not_written_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            assert (await carried(scene)).done
            with pytest.raises(Outdated, match="plan again"):
                await carried(scene, NOTHING, {**WANTED, "rules": WANTED["rules"][:1]})
            clean(scene)

    run(main)


def test_a_change_the_firewall_finds_invalid_is_taken_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.firewall.knobs.required_comment = "^CHG[0-9]+$"
            with pytest.raises(Rejected, match="does not find the change valid.*audit comment is required"):
                await carried(scene)
            assert not any(call["type"] == "commit" for call in scene.calls)
            clean(scene)

    run(main)


def test_a_zone_that_is_not_there_is_found_before_anything_is_written(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            with pytest.raises(Rejected, match="has no zone `nowhere`: make it there"):
                await carried(scene, rules=Rules(scene.units.device, "nowhere"))
            assert not any("config-lock><add" in call.get("cmd", "") for call in scene.calls)

    run(main)


def test_a_commit_that_fails_is_taken_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def fails(_: int, said: dict[str, str]) -> None:
                if said["type"] == "commit":
                    scene.firewall.knobs.fail_jobs = "out of memory"

            scene.before_call = fails
            with pytest.raises(Rejected, match="nothing of the change runs: commit job 3 failed: `out of memory`"):
                await carried(scene)
            clean(scene)

    run(main)


def test_a_second_administrator_who_takes_the_lock_first_wins(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def quicker(_: int, said: dict[str, str]) -> None:
                if "<config-lock><add>" in said.get("cmd", "") and not scene.locks_of("admin"):
                    scene.device.config_locks.add("admin", "vsys1", "", scene.clock())

            scene.before_call = quicker
            with pytest.raises(Busy, match="config lock of `admin` on vsys1"):
                await carried(scene)
            clean(scene)

    run(main)


def test_what_a_dead_process_left_is_taken_back_by_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def dies(_: int, said: dict[str, str]) -> None:
                scene.is_dead = scene.is_dead or "<validate>" in said.get("cmd", "")

            scene.before_call = dies
            with pytest.raises(Unreachable, match="our edits stay in the candidate.*lock stays.*next apply takes it"):
                await carried(scene)
            assert len(scene.locks_of(ME)) == 2 and scene.pending_of(ME)
            scene.is_dead, scene.before_call = False, lambda number, said: None
            assert (await carried(scene)).done
            clean(scene)

    run(main)


def test_our_administrator_at_work_elsewhere_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.device.config_locks.add(ME, "vsys1", "by hand", scene.clock())
            with pytest.raises(Busy, match="our own administrator is at work elsewhere.*`by hand`"):
                await carried(scene)
            assert len(scene.locks_of(ME)) == 1

    run(main)


def test_a_dry_run_says_what_the_firewall_thinks_and_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            said = await validated(scene.units, scene.rules, NOTHING, WANTED, plan_of(scene.units.device, WANTED))
            assert "finds it valid" in said[0]
            assert scene.named(scene.device.configuration.candidate) == ["sd-begin", "sd-end"]
            clean(scene)

    run(main)


@pytest.mark.parametrize(
    "said",
    ["Timed out while getting config lock. Please try again.", "Another commit/validate is in progress",
     "A commit is in progress"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["multi-config", "config-lock><add", "<commit>"])
def test_what_passes_by_itself_is_waited_for(tmp_path: Path, said: str, kind: str) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.firewall.knobs.next = [Upset(text=kind, message=said, code=14, times=2)]
            assert (await carried(scene)).done
            clean(scene)

    run(main)


@pytest.mark.parametrize(
    "said",
    ["Config for scope vsys1 is currently locked by jane", "Configuration is locked by jane",
     "Other administrators are holding config locks", "Local commit jobs are queued. Revert operation is not allowed.",
     "Partial commit is not allowed. Full system commit must be completed.", "something nobody has seen yet"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["multi-config", "<commit>", "<validate>"])
def test_what_does_not_pass_by_itself_is_not_tried_again(tmp_path: Path, said: str, kind: str) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.firewall.knobs.next = [Upset(text=kind, message=said, code=14)]
            with pytest.raises((Rejected, Busy), match=said[:20]) as raised:
                await carried(scene)
            assert raised.type is (Busy if "lock" in said and "jane" in said or "holding" in said else Rejected)
            assert sum(kind in str(call) for call in scene.calls) == 1
            assert await scene.rules.read(scene.units.clients[0], "running") == NOTHING
            clean(scene)

    run(main)


def test_a_device_without_transactions_is_not_written_to_edit_by_edit(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.firewall.knobs.next = [Upset(text="multi-config", message="multi-config unexpected here", code=17)]
            with pytest.raises(Rejected, match="request multi-config enabled"):
                await carried(scene)
            writes = [call["action"] for call in scene.calls if call["type"] == "config" and "element" in call]
            assert writes == ["multi-config"]
            clean(scene)

    run(main)


def test_a_lost_job_is_judged_by_what_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def reboots(_: int, said: dict[str, str]) -> None:
                if said["type"] == "commit":
                    scene.firewall.knobs.next = [Upset(text="<id>3</id>", message="job 3 not found", code=7)]

            scene.before_call = reboots
            assert (await carried(scene)).done
            clean(scene)

    run(main)


def test_a_commit_nobody_can_tell_the_end_of_is_not_taken_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def holds(_: int, said: dict[str, str]) -> None:
                if said["type"] == "commit":
                    scene.firewall.knobs.hold_jobs = True

            scene.before_call = holds
            with pytest.raises(Unknown, match="has not ended job 3 within 1200 s"):
                await carried(scene)
            assert scene.locks_of(ME) == []
            assert not any("<revert>" in call.get("cmd", "") for call in scene.calls)

    run(main)


def test_an_edit_of_somebody_else_before_our_lock_is_seen_after_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def quicker(_: int, said: dict[str, str]) -> None:
                if "<config-lock><add>" in said.get("cmd", ""):
                    scene.edits_as("admin", f"{RULES}/entry[@name='sd-end']", "<description>mine</description>")

            scene.before_call = quicker
            with pytest.raises(Busy, match="`admin` edited"):
                await carried(scene)
            assert not any(call.get("action") == "multi-config" for call in scene.calls)
            clean(scene)

    run(main)


def test_a_candidate_that_is_not_as_it_was_written_is_not_committed(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def loses(_: int, said: dict[str, str]) -> None:
                if "<validate>" in said.get("cmd", ""):
                    gone = f"{RULES}/entry[@name='{WANTED['rules'][1]}']"
                    scene.edits_as(ME, gone, "", "delete")

            scene.before_call = loses
            with pytest.raises(Rejected, match="took the change otherwise than it was written"):
                await carried(scene)
            assert not any(call["type"] == "commit" for call in scene.calls)
            clean(scene)

    run(main)


@pytest.mark.parametrize("kind", ["multi-config", "config-lock><add", "commit-lock><add", "<commit>", "<validate>"])
def test_an_answer_that_is_lost_after_it_took_effect_stops_nothing(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.firewall.knobs.next = [Upset(text=kind, reset="after")]
            assert (await carried(scene)).done
            assert sum("<commit>" in call.get("cmd", "") for call in scene.calls) == 1
            clean(scene)

    run(main)


def test_a_commit_that_never_arrived_is_not_sent_again_blindly(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.firewall.knobs.next = [Upset(type="commit", reset="before")]
            with pytest.raises(Unreachable, match="it did not commit, and nothing was changed"):
                await carried(scene)
            assert sum(call["type"] == "commit" for call in scene.calls) == 1
            clean(scene)

    run(main)


@pytest.mark.parametrize("later", ["<show><jobs>", "show"])
def test_what_cannot_be_read_after_a_commit_is_not_taken_for_a_refusal(tmp_path: Path, later: str) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def expires(_: int, said: dict[str, str]) -> None:
                ran = any(call["type"] == "commit" for call in scene.calls)
                if ran and (later in said.get("cmd", "") or said.get("action") == later):
                    scene.device.admins.expire()

            scene.before_call = expires
            with pytest.raises(Unknown, match="it was committed as job 3, and what became of it is not known"):
                await carried(scene)
            assert not any("<revert>" in call.get("cmd", "") for call in scene.calls)
            names = scene.named(scene.device.configuration.running)
            assert names == ["sd-begin", *WANTED["rules"], "sd-end", *WANTED["tags"]]

    run(main)
