"""What clients meet before a BIG-IP hands them on: does DNS lead every published host to its virtual server, and does
the certificate there cover it, and until when?

Names are asked from this machine: where people ask another name server, a warning here may be wrong, so it is none but
a warning. A virtual server is connected to as a client would, told a host, and asked for nothing.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

from gateway.certificates import SOON_S, Certificate, certificate_in, uncovered
from gateway.config import Settings
from gateway.config_devices import Bigip, BigipEnvironment
from gateway.doctor.lines import Line, fail, ok, some, warn
from gateway.doctor.listeners import TLS
from gateway.doctor.names import DNS, Names
from gateway.engine.network.bigip.assignment import Assignment
from gateway.engine.network.bigip.declaration import own_addresses
from gateway.engine.network.desired import Desired, desired_of
from gateway.engine.network.faults import DeviceFault
from gateway.engine.offline import Compilation

CONNECT_S: Final = 5.0
TRIED: Final = 3  # virtual servers of one environment, until one answers: all show the same profile
ASKED_AGAIN: Final = 20  # hosts that the first certificate does not cover; a profile may have more than one
BUDGET_S: Final = 60.0
_WILDCARD_LABEL: Final = "stagedoor"  # what is asked for in place of `*`


class Front(NamedTuple):
    """An environment on a device: ``addresses`` by host, each with the virtual server that should have it."""

    device: str
    environment: str
    port: int
    addresses: Mapping[str, str]


def fronts_of(settings: Settings, compilation: Compilation) -> list[Front]:
    """One for each device and environment. Raises `DeviceFault` when nobody knows who has which address."""
    assignment, now = Assignment(settings.state_folder), int(time.time())
    found = []
    for device in settings.devices.bigip:
        for environment in device.environments:
            desired = desired_of(environment.environment, compilation.base, compilation.published)
            assigned = assignment.assign(device, environment, desired, now, keep=False)
            found.append(_front(device, environment, desired, assigned))
    return found


def _front(device: Bigip, environment: BigipEnvironment, desired: Desired, assigned: Mapping[str, str]) -> Front:
    own = own_addresses(desired, environment, assigned)
    addresses: dict[str, str] = {}
    for place in desired.places:
        address = own[place.entity][0] if place.entity in own else environment.virtual_address
        if address:
            addresses.setdefault(place.host, address)
    return Front(device.name, environment.environment, environment.port, addresses)


# === DNS ===


async def host_lines(settings: Settings, compilation: Compilation, names: Names) -> Sequence[Line]:
    """One for each environment: a host may lead to the virtual server of any of its devices."""
    try:
        fronts = fronts_of(settings, compilation)
    except DeviceFault as fault:
        return [fail(DNS, "virtual servers", str(fault), "put the file back")]
    lines = []
    for environment in sorted({front.environment for front in fronts}):
        wanted: dict[str, set[str]] = {}
        for front in fronts:
            for host, address in front.addresses.items() if front.environment == environment else ():
                wanted.setdefault(host, set()).add(address)
        lines.append(await _host_line(environment, wanted, names))
    return lines


async def _host_line(environment: str, wanted: Mapping[str, set[str]], names: Names) -> Line:
    subject = f"hosts of {environment}"
    if not wanted:
        return ok(DNS, subject, "none is published")
    hosts = sorted(wanted)
    said = await asyncio.gather(*(_astray(host, wanted[host], names) for host in hosts))
    if astray := [each for each in said if each]:
        found = f"{len(astray)} of {len(hosts)} do not lead to their virtual server: {some(astray)}"
        return warn(DNS, subject, found, "correct the zone, unless people ask another name server than this machine")
    leading = "all lead" if len(hosts) > 1 else "it leads"
    return ok(DNS, subject, f"{len(hosts)}: {leading} to {'their' if len(hosts) > 1 else 'its'} virtual server")


async def _astray(host: str, wanted: set[str], names: Names) -> str:
    """Where a host leads instead; "" when it leads there, and nowhere else."""
    should = f"instead of {' or '.join(sorted(wanted))}"
    try:
        found = await names.addresses(host.replace("*", _WILDCARD_LABEL))
    except (OSError, UnicodeError, ValueError):
        return f"{host} (nowhere {should})"
    there = {str(ip_address(each.partition("%")[0])) for each in found}
    return "" if there and there <= wanted else f"{host} ({some(sorted(there)) or 'nowhere'} {should})"


# === certificates ===


async def certificate_lines(settings: Settings, compilation: Compilation) -> Sequence[Line]:
    """One for each device and environment."""
    try:
        fronts = fronts_of(settings, compilation)
    except DeviceFault:
        return []  # told beside the names
    return await asyncio.gather(*(_certificate_line(front) for front in fronts))


async def _certificate_line(front: Front) -> Line:
    subject = f"{front.device} {front.environment}"
    if not front.addresses:
        return ok(TLS, subject, "no host is published there")
    shown, why = await _first_shown(front)
    if not shown:
        fix = "`stagedoor plan` says whether the virtual server is there yet; else see why it does not answer"
        return warn(TLS, subject, f"nothing to be seen at {why}", fix)
    renew = "renew what the client SSL profile of the environment (`client_tls`) refers to"
    now = time.time()
    for certificate in shown:
        if certificate.is_over(now):
            return fail(TLS, subject, f"{certificate.file}: {certificate.dates(now)}", renew)
    if missing := uncovered(front.addresses, shown):
        found = f"no certificate for {len(missing)} of {len(front.addresses)} hosts: {some(missing)}"
        return fail(TLS, subject, found, "put one that names them into the client SSL profile (`client_tls`)")
    first = min(shown, key=lambda certificate: certificate.ends)
    verdict = warn(TLS, subject, first.dates(now), renew) if first.ends - now < SOON_S else None
    return verdict or ok(TLS, subject, f"{len(front.addresses)} covered; {first.dates(now)}")


async def _first_shown(front: Front) -> tuple[list[Certificate], str]:
    """What the first virtual server that answers shows, for a host and for those that it does not cover; else which
    ones did not answer, and why."""
    failures = []
    by_address = {address: host for host, address in sorted(front.addresses.items(), reverse=True)}
    for address, host in sorted(by_address.items(), key=lambda each: each[1])[:TRIED]:
        try:
            shown = [await _shown(address, front.port, host)]
        except (OSError, TimeoutError, ValueError) as error:
            failures.append(f"{address}:{front.port} ({_why(error)})")
            continue
        for each in uncovered(front.addresses, shown)[:ASKED_AGAIN]:
            if uncovered([each], shown):
                try:
                    shown.append(await _shown(front.addresses[each], front.port, each))
                except (OSError, TimeoutError, ValueError):
                    break
        return shown, ""
    return [], ", ".join(failures)


async def _shown(address: str, port: int, host: str) -> Certificate:
    """What is shown to who asks for the host. It is looked at, whoever signed it: that is for clients to judge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(CONNECT_S):
        name = host.replace("*", _WILDCARD_LABEL)
        _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return certificate_in(der, f"{address}:{port}")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S:.0f} s"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
