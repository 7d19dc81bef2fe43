"""A signed text of an issuer that is no bearer token: ID tokens and logout tokens begin here.

The same narrow reading as `tokens.py` has for access tokens (RFC 7515, 8725): compact form of three segments, strict
base64url and JSON, an algorithm from the issuer's list that fits the key's type, a key of this very issuer found by
`kid`, or its only fitting one where there is none. HMAC and `none` do not exist. `jwk`, `jku`, `x5u` and `x5c` are
never looked at; `crit`, `b64`, `zip` and `enc` are refused. `typ` is one of those the caller allows, so that no kind of
token passes for another one.

Who calls knows with whom it is talking: the text must be of that issuer and no other, or a second provider could answer
in place of the first (mix-up). Pure: bytes, keys and a time in, claims or the reason against them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.errors import Refused
from gateway.identity.claims import mistyped
from gateway.identity.issuers import Claims, IssuerRules, IssuerTable
from gateway.identity.jwks import ALGORITHMS, KeyRing
from gateway.identity.registered import is_time
from gateway.identity.strict import base64url, is_clean, json_object
from gateway.identity.tokens import KEYS_LAST_S, MEANING_CHANGERS, TOKEN_LIMIT_BYTES, KeyWanted, signs_for

OLDEST_S: Final = 600  # since `iat`: each of these is made for the moment in which it is sent

_MALFORMED: Final = Refused("token_malformed", "the token is no signed text of three strict segments")
_ALGORITHM: Final = Refused("token_algorithm", "`alg` is not accepted from this issuer, or does not fit the key")
_ISSUER: Final = Refused("token_issuer", "`iss` is not the issuer that was asked")
_SIGNATURE: Final = Refused("token_signature", "the signature does not fit the issuer's key")
_KEY_UNKNOWN: Final = Refused("token_key_unknown", "the issuer has no such key")
_KEYS_UNAVAILABLE: Final = Refused("issuer_unavailable", "the issuer's keys could not be read")
_TYPE: Final = Refused("token_type", "the token is of another kind")
_AUDIENCE: Final = Refused("token_audience", "`aud` does not name this client, or it is not the one it was made for")
_EXPIRED: Final = Refused("token_expired", "`exp` is past, or `iat` long ago")
_EARLY: Final = Refused("token_not_yet_valid", "`nbf` or `iat` is in the future")


def read_signed(
    token: bytes, types: frozenset[str], rules: IssuerRules, issuers: IssuerTable, keys: KeyRing, now: int
) -> dict[str, object] | Refused | KeyWanted:
    """The claims that the issuer of ``rules`` signed. ``types``: what `typ` may say in lower case, "" for absent."""
    segments = token.split(b".", 3)
    read = [base64url(each) for each in segments] if len(token) <= TOKEN_LIMIT_BYTES else []
    if len(read) != 3 or not read[0] or not read[1] or read[2] is None:
        return _MALFORMED
    header, claims = json_object(read[0]), json_object(read[1])
    if header is None or claims is None or not MEANING_CHANGERS.isdisjoint(header):
        return _MALFORMED
    alg, kid, typ = header.get("alg"), header.get("kid", ""), header.get("typ", "")
    if not isinstance(alg, str) or alg not in ALGORITHMS or alg not in rules.algorithms:
        return _ALGORITHM
    if not isinstance(typ, str) or typ.lower() not in types or (typ == "" and "typ" in header):
        return _TYPE
    if "kid" in header and not is_clean(kid):
        return _MALFORMED
    iss = claims.get("iss")
    if not isinstance(iss, str) or issuers.by_iss.get(iss) is not rules:
        return _ISSUER
    key = keys.get(rules.name, str(kid)) if kid else keys.only(rules.name, alg)
    if now - keys.fetched_at(rules.name) > KEYS_LAST_S:
        return KeyWanted(rules.name, str(kid), _KEYS_UNAVAILABLE)
    if key is None or not signs_for(key, iss, rules):
        return KeyWanted(rules.name, str(kid), _KEY_UNKNOWN)
    if alg not in key.algorithms:
        return _ALGORITHM
    return claims if key.verify(alg, token[: token.rindex(b".")], read[2]) else _SIGNATURE


def refused_by_audience(claims: Claims, client_id: str) -> Refused | None:
    """OpenID Connect Core 1.0 section 3.1.3.7, steps 3 to 5: the token is for this client, and if it is for others
    too it says that this one asked for it."""
    aud, azp = claims.get("aud"), claims.get("azp")
    if isinstance(aud, str):
        aud = [aud]
    if not isinstance(aud, list) or not aud or not all(isinstance(each, str) for each in aud):
        return mistyped("aud")
    if client_id not in aud or (azp is not None and azp != client_id) or (len(set(aud)) > 1 and azp is None):
        return _AUDIENCE
    return None


def refused_by_times(claims: Claims, now: int, leeway_s: int) -> Refused | None:
    """`exp` and `iat` are needed, and the token is of this moment."""
    exp, iat, nbf = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    for name, value in (("exp", exp), ("iat", iat), ("nbf", nbf)):
        if not is_time(value):
            return mistyped(name)
    assert isinstance(exp, int) and isinstance(iat, int) and isinstance(nbf, int)
    if now >= exp + leeway_s or now - iat > OLDEST_S + leeway_s:
        return _EXPIRED
    return _EARLY if max(iat, nbf) > now + leeway_s else None


def texts_in(claims: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    """A text or a list of short texts; empty when absent, None when it is anything else."""
    value = claims.get(name)
    listed = [value] if isinstance(value, str) else value
    if listed is None:
        return ()
    return tuple(map(str, listed)) if isinstance(listed, list) and all(map(is_clean, listed)) else None
