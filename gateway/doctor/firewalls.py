"""The firewalls of `devices.panos`: are they reached, is the key known, may it do what it is for, which one is active?

Nothing is changed. Both of a pair are asked, because the one that stands by today is the one that counts after a
failure.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.config.devices import Panos
from gateway.doctor.lines import Line, fail, ok, warn
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import (
    Availability,
    System,
    availability_of,
    system_of,
    tags_readable,
)
from gateway.engine.network.transport.patience import Limits, Time

FIREWALL: Final = "firewall"
OLDEST: Final = (10, 1)  # 9.1 knows user tags; what is older than this gets no fixes any more
LIMITS: Final = Limits(call=10.0, read=0.0)
_RELEASE: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")


class Seen(NamedTuple):
    unit: str
    system: System | None = None
    availability: Availability = Availability()
    why: str = ""  # it could not be asked


async def firewall(device: Panos) -> Sequence[Line]:
    """A line a unit, and one about the pair where there is something to say."""
    seen = await asyncio.gather(*(_seen(device, unit) for unit in device.units))
    return [*(_unit_line(device, each) for each in seen), *_pair_lines(device, seen)]


async def _seen(device: Panos, unit: str) -> Seen:
    client = Client(device, unit, Time(), LIMITS)
    try:
        system = await system_of(client)
        availability = await availability_of(client)
        await tags_readable(client)
    except DeviceFault as fault:
        return Seen(unit, why=str(fault))
    finally:
        await client.close()
    return Seen(unit, system, availability)


def _unit_line(device: Panos, seen: Seen) -> Line:
    name = f"{device.name} {urlsplit(seen.unit).netloc}"
    if seen.system is None:
        what, _, fix = seen.why.rpartition("; ")
        return fail(FIREWALL, name, what or seen.why, fix if what else "look at it from this machine")
    system, availability = seen.system, seen.availability
    role = availability.state or "alone"
    found = f"{system.model} {system.version}, serial {system.serial}, {role}, tags are readable"
    if _release(system.version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return warn(FIREWALL, name, found, f"upgrade it: below {oldest} nothing of this was made for it")
    if device.vsys != "vsys1" and not system.many_vsys:
        return fail(FIREWALL, name, f"{found}; it has one virtual system alone", "leave `vsys` out")
    return ok(FIREWALL, name, found)


def _pair_lines(device: Panos, seen: Sequence[Seen]) -> Sequence[Line]:
    asked = [each for each in seen if each.system is not None]
    paired = [each for each in asked if each.availability.state]
    if len(device.units) == 1:
        if paired:
            fix = "list both management addresses in `units`"
            return [warn(FIREWALL, device.name, "it is one of a pair, and the other is not known here", fix)]
        return []
    if len(asked) < len(device.units):
        return []  # the lines of the units say it
    if not paired:
        fix = "give each firewall an entry of its own, or pair them"
        return [fail(FIREWALL, device.name, "its units are no pair", fix)]
    active = [each for each in paired if each.availability.serves]
    if len(active) != 1:
        said = " and ".join(each.availability.state for each in paired)
        return [fail(FIREWALL, device.name, f"its units say they are {said}", "look at high availability there")]
    if not active[0].availability.in_step:
        found = f"the pair is not in step: `{active[0].availability.sync}`"
        return [warn(FIREWALL, device.name, found, "synchronize it: a change now would reach one of them")]
    return [ok(FIREWALL, device.name, f"a pair; {urlsplit(active[0].unit).netloc} is active")]


def _release(version: str) -> tuple[int, ...]:
    """() for what is none: a device says what it likes."""
    found = _RELEASE.match(version)
    return (int(found[1]), int(found[2])) if found else ()
