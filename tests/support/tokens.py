"""Tokens for tests: real keys made once for each run, signed by hand so that a test can get every byte wrong.

Nothing here goes through the code under test: JSON and base64 are the standard library's, signatures are PyJWT's.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

NOW = 1_800_000_000
ALGORITHMS = get_default_algorithms()


def base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


@cache
def private_key(kind: str) -> Any:
    """The run's key of this kind: `rsa`, `rsa-1024`, `p256`, `p384`, `p521`, `k256`, `ed25519`; `-2` for another."""
    name = kind.removesuffix("-2")
    if name.startswith("rsa"):
        bits = int(name.partition("-")[2] or 2048)
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    if name == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curve = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1(), "k256": ec.SECP256K1()}[name]
    return ec.generate_private_key(curve)


@dataclass(frozen=True)
class Signer:
    """One private key with the name and the algorithm its tokens carry."""

    kind: str
    alg: str
    kid: str

    @property
    def jwk(self) -> dict[str, Any]:
        public = ALGORITHMS[self.alg].to_jwk(private_key(self.kind).public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.alg, "key_ops": ["verify"]}

    def sign(self, header: object, claims: object) -> bytes:
        """A token of these parts; text and bytes are taken as they are, anything else is written as JSON."""
        message = base64url(_spelled(header)) + b"." + base64url(_spelled(claims))
        return message + b"." + base64url(self.signature(message))

    def signature(self, message: bytes) -> bytes:
        return bytes(ALGORITHMS[self.alg].sign(message, private_key(self.kind)))

    def header(self, **changes: object) -> dict[str, object]:
        """The header of an access token; a member set to ``...`` is left out."""
        return _changed({"alg": self.alg, "typ": "at+jwt", "kid": self.kid}, changes)

    def token(self, header: Mapping[str, object] | None = None, **changes: object) -> bytes:
        """A token that is accepted, but for ``header`` and the claims in ``changes``."""
        return self.sign(self.header(**(header or {})), claims(**changes))


def claims(**changes: object) -> dict[str, object]:
    good: dict[str, object] = {
        "iss": "https://idp.test",
        "sub": "jane",
        "aud": "api",
        "exp": NOW + 300,
        "iat": NOW - 10,
        "client_id": "web",
        "scope": "openid payments:read",
        "groups": ["payments"],
    }
    return _changed(good, changes)


def jwks(*signers: Signer) -> bytes:
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()


def _changed(good: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def _spelled(part: object) -> bytes:
    if isinstance(part, bytes):
        return part
    return (part if isinstance(part, str) else json.dumps(part, separators=(",", ":"))).encode()


RS256 = Signer("rsa", "RS256", "rsa-1")
PS256 = Signer("rsa", "PS256", "rsa-1")
ES256 = Signer("p256", "ES256", "ec-1")
EDDSA = Signer("ed25519", "EdDSA", "ed-1")
