"""Which firewalls of a device group have other rules of ours than their Panorama: a push failed, or never came.

Read from each of them through its Panorama, because what Panorama committed says nothing of what its firewalls have.
One that is not connected cannot be asked; it is told of and waited for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.config.devices import Panos
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.groups import firewalls_of
from gateway.engine.network.panos.device.places import entry
from gateway.engine.network.panos.device.writes import show
from gateway.engine.network.panos.rules.codec import RULES
from gateway.engine.network.panos.rules.entries import Entries


class Lag(NamedTuple):
    """Serial numbers."""

    behind: tuple[str, ...] = ()
    away: tuple[str, ...] = ()


async def lag_of(client: Client, device: Panos, tag: str, rules: Sequence[Mapping[str, Any]]) -> Lag:
    """``rules``: as they run on the Panorama, all with ``tag``. Raises `DeviceFault`."""
    if not device.device_group:
        return Lag()
    firewalls = await firewalls_of(client, device)
    wanted = [rule for rule in rules if not rule["disabled"]]  # such a rule stays with the Panorama
    behind = [
        firewall.serial
        for firewall in firewalls
        if firewall.is_connected and not await _has(client, firewall.serial, firewall.vsys, tag, wanted)
    ]
    return Lag(tuple(behind), tuple(firewall.serial for firewall in firewalls if not firewall.is_connected))


async def _has(client: Client, serial: str, vsys: Collection[str], tag: str, wanted: list[Mapping[str, Any]]) -> bool:
    for name in vsys:
        xpath = f"/config/panorama/vsys/{entry(name)}/pre-rulebase/security/rules"
        pushed = Entries(RULES, names.is_ours)
        await show(client, xpath, serial, pushed)
        if [rule for rule in pushed.fields.values() if tag in rule["tag"]] != wanted:
            return False
    return True
