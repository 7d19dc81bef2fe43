"""The units of one device group: which one is active, how they are in step, and one write at a time for all.

Only the active unit is asked and written to; a standby takes writes without a word and loses them at the next sync.
Where the group does not synchronise by itself, what was written is pushed from the unit it was written to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from gateway.config.devices import Bigip
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.bigip.device.tasks import ran
from gateway.engine.network.faults import Busy, DeviceFault, Unreachable
from gateway.engine.network.transport.patience import Limits, Time

ACTIVE: Final = "ACTIVE"
IN_STEP: Final = ("In Sync", "Standalone")
_FAILOVER: Final = "/mgmt/tm/cm/failover-status"
_SYNC: Final = "/mgmt/tm/cm/sync-status"


class DeviceGroup:
    """Made inside the running loop; opens nothing. One per configured device and process."""

    def __init__(self, device: Bigip, time: Time | None = None, limits: Limits | None = None) -> None:
        self.device = device
        self.time = time or Time()
        self.limits = limits or Limits()
        self.writing = asyncio.Lock()  # one write in flight, whatever the environment
        self.clients = tuple(Client(device, unit, self.time, self.limits) for unit in device.units)
        self._active: Client | None = None

    @property
    def logins(self) -> int:
        return sum(client.tokens.logins for client in self.clients)

    @property
    def requests(self) -> int:
        return sum(client.requests for client in self.clients)

    async def close(self) -> None:
        """Gives every token back, at most for some seconds."""
        await asyncio.gather(*(client.close() for client in self.clients))

    async def reading(self) -> Client:
        """The active unit: the one that was, where it says that it still is. Raises `DeviceFault`."""
        if self._active is not None:
            try:
                if await failover_state(self._active) == ACTIVE:
                    return self._active
            except (Busy, Unreachable):
                if len(self.clients) == 1:
                    raise
        return await self.active()

    async def active(self) -> Client:
        """The one unit that is active, every unit asked. Raises `DeviceFault`, also where two say that they are."""
        alone = len(self.clients) == 1  # nobody waits for a standby that is away
        asked = await asyncio.gather(
            *(failover_state(client, patient=alone) for client in self.clients), return_exceptions=True
        )
        active: list[Client] = []
        others: list[str] = []
        faults: list[DeviceFault] = []
        for client, state in zip(self.clients, asked, strict=True):
            if isinstance(state, DeviceFault):
                faults.append(state)
            elif isinstance(state, BaseException):
                raise state
            elif state == ACTIVE:
                active.append(client)
            else:
                others.append(f"{client.where} says {client.shown(state) or 'nothing'}")
        self._active = active[0] if len(active) == 1 else None
        if self._active is not None:
            return self._active
        if active:
            names = " and ".join(client.where for client in active)
            raise Busy(f"{names} both say that they are active: nothing is read or written until one is")
        if faults and not others:
            raise faults[0]
        raise Busy(f"no unit of `{self.device.name}` is active: " + "; ".join([*others, *map(str, faults)]))

    async def synchronise(self, client: Client) -> None:
        """Pushes what ``client`` has to its group. Raises `DeviceFault`."""
        name = self.device.device_group
        options = [{"to-group": name if name.startswith("/") else f"/Common/{name}"}]
        await ran(client, "/mgmt/tm/task/cm/config-sync", {"command": "run", "options": options})


class Sync(NamedTuple):
    """Of a device group, in the device's words."""

    status: str
    mode: str = ""


async def failover_state(client: Client, *, patient: bool = True) -> str:
    """`ACTIVE`, `STANDBY`, … Raises `DeviceFault`."""
    said = await client.read(_FAILOVER, patient=patient)
    for entries in _nested(said):
        if state := _description(entries, "status"):
            return state.upper()
    raise Unreachable(f"{client.where} does not say whether it is active: is it a BIG-IP?")


async def sync_of(client: Client) -> Sync:
    """Raises `DeviceFault`."""
    said = await client.read(_SYNC)
    for entries in _nested(said):
        if status := _description(entries, "status"):
            return Sync(client.shown(status), client.shown(_description(entries, "mode")))
    return Sync("")


def _nested(said: Any) -> Iterator[dict[str, Any]]:
    """The entries of each statistic in an answer."""
    entries = said.get("entries") if isinstance(said, dict) else None
    for entry in entries.values() if isinstance(entries, dict) else ():
        nested = entry.get("nestedStats") if isinstance(entry, dict) else None
        inner = nested.get("entries") if isinstance(nested, dict) else None
        if isinstance(inner, dict):
            yield inner


def _description(entries: dict[str, Any], name: str) -> str:
    entry = entries.get(name)
    said = entry.get("description") if isinstance(entry, dict) else None
    return said if isinstance(said, str) else ""
