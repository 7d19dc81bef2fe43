"""The same plan tried again, and another virtual system of the same firewall: neither is taken for the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from gateway.engine.network.faults import Busy, Rejected, Unreachable
from gateway.lab.panos.faults import Upset
from tests.support.panos_change import ME
from tests.unit.engine.network.panos.commit.test_carrying import alone, carried, clean

OURS = "stagedoor stagedoor plan 0123456789abcdef"


def run(scene: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scene())


def test_a_lost_commit_is_not_taken_for_an_earlier_one_of_the_same_plan(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:

            def fails(_: int, said: dict[str, str]) -> None:
                if said["type"] == "commit":
                    scene.firewall.knobs.fail_jobs = "out of memory"

            scene.before_call = fails
            with pytest.raises(Rejected, match="commit job 3 failed"):
                await carried(scene)
            scene.before_call, scene.firewall.knobs.fail_jobs = lambda number, said: None, ""
            scene.firewall.knobs.next = [Upset(type="commit", reset="before")]
            with pytest.raises(Unreachable, match="it did not commit, and nothing was changed"):
                await carried(scene)
            clean(scene)

    run(main)


def test_a_page_instead_of_an_answer_to_a_commit_is_looked_into(tmp_path: Path) -> None:
    async def main() -> None:
        async with alone(tmp_path) as scene:
            scene.firewall.knobs.next = [Upset(type="commit", status=200)]
            with pytest.raises(Unreachable, match="it did not commit, and nothing was changed"):
                await carried(scene)
            assert sum("<jobs><all" in call.get("cmd", "") for call in scene.calls) > 2
            clean(scene)

    run(main)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_our_work_on_another_vsys_is_neither_unlocked_nor_dropped(tmp_path: Path, when: str) -> None:
    """A strict transaction would drop what our administrator has not committed there."""

    async def main() -> None:
        async with alone(tmp_path) as scene:

            def begins(_: int, said: dict[str, str]) -> None:
                if "<commit-lock><add>" in said.get("cmd", ""):
                    scene.device.config_locks.add(ME, "vsys2", OURS, scene.clock())

            if when == "before":
                scene.device.config_locks.add(ME, "vsys2", OURS, scene.clock())
            else:
                scene.before_call = begins
            with pytest.raises(Busy, match="our own administrator is at work elsewhere.* on vsys2"):
                await carried(scene)
            assert [(lock.scope, lock.comment) for lock in scene.device.config_locks.held()] == [("vsys2", OURS)]
            assert not any(call.get("action") == "multi-config" for call in scene.calls)

    run(main)


def test_a_lock_that_somebody_took_when_the_commit_let_go_of_ours_is_not_asked_for(tmp_path: Path) -> None:
    """Whether a device would give it up to our role, nobody tries."""

    async def main() -> None:
        async with alone(tmp_path) as scene:

            def quicker(_: int, said: dict[str, str]) -> None:
                ran = any(call["type"] == "commit" for call in scene.calls)
                if ran and "high-availability" in said.get("cmd", "") and not scene.locks_of("admin"):
                    scene.device.config_locks.add("admin", "vsys1", "mine now", scene.clock())

            scene.before_call = quicker
            assert (await carried(scene)).done
            assert len(scene.locks_of("admin")) == 1
            assert not any("-lock><remove" in call.get("cmd", "") for call in scene.calls)

    run(main)
