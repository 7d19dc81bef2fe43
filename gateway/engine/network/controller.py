"""All devices of the settings: who gets which wish, and what is told of them.

Runs in the engine's loop and never holds it up: wishes, plans and ledgers are made in one thread of its own, devices
are waited for by a task each. A device that fails, hangs or lies is nobody else's trouble; what it costs is memory for
one wish, one plan and one observation per environment. Wishes come from what is published, never from what was merely
read, and none before this process has published: a start neither deletes nor sends anything that is there already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway import config, telemetry
from gateway.config.devices import BigipEnvironment, Panos, PanosEnvironment
from gateway.engine.network.connection import Connection, Device, Surroundings, absent, management_of
from gateway.engine.network.desired import Desired, Places
from gateway.engine.network.documents import Recipe
from gateway.engine.network.entrances import Entrances
from gateway.engine.network.front_checks import FrontChecks
from gateway.engine.network.fronts import Entrance, Front, nowhere
from gateway.engine.network.history.experience import Budget
from gateway.engine.network.history.ledger import Ledger
from gateway.engine.network.history.trail import DeviceTrail
from gateway.engine.network.news import News
from gateway.engine.network.panos.firewall import Firewall
from gateway.engine.network.panos.firewalls import Firewalls
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.plans.guards import Basis, Terms
from gateway.engine.network.plans.offers import Offers
from gateway.engine.network.reconcile import Lane, Means
from gateway.engine.network.reconcile.group import USUAL, Group, Pace
from gateway.engine.overheard import Overlay

REPLACED_S: Final = 5400.0  # an apply may take so long; until its end nobody else writes to the device
Connect = Callable[[Device, Surroundings], Connection]


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
        self._devices: dict[str, Device] = {}
        self._groups: dict[str, Group] = {}
        self._locks: dict[str, asyncio.Lock] = {}  # by device: one that comes back finds what still writes to it
        self._logins: dict[str, Callable[[], int]] = {}
        self._recipes: dict[str, Mapping[str, Recipe]] = {}
        self._firewalls: dict[str, Firewall] = {}
        self._places: dict[tuple[str, bool], Places] = {}
        self._desired: dict[str, Desired] = {}
        self._with_firewalls: frozenset[str] = frozenset()  # environments
        self._news: News | None = None
        self._overlay: Overlay | None = None  # None: nobody knows who is cut off
        self._is_new = asyncio.Event()
        self._telling = Firewalls(
            state_folder, self._is_new.set, self.blocking, now, self._basis, self.trail, follows=follows
        )  # fmt: skip
        self._entrances = Entrances(lambda: self._groups, self.blocking)
        self._around = Surroundings(
            state_folder, now, self._basis, self._entrances.fronts_of, self._entrances.addresses_in,
            self._telling.known, lambda: self._overlay,
        )  # fmt: skip
        self.checks = FrontChecks(now)
        self._recalling = self._loop.run_in_executor(self._worker, self.trail.recall)
        self._spreading = self._loop.create_task(self._spread_always()) if follows else None
        self._ending: set[asyncio.Task[None]] = set()

    # === told by the role ===

    def adopt(self, settings: config.Settings) -> None:
        """Follow these devices; those whose settings stay are followed on."""
        self._is_shared = bool(settings.database)
        firewalls = settings.devices.panos
        devices: tuple[Device, ...] = (*settings.devices.bigip, *firewalls)
        wanted = {device.name: device for device in devices}
        self._with_firewalls = frozenset(each.environment for device in firewalls for each in device.environments)
        for name in [name for name, device in self._devices.items() if wanted.get(name) != device]:
            del self._devices[name], self._recipes[name]
            self._firewalls.pop(name, None)
            self._telling.end(name)
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

    def hear(self, overlay: Overlay) -> None:
        """Who is cut off now, and who has temporary access."""
        self._overlay = overlay
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
        await self._telling.close()
        await self.blocking(self.trail.close)
        self._worker.shutdown(wait=False, cancel_futures=True)

    # === asked ===

    @property
    def fence(self) -> int | None:
        """The number under which this node leads, None where nodes share nothing."""
        return self._fence

    @property
    def leads(self) -> bool:
        """Whether this node may write: the only one, or the one of several that was told so."""
        return not self._is_shared or self._fence is not None

    @property
    def groups(self) -> Mapping[str, Group]:
        """By the device's name."""
        return self._groups

    @property
    def devices(self) -> Mapping[str, Device]:
        return self._devices

    @property
    def firewalls(self) -> Mapping[str, Firewall]:
        """By the device's name."""
        return self._firewalls

    @property
    def news(self) -> News | None:
        return self._news

    @property
    def overlay(self) -> Overlay | None:
        return self._overlay

    @property
    def tags(self) -> Mapping[str, TagWorker]:
        """Who writes the tags of each firewall, by its name."""
        return self._telling.workers

    def standings(self) -> list[dict[str, Any]]:
        """Of each environment on each device. ``tags``: how the tags of a whole firewall stand, None elsewhere."""
        now_s = self.now()
        return [
            {**lane.standing().as_json(now_s), "logins": self._logins[name](), "tags": self._tags_of(name)}
            for name, group in sorted(self._groups.items())
            for _, lane in sorted(group.lanes.items())
        ]

    def _tags_of(self, name: str) -> dict[str, Any] | None:
        worker = self.tags.get(name)
        return worker.standing() if worker is not None else None

    async def entrance(self, lane: Lane) -> Entrance | None:
        """Where clients meet what a lane wishes; None before it does. Raises `DeviceFault`."""
        met = await self._entrances.met(lane)
        return met.entrance if met is not None else None

    async def fronts(self, lane: Lane) -> Sequence[Front]:
        """The same, place by place. Raises `DeviceFault`."""
        met = await self._entrances.met(lane)
        return met.fronts if met is not None else ()

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
        self._telling.set_leading(self.leads)

    def _basis(self) -> Basis:
        return Basis(self._news.services if self._news is not None else 0, self._trouble())

    def _begin(self, device: Device) -> None:
        try:
            connection = self._connect(device, self._around)
        except Exception as failure:  # a file of this device's settings, say: nobody else's trouble
            telemetry.log("device_unusable", level="error", device=device.name, why=str(failure))
            connection = absent(device, str(failure))
        terms = {each.environment: terms_of(device, each) for each in device.environments}
        budget = Budget(device.commit_gap_s if isinstance(device, Panos) else 0.0)
        lanes = {
            name: Lane(target, terms[name], self._means, connection.fronts.get(name, nowhere), budget)
            for name, target in connection.targets.items()
        }
        lock = self._locks.setdefault(management_of(device), asyncio.Lock())
        group = Group(device.name, lanes, connection.close, _pace_of(device, self._pace), lock)
        self._devices[device.name], self._groups[device.name] = device, group
        self._logins[device.name], self._recipes[device.name] = connection.logins, connection.feeds
        if connection.firewall is not None:
            self._firewalls[device.name] = connection.firewall
        if isinstance(device, Panos) and connection.tags is not None:
            self._telling.begin(device, connection.tags, leads=self.leads)
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
            key = environment, environment in self._with_firewalls
            places = self._places.setdefault(key, Places(environment, with_scopes=key[1]))
            desired: Desired = await self.blocking(places.desired, news.base, news.published)
            if desired == self._desired.get(environment):  # what is the same is the very same
                desired = self._desired[environment]
            self._desired[environment] = desired
            for group in self._groups.values():
                if environment in group.lanes:
                    group.want(desired)
        if self._with_firewalls:
            here = {name: self._desired[name] for name in sorted(self._with_firewalls & environments)}
            fronts = {name: await self._entrances.fronts_in(name) for name in here}
            await self._telling.tell(news, self._overlay, here, fronts)


def terms_of(device: Device, environment: BigipEnvironment | PanosEnvironment) -> Terms:
    return Terms(
        environment.mode, environment.windows, environment.frozen, environment.ticket, device.removed_share,
        device.removed_most,
    )  # fmt: skip


def _pace_of(device: Device, pace: Pace) -> Pace:
    """A firewall's rules wait for others: each commit costs it minutes."""
    return pace._replace(settle_s=max(pace.settle_s, device.settle_s)) if isinstance(device, Panos) else pace
