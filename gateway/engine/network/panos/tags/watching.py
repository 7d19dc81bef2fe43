"""Whether the picture of a firewall's tables is still theirs, in as few calls as can be.

Before anything is written it is asked which unit is active; another one than before has tables of its own. The canary
and two counts tell in between that the tables were lost, or that somebody else wrote to them. Then, and every quarter
of an hour anyway, they are read whole; whatever has become more urgent meanwhile does not wait for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

from gateway import telemetry
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import system_of
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.panos.tags.canary import Canary
from gateway.engine.network.panos.tags.delta import Wish
from gateway.engine.network.panos.tags.mirror import Mirror
from gateway.engine.network.panos.tags.reading import counts_to
from gateway.engine.network.reconcile.group import Pace


class Rhythm(NamedTuple):
    """``pace.poll_s``: between two looks at the canary, which lasts twice as long."""

    pace: Pace = Pace(poll_s=60.0, shortest_s=1.0, longest_s=60.0)
    whole_s: float = 900.0  # between two whole readings
    counted_s: float = 300.0  # between a whole reading and one because of a count: others may write there all the time


USUAL: Final = Rhythm()
OTHERS_S: Final = 0.5  # that the other unit of a pair has to say that it is active, too: a cut waits for it
SHORTEST_S: Final = 10.0  # that a canary lasts


class Watch:
    """Of one firewall. Made inside the running loop."""

    def __init__(self, units: Units, mirror: Mirror, rhythm: Rhythm, now: Callable[[], float]) -> None:
        self.client: Client | None = None
        self.model = ""
        self.wholes = 0  # readings
        self._units = units
        self._mirror = mirror
        self._rhythm = rhythm
        self._canary = Canary(units.device.instance, max(2 * rhythm.pace.poll_s, SHORTEST_S), now)
        self._clock = asyncio.get_running_loop().time
        self._beat_due = self._whole_due = self._counted_due = 0.0  # on the loop's clock

    async def active(self) -> Client:
        """Raises `DeviceFault`."""
        client = await self._units.active(OTHERS_S)
        if client is not self.client:
            telemetry.log("device_tags_unit", device=self._units.device.name, unit=client.unit)
            self.client = client
            self._forget()
        return client

    async def beat(self, client: Client, *, at_once: bool = False) -> None:
        """Raises `DeviceFault`, also where another Stagedoor writes there."""
        if self._clock() < self._beat_due and not at_once:
            return
        is_alive = await self._canary.is_alive(client)
        if self._canary.is_set and not is_alive:
            self._lost(client)
            self._canary.is_set = False
        should_be = self._canary.is_set
        if not await self._canary.renew(client) and should_be:  # it went between the two
            self._lost(client)
        if self._clock() >= self._counted_due and not await self._counts(client):
            self._whole_due = 0.0
        # Whoever calls each `poll_s` may come a moment early: then a canary that lasts two of them would end.
        self._beat_due = self._clock() + self._rhythm.pace.poll_s / 2

    async def refresh(
        self, client: Client, wish: Wish, urgent: asyncio.Event, act: Callable[[], Awaitable[None]]
    ) -> bool:
        """Bring the picture up to the present; whether it was read whole. ``act`` is called whenever ``urgent`` is set
        while that lasts. Raises `DeviceFault`."""
        if self._clock() < self._whole_due and not self._mirror.is_stale:
            if self._mirror.is_unsure:
                await with_interludes(self._mirror.confirm(client, wish), urgent, act)
            return False
        await with_interludes(self._read(client, wish), urgent, act)
        self.wholes += 1
        self._whole_due = self._clock() + self._rhythm.whole_s
        self._counted_due = self._clock() + self._rhythm.counted_s
        return True

    async def _read(self, client: Client, wish: Wish) -> None:
        self.model = (await system_of(client)).model
        await self._mirror.read(client, wish)

    def divide(self) -> None:
        """Whoever is active next has tables that nobody knows."""
        self.client = None

    def look_whole(self) -> None:
        """The next refresh reads everything."""
        self._whole_due = 0.0

    def distrust(self) -> None:
        """Something went wrong: who else writes there is asked before anything is written again."""
        self._beat_due = 0.0

    def _lost(self, client: Client) -> None:
        telemetry.log("device_tags_lost", level="warning", device=self._units.device.name, unit=client.unit)
        self._mirror.forget()

    def _forget(self) -> None:
        self._mirror.forget()
        self._canary.is_set = False
        self._beat_due = 0.0

    async def _counts(self, client: Client) -> bool:
        mirror = self._mirror
        if mirror.is_stale or mirror.doubts:
            return True
        for what, table in mirror.tables.items():
            keys = table.keys + (what is What.ADDRESS and self._canary.is_set)
            if table.is_whole and not await counts_to(client, what, keys):
                return False
        return True


async def with_interludes(
    long: Coroutine[Any, Any, None], urgent: asyncio.Event, act: Callable[[], Awaitable[None]]
) -> None:
    """``act`` is called whenever ``urgent`` is set while what is ``long`` lasts."""
    loop = asyncio.get_running_loop()
    doing = loop.create_task(long)
    hinted = loop.create_task(urgent.wait())
    try:
        while not doing.done():
            await asyncio.wait((doing, hinted), return_when=asyncio.FIRST_COMPLETED)
            if hinted.done() and not doing.done():
                urgent.clear()
                await act()
                hinted = loop.create_task(urgent.wait())
        await doing
    finally:
        hinted.cancel()
        doing.cancel()
        await asyncio.gather(doing, hinted, return_exceptions=True)
