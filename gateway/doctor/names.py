"""DNS: do the names that this node and its callers depend on lead anywhere, asked from this machine?

A name is asked once, whoever wants to know it (`gateway.egress.look_ups`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from gateway.config import Settings
from gateway.doctor.lines import Line, fail, ok, some, warn
from gateway.egress.client_names import ClientNames
from gateway.egress.look_ups import Names

DNS: Final = "dns"


def client_connector(names: Names) -> aiohttp.BaseConnector:
    """aiohttp's own look-ups would keep the process waiting for a dead name server."""
    return aiohttp.TCPConnector(resolver=ClientNames(lambda host, port: names.addresses(host)))


async def central_host(settings: Settings, names: Names) -> Sequence[Line]:
    host = settings.central_host
    if not host:
        return [ok(DNS, "central host", "none is configured")]
    why = await _why_unknown(host, names)
    if why:
        fix = f"let `{host}` lead to this node, or to the load balancer before it, where people are"
        return [warn(DNS, host, f"does not resolve here: {why}", fix)]
    return [ok(DNS, host, f"leads to {some(await names.addresses(host))}")]


async def issuer_host(issuer_address: str, names: Names) -> Sequence[Line]:
    host = urlsplit(issuer_address).hostname or ""
    if _is_address(host):
        return [ok(DNS, host, "is an address")]
    why = await _why_unknown(host, names)
    if why:
        fix = "correct `issuers[].issuer`, or let this machine's name server know the name"
        return [fail(DNS, host, f"does not resolve: {why}", fix)]
    return [ok(DNS, host, f"leads to {some(await names.addresses(host))}")]


async def upstream_hosts(hosts: Iterable[str], names: Names) -> Sequence[Line]:
    """One line for all names of services: there may be hundreds."""
    wanted = sorted({host for host in hosts if host and not _is_address(host)})
    if not wanted:
        return [ok(DNS, "upstreams", "services are named by address alone")]
    answers = await asyncio.gather(*(_why_unknown(host, names) for host in wanted))
    unknown = [f"{host} ({why})" for host, why in zip(wanted, answers, strict=True) if why]
    if unknown:
        found = f"{len(unknown)} of {len(wanted)} names do not resolve: {some(unknown)}"
        return [fail(DNS, "upstreams", found, "correct the annotation `upstream`, or the name server's zone")]
    return [ok(DNS, "upstreams", f"all {len(wanted)} names resolve")]


async def _why_unknown(host: str, names: Names) -> str:
    """Why a name leads nowhere; "" when it leads somewhere."""
    try:
        return "" if await names.addresses(host) else "it has no address"
    except OSError as error:
        return error.strerror or str(error)
    except (UnicodeError, ValueError):
        return "it is no name"


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
