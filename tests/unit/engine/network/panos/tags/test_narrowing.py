"""Two units that both say they are active: rights end on both, nothing is given to either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

import pytest

from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.units import Divided
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.panos.tags.delta import Wish
from gateway.engine.network.panos.tags.mirror import Mirror
from gateway.lab.panos.faults import Upset
from gateway.lab.panos.pairs import Pair
from tests.support.panos import Clock, RunningFirewall, running_pair
from tests.support.tag_scenes import HOSTS, OPS, PAY, run, wish
from tests.support.tag_worker import Worked, working

CLOSING = names.environment_tag("prod")
PEOPLE = {"ann": {PAY}, "bob": {PAY, OPS}, "eve": {PAY}}
HOST = {"192.0.2.10": {HOSTS, CLOSING}}
Scene = Callable[[Worked, RunningFirewall, RunningFirewall], Coroutine[None, None, None]]


def divided(folder: Path, scene: Scene) -> None:
    """Both units have the tags of `PEOPLE` and `HOST` when they part."""

    async def whole() -> None:
        clock, pair = Clock(), Pair()
        async with (
            running_pair(folder, clock=clock, pair=pair) as (first, second),
            working(folder, first, second, clock=clock, removed_share=1.0) as worked,
        ):
            await worked.settled(wish(PEOPLE, HOST))
            pair.divided = True
            await scene(worked, first, second)

    run(whole)


def on(firewall: RunningFirewall, who: str, what: What = What.USER) -> set[str]:
    identities = firewall.device.identities_of("")
    table = identities.users if what is What.USER else identities.addresses
    return {held.text for held in table.of(who).values()}


async def turned(worked: Worked) -> None:
    with pytest.raises(Divided, match="both say that they are active"):
        await worked.settled()


def test_who_is_cut_loses_everything_on_both_units(tmp_path: Path) -> None:
    async def scene(worked: Worked, first: RunningFirewall, second: RunningFirewall) -> None:
        worked.worker.want(wish({"ann": {PAY}, "bob": {PAY, OPS}}, HOST, cut=frozenset({"eve"})))
        await turned(worked)
        assert (on(first, "eve"), on(second, "eve")) == (set(), set())

    divided(tmp_path, scene)


def test_who_leaves_a_team_loses_its_tag_on_both_and_nobody_gets_any(tmp_path: Path) -> None:
    async def scene(worked: Worked, first: RunningFirewall, second: RunningFirewall) -> None:
        worked.worker.want(wish({"ann": {PAY, OPS}, "bob": {PAY}, "eve": {PAY}, "new": {PAY}}, HOST))
        await turned(worked)
        for unit in (first, second):
            assert OPS not in on(unit, "bob") and PAY in on(unit, "bob")
            assert OPS not in on(unit, "ann")
            assert on(unit, "new") == set()

    divided(tmp_path, scene)


def test_an_address_keeps_the_tag_that_a_closing_rule_asks_for(tmp_path: Path) -> None:
    async def scene(worked: Worked, first: RunningFirewall, second: RunningFirewall) -> None:
        worked.worker.want(wish(PEOPLE, {}))
        await turned(worked)
        assert all(CLOSING in on(unit, "192.0.2.10", What.ADDRESS) for unit in (first, second))
        worked.worker.want(wish(PEOPLE, {"192.0.2.10": {CLOSING}}, shut={"192.0.2.10": frozenset({HOSTS})}))
        await turned(worked)
        assert all(HOSTS not in on(unit, "192.0.2.10", What.ADDRESS) for unit in (first, second))

    divided(tmp_path, scene)


def test_a_unit_that_did_not_take_a_loss_is_told_again_and_the_other_is_not(tmp_path: Path) -> None:
    async def scene(worked: Worked, first: RunningFirewall, second: RunningFirewall) -> None:
        worked.worker.want(wish({"ann": {PAY}, "bob": {PAY, OPS}}, HOST, cut=frozenset({"eve"})))
        second.knobs.next = [Upset(type="user-id", message="no such thing", code=17)]
        with pytest.raises(Exception, match="no such thing"):
            await worked.settled()
        assert (on(first, "eve"), PAY in on(second, "eve")) == (set(), True)
        told = sum(call.type == "user-id" for call in first.front.calls)
        await turned(worked)
        assert on(second, "eve") == set()
        assert sum(call.type == "user-id" for call in first.front.calls) == told

    divided(tmp_path, scene)


def test_once_one_is_active_alone_it_is_read_whole_and_given_the_rest(tmp_path: Path) -> None:
    async def scene(worked: Worked, first: RunningFirewall, second: RunningFirewall) -> None:
        wholes = worked.worker.standing()["wholes"]
        worked.worker.want(wish({"ann": {PAY, OPS}, "bob": {PAY}, "eve": {PAY}}, HOST))
        await turned(worked)
        pair = first.device.pair
        assert pair is not None
        pair.divided = False
        pair.fail_over()
        await worked.settled()
        assert OPS in on(second, "ann") and OPS not in on(second, "bob")
        assert worked.worker.standing()["wholes"] == wholes + 1
        assert worked.worker.standing()["state"] == "in-step"

    divided(tmp_path, scene)


def test_a_worker_that_has_seen_neither_takes_away_what_one_of_them_shows(tmp_path: Path) -> None:
    async def whole() -> None:
        clock, pair = Clock(), Pair()
        async with running_pair(tmp_path, clock=clock, pair=pair) as (first, second):
            async with working(tmp_path, first, second, clock=clock, removed_share=1.0) as before:
                await before.settled(wish(PEOPLE, HOST))
            pair.divided = True
            async with working(tmp_path, first, second, clock=clock, removed_share=1.0) as worked:
                worked.worker.want(wish({"ann": {PAY}, "bob": {PAY, OPS}}, HOST, cut=frozenset({"eve"})))
                await turned(worked)
                assert (on(first, "eve"), on(second, "eve")) == (set(), set())

    asyncio.run(whole())


def test_a_tag_that_only_one_of_them_kept_is_taken_from_it(tmp_path: Path) -> None:
    async def scene(worked: Worked, first: RunningFirewall, second: RunningFirewall) -> None:
        identities = first.device.identities_of("")
        identities.users.clear()
        worked.worker.reread()
        pair = first.device.pair
        assert pair is not None
        pair.divided, pair.tags_cross = False, False
        await worked.settled(wish({"ann": {PAY}}, HOST))  # the first is active, and the second hears nothing
        assert PAY in on(second, "eve")
        pair.divided = True
        worked.worker.want(wish({"ann": {PAY}}, HOST, cut=frozenset({"eve"})))
        await turned(worked)
        assert on(second, "eve") == on(second, "bob") == set()
        assert PAY in on(first, "ann") and PAY in on(second, "ann")
        assert worked.worker.has("eve", PAY) is False and worked.worker.has("ann", PAY) is True
        told = sum(call.type == "user-id" for call in second.front.calls)
        await turned(worked)
        assert sum(call.type == "user-id" for call in second.front.calls) == told

    divided(tmp_path, scene)


def test_a_cut_while_both_are_read_does_not_wait_for_that(tmp_path: Path) -> None:
    async def scene(worked: Worked, first: RunningFirewall, second: RunningFirewall) -> None:
        reading = asyncio.Event()
        read = Mirror.read

        async def slowly(mirror: Mirror, client: Client, wished: Wish) -> None:
            reading.set()
            await asyncio.sleep(0 if is_cut.is_set() else 30.0)
            await read(mirror, client, wished)

        is_cut = asyncio.Event()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Mirror, "read", slowly)
            worked.worker.want(wish({**PEOPLE, "ann": {PAY}}, HOST))
            turning = asyncio.create_task(worked.worker.turn())
            await reading.wait()
            worked.worker.want(wish({"ann": {PAY}, "bob": {PAY, OPS}}, HOST, cut=frozenset({"eve"})))
            await worked.until(lambda: on(first, "eve") == on(second, "eve") == set())
            turning.cancel()
            await asyncio.gather(turning, return_exceptions=True)

    divided(tmp_path, scene)


def test_the_trail_says_of_each_unit_what_it_lost(tmp_path: Path) -> None:
    async def scene(worked: Worked, first: RunningFirewall, second: RunningFirewall) -> None:
        noted: list[tuple[object, object]] = []

        async def write(_event: str, fields: Mapping[str, object]) -> None:
            noted.append((fields["unit"], fields["who"]))

        worked.worker.notes.write = write
        worked.worker.want(wish({"ann": {PAY}, "bob": {PAY, OPS}}, HOST, cut=frozenset({"eve"})))
        await turned(worked)
        assert sorted(noted, key=str) == sorted([(first.url, ["eve"]), (second.url, ["eve"])], key=str)

    divided(tmp_path, scene)
