"""The same company, kept by the engine's own worker and change procedure over TLS: packets pass as the policy says.

Plans are made, committed and read back; tags are told, and read back. Time is the firewall's, moved by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.engine.network.guards import Basis
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.panos.wishing import Wishing
from gateway.engine.network.patience import Time
from gateway.lab.panos.device import Device
from gateway.lab.panos.pairs import Pair
from gateway.lab.panos.tree import Change
from tests.support.panos import LOCALHOST, PASSWORD, USER, RunningFirewall, rule, running
from tests.support.panos_company import LEGS, Picture, firewall
from tests.support.panos_oracle import DAY, HOUR, Scene, written

MOST_TURNS = 5


class Engine:
    """What keeps one firewall in step, without the catalog's rounds and the pauses between them."""

    def __init__(self, scene: Scene, units: Units, committing: Units, state: Path) -> None:
        self._scene = scene
        self.trouble = ""  # of the catalog
        self.tags = TagWorker(units, lambda: Basis(10, self.trouble), scene.clock)
        self.target = PanosTarget(committing, LEGS, lambda _: self._picture.fronts, state)
        self._wishing = Wishing(units.device)
        self._picture = scene.happened()

    async def follow(self, picture: Picture) -> None:
        self._picture = picture
        plan = self.target.plan(picture.desired, await self.target.observe(), "")
        if plan.steps:
            outcome = await self.target.apply(plan)
            assert outcome.done, outcome.sentence
        await self.tell(picture)

    async def tell(self, picture: Picture) -> None:
        """Tags alone, until they are as they should be."""
        for _ in range(MOST_TURNS):
            await self.tell_once(picture)
            if self.tags.standing()["state"] == "in-step":
                return
        raise AssertionError(self.tags.standing())

    async def tell_once(self, picture: Picture) -> None:
        wish = self._wishing.membership(picture.facts, int(self._scene.clock()))
        assert wish is not None
        self.tags.want(wish)
        await self.tags.turn()


def units_of(folder: Path, *devices: RunningFirewall, **changes: Any) -> Units:
    """Whose key is one and the same."""
    first = devices[0]
    key = folder / f"{first.device.serial}.key"
    (made,) = {each.device.admins.keygen(USER, PASSWORD) for each in devices}
    key.touch(0o600)
    key.write_text(made)
    told = replace(firewall(first.url, str(key), str(first.ca)), removed_share=1.0, removed_most=100_000)
    addresses = tuple(each.url for each in devices)
    return Units(replace(told, units=addresses, **changes), Time(sleep=lambda _: asyncio.sleep(0)))


@asynccontextmanager
async def kept(folder: Path, pair: Pair | None = None) -> AsyncIterator[tuple[Scene, Engine, RunningFirewall]]:
    """Of a pair the first unit is active, and judged."""
    scene = Scene(pair)
    if pair is not None:
        Device("firewall-b.lab.test", clock=scene.clock, pair=pair)
        pair.synchronise(scene.device)
    async with running(folder, *(pair.devices if pair is not None else [scene.device])) as units_there:
        units, committing = units_of(folder, *units_there), units_of(folder, *units_there, concurrent=1)
        engine = Engine(scene, units, committing, folder)
        try:
            yield scene, engine, units_there[0]
        finally:
            await engine.tags.close()
            await units.close()
            await committing.close()


Story = Callable[[Scene, Engine, RunningFirewall], Awaitable[None]]


def played(folder: Path, story: Story, within_s: float = 50, pair: Pair | None = None) -> None:
    async def scene() -> None:
        async with kept(folder, pair) as (company, engine, device):
            await story(company, engine, device)

    asyncio.run(asyncio.wait_for(scene(), within_s))


def test_access_is_given_and_ends_though_the_engine_is_gone(tmp_path: Path) -> None:
    async def story(scene: Scene, engine: Engine, _: RunningFirewall) -> None:
        scene.company.joins("jane", "ledger")
        scene.company.joins("zoe")
        scene.company.opens("books", "money", system="books")
        scene.company.grants("zoe", "books", HOUR)
        await engine.follow(scene.happened())
        assert scene.differences() == []
        assert scene.meets("zoe")
        assert not scene.goes_round("jane", "books")
        await engine.tags.close()
        scene.clock.passes(HOUR)
        assert not scene.meets("zoe")
        assert scene.meets("jane")

    played(tmp_path, story)


def test_a_cut_needs_no_commit(tmp_path: Path) -> None:
    async def story(scene: Scene, engine: Engine, device: RunningFirewall) -> None:
        scene.company.joins("jane", "money")
        scene.company.opens("books", "money", system="books")
        await engine.follow(scene.happened())
        scene.company.cuts("user:default/jane")
        device.knobs.hold_jobs = True
        await engine.tell(scene.happened())
        assert not scene.meets("jane")
        assert scene.differences() == []

    played(tmp_path, story)


def test_a_catalog_that_is_not_believed_gives_nobody_access_and_what_ends_ends(tmp_path: Path) -> None:
    """Who is missing from one team of two stays in it; who is cut off or gone from it goes."""

    async def story(scene: Scene, engine: Engine, _: RunningFirewall) -> None:
        scene.company.joins("jane", "money")
        scene.company.joins("lily", "money", "stock")
        scene.company.joins("zoe")
        scene.company.opens("books", "money", system="books")
        scene.company.opens("shelves", "stock", system="shop")
        scene.company.grants("zoe", "books", HOUR)
        await engine.follow(scene.happened())
        engine.trouble = "catalog backstage is away"
        scene.company.joins("omar", "money")
        scene.company.joins("lily", "stock")
        scene.company.cuts("user:default/jane")
        await engine.tell_once(scene.happened())
        assert [scene.meets(who) for who in ("omar", "lily", "jane", "zoe")] == [False, True, False, True]
        scene.clock.passes(HOUR)
        await engine.tell_once(scene.happened())
        assert not scene.meets("zoe")
        engine.trouble = ""
        await engine.tell(scene.happened())
        assert scene.differences() == []

    played(tmp_path, story)


def test_after_a_failover_the_other_unit_lets_the_same_people_through(tmp_path: Path) -> None:
    """Though no tag ever crossed, and a person was cut off in the meantime."""
    pair = Pair(tags_cross=False)

    async def story(scene: Scene, engine: Engine, _: RunningFirewall) -> None:
        scene.company.joins("jane", "money")
        scene.company.joins("omar", "money")
        scene.company.opens("books", "money", system="books")
        await engine.follow(scene.happened())
        assert scene.differences() == []
        pair.fail_over()
        scene.device = pair.devices[pair.active]
        assert not scene.meets("jane"), "closed until it is told"
        scene.company.cuts("user:default/omar")
        await engine.tell(scene.happened())
        assert scene.meets("jane")
        assert scene.differences() == []

    played(tmp_path, story, pair=pair)


def test_rules_of_a_panorama_and_tags_of_its_firewall_let_the_same_people_through(tmp_path: Path) -> None:
    """Rules go to the group and are pushed; tags are told to the firewall itself."""

    async def story() -> None:
        scene = Scene()
        panorama = Device("panorama.lab.test", serial="000702000000001", panorama=True, clock=scene.clock)
        panorama.managed = {scene.device.serial: scene.device}
        anchors = rule("sd-begin", disabled="yes", action="deny") + rule("sd-end", disabled="yes", action="deny")
        group = f"<devices><entry name='{scene.device.serial}'/></devices><pre-rulebase><security><rules>{anchors}"
        group = f"<entry name='edge'>{group}</rules></security></pre-rulebase></entry>"
        written(panorama, [Change("set", f"{LOCALHOST}/device-group", group)], "admin")
        async with running(tmp_path, scene.device, panorama) as (device, manager), AsyncExitStack() as stack:
            units = units_of(tmp_path, device)
            committing = units_of(tmp_path, manager, device_group="edge")
            for each in (units, committing):
                stack.push_async_callback(each.close)
            engine = Engine(scene, units, committing, tmp_path)
            stack.push_async_callback(engine.tags.close)
            scene.company.joins("jane", "money")
            scene.company.joins("omar", "orders")
            scene.company.opens("books", "money", system="books")
            await engine.follow(scene.happened())
            assert (scene.meets("jane"), scene.meets("omar")) == (True, False)
            assert scene.differences() == []
            scene.company.opens("orders", "orders")
            scene.company.cuts("user:default/jane")
            await engine.follow(scene.happened())
            assert scene.differences() == []

    asyncio.run(asyncio.wait_for(story(), 50))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(2))
def test_after_a_random_fortnight_packets_pass_as_the_policy_says(tmp_path: Path, seed: int) -> None:
    async def story(scene: Scene, engine: Engine, device: RunningFirewall) -> None:
        chance, until = Random(seed), scene.clock() + 14 * DAY
        scene.founded(chance)
        await engine.follow(scene.happened())
        while scene.clock() < until:
            scene.clock.passes(chance.randrange(60, 8 * HOUR))
            assert scene.differences() == [], "time alone"
            scene.goes_on(chance)
            await engine.follow(scene.happened())
            assert scene.differences() == []
        assert not device.device.config_locks.any_held()
        assert device.device.configuration.journal == [], "nothing is left uncommitted"

    played(tmp_path, story, 290)
