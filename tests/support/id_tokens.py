"""ID tokens and logout tokens of an issuer, signed by hand so that a test can get every claim wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config import Groups, Issuer, MatchField
from gateway.identity.issuers import IssuerRules, IssuerTable
from gateway.identity.jwks import KeyRing, read_jwks
from gateway.identity.logout_tokens import EVENT
from tests.support.tokens import ES256, NOW, RS256, Signer, jwks

ISSUER = "https://idp.test"
CLIENT = "door"
NONCE = "n-0S6_WzA2Mj"
SSO = Issuer(
    "sso", ISSUER, ("api",), match=(MatchField("sub", "metadata.name"),),
    groups=Groups("groups", (MatchField("groups", "metadata.name"),)),
)  # fmt: skip
OTHER = Issuer("other", "https://other.test", ("api",), match=(MatchField("sub", "metadata.name"),))
TABLE = IssuerTable.from_settings([SSO, OTHER])


def rules(name: str = "sso") -> IssuerRules:
    found = TABLE.named(name)
    assert found is not None
    return found


def ring(*signers: Signer, at: int = NOW - 60) -> KeyRing:
    """The keys of `sso`; RS256 and ES256 unless others are given."""
    keys, faults = read_jwks(jwks(*(signers or (RS256, ES256))), SSO.algorithms)
    assert not faults
    return KeyRing().with_issuer("sso", keys, at)


def id_claims(**changes: object) -> dict[str, object]:
    good: dict[str, object] = {
        "iss": ISSUER, "sub": "jane", "aud": CLIENT, "exp": NOW + 300, "iat": NOW - 2, "nonce": NONCE,
        "auth_time": NOW - 5, "acr": "two", "amr": ["pwd", "otp"], "sid": "p-1", "groups": ["payments"],
    }  # fmt: skip
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def id_token(header: Mapping[str, object] | None = None, signer: Signer = RS256, **changes: object) -> bytes:
    return signer.sign(signer.header(**{"typ": "JWT", **(header or {})}), id_claims(**changes))


def logout_claims(**changes: object) -> dict[str, Any]:
    good: dict[str, Any] = {
        "iss": ISSUER, "aud": CLIENT, "exp": NOW + 120, "iat": NOW - 2, "jti": "j-1", "sub": "jane", "sid": "p-1",
        "events": {EVENT: {}},
    }  # fmt: skip
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def logout_token(header: Mapping[str, object] | None = None, signer: Signer = RS256, **changes: object) -> bytes:
    return signer.sign(signer.header(**{"typ": "logout+jwt", **(header or {})}), logout_claims(**changes))
