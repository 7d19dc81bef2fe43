"""Issuers: discovery and keys fetched as control fetches them, tokens asked about as control asks, whether sessions can
be asked about again, and this machine's clock against theirs.

A clock that is wrong by more than the leeway of tokens (30 s) refuses good ones; a wrong one by minutes believes
revoked ones. The issuer's `Date` (RFC 9110 section 6.6.1) is exact to a second, and the answer's way takes half of
the time between question and answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from secrets import token_urlsafe
from typing import Final

import aiohttp

from gateway.config import Issuer
from gateway.control.fetch import (
    ALL_TENANTS,
    WELL_KNOWN,
    FetchFault,
    client_session,
    discovery,
    fetch_keys,
    is_allowed,
)
from gateway.control.introspection import Introspector
from gateway.control.signin.exchange import NEVER_ASKED_AGAIN, OFFLINE, todo_for_refresh
from gateway.doctor.lines import Line, counted, fail, ok, warn
from gateway.doctor.names import client_connector
from gateway.egress.look_ups import Names
from gateway.identity.issuers import TENANT
from gateway.identity.jwks import read_keys
from gateway.identity.presets import key_uses

ISSUER: Final = "issuer"
CLOCK: Final = "clock"
WANT_SCOPE: Final = ("okta", "entra", "auth0")  # give refresh tokens to who asks for `offline_access` alone
NOT_ACCEPTED: Final = (400, 401, 403)  # RFC 6749 section 5.2, RFC 7662 section 2.3
SKEW_WARN_S: Final = 30.0
SKEW_FAIL_S: Final = 300.0


async def keys(issuer: Issuer, names: Names) -> Sequence[Line]:
    """Whether the issuer's keys can be had and used for what its tokens may be signed with."""
    async with client_session(client_connector(names)) as session:
        try:
            fetched = await fetch_keys(session, issuer)
        except FetchFault as fault:
            fix = f"make it reachable from here, or correct `issuer` or `algorithms` of issuer `{issuer.name}`"
            return [fail(ISSUER, issuer.name, str(fault), fix)]
    usable, _ = read_keys(fetched.jwks, issuer.algorithms, key_uses(issuer))
    found = f"{counted(len(usable), 'usable key')} for {_listed(alg for key in usable for alg in key.algorithms)}"
    if fetched.warnings:
        found += f"; {len(fetched.warnings)} left out ({fetched.warnings[0]})"
    return [ok(ISSUER, issuer.name, found)]


async def refresh(issuer: Issuer, names: Names) -> Sequence[Line]:
    """Whether sessions of people who sign in there with a browser can be asked about again."""
    if issuer.client is None:
        return []
    subject = f"{issuer.name} sessions"
    async with client_session(client_connector(names)) as session:
        try:
            said = await discovery(session, issuer)
        except FetchFault as fault:
            fix = f"make it reachable from here, or correct `issuer` of issuer `{issuer.name}`: nobody signs in there"
            return [fail(ISSUER, subject, str(fault), fix)]
    scopes = issuer.client.scopes
    grants, offered = said.get("grant_types_supported"), said.get("scopes_supported")
    gives_none = isinstance(grants, list) and "refresh_token" not in grants
    wants_scope = issuer.preset in WANT_SCOPE or (
        issuer.preset == "generic" and isinstance(offered, list) and OFFLINE in offered
    )
    lacks_scope = wants_scope and OFFLINE not in scopes
    if lacks_scope or gives_none or issuer.preset == "google":
        found = (f"without scope `{OFFLINE}` " if lacks_scope else "") + NEVER_ASKED_AGAIN
        return [warn(ISSUER, subject, found, f"{todo_for_refresh(issuer.preset, scopes)} (issuer `{issuer.name}`)")]
    return [ok(ISSUER, subject, "refresh tokens are asked for, or come by themselves")]


async def introspection(issuer: Issuer, names: Names) -> Sequence[Line]:
    """Whether the issuer lets this node ask about tokens: about one that nobody was ever given."""
    asked = issuer.introspection
    if asked is None:
        return []
    subject = f"{issuer.name} introspection"
    async with client_session(client_connector(names)) as session:
        asker = Introspector(issuer, asked, session, wall=time.time, monotonic=time.monotonic)
        try:
            believed = await asker.is_active_now(f"doctor-{token_urlsafe(24)}")
        except FetchFault as fault:
            fix = f"correct `client_id`, `client_secret_file` or `url` of issuer `{issuer.name}`'s `introspection`"
            if not any(f"answered {status}" in str(fault) for status in NOT_ACCEPTED):
                fix = f"make it reachable from here, or {fix}"
            return [fail(ISSUER, subject, str(fault), fix)]
    if believed:
        fix = "ask the issuer's operators, and take `introspection` out until they have mended it"
        return [fail(ISSUER, subject, "it calls a made-up token active", fix)]
    return [ok(ISSUER, subject, f"answers, and accepts client `{asked.client_id}`")]


async def clock(issuer: Issuer, names: Names) -> Sequence[Line]:
    address = issuer.jwks_uri or issuer.issuer.replace(TENANT, ALL_TENANTS).removesuffix("/") + WELL_KNOWN
    fix = "let this machine keep time by NTP: `timedatectl` says whether it does"
    if not is_allowed(address):
        return [warn(CLOCK, issuer.name, f"`{address}` is not https, so its clock is not asked", "use https")]
    async with client_session(client_connector(names)) as session:
        try:
            skew_s = await _skew_s(session, address)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return [warn(CLOCK, issuer.name, "not compared: the issuer does not answer", "see `issuer` below")]
        except ValueError as error:
            return [warn(CLOCK, issuer.name, f"not compared: {error}", fix)]
    found = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the issuer's"
    if abs(skew_s) > SKEW_FAIL_S:
        return [fail(CLOCK, issuer.name, found, fix)]
    if abs(skew_s) > SKEW_WARN_S:
        return [warn(CLOCK, issuer.name, found, fix)]
    return [ok(CLOCK, issuer.name, f"within {max(1, round(abs(skew_s)))} s of the issuer's")]


async def _skew_s(session: aiohttp.ClientSession, address: str) -> float:
    """How far this clock is ahead."""
    asked = time.time()
    async with session.get(address, allow_redirects=False) as answer:
        said = answer.headers.get("Date", "")
    answered = time.time()
    if not said:
        raise ValueError("its answer has no `Date`")
    at = parsedate_to_datetime(said).replace(tzinfo=UTC).timestamp()  # always GMT, whatever it says
    return (asked + answered) / 2 - (at + 0.5)


def _listed(algorithms: Iterable[str]) -> str:
    return ", ".join(sorted(set(algorithms)))
