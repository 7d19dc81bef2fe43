"""Settings of BIG-IP device groups looked at together: what the device would refuse, what it would take and nobody
meant, and files that cannot be used.

A device accepts two virtual servers on one address only when it is too late to ask anybody, and connects to a pool
member whose certificate nobody checks without a word; so both are refused here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import combinations
from typing import Final
from urllib.parse import urlsplit

from gateway import config
from gateway.config.devices import Bigip, BigipEnvironment
from gateway.config_load.catalog import authorities_fault
from gateway.config_load.devices.apm import read_mapping
from gateway.config_load.devices.faults import Said, shared_faults
from gateway.config_load.devices.readers import unusable_password_files
from gateway.config_load.identity import is_loopback
from gateway.documents import Locate
from gateway.secret_files import secret_fault
from policy.reading import Fault, did_you_mean

MAX_SCHEMA_BYTES: Final = 16 * 1024 * 1024


def devices_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    faults = []
    seen: dict[str, str] = {}
    for position, device in enumerate(settings.devices.bigip):
        at = ("devices", "bigip", position)
        for where, message, hint in _device_faults(device, settings):
            faults.append(Fault(locate((*at, *where)), f"BIG-IP `{device.name}`: {message}", hint))
        faults += _mapping_faults(device, at, locate)
        for unit in device.units:
            if (other := seen.setdefault(unit, device.name)) != device.name:
                message = f"`{unit}` is a unit of `{other}` and of `{device.name}`"
                faults.append(Fault(locate((*at, "units")), message, "one device belongs to one group"))
    return faults


def unusable_device_files(settings: config.Settings, locate: Locate) -> list[Fault]:
    """A fault for every password, file of authorities and schema that cannot be used."""
    faults = []
    for position, device in enumerate(settings.devices.bigip):
        at = ("devices", "bigip", position)
        if message := secret_fault(device.password_file):
            hint = "write the password into it, one line and nothing else"
            faults.append(Fault(locate((*at, "password_file")), message, hint))
        if device.ca and (message := authorities_fault(device.ca)):
            faults.append(Fault(locate((*at, "ca")), message, "put the certificates there in PEM"))
        for where, message, hint in unusable_password_files(device.readers):
            faults.append(Fault(locate((*at, "readers", *where)), message, hint))
        if device.as3_schema and (message := _schema_fault(device.as3_schema)):
            hint = "take `as3-schema.json` of the release that the device runs"
            faults.append(Fault(locate((*at, "as3_schema")), message, hint))
    return faults


def _mapping_faults(device: Bigip, at: tuple[str | int, ...], locate: Locate) -> list[Fault]:
    """Of the APM mappings that its environments name: each file once, at its own lines."""
    faults: dict[Fault, None] = {}
    for environment in device.environments:
        if not environment.apm_mapping:
            continue
        where = (*at, "environments", environment.environment, "apm", "mapping")
        read, found = read_mapping(environment.apm_mapping)
        faults |= dict.fromkeys(found)
        name = environment.environment
        if not found and name not in read:
            message = f"BIG-IP `{device.name}`: the mapping says nothing for `{name}`"
            hint = did_you_mean(name, read) or f"it has: {', '.join(sorted(read))}"
            faults[Fault(locate(where), message, hint)] = None
        if not environment.networks:
            message = f"BIG-IP `{device.name}`: `{name}` has no `networks`, so no service has an address of its own"
            hint = "what the mapping says would never be attached: add `networks`"
            faults[Fault(locate(where), message, hint)] = None
    return list(faults)


# ---- a device ----


def _device_faults(device: Bigip, settings: config.Settings) -> Iterator[Said]:
    yield from shared_faults(device, settings)
    yield from _member_faults(device)
    for environment in device.environments:
        at = ("environments", environment.environment)
        if environment.addresses == "pool" and settings.database:
            message = "each node of `state.database` would give out addresses of the `pool` by itself"
            yield (*at, "addresses"), f"`{environment.environment}`: {message}", "write `addresses: shared`"
        for where, message, hint in _environment_faults(environment, device):
            yield (*at, *where), f"`{environment.environment}`: {message}", hint
    for one, other in combinations(device.environments, 2):
        yield from _overlaps(one, other)


def _member_faults(device: Bigip) -> Iterator[Said]:
    for member in device.members:
        address = ip_address(member.rpartition(":")[0].strip("[]"))
        if address.is_unspecified or address.is_multicast or (address.is_loopback and not _is_here(device)):
            message = f"`{member}` is no address at which a BIG-IP reaches a node"
            yield ("members",), message, "write the node's own address and the port of its listener"


def _is_here(device: Bigip) -> bool:
    """An emulated device on this machine, which alone reaches its loopback."""
    return all(is_loopback(urlsplit(unit).hostname or "") for unit in device.units)


def _environment_faults(environment: BigipEnvironment, device: Bigip) -> Iterator[Said]:
    if environment.addresses == "shared" and not environment.virtual_address:
        yield (), "`shared` needs `virtual_address`", "say where its virtual server listens, or write `addresses: pool`"
    if environment.virtual_address and is_loopback(environment.virtual_address) and not _is_here(device):
        message = f"`{environment.virtual_address}` is no address that clients reach"
        yield ("virtual_address",), message, "write one of the device's networks"
    if environment.addresses == "pool":
        if not environment.networks:
            yield (), "`pool` needs `networks` to take addresses from", "list at least one"
        if environment.virtual_address:
            hint = "leave it out, or write `addresses: shared`"
            yield ("virtual_address",), "`virtual_address` is of no use with `addresses: pool`", hint
    if device.member_tls:
        for key, what in (("trust_ca", "who signs the doors' certificate"), ("server_name", "which name it carries")):
            if not getattr(environment, key):
                hint = f"say {what}; `member_tls: false` speaks plain HTTP to them"
                yield (), f"without `{key}` BIG-IP would take anybody for a door", hint
    else:
        for key in ("trust_ca", "server_name", "client_certificate"):
            if getattr(environment, key):
                yield (key,), f"`{key}` is of no use with `member_tls: false`", "leave one of them out"
    if environment.per_request_policy and not environment.access_profile:
        yield ("per_request_policy",), "`per_request_policy` needs `access_profile`", "name the profile too"
    if environment.required_claims and not environment.access_profile:
        message = "`required_claims` needs `access_profile`"
        yield ("required_claims",), message, "name the profile whose branches test them"
    if environment.proxy_protocol and not device.health_port:
        hint = "name the port of a listener with `health_only`"
        yield ("proxy_protocol",), "monitors send no PROXY line: it needs `health_port`", hint


def _overlaps(one: BigipEnvironment, other: BigipEnvironment) -> Iterator[Said]:
    """Two environments on one device that claim the same address."""
    at = ("environments", other.environment)
    if one.virtual_address and (one.virtual_address, one.port) == (other.virtual_address, other.port):
        message = f"`{one.environment}` and `{other.environment}` both have {one.virtual_address}:{one.port}"
        yield (*at, "virtual_address"), message, "a virtual server is one environment's: give each its own"
    for a in one.networks:
        for b in other.networks:
            x, y = ip_network(a), ip_network(b)
            if x.version == y.version and x.overlaps(y):
                message = f"`{a}` of `{one.environment}` and `{b}` of `{other.environment}` overlap"
                yield (*at, "networks"), message, "an address is one environment's: give each its own networks"
    for within, foreign in ((one, other), (other, one)):
        if foreign.virtual_address and lies_in(foreign.virtual_address, within.networks):
            message = f"`{foreign.virtual_address}` of `{foreign.environment}` lies in a network of this environment"
            yield ("environments", within.environment, "networks"), message, "leave it out of the networks"


def lies_in(address: str, networks: tuple[str, ...]) -> bool:
    """Whether one of the networks holds the address."""
    return any(ip_address(address) in ip_network(network) for network in networks)


# ---- files ----


def _schema_fault(file: str) -> str:
    try:
        if os.path.getsize(file) > MAX_SCHEMA_BYTES:
            return f"`{file}` is too large for a schema"
        with open(file, "rb") as opened:
            schema = json.load(opened)
    except OSError as error:
        return f"cannot read `{file}`: {str(error.strerror).lower()}"
    except (ValueError, RecursionError):
        return f"`{file}` holds no JSON"
    if not isinstance(schema, dict) or "ADC" not in schema.get("definitions", {}):
        return f"`{file}` is not AS3's schema: it defines no `ADC`"
    return ""
