"""Where clients meet the catalog before a device hands them on, and what they meet there: does DNS lead each host to
its virtual server, does the certificate there cover it, and until when?

Names are asked from this machine: where people ask another name server, "astray" may be wrong, so it stops nothing. A
virtual server is connected to as a client would, told a host, and asked for nothing. What DNS and a virtual server
answer is anybody's text: it is shown short, and only as far as it is an address or a name.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

from gateway.certificates import Certificate, certificate_in, uncovered

CONNECT_S: Final = 5.0
TRIED: Final = 3  # virtual servers of one environment, until one answers: all show the same profile
ASKED_AGAIN: Final = 20  # hosts that the first certificate does not cover; a profile may have more than one
NAMED: Final = 3
WHY_LENGTH: Final = 200
_WILDCARD_LABEL: Final = "stagedoor"  # what is asked for in place of `*`

LookUp = Callable[[str], Awaitable[Sequence[str]]]


class Front(NamedTuple):
    """A place of the catalog as clients of a device meet it. ``object``: the virtual server on the device."""

    entity: str
    title: str
    owner: str
    host: str
    path: str
    address: str
    port: int
    object: str


class Entrance(NamedTuple):
    """An environment on a device: ``addresses`` by host, each with the virtual server that should have it."""

    device: str
    environment: str
    port: int
    addresses: Mapping[str, str]


def nowhere(_desired: object) -> Sequence[Front]:
    """Of a device that meets no clients."""
    return ()


def entrance_of(device: str, environment: str, fronts: Iterable[Front]) -> Entrance:
    addresses: dict[str, str] = {}
    port = 0
    for front in fronts:
        addresses.setdefault(front.host, front.address)
        port = front.port
    return Entrance(device, environment, port, addresses)


# === DNS ===


async def leads_to(host: str, look_up: LookUp) -> frozenset[str]:
    """The addresses that a host leads to from here; none where nobody knows it."""
    try:
        found = await look_up(host.replace("*", _WILDCARD_LABEL))
        return frozenset(str(ip_address(each.partition("%")[0])) for each in found)
    except (OSError, UnicodeError, ValueError):
        return frozenset()


def is_right(host: str, there: frozenset[str], wanted: frozenset[str]) -> bool:
    """Whether it leads to a virtual server that should have it, and nowhere else. A name below `localhost` has no DNS:
    clients take it to loopback by themselves (RFC 6761, 6.3)."""
    if not there:
        return host.endswith(".localhost") and all(ip_address(each).is_loopback for each in wanted)
    return there <= wanted


def astray(host: str, there: frozenset[str], wanted: frozenset[str]) -> str:
    """Where a host leads instead, for a reader."""
    return f"{host} ({some(sorted(there)) or 'nowhere'} instead of {' or '.join(sorted(wanted))})"


def wanted_by(entrances: Iterable[Entrance]) -> dict[str, frozenset[str]]:
    """By host: a host may lead to the virtual server of any device of its environment."""
    wanted: dict[str, frozenset[str]] = {}
    for entrance in entrances:
        for host, address in entrance.addresses.items():
            wanted[host] = wanted.get(host, frozenset()) | {address}
    return wanted


# === certificates ===


class Shown(NamedTuple):
    """What the first virtual server that answered has shown; none of them, and ``why`` not."""

    certificates: tuple[Certificate, ...]
    why: str = ""

    def missing(self, hosts: Iterable[str]) -> list[str]:
        return uncovered(hosts, self.certificates)

    def over(self, now: float) -> Certificate | None:
        return next((each for each in self.certificates if each.is_over(now)), None)

    def first_to_end(self) -> Certificate:
        return min(self.certificates, key=lambda each: each.ends)


async def shown_at(entrance: Entrance) -> Shown:
    """Asked for one host, and again for those that what was shown does not cover."""
    failures = []
    by_address = {address: host for host, address in sorted(entrance.addresses.items(), reverse=True)}
    for address, host in sorted(by_address.items(), key=lambda each: each[1])[:TRIED]:
        try:
            shown = [await _certificate(address, entrance.port, host)]
        except (OSError, TimeoutError, ValueError) as error:
            failures.append(f"{address}:{entrance.port} ({_why(error)})")
            continue
        for each in uncovered(entrance.addresses, shown)[:ASKED_AGAIN]:
            if uncovered([each], shown):
                try:
                    shown.append(await _certificate(entrance.addresses[each], entrance.port, each))
                except (OSError, TimeoutError, ValueError):
                    break
        return Shown(tuple(shown))
    return Shown((), ", ".join(failures))


async def _certificate(address: str, port: int, host: str) -> Certificate:
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
    if isinstance(error, ConnectionError) and not error.strerror:
        return "it closed the connection"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()[:WHY_LENGTH]


def some(texts: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")
