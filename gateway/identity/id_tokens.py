"""ID tokens: who has just signed in, in answer to a question that this program asked (OpenID Connect Core 1.0).

An ID token counts once, for the sign-in that asked for it: it carries that sign-in's `nonce`, is for this client, of
the issuer that was asked, and of this moment (section 3.1.3.7). One that comes with a refresh speaks about the same
person and the same sign-in as the first (section 12.2). What is there is checked with its type, needed or not.

What a session keeps of it is named here too: the claims that find the person and the teams and say how they signed in,
and nothing that could be used elsewhere. Pure.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256, sha384, sha512
from typing import Any, Final, NamedTuple

import orjson

from gateway.errors import Refused
from gateway.identity.claims import mistyped
from gateway.identity.issuers import Claims, IssuerRules, IssuerTable
from gateway.identity.jwks import KeyRing
from gateway.identity.registered import is_time
from gateway.identity.signed import read_signed, refused_by_audience, refused_by_times, texts_in
from gateway.identity.strict import base64url, is_clean, json_object
from gateway.identity.tokens import KeyWanted

CLAIMS_LIMIT_BYTES: Final = 96 * 1024  # of what a session keeps: two thousand groups by their ids
MFA: Final = "mfa"  # RFC 8176: the strength that access policies ask for by name

_TYPES: Final = frozenset({"jwt", ""})
# SHA-2 of the same size as the signature's hash (section 3.1.3.6); Ed25519 is SHA-512's.
_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512, "DSA": sha512}
# Claims that every session keeps when they are there; what finds the person comes from the issuer's settings.
_KEPT: Final = ("iss", "sub", "email", "email_verified", "name", "preferred_username", "roles", "amr", "acr",
                "auth_time", "hasgroups", "_claim_names")  # fmt: skip
_AGREEING: Final = ("iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "auth_time", "acr", "amr", "sid")

_NONCE: Final = Refused("token_claims", "`nonce` is not the one of this sign-in")
_HASH: Final = Refused("token_claims", "`at_hash` does not fit the access token")
_OTHER_KIND: Final = Refused("token_type", "the token is no ID token")
_OTHER_SUBJECT: Final = Refused("token_claims", "`sub` is another one than before")
_OTHER_SIGN_IN: Final = Refused("token_claims", "the token is about another sign-in than before")


class Expected(NamedTuple):
    """What the ID token must fit. ``nonce``: of the sign-in. With ``sub`` it comes with a refresh of a session of this
    subject, and may leave the nonce out."""

    client_id: str
    nonce: str
    access_token: str = ""
    sub: str = ""


class IdToken(NamedTuple):
    claims: dict[str, object]
    subject: str
    provider_sid: str  # "" = the provider does not say


def read_id_token(
    token: bytes, expected: Expected, rules: IssuerRules, issuers: IssuerTable, keys: KeyRing, now: int
) -> IdToken | Refused | KeyWanted:
    """Who signed in, by the word of the issuer of ``rules``."""
    claims = read_signed(token, _TYPES, rules, issuers, keys, now)
    if not isinstance(claims, dict):
        return claims
    refused = (
        _refused_by_kind(claims)
        or refused_by_audience(claims, expected.client_id)
        or refused_by_times(claims, now, rules.leeway_s)
        or _refused_by_sign_in(claims, expected, now + rules.leeway_s)
        or _refused_by_hash(claims, token, expected.access_token)
    )
    if refused is not None:
        return refused
    return IdToken(claims, str(claims["sub"]), str(claims.get("sid", "")))


def read_userinfo(text: bytes, subject: str) -> dict[str, object] | Refused:
    """Section 5.3.2: an answer about another `sub` than the ID token's MUST NOT be used; neither is one without."""
    claims = json_object(text)
    if claims is None:
        return Refused("token_malformed", "the userinfo answer is not one JSON object")
    return claims if claims.get("sub") == subject else _OTHER_SUBJECT


def merged(claims: Claims, userinfo: Claims) -> dict[str, object]:
    """Userinfo beside the ID token, whose own word about the sign-in stands."""
    return {**{name: value for name, value in userinfo.items() if name not in _AGREEING}, **claims}


def kept_claims(claims: Claims, rules: IssuerRules, mfa_acr_values: tuple[str, ...]) -> dict[str, Any] | Refused:
    """What a session keeps. An `acr` that the operator says is a second factor's counts as one (RFC 8176, `mfa`)."""
    wanted = dict.fromkeys((*_KEPT, *(rule.claim.name for rule in rules.match)))
    wanted.update(dict.fromkeys(rule.claim.path[0] for rule in rules.match if rule.claim.path))
    if rules.groups is not None:
        wanted.update(dict.fromkeys((rules.groups.name, *rules.groups.path[:1])))
    kept = {name: claims[name] for name in wanted if name in claims}
    amr = texts_in(kept, "amr")
    if amr is None:
        return mistyped("amr")
    if kept.get("acr") in mfa_acr_values and MFA not in amr:
        kept["amr"] = [*amr, MFA]
    try:
        size = len(orjson.dumps(kept))
    except TypeError:  # a whole number beyond 64 bits, in a claim that may be anything
        return Refused("token_claims", "a claim is larger than any honest one")
    if size > CLAIMS_LIMIT_BYTES:
        return Refused("token_claims", f"the claims are larger than {CLAIMS_LIMIT_BYTES // 1024} KiB")
    return kept


def renewed_claims(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of a session after a refresh. Everything that gives rights is what the issuer says now; a claim that
    is missing now is gone. How and when the person signed in does not change by a refresh (section 12.2), so the first
    word about it stands where none comes, and no refresh makes a sign-in younger."""
    claims = {**{name: before[name] for name in ("amr", "acr", "auth_time") if name in before}, **now}
    if is_time(before.get("auth_time")) and is_time(now.get("auth_time")):
        claims["auth_time"] = min(before["auth_time"], now["auth_time"])
    return claims


def without_rights(before: Mapping[str, Any], rules: IssuerRules) -> dict[str, Any]:
    """For a refresh that came with no word about the person: who it is stays known, what gave rights is gone."""
    gone = {"roles", "hasgroups", "_claim_names"}
    gone.update({rules.groups.name, *rules.groups.path[:1]} if rules.groups is not None else ())
    named = {rule.claim.path[0] if rule.claim.path else rule.claim.name for rule in rules.match}
    return {name: value for name, value in before.items() if name not in gone or name in named}


def lacks_strength(claims: Mapping[str, Any], strengths: tuple[str, ...]) -> bool:
    """Whether a sign-in that says these claims has none of the strengths, of which one is needed."""
    had = {*(texts_in(claims, "amr") or ()), str(claims.get("acr", ""))}
    return bool(strengths) and had.isdisjoint(strengths)


def age_of(claims: Mapping[str, Any], now: int) -> int | None:
    """Seconds since the person showed who they are; None where the provider does not say."""
    auth_time = claims.get("auth_time")
    return now - auth_time if is_time(auth_time) else None


def _refused_by_kind(claims: Claims) -> Refused | None:
    if not is_clean(claims.get("sub")):
        return mistyped("sub")
    if "events" in claims or "cnf" in claims or str(claims.get("typ", "ID")).lower() != "id":  # Keycloak's `typ`
        return _OTHER_KIND
    for name in ("sid", "acr"):
        if name in claims and not is_clean(claims[name]):
            return mistyped(name)
    return None


def _refused_by_sign_in(claims: Claims, expected: Expected, latest: int) -> Refused | None:
    """``latest``: now, and as far ahead as clocks may differ."""
    nonce, auth_time = claims.get("nonce"), claims.get("auth_time")
    if nonce != expected.nonce and not (expected.sub and "nonce" not in claims):
        return _OTHER_SIGN_IN if expected.sub else _NONCE
    if expected.sub and claims.get("sub") != expected.sub:
        return _OTHER_SUBJECT
    if "auth_time" in claims and (not is_time(auth_time) or auth_time > latest):
        return mistyped("auth_time")
    return None


def _refused_by_hash(claims: Claims, token: bytes, access_token: str) -> Refused | None:
    """Section 3.1.3.6: the left half of the access token's hash."""
    said = claims.get("at_hash")
    if said is None or not access_token:
        return None if said is None or isinstance(said, str) else mistyped("at_hash")
    header = json_object(base64url(token.split(b".", 1)[0]) or b"") or {}
    digest = _HASHES[str(header["alg"])[-3:]](access_token.encode()).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    return None if said == half else _HASH
