"""What a service is told about a caller under a signature that it can check: one compact JWS, ES256, a minute's life.

A service that others can reach too, or that passes requests on, should not believe a header because of where it came
from. It reads this one, the key set of the host it is asked at (`/.stagedoor/jwks.json`), and three claims: `iss` is
the central host, `aud` is the service's own ref, `exp` is to come.

The keys follow from those that seal sessions (HKDF, RFC 5869), so nodes that share those share these, and nothing else
has to be kept. The newest key of a ring is published and not yet used; the one before it signs. So a key has been in
every key set for as long as it took to make the next, before anything is signed with it.

RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 section 3.4 (ES256: r and s, 32 bytes each). No clock and no I/O.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final, final

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from policy.facts import Principal

TYPE: Final = "stagedoor+jwt"
LIFETIME_S: Final = 60
TEAMS_LIMIT: Final = 100
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, SEC 2 section 2.4.2
_USE: Final = b"stagedoor upstream assertion 1"
_TEAM: Final = "group:"


@final
class ServiceSigner:
    """One key: signs, and says what it is called."""

    __slots__ = ("_private", "kid")

    def __init__(self, kid: str, secret: bytes) -> None:
        # 48 bytes before the reduction: no number is likelier than another (NIST SP 800-56A, 5.6.1.2.1).
        wide = HKDF(hashes.SHA256(), 48, None, _USE).derive(secret)
        self._private = ec.derive_private_key(int.from_bytes(wide, "big") % (_ORDER - 1) + 1, ec.SECP256R1())
        self.kid = f"a-{kid}"

    def sign(self, claims: dict[str, Any]) -> bytes:
        header = {"alg": "ES256", "typ": TYPE, "kid": self.kid}
        message = _spelled(orjson.dumps(header)) + b"." + _spelled(orjson.dumps(claims))
        r, s = decode_dss_signature(self._private.sign(message, ec.ECDSA(hashes.SHA256())))
        return message + b"." + _spelled(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def jwk(self) -> dict[str, str]:
        """The public half."""
        point = self._private.public_key().public_numbers()
        return {
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": _spelled(point.x.to_bytes(32, "big")).decode(), "y": _spelled(point.y.to_bytes(32, "big")).decode(),
        }  # fmt: skip


def signers_of(keys: Sequence[tuple[str, bytes]]) -> tuple[ServiceSigner, ...]:
    """Of the keys that seal sessions, in their order."""
    return tuple(ServiceSigner(kid, secret) for kid, secret in keys)


def signing(signers: Sequence[ServiceSigner]) -> ServiceSigner | None:
    """The one that signs now: the newest is only published, unless it is the only one."""
    return signers[1] if len(signers) > 1 else signers[0] if signers else None


def claims_for(principal: Principal, service: str, issuer: str, now: int) -> dict[str, Any]:
    """What ``service`` (its ref) is told. ``issuer``: where the key set is, `https://stagedoor.example.com`."""
    teams = sorted(subject for subject in principal.subjects if subject.startswith(_TEAM))
    told: dict[str, Any] = {
        "iss": issuer, "aud": service, "iat": now, "exp": now + LIFETIME_S, "sub": principal.ref,
        "kind": principal.kind, "idp": principal.issuer, "idp_sub": principal.subject,
    }  # fmt: skip
    if len(teams) <= TEAMS_LIMIT:
        told["groups"] = teams
    else:
        told["groups_omitted"] = len(teams)  # a list that was cut could pass for the whole
    if principal.client_id:
        told["client_id"] = principal.client_id
    if principal.auth_time:
        told["auth_time"] = principal.auth_time
    if principal.amr:
        told["amr"] = sorted(principal.amr)
    if principal.acr:
        told["acr"] = principal.acr
    act: dict[str, Any] | None = None
    for actor in reversed(principal.actors):  # RFC 8693 section 4.1: the latest outermost
        act = {"sub": actor.ref, **({"act": act} if act else {})}
    return told | ({"act": act} if act else {})


def _spelled(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")
