"""One bound for all calls to one management plane, and a place in it that waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.engine.network.panos.device import turns
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import system_of
from gateway.engine.network.panos.device.turns import KEPT, MOST_AT_ONCE, Turns, urgently
from gateway.engine.network.panos.device.units import Units
from tests.support.panos import Clock, RunningFirewall, running_firewall
from tests.support.panos_change import settings_of
from tests.support.tag_scenes import PAY, wish
from tests.support.tag_worker import working

UNIT = "https://192.0.2.7"
LONG_S, SOON_S = 20.0, 3.0


@asynccontextmanager
async def beside(folder: Path, firewall: RunningFirewall, calls: int) -> AsyncIterator[list[Client]]:
    """Who sends tags with five calls at once, who commits, and who asks at a prompt: all at the same unit."""
    settings = settings_of(folder, firewall)
    units = [Units(replace(settings, concurrent=each)) for each in (MOST_AT_ONCE, 1, 2)]
    clients = [each.clients[0] for each in units]
    asking = [asyncio.create_task(system_of(client)) for client in clients for _ in range(calls)]
    try:
        yield clients
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for each in units:
            await each.close()


async def until_full(firewall: RunningFirewall) -> None:
    async with asyncio.timeout(LONG_S):
        while firewall.front.most_at_once < MOST_AT_ONCE - KEPT:
            await asyncio.sleep(0.01)


def test_all_connections_to_one_unit_together_stay_below_five_calls(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_firewall(tmp_path, clock=Clock()) as firewall:
            firewall.knobs.slow_s = 0.05
            async with beside(tmp_path, firewall, 6) as clients:
                for _ in range(4):
                    await asyncio.gather(*(system_of(client) for client in clients))
            assert firewall.front.most_at_once == MOST_AT_ONCE - KEPT

    asyncio.run(main())


@pytest.mark.slow
def test_a_loss_waits_for_no_call_that_is_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_firewall(tmp_path, clock=Clock()) as firewall:
            firewall.knobs.slow_s = LONG_S
            async with beside(tmp_path, firewall, 6) as clients:
                await until_full(firewall)
                firewall.knobs.slow_s = 0.0
                async with asyncio.timeout(SOON_S):
                    with urgently():
                        await asyncio.gather(*(system_of(client) for client in clients))
            assert firewall.front.most_at_once == MOST_AT_ONCE

    asyncio.run(main())


@pytest.mark.slow
def test_a_cut_reaches_a_firewall_whose_rules_are_being_read(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        async with (
            running_firewall(tmp_path, clock=clock) as firewall,
            working(tmp_path, firewall, clock=clock, removed_share=1.0) as worked,
        ):
            await worked.settled(wish({"ann": {PAY}, "eve": {PAY}}))
            firewall.knobs.slow_s = LONG_S
            async with beside(tmp_path, firewall, 6):
                await until_full(firewall)
                firewall.knobs.slow_s = 0.0
                worked.worker.start()
                worked.worker.want(wish({"ann": {PAY}}, cut=frozenset({"eve"})))
                async with asyncio.timeout(SOON_S):
                    await worked.until(lambda: not worked.tags("eve"))

    asyncio.run(main())


def test_the_bound_of_a_unit_ends_with_whoever_speaks_to_it() -> None:
    async def main() -> None:
        held = turns.turns_at(UNIT)
        assert turns.turns_at(UNIT) is held
        before = len(turns._HELD)
        del held
        assert len(turns._HELD) == before - 1

    asyncio.run(main())


def test_who_spoke_to_a_unit_before_in_another_loop_stands_in_nobodys_way() -> None:
    async def crowd() -> Turns:
        held = turns.turns_at(UNIT)

        async def ask() -> None:
            async with held.turn(asyncio.Semaphore(1)):
                await asyncio.sleep(0)

        await asyncio.gather(*(ask() for _ in range(2 * MOST_AT_ONCE)))
        return held

    one = asyncio.run(crowd())
    assert asyncio.run(crowd()) is not one


def test_places_come_back_from_who_is_cancelled_waiting_or_asking_and_from_who_dies() -> None:
    async def main() -> None:
        held = turns.turns_at(UNIT)

        async def ask(seconds: float, fails: bool = False, is_loss: bool = False) -> None:
            with urgently() if is_loss else nullcontext():
                async with held.turn(asyncio.Semaphore(1)):
                    await asyncio.sleep(seconds)
                    if fails:
                        raise OSError

        for is_loss in (False, True):
            tasks = [asyncio.create_task(ask(LONG_S, is_loss=is_loss)) for _ in range(3 * MOST_AT_ONCE)]
            await asyncio.sleep(0)
            for task in reversed(tasks):  # those that wait before those that ask
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(ask(0.0, fails=True, is_loss=is_loss) for _ in range(9)), return_exceptions=True)
        async with asyncio.timeout(SOON_S):
            together = asyncio.Barrier(MOST_AT_ONCE)

            async def meet(is_loss: bool) -> None:
                with urgently() if is_loss else nullcontext():
                    async with held.turn(asyncio.Semaphore(1)):
                        await together.wait()

            await asyncio.gather(*(meet(number < KEPT) for number in range(MOST_AT_ONCE)))

    asyncio.run(main())
