"""A change in several transactions, and what can come between two of them: somebody who breaks our locks, a device that
takes half of a part, answers that are lost, our own end and then another plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from gateway.engine.network.faults import Busy, DeviceFault, Rejected, Unknown, Unreachable
from gateway.engine.network.panos.commit.carrying import carry_out
from gateway.engine.network.panos.device import writes
from gateway.engine.network.plans.plan import Outcome
from gateway.lab.panos.answers import Declined
from gateway.lab.panos.configuration import Configuration
from gateway.lab.panos.faults import Upset
from gateway.lab.panos.locks import Locks
from gateway.lab.panos.tree import Change, Effect
from tests.support.panos import RULES, VSYS1, Clock, running_firewall
from tests.support.panos_change import ME, NOTHING, Content, Scene, plan_of, scene_of

PART_BYTES = 1375  # of the wanted change: the tag and a rule, a rule, a rule
WANTED: Content = {"tags": ["sd-e-prod-00000001"], "rules": [f"sd-front-pay-0000000{number}" for number in (1, 2, 3)]}
OTHER: Content = {"tags": ["sd-e-prod-00000001"], "rules": ["sd-front-new-00000007"]}
ELSEWHERE = "<entry name='elsewhere'><ip-netmask>192.0.2.1</ip-netmask></entry>"


@asynccontextmanager
async def in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """`WANTED` takes three parts."""
    monkeypatch.setattr(writes, "PART_BYTES", PART_BYTES)
    clock = Clock()
    async with running_firewall(folder, clock=clock) as firewall, scene_of(folder, clock, firewall) as scene:
        yield scene


async def carried(scene: Scene, after: Content = WANTED) -> Outcome:
    return await carry_out(scene.units, scene.rules, NOTHING, after, plan_of(scene.units.device, after))


def parts_of(scene: Scene) -> list[dict[str, str]]:
    return [call for call in scene.calls if call.get("action") == "multi-config"]


def before_part(scene: Scene, number: int, act: Callable[[], None]) -> None:
    def before_call(_: int, said: dict[str, str]) -> None:
        if said.get("action") == "multi-config" and len(parts_of(scene)) == number:
            act()

    scene.before_call = before_call


def locks_broken(scene: Scene) -> None:
    """By a superuser."""
    scene.device.config_locks, scene.device.commit_locks = Locks("Config"), Locks("Commit")


def everything_committed(scene: Scene) -> None:
    """By a superuser, whoever had begun it."""
    configuration = scene.device.configuration
    staged = configuration.staged()
    configuration.land(staged, configuration.built(staged))


def refuses_part(monkeypatch: pytest.MonkeyPatch, number: int, *, halfway: bool = False) -> None:
    """``halfway``: the part's first edit is done all the same."""
    write, seen = Configuration.write, [0]

    def refusing(self: Configuration, admin: str, changes: list[Change]) -> list[Effect]:
        seen[0] += admin == ME
        if admin != ME or seen[0] != number:
            return write(self, admin, changes)
        if halfway:
            write(self, admin, changes[:1])
        raise Declined(12, "not this one")

    monkeypatch.setattr(Configuration, "write", refusing)


def run(scene: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scene())


async def runs(scene: Scene) -> Content:
    return await scene.rules.read(scene.units.clients[0], "running")


@pytest.mark.parametrize("halfway", [False, True], ids=["whole", "half"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_that_is_refused_takes_the_parts_before_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, halfway: bool
) -> None:
    async def main() -> None:
        async with in_parts(tmp_path, monkeypatch) as scene:
            refuses_part(monkeypatch, number, halfway=halfway)
            with pytest.raises(Rejected, match="not this one"):
                await carried(scene)
            assert len(parts_of(scene)) == number
            assert await runs(scene) == NOTHING
            assert scene.pending_of(ME) == [] and scene.locks_of(ME) == []

    run(main)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_that_is_called_well_and_was_not_done_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async def main() -> None:
        async with in_parts(tmp_path, monkeypatch) as scene:
            write, seen = Configuration.write, [0]

            def warning(self: Configuration, admin: str, changes: list[Change]) -> list[Effect]:
                seen[0] += admin == ME
                effects = write(self, admin, changes)
                if admin == ME and seen[0] == number:
                    part = {id(entry) for entry in self.journal[-len(changes) :]}
                    self.revert(lambda entry: id(entry) in part)
                return effects

            monkeypatch.setattr(Configuration, "write", warning)
            with pytest.raises(Rejected):
                await carried(scene)
            assert await runs(scene) == NOTHING and scene.pending_of(ME) == []

    run(main)


@pytest.mark.parametrize("reset", ["after", "body"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_part_is_sent_twice_where_its_answer_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reset: Literal["after", "body"]
) -> None:
    async def main() -> None:
        async with in_parts(tmp_path, monkeypatch) as scene:

            def lost() -> None:
                scene.firewall.knobs.next = [Upset(reset=reset)]

            before_part(scene, number, lost)
            if number == 3:
                assert (await carried(scene)).done and await runs(scene) == WANTED
            else:
                with pytest.raises(Unreachable, match="nothing was changed"):
                    await carried(scene)
                assert await runs(scene) == NOTHING and scene.pending_of(ME) == []
            assert len({call["element"] for call in parts_of(scene)}) == len(parts_of(scene)) == number

    run(main)


@pytest.mark.parametrize("number", [2, 3])
def test_another_plan_after_our_end_between_parts_has_nothing_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async def main() -> None:
        async with in_parts(tmp_path, monkeypatch) as scene:
            before_part(scene, number, lambda: setattr(scene, "is_dead", True))
            with pytest.raises(DeviceFault):
                await carried(scene)
            assert scene.pending_of(ME) and scene.locks_of(ME), "it died amid its work"
            scene.is_dead, scene.before_call = False, lambda number, said: None
            assert (await carried(scene, OTHER)).done
            assert await runs(scene) == OTHER
            assert scene.pending_of(ME) == [] and scene.locks_of(ME) == []

    run(main)


def test_what_somebody_changes_of_ours_between_parts_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our locks were broken for it. Theirs stays where it is."""

    async def main() -> None:
        async with in_parts(tmp_path, monkeypatch) as scene:

            def interfered() -> None:
                locks_broken(scene)
                scene.edits_as("admin", f"{VSYS1}/address", ELSEWHERE)
                scene.edits_as("admin", f"{RULES}/entry[@name='{WANTED['rules'][0]}']", "", "delete")

            before_part(scene, 3, interfered)
            with pytest.raises((Rejected, Busy)):
                await carried(scene)
            assert await runs(scene) == NOTHING
            assert f"{VSYS1}/address/entry[@name='elsewhere']" in scene.pending_of("admin")

    run(main)


def test_half_a_change_that_somebody_made_run_is_not_called_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hears that nothing was changed looks no further, and forgets which rules are ours."""

    async def main() -> None:
        async with in_parts(tmp_path, monkeypatch) as scene:

            def interfered() -> None:
                locks_broken(scene)
                everything_committed(scene)

            before_part(scene, 3, interfered)
            refuses_part(monkeypatch, 3)
            with pytest.raises(Unknown, match="not this one.*a part of the change runs: somebody committed it"):
                await carried(scene)
            running = await runs(scene)
            assert running not in (NOTHING, WANTED)
            scene.before_call = lambda number, said: None
            device = scene.units.device
            assert (await carry_out(scene.units, scene.rules, running, WANTED, plan_of(device, WANTED))).done

    run(main)


def test_what_somebody_made_run_between_parts_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with in_parts(tmp_path, monkeypatch) as scene:

            def interfered() -> None:
                locks_broken(scene)
                everything_committed(scene)

            before_part(scene, 3, interfered)
            assert (await carried(scene)).done
            assert await runs(scene) == WANTED and len(parts_of(scene)) == 3

    run(main)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_that_names_what_is_not_there_is_refused_in_the_firewalls_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The same code is no fault where something is read. No part is sent behind one that was not taken."""

    async def main() -> None:
        async with in_parts(tmp_path, monkeypatch) as scene:
            refusal = Upset(type="config", text="multi-config", message="sd-end is not present", code=7)
            before_part(scene, number, lambda: setattr(scene.firewall.knobs, "next", [refusal]))
            with pytest.raises(Rejected, match="sd-end is not present"):
                await carried(scene)
            assert len(parts_of(scene)) == number and scene.pending_of(ME) == []

    run(main)
