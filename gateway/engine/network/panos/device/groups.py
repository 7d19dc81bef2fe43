"""The firewalls of a device group, as their Panorama knows them."""

from __future__ import annotations

from typing import NamedTuple

from gateway.config.devices import Panos
from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.locks import asked
from gateway.engine.network.panos.device.state import command


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
