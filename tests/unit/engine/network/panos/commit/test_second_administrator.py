"""Another administrator at work all the while: at every call of ours he may edit, lock, commit or take back, as the
firewall lets him. Neither of us ever makes run what the other has only begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from gateway.engine.network.faults import Busy, DeviceFault
from gateway.engine.network.panos.commit.carrying import carry_out
from gateway.lab.panos.requests import answer
from tests.support.panos import RULES, VSYS1, Clock, running_firewall
from tests.support.panos_change import ANCHORS, ME, NOTHING, WANTED, Scene, plan_of, scene_of

SEEDS = 25
ROUNDS = 4
SOME = {"tags": WANTED["tags"], "rules": WANTED["rules"][:1]}
HIS = f"{VSYS1}/address"


class Administrator:
    """``saved``: names of addresses that he committed himself, or somebody who commits everything."""

    def __init__(self, scene: Scene, random: Random) -> None:
        self._device = scene.device
        self._random = random
        self._key = scene.device.admins.keygen("admin", "admin")
        self.begun = 0
        self.committed: set[str] = set()
        self.refused = 0

    def does_something(self) -> None:
        acts = (self._edits, self._edits, self._edits_ours, self._locks, self._unlocks, self._commits, self._reverts)
        if self._random.random() < 0.3:
            self._random.choice(acts)()

    def _asks(self, **said: str) -> bool:
        came = answer(self._device, {"X-PAN-KEY": self._key}, said)
        is_well = b'status="success"' in came.body
        self.refused += not is_well
        return is_well

    def _edits(self) -> None:
        self.begun += 1
        body = f"<entry name='his-{self.begun}'><ip-netmask>192.0.2.1</ip-netmask></entry>"
        self._asks(type="config", action="set", xpath=HIS, element=body)

    def _edits_ours(self) -> None:
        anchor = f"{RULES}/entry[@name='{ANCHORS[1]}']"
        self._asks(type="config", action="set", xpath=anchor, element=f"<description>{self.begun}</description>")

    def _locks(self) -> None:
        noun = self._random.choice(("config", "commit"))
        self._asks(type="op", cmd=f"<request><{noun}-lock><add/></{noun}-lock></request>")

    def _unlocks(self) -> None:
        for noun in ("config", "commit"):
            self._asks(type="op", cmd=f"<request><{noun}-lock><remove/></{noun}-lock></request>")

    def _commits(self) -> None:
        """Everybody's, as careless people do."""
        waiting = set(_his(self._device.configuration.candidate))
        if self._asks(type="commit", cmd="<commit/>"):
            self.committed |= waiting

    def _reverts(self) -> None:
        self._asks(
            type="op", cmd="<revert><config><partial><admin><member>admin</member></admin></partial></config></revert>"
        )

    def leaves(self) -> None:
        self._unlocks()
        self._reverts()


def _his(root: Element) -> list[str]:
    return [each.get("name", "") for each in root.iter("entry") if each.get("name", "").startswith("his-")]


@asynccontextmanager
async def two(folder: Path, seed: int) -> AsyncIterator[tuple[Scene, Administrator, list[Any]]]:
    """The last is what ran of ours, whenever we looked."""
    clock = Clock()
    async with running_firewall(folder, clock=clock) as firewall, scene_of(folder, clock, firewall) as scene:
        other, ran = Administrator(scene, Random(seed)), []

        def at_every_call(_: int, __: dict[str, str]) -> None:
            other.does_something()
            ran.append([name for name in scene.named(scene.device.configuration.running) if name not in ANCHORS])

        scene.before_call = at_every_call
        yield scene, other, ran


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_neither_makes_run_what_the_other_has_only_begun(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        async with two(tmp_path, seed) as (scene, other, ran):
            now: Any = NOTHING
            kinds: set[type[DeviceFault]] = set()
            wishes = [WANTED, SOME, NOTHING, WANTED][:ROUNDS]
            for wish in wishes:
                try:
                    outcome = await carry_out(scene.units, scene.rules, now, wish, plan_of(scene.units.device, wish))
                except DeviceFault as fault:
                    kinds.add(type(fault))
                else:
                    assert outcome.done, outcome
                    now = wish
                assert scene.locks_of(ME) == []
                assert set(_his(scene.device.configuration.running)) <= other.committed
            assert kinds <= {Busy}, "what is in his hands is no fault of the plan"
            allowed = [[*wish["rules"], *wish["tags"]] for wish in (NOTHING, WANTED, SOME)]
            assert all(each in allowed for each in ran)
            scene.before_call = lambda number, said: None
            other.leaves()
            await carry_out(scene.units, scene.rules, now, WANTED, plan_of(scene.units.device, WANTED))
            assert await scene.rules.read(scene.units.clients[0], "running") == WANTED

    asyncio.run(main())
