"""A change that is cut off at any of its calls: told to stop, its connection lost, or its process dead.

Whatever happens, no edit of another administrator is committed, what runs is what was or what was wanted and nothing
between, and our locks and edits are given back or told of; and the next attempt ends well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.engine.network.faults import DeviceFault, Rejected
from gateway.engine.network.panos.commit import change as changes
from gateway.engine.network.panos.commit.carrying import carry_out
from gateway.engine.network.panos.device import writes
from gateway.engine.network.panos.device.places import entry, place_of_rules
from gateway.lab.panos.faults import Upset
from gateway.lab.panos.tree import Change
from tests.support.panos import VSYS1, Clock, running_firewall
from tests.support.panos_change import ME, NOTHING, WANTED, Rules, Scene, plan_of, scene_of

End = Literal["told", "before", "after", "body", "dead", "dead after"]
ELSEWHERE = "<entry name='elsewhere'><ip-netmask>192.0.2.1</ip-netmask></entry>"
FIRST: dict[str, Any] = {
    "tags": [],
    "rules": ["sd-front-old-00000009"],
}  # what is there before: one rule goes, two come
MOST_CALLS = 60
PART_BYTES = {1: writes.PART_BYTES, 2: 2000, 3: 1200}  # by how many parts the change has then


async def attempt(scene: Scene, before: Any, after: Any) -> str:
    """What came of it, in words."""
    try:
        outcome = await carry_out(scene.units, scene.rules, before, after, plan_of(scene.units.device, after))
    except DeviceFault as fault:
        return str(fault)
    except asyncio.CancelledError:
        return "cancelled"
    return outcome.sentence


def cut(scene: Scene, number: int, end: End, task: Callable[[], asyncio.Task[str] | None]) -> None:
    """``end`` comes at call ``number``."""

    def before_call(count: int, _: dict[str, str]) -> None:
        if count != number:
            return
        if end == "told" and (running := task()) is not None:
            running.cancel()
        elif end == "dead":
            scene.is_dead = True
        elif end in ("before", "after", "body"):
            scene.firewall.knobs.next = [Upset(reset=end)]

    def after_call(count: int, _: dict[str, str]) -> None:
        scene.is_dead = scene.is_dead or (end == "dead after" and count == number)

    scene.before_call, scene.after_call = before_call, after_call


async def run_cut(scene: Scene, number: int, end: End) -> tuple[str, bool]:
    """What was said, and whether the call was reached."""
    scene.calls.clear()
    task: asyncio.Task[str] | None = None
    cut(scene, number, end, lambda: task)
    task = asyncio.get_running_loop().create_task(attempt(scene, FIRST, WANTED))
    await asyncio.wait([task])
    said = "cancelled" if task.cancelled() else task.result()
    reached = len(scene.calls) >= number
    scene.before_call = scene.after_call = lambda count, said: None
    scene.is_dead = False
    scene.firewall.knobs.next = []
    return said, reached


def judge(scene: Scene, said: str, end: End, running: Any) -> None:
    assert scene.device.configuration.running.find(".//entry[@name='elsewhere']") is None, (
        "a foreign edit was committed"
    )
    assert scene.pending_of("admin") == [f"{VSYS1}/address/entry[@name='elsewhere']"], "a foreign edit was lost"
    assert running in (FIRST, WANTED), running
    if end in ("dead", "dead after"):
        held = bool(scene.locks_of(ME) or scene.pending_of(ME))
        assert not held or "lock stays" in said or "stay in the candidate" in said, said
        return
    assert scene.locks_of(ME) == [], said
    assert scene.pending_of(ME) == [] or running == FIRST, said


async def settled(scene: Scene, running: Any) -> None:
    """The next attempt, from what runs."""
    said = await attempt(scene, running, WANTED)
    assert await scene.rules.read(scene.units.clients[0], "running") == WANTED, said
    assert scene.device.configuration.running.find(".//entry[@name='elsewhere']") is None
    assert scene.locks_of(ME) == [] and (running == WANTED or scene.pending_of(ME) == []), said


async def prepared(scene: Scene) -> None:
    await attempt(scene, NOTHING, FIRST)
    scene.device.configuration.write("admin", [Change("set", f"{VSYS1}/address", ELSEWHERE)])
    scene.firewall.knobs.job_s = 3.0


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2, 3], ids=["one part", "two parts", "three parts"])
@pytest.mark.parametrize("end", ["told", "before", "after", "body", "dead", "dead after"])
def test_wherever_a_change_is_cut_off_nothing_of_others_is_committed_and_the_next_ends_well(
    tmp_path: Path, end: End, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "PART_BYTES", PART_BYTES[parts])

    async def main() -> None:
        for number in range(1, MOST_CALLS):
            clock = Clock()
            async with (
                running_firewall(tmp_path, clock=clock) as firewall,
                scene_of(tmp_path, clock, firewall) as scene,
            ):
                await prepared(scene)
                said, reached = await run_cut(scene, number, end)
                sent = sum(call.get("action") == "multi-config" for call in scene.calls)
                clock.passes(60.0)
                scene.device.settle()
                running = await scene.rules.read(scene.units.clients[0], "running")
                judge(scene, said, end, running)
                await settled(scene, running)
            if not reached:
                assert number > 15, "the change took fewer calls than it has steps"
                assert sent == parts
                return
        raise AssertionError(f"more than {MOST_CALLS} calls")

    run(main)


@dataclass(frozen=True)
class Seeded(Rules):
    """With a step at ``position`` that no firewall takes."""

    position: int = 0

    def change(self, before: Any, after: Any) -> changes.Change:
        change, place = super().change(before, after), place_of_rules(self.device)
        bad = changes.Edit("edit", f"{place.base}/tag/{entry('sd-bad')}", "<entry name='sd-bad'><nonsense/></entry>")
        edits = (*change.edits[: self.position], bad, *change.edits[self.position :])
        return replace(change, edits=edits)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2, 3], ids=["one part", "two parts", "three parts"])
def test_a_bad_step_wherever_it_is_leaves_nothing_of_the_parts_before_it(
    tmp_path: Path, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "PART_BYTES", PART_BYTES[parts])

    async def main() -> None:
        clock = Clock()
        async with running_firewall(tmp_path, clock=clock) as firewall, scene_of(tmp_path, clock, firewall) as scene:
            await prepared(scene)
            device = scene.units.device
            for position in range(len(scene.rules.change(FIRST, WANTED).edits) + 1):
                seeded = Seeded(device, position=position)
                with pytest.raises(Rejected, match="nonsense unexpected here"):
                    await carry_out(scene.units, seeded, FIRST, WANTED, plan_of(device, WANTED))
                judge(scene, "", "told", await scene.rules.read(scene.units.clients[0], "running"))
                assert scene.pending_of(ME) == []
            await settled(scene, FIRST)

    run(main)
