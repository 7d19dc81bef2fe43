"""The same company, kept by the engine's own worker and change procedure over TLS: packets pass as the policy says.

Plans are made, committed and read back; tags are told, and read back. Time is the firewall's, moved by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from gateway.config.devices import Closes
from gateway.engine.network.panos import names
from gateway.lab.panos.device import Device
from gateway.lab.panos.pairs import Pair
from gateway.lab.panos.tree import Change
from tests.support.panos import LOCALHOST, RunningFirewall, rule, running
from tests.support.panos_engine import Engine, kept, units_of
from tests.support.panos_oracle import DAY, HOUR, ROUND, Scene, passes, written

Story = Callable[[Scene, Engine, RunningFirewall], Awaitable[None]]


def played(
    folder: Path, story: Story, within_s: float = 50, pair: Pair | None = None, closes: Closes = "addresses"
) -> None:  # fmt: skip
    async def scene() -> None:
        async with kept(folder, pair, closes) as (company, engine, device):
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


@pytest.mark.parametrize("closes", ["addresses", "networks"])
def test_rules_of_a_panorama_and_tags_of_its_firewall_let_the_same_people_through(
    tmp_path: Path, closes: Closes
) -> None:  # fmt: skip
    """Rules go to the group and are pushed; tags are told to the firewall itself."""

    async def story() -> None:
        scene = Scene(closes=closes)
        panorama = Device("panorama.lab.test", serial="000702000000001", panorama=True, clock=scene.clock)
        panorama.managed = {scene.device.serial: scene.device}
        anchors = rule("sd-begin", disabled="yes", action="deny") + rule("sd-end", disabled="yes", action="deny")
        group = f"<devices><entry name='{scene.device.serial}'/></devices><pre-rulebase><security><rules>{anchors}"
        group = f"<entry name='edge'>{group}</rules></security></pre-rulebase></entry>"
        written(panorama, [Change("set", f"{LOCALHOST}/device-group", group)], "admin")
        async with running(tmp_path, scene.device, panorama) as (device, manager), AsyncExitStack() as stack:
            units = units_of(tmp_path, device)
            committing = units_of(tmp_path, manager, device_group="edge", environments=(scene.legs,))
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


@pytest.mark.parametrize("closes", ["addresses", "networks"])
def test_without_tags_the_way_round_the_door_is_closed_where_networks_are(tmp_path: Path, closes: Closes) -> None:
    """A unit that takes over knows no tag, or an administrator clears them: rules alone decide until they are told."""
    pair = Pair(tags_cross=False)

    async def story(scene: Scene, engine: Engine, _: RunningFirewall) -> None:
        scene.company.joins("jane", "money")
        scene.company.opens("books", "money", system="books")
        await engine.follow(scene.happened())
        assert not scene.goes_round("jane", "books")
        pair.fail_over()
        scene.device = pair.devices[pair.active]
        assert scene.goes_round("jane", "books") == (closes == "addresses")
        assert not scene.meets("jane")
        assert not scene.is_reached("books")
        await engine.tell(scene.happened())
        assert scene.differences() == []
        scene.device.identities["vsys1"].addresses.clear()
        assert scene.goes_round("jane", "books") == (closes == "addresses")

    played(tmp_path, story, pair=pair, closes=closes)


def test_what_is_closed_becomes_more_and_less_in_one_commit_each(tmp_path: Path) -> None:
    """So there is no moment in between. Nothing is left behind."""
    rule, group = names.rule_name("closing", "", "prod"), names.environment_tag("prod")
    network = names.network_name("192.0.2.0/24", "prod")

    async def story(scene: Scene, engine: Engine, there: RunningFirewall) -> None:
        def is_open() -> bool:
            """Port 22 of what nobody says is a service."""
            return passes(scene.device, "203.0.113.9", "192.0.2.254", zones=ROUND, port=22)

        scene.company.joins("jane", "money")
        scene.company.opens("books", "money", system="books")
        await engine.follow(scene.happened())
        content, commits = (await engine.target.observe()).content, len(there.device.jobs.listed())
        assert is_open()
        assert await engine.restarted("networks") == [
            f"Changes the rule `{rule}`, which closes `192.0.2.0/24`.",
            f"Takes away 1 object that no rule is made of any more: `{group}`.",
            f"Makes 1 object that the rules are made of: `{network}`.",
        ]
        assert not is_open()
        assert scene.differences() == []
        assert await engine.restarted("addresses") == [
            f"Changes the rule `{rule}`, which closes `All services of prod`, and `192.0.2.0/24` no more.",
            f"Takes away 1 object that no rule is made of any more: `{network}`.",
            f"Makes 1 object that the rules are made of: `{group}`.",
        ]
        assert is_open()
        assert scene.differences() == []
        assert (await engine.target.observe()).content == content
        kinds = [job.findtext("type") for job in there.device.jobs.listed()[:-commits]]
        assert kinds.count("Commit") == 2

    played(tmp_path, story)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("closes", ["addresses", "networks"])
@pytest.mark.parametrize("seed", range(2))
def test_after_a_random_fortnight_packets_pass_as_the_policy_says(tmp_path: Path, seed: int, closes: Closes) -> None:
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

    played(tmp_path, story, 290, closes=closes)
