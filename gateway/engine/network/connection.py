"""What the controller holds of a device, whoever makes it: targets, fronts, feeds, and how to let go of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from gateway.config.devices import Bigip, Panos
from gateway.engine.network.absent import AbsentTarget
from gateway.engine.network.desired import Desired
from gateway.engine.network.documents import Recipe
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos.firewall import Firewall
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.plans.guards import Basis
from gateway.engine.network.plans.plan import Target
from gateway.engine.network.whereabouts import Known
from gateway.engine.overheard import Overlay

Device = Bigip | Panos


class Connection(NamedTuple):
    """The targets of one device group, by environment, and how to let go of it. ``logins``: how many there were.
    ``fronts``: by environment, where clients meet what is desired; none where a device meets no clients. ``feeds``: by
    environment, what may be read of it; none where nobody may. ``firewall``: what readers see of one, ``tags``: who
    writes its tags."""

    targets: Mapping[str, Target]
    close: Callable[[], Awaitable[None]]
    logins: Callable[[], int] = lambda: 0
    fronts: Mapping[str, Callable[[Desired], Sequence[Front]]] = MappingProxyType({})
    feeds: Mapping[str, Recipe] = MappingProxyType({})
    firewall: Firewall | None = None
    tags: TagWorker | None = None


class Surroundings(NamedTuple):
    """What a device may ask about all others. ``fronts``: where clients meet what is desired, on any of them; blocks.
    ``known``: where the services of an environment run. ``now``: epoch seconds."""

    state_folder: Path
    now: Callable[[], float]
    basis: Callable[[], Basis]
    fronts: Callable[[Desired], Sequence[Front]]
    addresses: Callable[[str], tuple[str, ...]]  # of these fronts, as they were met last, by environment
    known: Callable[[str], Known]
    overlay: Callable[[], Overlay | None]


def absent(device: Device, why: str) -> Connection:
    """Stands for one that cannot be used."""

    async def close() -> None:
        return None

    targets = {each.environment: AbsentTarget(device.name, each.environment, why) for each in device.environments}
    return Connection(targets, close)


def management_of(device: Device) -> str:
    """What one at a time writes to: virtual systems of a firewall are managed together."""
    return min(device.units) if isinstance(device, Panos) else device.name
