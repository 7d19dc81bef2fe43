"""The company's firewall, kept by the engine's own worker and change procedure over TLS, and judged by packets.

Plans are made, committed and read back; tags are told, and read back. Time is the firewall's, moved by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.config.devices import Closes
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.panos.wishing import Wishing
from gateway.engine.network.plans.guards import Basis
from gateway.engine.network.transport.patience import Time
from gateway.lab.panos.device import Device
from gateway.lab.panos.pairs import Pair
from tests.support.panos import PASSWORD, USER, RunningFirewall, running
from tests.support.panos_company import Picture, firewall
from tests.support.panos_oracle import Scene

MOST_TURNS = 5


class Engine:
    """What keeps one firewall in step, without the catalog's rounds and the pauses between them."""

    def __init__(self, scene: Scene, units: Units, committing: Units, state: Path) -> None:
        self._scene = scene
        self.committing = committing
        self.trouble = ""  # of the catalog
        self.tags = TagWorker(units, lambda: Basis(10, self.trouble), scene.clock)
        self._state = state
        self.target = self._target(committing)
        self._wishing = Wishing(units.device)
        self.picture = scene.happened()

    def _target(self, committing: Units) -> PanosTarget:
        return PanosTarget(committing, self._scene.legs, lambda _: self.picture.fronts, self._state)

    async def restarted(self, closes: Closes) -> list[str]:
        """With another setting; returns the sentences of what was changed then."""
        self._scene.legs = replace(self._scene.legs, closes=closes)
        units = Units(replace(self.committing.device, environments=(self._scene.legs,)), self.committing.time)
        await self.committing.close()
        self.committing, self.target = units, self._target(units)
        return await self.follow(self.picture)

    async def follow(self, picture: Picture) -> list[str]:
        """Returns the sentences of what was changed."""
        self.picture = picture
        plan = self.target.plan(picture.desired, await self.target.observe(), "")
        if plan.steps:
            outcome = await self.target.apply(plan)
            assert outcome.done, outcome.sentence
        await self.tell(picture)
        return [step.sentence for step in plan.steps]

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


def units_of(folder: Path, *devices: RunningFirewall, time: Time | None = None, **changes: Any) -> Units:
    """Whose key is one and the same. Pauses take no time unless ``time`` says so."""
    first = devices[0]
    key = folder / f"{first.device.serial}.key"
    (made,) = {each.device.admins.keygen(USER, PASSWORD) for each in devices}
    key.touch(0o600)
    key.write_text(made)
    told = replace(firewall(first.url, str(key), str(first.ca)), removed_share=1.0, removed_most=100_000)
    addresses = tuple(each.url for each in devices)
    return Units(replace(told, units=addresses, **changes), time or Time(sleep=lambda _: asyncio.sleep(0)))


@asynccontextmanager
async def kept(
    folder: Path, pair: Pair | None = None, closes: Closes = "addresses", *, waits: bool = False
) -> AsyncIterator[tuple[Scene, Engine, RunningFirewall]]:
    """Of a pair the first unit is active, and judged. ``waits``: who follows a commit lets the firewall's time pass."""
    scene = Scene(pair, closes)

    async def sleep(seconds: float) -> None:
        scene.clock.passes(seconds)
        await asyncio.sleep(0)

    time = Time(scene.clock, sleep) if waits else None
    if pair is not None:
        Device("firewall-b.lab.test", clock=scene.clock, pair=pair)
        pair.synchronise(scene.device)
    async with running(folder, *(pair.devices if pair is not None else [scene.device])) as units_there:
        said: dict[str, Any] = {"environments": (scene.legs,)}
        units = units_of(folder, *units_there, **said)
        committing = units_of(folder, *units_there, time=time, concurrent=1, **said)
        engine = Engine(scene, units, committing, folder)
        try:
            yield scene, engine, units_there[0]
        finally:
            await engine.tags.close()
            await units.close()
            await engine.committing.close()
