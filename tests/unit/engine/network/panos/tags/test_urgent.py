"""What a person or a clock takes away reaches the firewall whatever else is held, failing or under way there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.faults import Unknown
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.state import page_of
from gateway.engine.network.panos.device.turns import MOST_AT_ONCE, turns_at
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.panos.tags import reading
from gateway.engine.network.panos.tags.watching import Rhythm
from gateway.engine.network.plans.guards import Basis, Consent
from gateway.lab.panos.faults import Upset
from tests.support.panos import Clock, running_pair
from tests.support.tag_scenes import HOSTS, MARK, PAY, alone, run, wish
from tests.support.tag_worker import Trust, Worked, working

CLOSING = names.environment_tag("prod")
SOON_S = 2.0
UNTIL_S = 30.0


async def gone_within(worked: Worked, seconds: float, who: str = "p7") -> None:
    began = asyncio.get_running_loop().time()
    await worked.until(lambda: not worked.tags(who))
    assert asyncio.get_running_loop().time() - began < seconds


@pytest.mark.parametrize("trouble", ["", "a source is away"])
def test_what_was_shut_is_taken_away_however_much_it_is_and_whatever_the_catalog_is_worth(
    tmp_path: Path, trouble: str
) -> None:
    async def scene(worked: Worked) -> None:
        hosts = [f"192.0.2.{number}" for number in range(50)]
        await worked.settled(wish(addresses={host: {HOSTS, CLOSING} for host in hosts}))
        trust.basis = Basis(10, trouble)
        shut = {host: frozenset({HOSTS}) for host in hosts}
        await worked.settled(wish(addresses={host: {CLOSING} for host in hosts}, shut=shut))
        assert all(worked.tags(host, What.ADDRESS) == {CLOSING, MARK} for host in hosts)
        assert not worked.worker.waits

    trust = Trust()
    alone(scene, tmp_path, basis=trust, removed_most=5)


def test_watermarks_that_ended_grants_left_behind_are_nobodys_loss(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        for number in range(30):  # while no engine ran
            worked.identities.users.register(f"p{number}", MARK, 0, persistent=True, refresh=False)
        await worked.settled(wish({"ann": {PAY}}))
        assert worked.tags("ann") == {PAY, MARK}
        assert not worked.worker.waits
        assert worked.tags("p7") == set()

    alone(scene, tmp_path, removed_most=5)


@pytest.mark.slow
def test_a_cut_does_not_wait_for_a_unit_that_is_away(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = Clock()
        async with (
            running_pair(tmp_path, clock=clock) as (first, second),
            working(tmp_path, first, second, clock=clock, removed_share=1.0) as worked,
        ):
            await worked.settled(wish({"p7": {PAY}, "bob": {PAY}}))
            worked.worker.start()
            second.knobs.slow_s = UNTIL_S
            worked.worker.want(wish({"bob": {PAY}}, cut=frozenset({"p7"})))
            await gone_within(worked, SOON_S)
            second.knobs.slow_s = 0.0

    run(scene)


def test_a_cut_does_not_wait_out_the_pause_after_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"p7": {PAY}, "bob": {PAY}}))
        worked.firewall.knobs.next = [Upset(message="x is unexpected", code=17)]
        worked.worker.start()
        worked.worker.want(wish({"p7": {PAY}}))
        await worked.until(lambda: "x is unexpected" in worked.worker.fault)
        worked.worker.want(wish(cut=frozenset({"p7"})))
        await gone_within(worked, SOON_S)

    monkeypatch.setattr("gateway.engine.network.panos.tags.worker.pause_after", lambda *_: UNTIL_S)
    alone(scene, tmp_path, removed_share=1.0)


@pytest.mark.slow
def test_a_cut_does_not_wait_for_the_reading_back(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        people = {f"p{number}": {PAY} for number in range(4_000)}
        worked.firewall.knobs.slow_s = 0.5  # before each of eight pages, two at once
        worked.worker.want(wish(people))
        worked.worker.start()
        await worked.until(lambda: len(worked.identities.users) == len(people))
        calls = len(worked.firewall.front.calls)
        await worked.until(lambda: len(worked.firewall.front.calls) > calls)
        del people["p7"]
        worked.worker.want(wish(people, cut=frozenset({"p7"})))
        await gone_within(worked, SOON_S)
        worked.firewall.knobs.slow_s = 0.0
        await worked.until(lambda: worked.worker.standing()["state"] == "in-step")
        assert worked.worker.standing()["refused"] == 0

    alone(scene, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("by_person", [False, True])
def test_a_cut_does_not_wait_for_losses_that_are_many(tmp_path: Path, by_person: bool) -> None:
    async def scene(worked: Worked) -> None:
        people = {f"p{number}": {PAY} for number in range(10_000)}
        await worked.settled(wish({"zoe": {PAY}, **people}))
        applying = None
        worked.worker.want(wish({"zoe": {PAY}}))
        if by_person:
            plan = await worked.worker.look()
            applying = asyncio.create_task(worked.worker.apply(Consent("ann", removals=True), plan.fingerprint))
        worked.firewall.knobs.slow_s = 0.25  # twenty messages, two at once
        worked.worker.start()
        await worked.until(lambda: len(worked.identities.users) < len(people))
        worked.worker.want(wish(cut=frozenset({"zoe"})))
        await gone_within(worked, SOON_S, "zoe")
        assert len(worked.identities.users) > 0, "the rest is still to come"
        worked.firewall.knobs.slow_s = 0.0
        await worked.until(lambda: worked.worker.standing()["state"] == "in-step")
        if applying is not None:
            await applying

    most = {"removed_most": 20} if by_person else {"removed_most": 10**6, "removed_share": 1.0}
    alone(scene, tmp_path, **most)


def test_a_cut_that_was_not_taken_is_told_again_before_a_reading_that_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"p7": {PAY}, "bob": {PAY}}))
        worked.firewall.knobs.next = [Upset(type="user-id", reset="before", text="p7")]
        with pytest.raises(Unknown):
            await worked.settled(wish({"bob": {PAY}}, cut=frozenset({"p7"})))
        assert PAY in worked.tags("p7")
        worked.worker.reread()
        gone: list[bool] = []

        def asked(kind: Any, start: int, limit: int) -> Any:
            if limit == reading.PAGE:
                gone.append(not worked.tags("p7"))
            return page_of(kind, start, limit)

        monkeypatch.setattr(reading, "page_of", asked)
        await worked.settled()
        assert gone and all(gone), "who was cut is out before the first page is asked for"

    alone(scene, tmp_path)


@pytest.mark.slow
def test_a_cut_does_not_wait_for_a_look_that_waits_for_others(tmp_path: Path) -> None:
    """The look had begun, and rules are read for minutes over all the usual places."""

    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"p7": {PAY}, "bob": {PAY}}))
        turns = turns_at(worked.units.clients[0].unit)

        async def reads() -> None:
            async with turns.turn(asyncio.Semaphore(1)):
                await asyncio.sleep(UNTIL_S)

        reading_rules = [asyncio.create_task(reads()) for _ in range(MOST_AT_ONCE)]
        await asyncio.sleep(0)
        worked.worker.recheck()
        worked.worker.start()
        await asyncio.sleep(0.1)
        worked.worker.want(wish({"bob": {PAY}}, cut=frozenset({"p7"})))
        await gone_within(worked, SOON_S)
        for task in reading_rules:
            task.cancel()
        await asyncio.gather(*reading_rules, return_exceptions=True)

    alone(scene, tmp_path, rhythm=Rhythm(whole_s=0.0))
