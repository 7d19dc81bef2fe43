"""All firewalls of the settings: each is told who and what carries which tags, whenever any of that is another.

Made anew when something is published, when somebody is cut off or let in, when a name leads elsewhere, and when a
grant begins or ends. What does not differ is the same object as before, so that whoever is told does nothing. Without
a firewall nothing here costs anything: nobody is asked where services run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway import telemetry
from gateway.config.devices import Panos
from gateway.engine.network.desired import Desired
from gateway.engine.network.fronts import Front
from gateway.engine.network.history.trail import DeviceTrail
from gateway.engine.network.news import News
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.panos.wishing import Facts, Wishing, met_on, turn_after
from gateway.engine.network.plans.guards import Basis
from gateway.engine.network.whereabouts import NOTHING_KNOWN, Known, Whereabouts
from gateway.engine.overheard import Overlay

Blocking = Callable[..., Awaitable[Any]]


class Firewalls:
    """Made inside the running loop. ``on_change`` is called there when what is told may be another; ``blocking`` runs a
    function in a thread; ``now``: epoch seconds. Unless it ``follows``, nobody is asked or told anything."""

    def __init__(
        self, state_folder: Path, on_change: Callable[[], None], blocking: Blocking, now: Callable[[], float],
        basis: Callable[[], Basis], trail: DeviceTrail, *, follows: bool,
    ) -> None:  # fmt: skip
        self.workers: dict[str, TagWorker] = {}  # by the firewall's name
        self._state_folder = state_folder
        self._on_change = on_change
        self._blocking = blocking
        self._now = now
        self._basis = basis
        self._trail = trail
        self._trouble = ""  # of the catalog, as the workers know it
        self._follows = follows
        self._wishing: dict[str, Wishing] = {}
        self._met: dict[str, tuple[str, ...]] = {}  # by firewall
        self._whereabouts: Whereabouts | None = None
        self._turn: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    # === told by the controller ===

    def begin(self, device: Panos, worker: TagWorker, *, leads: bool) -> None:
        self._wishing[device.name], self.workers[device.name] = Wishing(device), worker
        self._met[device.name] = tuple(met_on(device.environments))
        worker.notes.write = self._note
        if self._whereabouts is None:
            self._whereabouts = Whereabouts(
                self._state_folder, self._on_change, now=self._now, follows=self._follows
            )  # fmt: skip
        if self._follows:
            worker.set_leading(leads)
            worker.start()

    def end(self, name: str) -> None:
        """Its worker ends at once, while a change of rules may go on: another one may follow with other settings."""
        self._wishing.pop(name, None)
        self._met.pop(name, None)
        if (worker := self.workers.pop(name, None)) is not None:
            ending = asyncio.get_running_loop().create_task(worker.close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def set_leading(self, leads: bool) -> None:
        for worker in self.workers.values():
            worker.set_leading(leads)

    async def tell(
        self, news: News, overlay: Overlay | None, desired: Mapping[str, Desired], fronts: Mapping[str, Sequence[Front]]
    ) -> None:  # fmt: skip
        """``desired`` and ``fronts`` by environment."""
        if self._whereabouts is None or not self.workers:
            return
        for each in desired.values():
            self._whereabouts.follow(each)
        known = {name: self.known(name) for name in desired}
        met = tuple(sorted({text for texts in self._met.values() for text in texts}))
        facts = Facts(news.base, desired, fronts, known, news.catalog, news.directory, overlay, met)
        now = int(self._now())
        for name, wishing in list(self._wishing.items()):
            membership = await self._membership(name, wishing, facts, now)
            worker = self.workers.get(name)  # it may have gone meanwhile
            if membership is not None and worker is not None and membership != worker.wanted:
                worker.want(membership)
        self._hint_trouble()
        self._wake(turn_after(overlay, now))

    async def _membership(self, name: str, wishing: Wishing, facts: Facts, now: int) -> Membership | None:
        """None where none can be made: the other firewalls are told theirs."""
        try:
            membership: Membership | None = await self._blocking(wishing.membership, facts, now)
        except Exception as failure:  # whatever some catalog made of it
            why = f"{type(failure).__name__}: {failure}"
            telemetry.log("device_tags_unknown", level="error", device=name, why=why)
            return None
        return membership

    def _hint_trouble(self) -> None:
        """What waited for a catalog to be believed goes on when it is."""
        if (trouble := self._basis().trouble) != self._trouble:
            self._trouble = trouble
            for worker in self.workers.values():
                worker.hint()

    def _wake(self, at: int | None) -> None:
        """When temporary access begins or ends next."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if at is not None and self._follows:
            left_s = min(max(at - self._now(), 0.0), 86400.0)
            self._turn = asyncio.get_running_loop().call_later(left_s, self._on_change)

    async def _note(self, event: str, fields: Mapping[str, object]) -> None:
        """Raises `Untold`."""
        await self._blocking(self._trail.note, event, fields)

    async def close(self) -> None:
        self._wake(None)
        if self._whereabouts is not None:
            await self._whereabouts.close()

    # === asked ===

    def known(self, environment: str) -> Known:
        """Where the services of an environment run; from any thread."""
        return self._whereabouts.known(environment) if self._whereabouts is not None else NOTHING_KNOWN
