"""All devices of the settings: who gets which wish, and what is told of them.

Runs in the engine's loop and never holds it up: wishes, plans and ledgers are made in one thread of its own, devices
are waited for by a task each. A device that fails, hangs or lies is nobody else's trouble; what it costs is memory for
one wish, one plan and one observation per environment. Wishes come from what is published, never from what was merely
read, and none before this process has published: a start neither deletes nor sends anything that is there already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from gateway import config, telemetry
from gateway.config_devices import Bigip, BigipEnvironment
from gateway.engine.network.absent import AbsentTarget
from gateway.engine.network.desired import Desired, Places
from gateway.engine.network.documents import Recipe
from gateway.engine.network.front_checks import FrontChecks
from gateway.engine.network.fronts import Entrance, Front, entrance_of, nowhere
from gateway.engine.network.group import USUAL, Group, Pace
from gateway.engine.network.guards import Basis, Terms
from gateway.engine.network.ledger import Ledger
from gateway.engine.network.offers import Offers
from gateway.engine.network.plan import Target
from gateway.engine.network.reconcile import Lane, Means
from gateway.engine.network.trail import DeviceTrail
from policy.rule import Published

REPLACED_S: Final = 900.0  # an apply may take so long; until its end nobody else writes to the device


class Connection(NamedTuple):
    """The targets of one device group, by environment, and how to let go of it. ``logins``: how many there were.
    ``fronts``: by environment, where clients meet what is desired; none where a device meets no clients. ``feeds``: by
    environment, what may be read of it; none where nobody may."""

    targets: Mapping[str, Target]
    close: Callable[[], Awaitable[None]]
    logins: Callable[[], int] = lambda: 0
    fronts: Mapping[str, Callable[[Desired], Sequence[Front]]] = MappingProxyType({})
    feeds: Mapping[str, Recipe] = MappingProxyType({})


Connect = Callable[[Bigip], Connection]


class News(NamedTuple):
    """What the engine has published. ``services``: in all environments, Stagedoor's own pages aside."""

    base: str
    published: Sequence[Published]
    services: int


class Controller:
    """Made inside the running loop. ``follows``: whether it looks and applies by itself, or only when asked.
    ``trouble``: why the catalog cannot be believed just now (`Basis`)."""

    def __init__(
        self, state_folder: Path, audit_folder: Path, connect: Connect, *, trouble: Callable[[], str] = lambda: "",
        follows: bool = True, pace: Pace = USUAL, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._connect = connect
        self._follows = follows
        self._pace = pace
        self.now = now
        self.offers = Offers()
        self._loop = asyncio.get_running_loop()
        self._worker = ThreadPoolExecutor(1, "network")
        self.trail = DeviceTrail(audit_folder, lambda: int(now() * 1000))
        self._trouble = trouble
        self._is_shared = False  # nodes share a database: only the one that leads does anything by itself
        self._fence: int | None = None
        self._means = Means(
            Ledger(state_folder), self.trail, self.blocking, now, self._basis, lambda: self._fence
        )  # fmt: skip
        self._devices: dict[str, Bigip] = {}
        self._groups: dict[str, Group] = {}
        self._locks: dict[str, asyncio.Lock] = {}  # by device: one that comes back finds what still writes to it
        self._logins: dict[str, Callable[[], int]] = {}
        self._recipes: dict[str, Mapping[str, Recipe]] = {}
        self._places: dict[str, Places] = {}
        self._news: News | None = None
        self._is_new = asyncio.Event()
        self.checks = FrontChecks(now)
        self._met: WeakKeyDictionary[Lane, tuple[Desired, float | None, Entrance]] = WeakKeyDictionary()
        self._recalling = self._loop.run_in_executor(self._worker, self.trail.recall)
        self._spreading = self._loop.create_task(self._spread_always()) if follows else None
        self._ending: set[asyncio.Task[None]] = set()

    # === told by the role ===

    def adopt(self, settings: config.Settings) -> None:
        """Follow these devices; those whose settings stay are followed on."""
        self._is_shared = bool(settings.database)
        wanted = {device.name: device for device in settings.devices.bigip}
        for name in [name for name, device in self._devices.items() if wanted.get(name) != device]:
            del self._devices[name], self._recipes[name]
            self._end(self._groups.pop(name))
        for name, device in wanted.items():
            if name not in self._devices:
                self._begin(device)
        self._spread_leading()
        self._is_new.set()

    def lead(self, fence: int | None) -> None:
        """Where nodes share a database: whether this one leads, and under which number. None: it stops at once."""
        if fence != self._fence:
            telemetry.log("devices_led" if fence is not None else "devices_not_led", fence=fence)
        self._fence = fence
        self._spread_leading()

    def follow(self, news: News) -> None:
        """What is published now; the latest wins."""
        before = self._news
        if before is None or before.published is not news.published or before.base != news.base:
            self._news = news
            self._is_new.set()

    async def close(self) -> None:
        if self._spreading is not None:
            self._spreading.cancel()
        for group in self._groups.values():
            self._end(group, self._pace.end_s)
        self._groups = {}
        if self._ending:
            await asyncio.wait(self._ending, timeout=2 * self._pace.end_s)
        self.checks.close()
        await self.blocking(self.trail.close)
        self._worker.shutdown(wait=False, cancel_futures=True)

    # === asked ===

    @property
    def leads(self) -> bool:
        """Whether this node may write: the only one, or the one of several that was told so."""
        return not self._is_shared or self._fence is not None

    @property
    def groups(self) -> Mapping[str, Group]:
        """By the device's name."""
        return self._groups

    def standings(self) -> list[dict[str, Any]]:
        """Of each environment on each device."""
        now_s = self.now()
        return [
            {**lane.standing().as_json(now_s), "logins": self._logins[name]()}
            for name, group in sorted(self._groups.items())
            for _, lane in sorted(group.lanes.items())
        ]

    async def entrance(self, lane: Lane) -> Entrance | None:
        """Where clients meet what a lane wishes; None before it does. Made once for each wish and look, however many
        read it. Raises `DeviceFault`."""
        desired, looked_s, met = lane.desired, lane.seen.looked_s, self._met.get(lane)
        if desired is None:
            return None
        if met is None or met[0] is not desired or met[1] != looked_s:
            fronts = await self.blocking(lane.fronts_of, desired)
            met = desired, looked_s, entrance_of(lane.target.device, desired.environment, fronts)
            self._met[lane] = met
        return met[2]

    # === for feeds ===

    @property
    def recipes(self) -> Mapping[str, Mapping[str, Recipe]]:
        """By the device's name and environment."""
        return self._recipes

    @property
    def basis(self) -> Basis:
        """What the catalog is worth now."""
        return self._basis()

    async def blocking(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """In the thread where wishes, plans and ledgers are made."""
        return await self._loop.run_in_executor(self._worker, partial(act, *arguments))

    # === inside ===

    def _spread_leading(self) -> None:
        for group in self._groups.values():
            group.set_leading(self.leads)

    def _basis(self) -> Basis:
        return Basis(self._news.services if self._news is not None else 0, self._trouble())

    def _begin(self, device: Bigip) -> None:
        try:
            connection = self._connect(device)
        except Exception as failure:  # a file of this device's settings, say: nobody else's trouble
            telemetry.log("device_unusable", level="error", device=device.name, why=str(failure))
            connection = _absent(device, str(failure))
        terms = {each.environment: terms_of(device, each) for each in device.environments}
        lanes = {
            name: Lane(target, terms[name], self._means, connection.fronts.get(name, nowhere))
            for name, target in connection.targets.items()
        }
        lock = self._locks.setdefault(device.name, asyncio.Lock())
        group = Group(device.name, lanes, connection.close, self._pace, lock)
        self._devices[device.name], self._groups[device.name] = device, group
        self._logins[device.name], self._recipes[device.name] = connection.logins, connection.feeds
        if self._follows:
            group.start()

    def _end(self, group: Group, patience_s: float = REPLACED_S) -> None:
        group.retire()
        ending = self._loop.create_task(group.close(patience_s))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _spread_always(self) -> None:
        while True:
            await self._is_new.wait()
            self._is_new.clear()
            try:
                await self.spread()
            except Exception as failure:  # of one catalog: the next is another
                telemetry.log("device_wish_failed", level="error", why=f"{type(failure).__name__}: {failure}")

    async def spread(self) -> None:
        """Give every environment of every device its wish."""
        news = self._news
        if news is None or not news.base:
            return
        environments = {name for group in self._groups.values() for name in group.lanes}
        for environment in sorted(environments):
            places = self._places.setdefault(environment, Places(environment))
            desired: Desired = await self.blocking(places.desired, news.base, news.published)
            for group in self._groups.values():
                if environment in group.lanes:
                    group.want(desired)


def terms_of(device: Bigip, environment: BigipEnvironment) -> Terms:
    return Terms(
        environment.mode, environment.windows, environment.frozen, environment.ticket, device.removed_share,
        device.removed_most,
    )  # fmt: skip


def connection_to(device: Bigip, state_folder: Path, now: Callable[[], float] = time.time) -> Connection:
    """A BIG-IP. Opens nothing before it is asked."""
    from gateway.engine.network.bigip.as3.assignment import Assignment
    from gateway.engine.network.bigip.as3.declaration import declaration_of
    from gateway.engine.network.bigip.device.units import DeviceGroup
    from gateway.engine.network.bigip.feeding import recipe_of
    from gateway.engine.network.bigip.fronts import fronts_of
    from gateway.engine.network.bigip.target import BigipTarget

    group, assignment = DeviceGroup(device), Assignment(state_folder)

    def rendering(environment: BigipEnvironment) -> Callable[[Desired], dict[str, Any]]:
        def render(desired: Desired) -> dict[str, Any]:
            assigned = assignment.assign(device, environment, desired, int(now()))
            return declaration_of(desired, device, environment, assigned)

        return render

    def meeting(environment: BigipEnvironment) -> Callable[[Desired], Sequence[Front]]:
        def fronts(desired: Desired) -> Sequence[Front]:
            assigned = assignment.assign(device, environment, desired, int(now()), keep=False)
            return fronts_of(device, environment, desired, assigned)

        return fronts

    targets = {each.environment: BigipTarget(group, each, rendering(each)) for each in device.environments}
    fronts = {each.environment: meeting(each) for each in device.environments}
    read = device.environments if device.readers.networks else ()
    feeds = {each.environment: recipe_of(device, rendering(each)) for each in read}
    return Connection(targets, group.close, lambda: group.logins, fronts, feeds)


def _absent(device: Bigip, why: str) -> Connection:
    async def close() -> None:
        return None

    targets = {each.environment: AbsentTarget(device.name, each.environment, why) for each in device.environments}
    return Connection(targets, close)
