"""Which firewalls of a device group have other rules of ours than their Panorama: a push failed, or never came.

Read from each of them through its Panorama, because what Panorama committed says nothing of what its firewalls have.
One that is not connected, or says nothing, is told of by name and waited for: it keeps nobody from the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from gateway.config.devices import Panos
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.groups import firewalls_of, said_by_each
from gateway.engine.network.panos.device.places import entry
from gateway.engine.network.panos.device.writes import show
from gateway.engine.network.panos.rules.codec import RULES
from gateway.engine.network.panos.rules.entries import Entries


class Lag(NamedTuple):
    """Serial numbers. ``mute``: of those that are connected and do not say what they have, with why."""

    behind: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    mute: Mapping[str, str] = MappingProxyType({})


async def lag_of(client: Client, device: Panos, tag: str, rules: Sequence[Mapping[str, Any]]) -> Lag:
    """``rules``: as they run on the Panorama, all with ``tag``. Raises `DeviceFault`."""
    if not device.device_group:
        return Lag()
    firewalls = await firewalls_of(client, device)
    wanted = [rule for rule in rules if not rule["disabled"]]  # such a rule stays with the Panorama
    there = [each for each in firewalls if each.is_connected]
    said = await said_by_each(device, [partial(_has, client, each.serial, each.vsys, tag, wanted) for each in there])
    found = {firewall.serial: each for firewall, each in zip(there, said, strict=True)}
    return Lag(
        tuple(serial for serial, has in found.items() if has is False),
        tuple(each.serial for each in firewalls if not each.is_connected),
        {serial: str(fault) for serial, fault in found.items() if isinstance(fault, DeviceFault)},
    )


async def _has(client: Client, serial: str, vsys: Collection[str], tag: str, wanted: list[Mapping[str, Any]]) -> bool:
    for name in vsys:
        xpath = f"/config/panorama/vsys/{entry(name)}/pre-rulebase/security/rules"
        pushed = Entries(RULES, names.is_ours)
        await show(client, xpath, serial, pushed)
        if [rule for rule in pushed.fields.values() if tag in rule["tag"]] != wanted:
            return False
    return True
