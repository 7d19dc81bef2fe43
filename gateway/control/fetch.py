"""Fetch an issuer's keys: discovery document, then JWKS, over HTTP as a careful stranger would.

What comes back decides who may come in, so the reading is narrow: `https` (plain `http` to a loopback address
alone), no redirects, one deadline, a size cap counted while reading, and a discovery document whose `issuer` is
the configured one to the letter (OpenID Connect Discovery 1.0, section 4.3: "The issuer value returned MUST be
identical"). A JWKS without one usable key is a fault and not an empty set: whoever calls keeps the keys it has.
No token chooses what is fetched here; only the configuration does.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final, NamedTuple, TypeGuard
from urllib.parse import urlsplit

import aiohttp

from gateway.config import Issuer
from gateway.errors import StagedoorError
from gateway.identity.issuers import TENANT
from gateway.identity.jwks import read_jwks
from gateway.identity.presets import key_uses
from gateway.identity.strict import json_object

DEADLINE_S: Final = 10.0
DOCUMENT_BYTES: Final = 256 * 1024
ADDRESS_LIMIT: Final = 2048
SHORTEST_REFRESH_S: Final = 300.0
LONGEST_REFRESH_S: Final = 24 * 3600.0
USUAL_REFRESH_S: Final = 3600.0  # where the provider does not say
ALL_TENANTS: Final = "organizations"  # where Microsoft describes the issuer of all of them, template and all
WELL_KNOWN: Final = "/.well-known/openid-configuration"

Jwk = dict[str, Any]


class FetchFault(StagedoorError):
    """The provider cannot be reached or says something that is no key set of this issuer."""


class Fetched(NamedTuple):
    jwks: tuple[Jwk, ...]
    refresh_s: float  # when to ask again
    warnings: tuple[str, ...]  # keys that were left out, and why


def client_session(connector: aiohttp.BaseConnector | None = None) -> aiohttp.ClientSession:
    """One session for all issuers: no cookies, no environment proxies, its own user agent."""
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=DEADLINE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "stagedoor", "Accept": "application/json"},
        trust_env=False,
    )


async def fetch_keys(session: aiohttp.ClientSession, issuer: Issuer) -> Fetched:
    """The issuer's usable keys, or `FetchFault`."""
    address = issuer.jwks_uri or await _discovered(session, issuer, "jwks_uri")
    body, cache_control = await _get(session, address)
    keys, faults = read_jwks(body, issuer.algorithms, key_uses(issuer))
    if not keys:
        raise FetchFault(f"`{address}` holds no usable key" + (f": {faults[0]}" if faults else ""))
    return Fetched(tuple(dict(key.jwk) for key in keys), refresh_after_s(cache_control), tuple(faults))


async def introspection_endpoint(session: aiohttp.ClientSession, issuer: Issuer) -> str:
    """Where the issuer is asked about tokens (RFC 8414 section 2), or `FetchFault`."""
    return await _discovered(session, issuer, "introspection_endpoint")


async def _discovered(session: aiohttp.ClientSession, issuer: Issuer, member: str) -> str:
    """An address in the issuer's discovery document."""
    found = (await discovery(session, issuer)).get(member)
    if not _can_be_shown(found):
        raise FetchFault(f"`{_discovery_address(issuer)}` names no `{member}`")
    return found


def _can_be_shown(text: object) -> TypeGuard[str]:
    """Whether it can stand in a fault, which people read in terminals, log lines and lists of checks."""
    return isinstance(text, str) and 0 < len(text) <= ADDRESS_LIMIT and text.isascii() and text.isprintable()


async def discovery(session: aiohttp.ClientSession, issuer: Issuer) -> dict[str, Any]:
    """What the issuer says about itself (OpenID Connect Discovery 1.0), or `FetchFault`."""
    address = _discovery_address(issuer)
    body, _ = await _get(session, address)
    document = json_object(body)
    if document is None:
        raise FetchFault(f"`{address}` is not one json object without duplicates")
    said = document.get("issuer")
    if said != issuer.issuer:
        theirs = f"issuer `{said}`" if _can_be_shown(said) else "what is no issuer"
        raise FetchFault(f"`{address}` speaks for {theirs}, configured is `{issuer.issuer}`")
    return document


def _discovery_address(issuer: Issuer) -> str:
    return issuer.issuer.replace(TENANT, ALL_TENANTS).removesuffix("/") + WELL_KNOWN


async def _get(session: aiohttp.ClientSession, address: str) -> tuple[bytes, str]:
    if not is_allowed(address):
        raise FetchFault(f"`{address}` is not https")
    try:
        async with session.get(address, allow_redirects=False) as answer:
            if answer.status != 200:
                raise FetchFault(f"`{address}` answered {answer.status}")
            body = await bounded(answer, address)
            return body, answer.headers.get("Cache-Control", "")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise FetchFault(f"cannot read `{address}`: {str(error) or type(error).__name__}") from error


async def bounded(answer: aiohttp.ClientResponse, address: str, most: int = DOCUMENT_BYTES) -> bytes:
    """The answer's body; `FetchFault` as soon as it is longer than ``most`` bytes."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most:
            raise FetchFault(f"`{address}` sent more than {most // 1024} KiB")
    return bytes(body)


def is_allowed(address: str) -> bool:
    """`https`, or `http` to a loopback address written as such (`localhost` included, RFC 6761). Visible ASCII alone
    (RFC 3986): `urlsplit` leaves line ends out, and who writes the address somewhere would not."""
    if not _can_be_shown(address) or " " in address:
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or parts.username is not None:
        return False
    if parts.scheme == "https":
        return True
    if parts.scheme != "http":
        return False
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refresh_after_s(cache_control: str) -> float:
    """`max-age` of RFC 9111 section 5.2.2, bounded; directives that forbid storing mean the shortest interval."""
    directives = cache_control.lower()
    if "no-store" in directives or "no-cache" in directives:
        return SHORTEST_REFRESH_S
    found = re.search(r'(?:^|[\s,])max-age="?([0-9]{1,9})', directives)
    if found is None:
        return USUAL_REFRESH_S
    return min(max(float(found[1]), SHORTEST_REFRESH_S), LONGEST_REFRESH_S)
