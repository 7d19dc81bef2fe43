"""Logout tokens: an issuer says that somebody's sign-in is over (OpenID Connect Back-Channel Logout 1.0, section 2.6).

Whoever could forge one, or make another token pass for one, could end anybody's session; whoever could send one twice
could end a later session with an old word. So it says what it is (`events`), is no ID token (no `nonce`), names a
subject or a session, is of this moment, and has an id that the caller remembers. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.errors import Refused
from gateway.identity.claims import mistyped
from gateway.identity.issuers import IssuerRules, IssuerTable
from gateway.identity.jwks import KeyRing
from gateway.identity.signed import read_signed, refused_by_audience, refused_by_times
from gateway.identity.strict import is_clean
from gateway.identity.tokens import KeyWanted

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_TYPES: Final = frozenset({"logout+jwt", "application/logout+jwt", "jwt", ""})

_NO_LOGOUT: Final = Refused("token_type", "`events` does not say that it is a logout token")
_NONCE: Final = Refused("token_type", "a logout token has no `nonce`")
_NOBODY: Final = Refused("token_claims", "it names neither a subject nor a session")


class LogoutToken(NamedTuple):
    """Whose sign-in is over: of this subject, in this session of the provider's, or both where both are named."""

    id: str
    subject: str
    provider_sid: str
    issued_at: int
    expires: int


def read_logout_token(
    token: bytes, client_id: str, rules: IssuerRules, issuers: IssuerTable, keys: KeyRing, now: int
) -> LogoutToken | Refused | KeyWanted:
    claims = read_signed(token, _TYPES, rules, issuers, keys, now)
    if not isinstance(claims, dict):
        return claims
    refused = refused_by_audience(claims, client_id) or refused_by_times(claims, now, rules.leeway_s)
    if refused is not None:
        return refused
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        return _NO_LOGOUT
    if "nonce" in claims:
        return _NONCE
    for name in ("jti", "sub", "sid"):
        if (name in claims or name == "jti") and not is_clean(claims.get(name)):
            return mistyped(name)
    subject, provider_sid = str(claims.get("sub", "")), str(claims.get("sid", ""))
    if not subject and not provider_sid:
        return _NOBODY
    issued_at, expires = claims["iat"], claims["exp"]
    assert isinstance(issued_at, int) and isinstance(expires, int)  # INVARIANT: `refused_by_times` looked
    return LogoutToken(str(claims["jti"]), subject, provider_sid, issued_at, expires)
