"""Where clients meet what is wished for, on all devices together: made once for each wish and look at a device, however
many read it. Firewalls in front of the devices need it, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.fronts import Entrance, Front, entrance_of
from gateway.engine.network.reconcile import Lane
from gateway.engine.network.reconcile.group import Group


class Met(NamedTuple):
    """One wish of a lane, as it was met when the device was looked at."""

    desired: Desired
    looked_s: float | None
    fronts: Sequence[Front]
    entrance: Entrance


class Entrances:
    """``groups``: by the device's name, as they are now; ``blocking`` runs a function in a thread."""

    def __init__(self, groups: Callable[[], Mapping[str, Group]], blocking: Callable[..., Awaitable[Any]]) -> None:
        self._groups = groups
        self._blocking = blocking
        self._met: WeakKeyDictionary[Lane, Met] = WeakKeyDictionary()

    async def met(self, lane: Lane) -> Met | None:
        """None before it wishes anything. Raises `DeviceFault`."""
        desired, looked_s, met = lane.desired, lane.seen.looked_s, self._met.get(lane)
        if desired is None:
            return None
        if met is None or met.desired is not desired or met.looked_s != looked_s:
            fronts = await self._blocking(lane.fronts_of, desired)
            entrance = entrance_of(lane.target.device, desired.environment, fronts)
            met = self._met[lane] = Met(desired, looked_s, fronts, entrance)
        return met

    async def fronts_in(self, environment: str) -> list[Front]:
        """On any device. One that cannot say so now keeps its last ones: a firewall's cuts are not to wait for it.
        Raises `DeviceFault` where it never could."""
        met = [await self._met_lately(lane) for lane in self._lanes(environment)]
        return [front for each in met if each is not None for front in each.fronts]

    async def _met_lately(self, lane: Lane) -> Met | None:
        try:
            return await self.met(lane)
        except DeviceFault:
            if (before := self._met.get(lane)) is None:
                raise
            return before

    def fronts_of(self, desired: Desired) -> list[Front]:
        """The same for any wish; blocks."""
        return [front for lane in self._lanes(desired.environment) for front in lane.fronts_of(desired)]

    def addresses_in(self, environment: str) -> tuple[str, ...]:
        """Of these fronts, as they were met last; from any thread."""
        met = [self._met.get(lane) for lane in self._lanes(environment)]
        return tuple(sorted({front.address for each in met if each is not None for front in each.fronts}))

    def _lanes(self, environment: str) -> list[Lane]:
        lanes = [group.lanes.get(environment) for group in list(self._groups().values())]
        return [lane for lane in lanes if lane is not None]
