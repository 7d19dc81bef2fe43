"""The registered claims, and what kind of token they are in: the same questions for a signed token and for what an
issuer answers about one it was asked about.

The order is the one that tells an operator most. A claim that is there is checked with its type, whether it was
needed or not; a claim that an issuer's rules let be missing (``lacks``) counts as not said.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from gateway.errors import Refused
from gateway.identity.claims import client_of, mistyped
from gateway.identity.issuers import Claims, IssuerRules
from gateway.identity.strict import is_clean

TIME_LIMIT: Final = 2**40  # far beyond any honest date, and far below what overflows anything

# Claims that only ID tokens carry (OpenID Connect Core 1.0 sections 2, 3.3.2.11). Keycloak before 25 put `nonce` into
# access tokens too, but says Bearer there.
_ID_TOKEN_CLAIMS: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash"})
# What Keycloak and its kin call the other tokens in the payload's `typ`, and Cognito in `token_use`.
_OTHER_PAYLOAD_TYPES: Final = frozenset({"id", "refresh", "offline", "logout"})
# Security event tokens, logout tokens among them, have `events` (RFC 8417); tokens bound to a key `cnf` (RFC 7800);
# DPoP proofs `htm` and `htu` (RFC 9449 section 4.2).
_OTHER_KINDS: Final = frozenset({"events", "cnf", "htm", "htu"})

_AUDIENCE: Final = Refused("token_audience", "the token is meant for another audience")
_OTHER_KIND: Final = Refused("token_type", "the token is not an access token for bearers")
_ID_TOKEN: Final = Refused("token_type", "the token is an ID token, and this issuer's are not accepted")
_EXPIRED: Final = Refused("token_expired", "`exp` is past")
_EARLY: Final = Refused("token_not_yet_valid", "`nbf` or `iat` is in the future")


def refused_by_registered(claims: Claims, rules: IssuerRules, now: int) -> Refused | None:
    """The claims of RFC 7519 section 4.1, but for `iss`, which found the rules."""
    subject = claims.get("sub")
    if not is_clean(subject) or not str(subject).startswith(rules.trust_domain):
        return mistyped("sub")
    aud = claims.get("aud")
    if isinstance(aud, str):
        heard = aud in rules.audiences
    elif isinstance(aud, list) and aud and all(isinstance(one, str) for one in aud):
        heard = not rules.audiences.isdisjoint(aud)
    else:
        return mistyped("aud")
    if not heard:
        return _AUDIENCE
    exp, iat, nbf = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    if iat is None and "iat" in rules.lacks and "iat" not in claims:
        iat = 0
    if not is_time(exp):
        return mistyped("exp")
    if not is_time(iat):
        return mistyped("iat")
    if not is_time(nbf):
        return mistyped("nbf")
    if now >= exp + rules.leeway_s:
        return _EXPIRED
    if max(iat, nbf) > now + rules.leeway_s:
        return _EARLY
    return None


def refused_by_kind(claims: Claims, rules: IssuerRules) -> Refused | None:
    """Whether this is an access token for bearers, or one of the other tokens that the same issuer gives out."""
    if not claims.keys().isdisjoint(_OTHER_KINDS):
        return _OTHER_KIND
    said = claims.get("typ", "")
    if not isinstance(said, str):
        return mistyped("typ")
    said = said.lower()
    if (rules.payload_type and said != rules.payload_type) or said in _OTHER_PAYLOAD_TYPES:
        return _OTHER_KIND
    if rules.accept_id_tokens:
        return None
    if claims.get("token_use", "access") != "access":
        return _ID_TOKEN
    if said != "bearer" and not claims.keys().isdisjoint(_ID_TOKEN_CLAIMS):
        return _ID_TOKEN
    if rules.client_required and client_of(claims, rules) == "":
        return _ID_TOKEN
    return None


def is_time(value: object) -> TypeGuard[int]:
    """Epoch seconds in whole numbers; JSON's true is none. RFC 7519 section 2 allows fractions: no provider sends them,
    and floats hide infinities."""
    return type(value) is int and 0 <= value <= TIME_LIMIT
