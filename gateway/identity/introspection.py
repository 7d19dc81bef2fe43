"""What an issuer answers about a token (RFC 7662), read as strictly as the token itself would be.

The answer about an opaque token takes the place of its claims: the same claims are needed, with the same types, and
the same rules find who it is. What an issuer leaves out is not made up here, so a token without audience is nobody's.
About a signed token that was verified before, the answer says whether it still counts and nothing more; who it is
stays what the issuer signed.

`active` is `true` or `false` and nothing that looks like it. Any other answer is none: the caller treats its issuer
as unavailable. Pure: the answer's bytes in, a value out.
"""

from __future__ import annotations

from typing import Final

from gateway.errors import Refused
from gateway.identity.claims import Verified, mistyped, read_claims
from gateway.identity.issuers import Claims, IssuerTable, answered
from gateway.identity.registered import refused_by_kind, refused_by_registered
from gateway.identity.strict import json_object

ANSWER_LIMIT_BYTES: Final = 32 * 1024

_INACTIVE: Final = Refused("token_inactive", "the issuer says that the token is not active")
_OTHER_ISSUER: Final = Refused("token_issuer", "the issuer answered for another one")
_OTHER_SUBJECT: Final = Refused("token_claims", "the issuer answered for another `sub`")
_NO_BEARER: Final = Refused("token_type", "`token_type` is not one for bearers")


def read_answer(text: bytes) -> Claims | None:
    """The answer's members, or None when ``text`` is no answer."""
    if len(text) > ANSWER_LIMIT_BYTES:
        return None
    answer = json_object(text)
    return answer if answer is not None and type(answer.get("active")) is bool else None


def is_active(answer: Claims) -> bool:
    return answer.get("active") is True


def ends_at(answer: Claims) -> int | None:
    """`exp`, when it is one: nothing need be remembered longer."""
    exp = answer.get("exp")
    return exp if type(exp) is int else None


def verified_by(
    answer: Claims, name: str, issuers: IssuerTable, signed: Verified | None, now: int, until: int
) -> Verified | Refused:
    """Whom the token speaks for by the word of issuer ``name``, which holds until ``until`` (epoch seconds)."""
    rules = issuers.named(name)
    if rules is None or not is_active(answer):
        return _INACTIVE
    if signed is not None:
        if answer.get("sub", signed.subject) != signed.subject:
            return _OTHER_SUBJECT
        signed.until = min(signed.until, until)
        return signed
    iss = answer.get("iss")
    if not isinstance(iss, str):
        return mistyped("iss")
    if issuers.by_iss.get(iss) is not rules:
        return _OTHER_ISSUER
    kind = answer.get("token_type", "Bearer")  # RFC 6749 section 5.1: without regard to case
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return _NO_BEARER
    # Ory Hydra's word for what others call `access`.
    claims = {each: value for each, value in answer.items() if each != "token_use" or value != "access_token"}
    if rules.sub_is_client:  # RFC 7662 section 2.2: `sub` is the resource owner, and a client alone has none
        claims.setdefault("sub", claims.get("client_id"))
    theirs = answered(rules)
    refused = refused_by_registered(claims, theirs, now) or refused_by_kind(claims, theirs)
    if refused is not None:
        return refused
    verified = read_claims(claims, theirs, "", now)
    if isinstance(verified, Verified):
        verified.until = min(verified.until, until)
    return verified
