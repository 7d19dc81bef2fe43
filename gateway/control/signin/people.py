"""From a provider's tokens to what a session keeps: one way, at sign-in and at every refresh.

The ID token is verified by `gateway.identity.id_tokens`, with the keys that are followed for this issuer anyway; a key
that is not known is asked for once. Then userinfo, where the operator says so, and the groups that did not fit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from gateway.control.signin.exchange import Exchange, ProviderAway, Tokens
from gateway.control.signin.groups import with_groups
from gateway.errors import Refused, StagedoorError
from gateway.identity.id_tokens import Expected, IdToken, kept_claims, merged, read_id_token, read_userinfo
from gateway.identity.issuers import IssuerRules, IssuerTable
from gateway.identity.jwks import KeyRing, read_keys
from gateway.identity.presets import key_uses
from gateway.identity.tokens import KeyWanted


class Unbelieved(StagedoorError):
    """What the provider sent is not what it must be. ``code`` is one of the token codes."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"{refused.code}: {refused.detail}")
        self.code = refused.code


class Person(NamedTuple):
    """``claims`` hold no token and nothing that the doors do not need."""

    subject: str
    claims: dict[str, Any]
    provider_sid: str


class Keys(NamedTuple):
    """Where an issuer's keys come from: those known now with the time of their reading, and a way to ask for one."""

    known: Callable[[str], tuple[Sequence[dict[str, Any]], int]]
    want: Callable[[str, str], Awaitable[None]]


async def verified(read: Callable[[KeyRing], Any], issuer_name: str, exchange: Exchange, keys: Keys) -> Any:
    """What ``read`` makes of a signed text with the issuer's keys. Raises `Unbelieved`."""
    found = read(_ring(issuer_name, exchange, keys))
    if isinstance(found, KeyWanted):
        await keys.want(found.issuer, found.kid)
        found = read(_ring(issuer_name, exchange, keys))
    if isinstance(found, KeyWanted):
        raise Unbelieved(found.refusal)
    if isinstance(found, Refused):
        raise Unbelieved(found)
    return found


async def person_of(
    tokens: Tokens, expected: Expected, exchange: Exchange, table: IssuerTable, keys: Keys, now: int
) -> Person:
    """Who the tokens are about. Raises `Unbelieved`, `ProviderAway`, `ProviderRefused`, `GrantRefused`."""
    name = exchange.issuer.name
    rules = rules_of(table, name)
    wanted = expected._replace(access_token=tokens.access_token)
    token = tokens.id_token.encode()
    said: IdToken = await verified(
        lambda ring: read_id_token(token, wanted, rules, table, ring, now), name, exchange, keys
    )
    claims = await _with_userinfo(dict(said.claims), said.subject, tokens, exchange)
    return Person(said.subject, await _kept(claims, rules, tokens, exchange), said.provider_sid)


async def person_by_userinfo(sub: str, tokens: Tokens, exchange: Exchange, table: IssuerTable) -> Person:
    """For a refresh that came without ID token: what userinfo says of the same subject."""
    claims = await _with_userinfo({"sub": sub}, sub, tokens, exchange)
    rules = rules_of(table, exchange.issuer.name)
    return Person(sub, await _kept(claims, rules, tokens, exchange), "")


def rules_of(table: IssuerTable, name: str) -> IssuerRules:
    rules = table.named(name)
    if rules is None:  # taken out of the settings a moment ago
        raise ProviderAway(f"issuer `{name}` is not configured any more")
    return rules


async def _kept(claims: dict[str, Any], rules: IssuerRules, tokens: Tokens, exchange: Exchange) -> dict[str, Any]:
    whole = await with_groups(claims, rules, exchange, tokens.access_token)
    kept = kept_claims(whole, rules, exchange.client.mfa_acr_values)
    if isinstance(kept, Refused):
        raise Unbelieved(kept)
    return kept


async def _with_userinfo(claims: dict[str, Any], subject: str, tokens: Tokens, exchange: Exchange) -> dict[str, Any]:
    if not exchange.client.userinfo:
        return claims
    if not tokens.access_token:
        raise ProviderAway("it gave no access token to ask userinfo with")
    said = read_userinfo(await exchange.userinfo(tokens.access_token), subject)
    if isinstance(said, Refused):
        raise Unbelieved(said)
    return merged(claims, said)


def _ring(name: str, exchange: Exchange, keys: Keys) -> KeyRing:
    jwks, fetched_at = keys.known(name)
    issuer = exchange.issuer
    found, _ = read_keys(jwks, issuer.algorithms, key_uses(issuer))
    return KeyRing().with_issuer(name, found, fetched_at)
