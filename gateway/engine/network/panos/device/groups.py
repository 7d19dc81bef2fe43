"""The firewalls of a device group, as their Panorama knows them, and what each of them says through it.

Many are asked at once, within the calls that the Panorama may be asked for. One that hangs is given up by itself: it
holds up nobody else, and whoever asked learns which one it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from gateway.config.devices import Panos
from gateway.engine.network.faults import DeviceFault, Rejected, Unreachable
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.locks import asked
from gateway.engine.network.panos.device.state import command
from gateway.engine.network.transport.silence import Silent, answering, heard

SILENT_S: Final = 8.0  # that one of many may say nothing
Said = TypeVar("Said")


class Firewall(NamedTuple):
    serial: str
    vsys: tuple[str, ...]
    is_connected: bool


async def firewalls_of(client: Client, device: Panos) -> tuple[Firewall, ...]:
    """Raises `DeviceFault`."""
    answer = await client.read(asked(command("show", "devicegroups")))
    groups = [] if answer.result is None else answer.result.findall("devicegroups/entry")
    found = next((group for group in groups if group.get("name") == device.device_group), None)
    if found is None:
        raise Rejected(f"{client.where} has no device group `{device.device_group}`: correct `device_group`")
    return tuple(
        Firewall(
            client.shown(each.get("name", "")),
            tuple(one.get("name", "") for one in each.findall("vsys/entry")) or ("vsys1",),
            (each.findtext("connected") or "").strip() == "yes",
        )
        for each in found.findall("devices/entry")
    )


async def said_by_each(device: Panos, asking: Sequence[Callable[[], Awaitable[Said]]]) -> list[Said | DeviceFault]:
    """In their order, and a fault of who gave no answer."""
    turns = asyncio.Semaphore(device.concurrent)

    async def ask(one: Callable[[], Awaitable[Said]]) -> Said | DeviceFault:
        async with turns:
            try:
                async with answering(SILENT_S):
                    return await one()
            except Silent as silent:
                heard()  # that this one says nothing is known now
                return Unreachable(str(silent))
            except DeviceFault as fault:
                return fault

    return await asyncio.gather(*(ask(one) for one in asking))
