"""A tag worker and the firewall that it writes to: the lab's emulator over TLS, with a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.config.devices import Panos
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.tags.watching import Rhythm
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.plans.guards import Basis
from gateway.engine.network.reconcile.group import Pace
from gateway.engine.network.transport.patience import Limits
from gateway.lab.panos.userid import Identities
from tests.support.panos import USER, WAIT_S, Clock, RunningFirewall
from tests.support.scripted_device import FakeTime

LIMITS = Limits(call=60.0, connect=20.0, read=100.0, write=100.0)
QUICK = Rhythm(Pace(poll_s=0.05, shortest_s=0.01, longest_s=0.05), whole_s=3600.0, counted_s=0.0)
CALM = Rhythm(Pace(poll_s=3600.0, shortest_s=0.01, longest_s=0.05), whole_s=3600.0)


class Worked:
    """``basis`` is what the catalog is worth; the device's tables are read past the API."""

    def __init__(self, worker: TagWorker, units: Units, clock: Clock, firewall: RunningFirewall) -> None:
        self.worker, self.units, self.clock, self.firewall = worker, units, clock, firewall

    @property
    def identities(self) -> Identities:
        return self.firewall.device.identities_of("")

    def tags(self, who: str, what: What = What.USER) -> set[str]:
        table = self.identities.users if what is What.USER else self.identities.addresses
        return {held.text for held in table.of(who).values()}

    def end(self, user: str, tag: str) -> float:
        return self.identities.users.of(user)[tag].ends

    async def until(self, held: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not held():
                await asyncio.sleep(0.005)

    async def settled(self, wanted: Membership | None = None) -> None:
        """Until a wish was compared and everything that may be told was."""
        if wanted is not None:
            self.worker.want(wanted)
        await self.worker.turn()


class Trust:
    """What the catalog is worth, changed by a test."""

    def __init__(self) -> None:
        self.basis = Basis(10)

    def __call__(self) -> Basis:
        return self.basis


def settings_of(folder: Path, *firewalls: RunningFirewall, **changes: Any) -> Panos:
    key = folder / "tag-key"
    for each in firewalls:
        key.write_text(each.device.admins.keygen(USER, each.password) + "\n")
    said: dict[str, Any] = {
        "name": "edge", "units": tuple(each.url for each in firewalls), "key_files": (str(key),),
        "ca": str(firewalls[0].ca), "tags": "enforce", "removed_share": 0.5,
    }  # fmt: skip
    return Panos(**{**said, **changes})


@asynccontextmanager
async def working(
    folder: Path, *firewalls: RunningFirewall, clock: Clock, basis: Callable[[], Basis] = lambda: Basis(10),
    rhythm: Rhythm = CALM, **changes: Any,
) -> AsyncIterator[Worked]:  # fmt: skip
    """Not started: a test turns it, or starts it."""
    time = FakeTime()
    time.share = 0.01
    units = Units(settings_of(folder, *firewalls, **changes), time.time(), LIMITS)
    worker = TagWorker(units, basis, clock, rhythm)
    try:
        yield Worked(worker, units, clock, firewalls[0])
    finally:
        await worker.close()
        await units.close()
