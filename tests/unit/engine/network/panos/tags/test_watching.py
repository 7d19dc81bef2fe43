"""A look at the canary comes in time, though whoever looks is never quite on time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from gateway.engine.network.panos.tags.watching import Rhythm, Watch
from gateway.engine.network.reconcile.group import Pace

if TYPE_CHECKING:
    from gateway.engine.network.panos.device.client import Client
    from gateway.engine.network.panos.device.units import Units
    from gateway.engine.network.panos.tags.mirror import Mirror

POLL_S = 60.0


@pytest.mark.parametrize("early_s", [0.0, 0.001, 5.0])
def test_each_round_of_the_worker_renews_the_canary(monkeypatch: pytest.MonkeyPatch, early_s: float) -> None:
    """A round begins one pause after the last one began, which is sooner than after it looked."""

    async def scene() -> list[float]:
        at_s = 1000.0
        renewed: list[float] = []

        class Canary:
            is_set = False

            def __init__(self, *_: object) -> None: ...

            async def is_alive(self, _client: object) -> bool:
                return not renewed or at_s - renewed[-1] < 2 * POLL_S

            async def renew(self, _client: object) -> bool:
                renewed.append(at_s)
                self.is_set = True
                return True

        monkeypatch.setattr("gateway.engine.network.panos.tags.watching.Canary", Canary)
        mirror = SimpleNamespace(is_stale=True, doubts={})
        units = SimpleNamespace(device=SimpleNamespace(instance="here", name="edge"))
        rhythm = Rhythm(Pace(poll_s=POLL_S, shortest_s=1.0, longest_s=POLL_S))
        watch = Watch(cast("Units", units), cast("Mirror", mirror), rhythm, lambda: at_s)
        monkeypatch.setattr(watch, "_clock", lambda: at_s)
        for number in range(4):
            at_s = 1000.0 + number * (POLL_S - early_s)
            await watch.beat(cast("Client", None))
            await watch.beat(cast("Client", None))  # something is new at once: not looked at again
        return renewed

    renewed = asyncio.run(scene())
    assert renewed == [1000.0 + number * (POLL_S - early_s) for number in range(4)]
