"""One bound for all calls to one management plane, and a place in it that waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.engine.network.panos.device import turns
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import system_of
from gateway.engine.network.panos.device.turns import KEPT, MOST_AT_ONCE, urgently
from gateway.engine.network.panos.device.units import Units
from tests.support.panos import Clock, RunningFirewall, running_firewall
from tests.support.panos_change import settings_of
from tests.support.tag_scenes import PAY, wish
from tests.support.tag_worker import working

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
    held = turns.turns_at("https://192.0.2.7")
    assert turns.turns_at("https://192.0.2.7") is held
    del held
    assert "https://192.0.2.7" not in turns._HELD
