"""Settings of PAN-OS firewalls looked at together: what could not work, what would open more than anybody meant, and
files that cannot be used.

A rule between groups that stay empty stops everybody without a word, and a network that two environments claim lets the
owners of the one open addresses of the other; so both are refused here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from itertools import combinations
from typing import Final
from urllib.parse import urlsplit

from gateway import config
from gateway.config.devices import Panos, PanosEnvironment
from gateway.config_load.catalog import authorities_fault
from gateway.config_load.devices.faults import Said, shared_faults
from gateway.config_load.devices.panos_closing import closing_faults
from gateway.config_load.devices.readers import WIDEST, unusable_password_files
from gateway.config_load.identity import is_loopback
from gateway.documents import Locate
from gateway.secret_files import secret_fault
from policy.reading import Fault

MOST_CALLS: Final = 5  # at once to one management plane, officially
WIDEST_DOORS: Final = {4: 24, 6: 64}  # prefix lengths


def panos_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    """What settings of firewalls mean together."""
    faults = []
    parts: dict[str, list[Panos]] = {}
    names = {device.name for device in settings.devices.bigip}
    for position, device in enumerate(settings.devices.panos):
        at = ("devices", "panos", position)
        for where, message, hint in _device_faults(device, settings):
            faults.append(Fault(locate((*at, *where)), f"PAN-OS `{device.name}`: {message}", hint))
        if device.name in names:
            message = f"`{device.name}` is the name of a BIG-IP, too"
            faults.append(Fault(locate((*at, "name")), message, "give each device its own"))
        for unit in device.units:
            if found := _shared_fault(device, unit, parts.setdefault(unit, [])):
                faults.append(Fault(locate((*at, "units")), *found))
            parts[unit].append(device)
    return faults


def _shared_fault(device: Panos, unit: str, others: Sequence[Panos]) -> tuple[str, str] | None:
    """Virtual systems of one firewall, and device groups of one Panorama, are entries of their own."""
    for other in others:
        if (other.vsys, other.device_group) == (device.vsys, device.device_group):
            message = f"`{unit}` is a unit of `{other.name}` and of `{device.name}`"
            return message, "list it once, or give each entry a `vsys` or `device_group` of its own"
        if sorted(other.units) != sorted(device.units):
            return f"`{unit}` has another peer in `{other.name}`", "list the same `units` in both"
    if (calls := device.concurrent + sum(other.concurrent for other in others)) > MOST_CALLS:
        names = ", ".join(f"`{each.name}`" for each in (*others, device))
        message = f"{names} make {calls} calls at once to `{unit}` together, more than {MOST_CALLS}"
        return message, "lower `concurrent`: more only slow down its administrators"
    return None


def unusable_panos_files(settings: config.Settings, locate: Locate) -> list[Fault]:
    """A fault for every key and file of authorities that cannot be used."""
    faults = []
    for position, device in enumerate(settings.devices.panos):
        at = ("devices", "panos", position)
        for key in ("key_files", "rules_key_files"):
            for number, file in enumerate(getattr(device, key)):
                if found := _key_fault(file):
                    faults.append(Fault(locate((*at, key, number)), *found))
        if device.ca and (message := authorities_fault(device.ca)):
            faults.append(Fault(locate((*at, "ca")), message, "put the certificates there in PEM"))
        for where, message, hint in unusable_password_files(device.readers):
            faults.append(Fault(locate((*at, "readers", *where)), message, hint))
    return faults


def _key_fault(file: str) -> tuple[str, str] | None:
    if message := secret_fault(file):
        return message, "write the key into it, one line and nothing else"
    if os.stat(file).st_mode & 0o077:
        return f"`{file}` can be read by others than its owner", f"`chmod 600 {file}`"
    return None


# ---- a firewall ----


def _device_faults(device: Panos, settings: config.Settings) -> Iterator[Said]:
    yield from shared_faults(device, settings)
    if device.ca and device.pins:
        yield ("pins",), "`pins` and `ca` say two things about the same certificates", "leave one of them out"
    if both := sorted({*device.key_files} & {*device.rules_key_files}):
        message = f"`{both[0]}` is in `key_files` and in `rules_key_files`"
        yield ("rules_key_files",), message, "an administrator that sends tags needs no right to commit: make two"
    for environment in device.environments:
        at = ("environments", environment.environment)
        faults = (_leg_faults, _rule_faults, _address_faults, _direct_faults, closing_faults)
        for where, message, hint in (said for each in faults for said in each(environment, device, settings)):
            yield (*at, *where), f"`{environment.environment}`: {message}", hint
    for one, other in combinations(device.environments, 2):
        yield from _overlaps(one, other)


def _leg_faults(environment: PanosEnvironment, device: Panos, settings: config.Settings) -> Iterator[Said]:
    """What a leg needs, so that its rules mean somebody."""
    for leg in ("front", "direct"):
        if getattr(environment, leg) is not None and not device.user_name:
            message = f"`{leg}` lets people in by their names, and nobody has one without `user_name`"
            yield (leg,), message, r"say what people are called in User-ID, `corp\{metadata.name}`"
    if environment.front is not None and not _virtual_addresses(environment, settings):
        message = "`front` needs an address where clients meet the environment"
        yield ("front",), message, "list it in `virtual_addresses`"
    if environment.back is not None and not environment.doors:
        message = "`back` stops everybody but the doors, and no door is known without `doors`"
        yield ("back",), message, "list the addresses of the gateway's nodes"
    for leg in ("back", "direct"):
        if getattr(environment, leg) is not None and not environment.networks:
            message = f"`{leg}` needs `networks`: no address of a service is written without"
            yield (leg,), message, "say where services of this environment may be"


def _virtual_addresses(environment: PanosEnvironment, settings: config.Settings) -> bool:
    bigips = (each for device in settings.devices.bigip for each in device.environments)
    return bool(environment.virtual_addresses) or any(each.environment == environment.environment for each in bigips)


def _rule_faults(environment: PanosEnvironment, device: Panos, settings: config.Settings) -> Iterator[Said]:
    """What is about rules, where there are none, or where they would mean nobody."""
    if not environment.has_rules:
        for key in ("log_setting", "profile_group", "windows", "frozen", "ticket"):
            if getattr(environment, key):
                message = f"`{key}` is about rules, and there are none without `front`, `back` or `direct`"
                yield (key,), message, "say which of them passes this firewall, or leave it out"
    elif environment.mode == "enforce" and device.tags != "enforce" and not device.device_group:
        message = "`mode: enforce` would commit rules between groups that nobody fills"
        yield ("mode",), message, "write `tags: enforce` at the firewall first"


def _direct_faults(environment: PanosEnvironment, device: Panos, settings: config.Settings) -> Iterator[Said]:
    if environment.direct is not None and not environment.directs:
        yield ("direct",), "`direct` needs `directs`", "say which services people reach without the door, and where"
    if environment.directs and not environment.tells(environment.direct):
        yield ("directs",), "`directs` is of no use without `direct`", "write `direct: {}`, or leave it out"
    for number, each in enumerate(environment.directs):
        for key in ("services", "ports"):
            values = getattr(each, key)
            if twice := sorted({value for value in values if values.count(value) > 1}):
                yield ("directs", number, key), f"`{twice[0]}` is listed twice in `{key}`", "list it once"


# ---- addresses ----


def _address_faults(environment: PanosEnvironment, device: Panos, settings: config.Settings) -> Iterator[Said]:
    for position, text in enumerate(environment.networks):
        network = ip_network(text)
        if network.prefixlen < WIDEST[network.version]:
            yield ("networks", position), f"`{text}` is nearly everybody", "list the networks of services"
    for position, text in enumerate(environment.doors):
        network = ip_network(text)
        if network.prefixlen < WIDEST_DOORS[network.version]:
            message = f"`{text}` is more than the gateway's nodes, and whoever is in it reaches all services"
            yield ("doors", position), message, "list their addresses"
    for key in ("doors", "networks", "virtual_addresses"):
        values = getattr(environment, key)
        for position, text in enumerate(values):
            if _is_nobodys(text) or (is_loopback(text.partition("/")[0]) and not _is_here(device)):
                yield (key, position), f"`{text}` is nothing that a firewall sees", "write addresses of its networks"
        if twice := sorted({value for value in values if values.count(value) > 1}):
            yield (key,), f"`{twice[0]}` is listed twice in `{key}`", "list it once"


def _is_nobodys(text: str) -> bool:
    network = ip_network(text)
    return network.is_multicast or network.is_unspecified or network.is_link_local


def _is_here(device: Panos) -> bool:
    """An emulated firewall on this machine, which alone sees its loopback."""
    return all(is_loopback(urlsplit(unit).hostname or "") for unit in device.units)


def _overlaps(one: PanosEnvironment, other: PanosEnvironment) -> Iterator[Said]:
    """Two environments on one firewall that claim the same addresses of services."""
    for position, b in enumerate(other.networks):
        for a in one.networks:
            x, y = ip_network(a), ip_network(b)
            if x.version == y.version and x.overlaps(y):
                message = (
                    f"`{a}` of `{one.environment}` and `{b}` of `{other.environment}` overlap: "
                    "owners of services of the one could open addresses of the other"
                )
                at = ("environments", other.environment, "networks", position)
                yield at, message, "an address is one environment's: give each its own networks"
