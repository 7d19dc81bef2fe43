"""What clients meet before a BIG-IP hands them on: does DNS lead every published host to its virtual server, and does
the certificate there cover it, and until when? `stagedoor plan` looks at the same (`gateway.engine.network.fronts`),
in less time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.certificates import SOON_S
from gateway.config import Settings
from gateway.doctor.lines import Line, fail, ok, some, warn
from gateway.doctor.listeners import TLS
from gateway.doctor.names import DNS
from gateway.egress.look_ups import Names
from gateway.engine.network.bigip.as3.assignment import Assignment
from gateway.engine.network.bigip.fronts import fronts_of
from gateway.engine.network.desired import desired_of
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.fronts import Entrance, astray, entrance_of, is_right, leads_to, shown_at, wanted_by
from gateway.engine.offline import Compilation

BUDGET_S: Final = 60.0


def entrances_of(settings: Settings, compilation: Compilation) -> list[Entrance]:
    """One for each device and environment. Raises `DeviceFault` when nobody knows who has which address."""
    assignment, now = Assignment(settings.state_folder), int(time.time())
    found = []
    for device in settings.devices.bigip:
        for environment in device.environments:
            desired = desired_of(environment.environment, compilation.base, compilation.published)
            assigned = assignment.assign(device, environment, desired, now, keep=False)
            fronts = fronts_of(device, environment, desired, assigned)
            found.append(entrance_of(device.name, environment.environment, fronts))
    return found


# === DNS ===


async def host_lines(settings: Settings, compilation: Compilation, names: Names) -> Sequence[Line]:
    """One for each environment: a host may lead to the virtual server of any of its devices."""
    try:
        entrances = entrances_of(settings, compilation)
    except DeviceFault as fault:
        return [fail(DNS, "virtual servers", str(fault), "put the file back")]
    environments = sorted({entrance.environment for entrance in entrances})
    wanted = {name: wanted_by(each for each in entrances if each.environment == name) for name in environments}
    return [await _host_line(name, wanted[name], names) for name in environments]


async def _host_line(environment: str, wanted: Mapping[str, frozenset[str]], names: Names) -> Line:
    subject = f"hosts of {environment}"
    if not wanted:
        return ok(DNS, subject, "none is published")
    hosts = sorted(wanted)
    there = await asyncio.gather(*(leads_to(host, names.addresses) for host in hosts))
    said = [(host, found) for host, found in zip(hosts, there, strict=True) if not is_right(host, found, wanted[host])]
    if said:
        named = some([astray(host, found, wanted[host]) for host, found in said])
        found = f"{len(said)} of {len(hosts)} do not lead to their virtual server: {named}"
        return warn(DNS, subject, found, "correct the zone, unless people ask another name server than this machine")
    leading = "all lead" if len(hosts) > 1 else "it leads"
    return ok(DNS, subject, f"{len(hosts)}: {leading} to {'their' if len(hosts) > 1 else 'its'} virtual server")


# === certificates ===


async def certificate_lines(settings: Settings, compilation: Compilation) -> Sequence[Line]:
    """One for each device and environment."""
    try:
        entrances = entrances_of(settings, compilation)
    except DeviceFault:
        return []  # told beside the names
    return await asyncio.gather(*(_certificate_line(entrance) for entrance in entrances))


async def _certificate_line(entrance: Entrance) -> Line:
    subject = f"{entrance.device} {entrance.environment}"
    if not entrance.addresses:
        return ok(TLS, subject, "no host is published there")
    shown = await shown_at(entrance)
    if not shown.certificates:
        fix = "`stagedoor plan` says whether the virtual server is there yet; else see why it does not answer"
        return warn(TLS, subject, f"nothing to be seen at {shown.why}", fix)
    renew = "renew what the client SSL profile of the environment (`client_tls`) refers to"
    now = time.time()
    if (over := shown.over(now)) is not None:
        return fail(TLS, subject, f"{over.file}: {over.dates(now)}", renew)
    if missing := shown.missing(entrance.addresses):
        lacks = f"no certificate for {len(missing)} of {len(entrance.addresses)} hosts: {some(missing)}"
        return fail(TLS, subject, lacks, "put one that names them into the client SSL profile (`client_tls`)")
    first = shown.first_to_end()
    verdict = warn(TLS, subject, first.dates(now), renew) if first.ends - now < SOON_S else None
    return verdict or ok(TLS, subject, f"{len(entrance.addresses)} covered; {first.dates(now)}")
