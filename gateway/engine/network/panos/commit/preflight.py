"""What is asked before anything is written: everything that would let a change fail half-way, or undo somebody's work.

Who stands against it now (locks, jobs, a pair that is not in step, edits of others on what is ours) is `Busy`: later it
may go. What will not be well by waiting (a zone or profile that is not there, a version too old) is `Rejected`. Rules
of a device group are compiled on every firewall of it, and one that lacks a zone breaks every push: so each is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Final

from gateway.config.devices import Panos
from gateway.engine.network.faults import Busy, Rejected, Unreachable
from gateway.engine.network.panos.commit.change import Change, of_others
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.groups import Firewall, firewalls_of, said_by_each
from gateway.engine.network.panos.device.jobs import under_way
from gateway.engine.network.panos.device.locks import locks_of, pending_of
from gateway.engine.network.panos.device.places import place_of_rules, vsys_base
from gateway.engine.network.panos.device.state import Availability, System, system_of
from gateway.engine.network.panos.device.writes import get

OLDEST: Final = (10, 1)
REORDERS_SINCE: Final = (11, 0, 1)  # an admin's own commit on a Panorama can carry a new order
NAMED: Final = 3
_SHARED: Final = "/config/shared"


async def preflight(
    client: Client, device: Panos, availability: Availability, change: Change, me: str
) -> tuple[Firewall, ...]:
    """The firewalls that a push is for, none where there is no push. Raises `DeviceFault`."""
    if not availability.in_step:
        raise Busy(f"{client.where} and its peer are not in step (`{availability.sync}`): nothing is changed meanwhile")
    system = await system_of(client)
    _check_version(client, device, system, change)
    if jobs := await under_way(client):
        raise Busy(f"{client.where} is at work: {', '.join(jobs[:NAMED])}")
    await nobody_else(client, change, me)
    if not device.device_group:
        base = place_of_rules(device).base
        _refuse_missing(f"{client.where}, {device.vsys}", await _missing(client, (base, _SHARED), change))
        return ()
    firewalls = await _firewalls(client, device)
    missing = await _missing(client, (place_of_rules(device).base, _SHARED), change, zones=False)
    _refuse_missing(f"{client.where}, device group `{device.device_group}`", missing)
    asking = [partial(_check_firewall, client, each, change) for each in firewalls]
    for firewall, fault in zip(firewalls, await said_by_each(device, asking), strict=True):
        if isinstance(fault, Unreachable):
            raise Busy(f"{_where(client, firewall)} does not say whether it would take a push: {fault}")
        if fault is not None:
            raise fault
    return firewalls


async def nobody_else(client: Client, change: Change, me: str) -> None:
    """Raises `Busy` where another administrator is at work on what is ours, or keeps everybody from committing."""
    if held := [lock for lock in await locks_of(client) if lock.admin != me]:
        raise Busy(f"{client.where} is being worked on: {_some(held)}; ask them to release it")
    if edits := of_others(await pending_of(client), change.ours, me):
        said = _some(f"`{each.owner}` edited `{each.xpath}`" for each in edits)
        raise Busy(f"{client.where} holds edits of others on what is ours, which nobody committed: {said}")


def _check_version(client: Client, device: Panos, system: System, change: Change) -> None:
    version = tuple(int(part) for part in re.findall(r"\d+", system.version)[:3])
    if version[:2] < OLDEST:
        least = ".".join(map(str, OLDEST))
        raise Rejected(f"{client.where} runs PAN-OS {system.version}: rules are written from {least} on")
    if bool(device.device_group) != (system.model == "Panorama" or system.model.startswith("M-")):
        kind = f"a {system.model}, and `device_group` is {'set' if device.device_group else 'not set'}"
        raise Rejected(f"{client.where} is {kind}: a Panorama has device groups, a firewall has none")
    if device.device_group and version < REORDERS_SINCE and change.reorders:
        since = ".".join(map(str, REORDERS_SINCE))
        raise Rejected(
            f"{client.where} runs PAN-OS {system.version}: before {since} a Panorama commits rules that stand before "
            "others only with everybody's edits together; upgrade it, or apply the plan by hand"
        )


async def _check_firewall(client: Client, firewall: Firewall, change: Change) -> None:
    """Through its Panorama. A lock there, or a zone that is not there, would fail the whole push."""
    where = _where(client, firewall)
    if held := await locks_of(client, firewall.serial):
        raise Busy(f"{where} is being worked on, and takes no push meanwhile: {_some(held)}")
    for vsys in firewall.vsys:
        missing = await _missing(client, (vsys_base(vsys),), change, firewall.serial, profiles=False)
        _refuse_missing(f"{where}, {vsys}", missing)


def _where(client: Client, firewall: Firewall) -> str:
    return f"firewall {firewall.serial} of {client.where}"


async def _firewalls(client: Client, device: Panos) -> tuple[Firewall, ...]:
    """Of our device group. Raises `Busy` where one is not connected: it would miss the change."""
    found = await firewalls_of(client, device)
    if away := [firewall.serial for firewall in found if not firewall.is_connected]:
        raise Busy(f"{client.where} has no connection to {_some(away)}: what is committed would not reach everyone")
    if not found:
        raise Rejected(f"device group `{device.device_group}` of {client.where} has no firewall")
    return found


async def _missing(
    client: Client, bases: tuple[str, ...], change: Change, target: str = "", *, zones: bool = True,
    profiles: bool = True,
) -> list[str]:  # fmt: skip
    """What the change names and no base has."""
    wanted = {
        "zone": change.zones if zones else frozenset[str](),
        "log-settings/profiles": change.log_settings if profiles else frozenset[str](),
        "profile-group": change.profile_groups if profiles else frozenset[str](),
    }
    said = {"zone": "zone", "log-settings/profiles": "log forwarding profile", "profile-group": "profile group"}
    missing = []
    for path, names in wanted.items():
        lacking = set(names)
        for base in bases:
            if lacking:
                lacking -= await _names(client, f"{base}/{path}", target)
        missing += [f"{said[path]} `{name}`" for name in sorted(lacking)]
    return missing


async def _names(client: Client, xpath: str, target: str) -> set[str]:
    answer = await get(client, f"{xpath}/entry/@name", target)
    found = [] if answer.result is None else answer.result.iter()
    return {name for each in found if (name := each.get("name")) is not None}


def _refuse_missing(where: str, missing: list[str]) -> None:
    if missing:
        raise Rejected(f"{where} has no {_some(missing)}: make it there, or correct the settings")


def _some(said: Iterable[object]) -> str:
    texts = [str(each) for each in said]
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more
