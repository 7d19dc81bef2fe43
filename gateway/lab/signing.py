"""The provider's signing keys: one current key per algorithm, and the ones before it for as long as they overlap.

A rotation makes a new current key and keeps publishing the previous one, as real providers do, so a token signed
a minute ago still verifies; the key before that leaves the JWKS, so its tokens stop. Keys live in one file of mode
0600 below `.lab/`. This module knows nothing of HTTP and takes the clock as an argument.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.lab.folder import write_private

Algorithm = Literal["RS256", "ES256"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
PUBLISHED_PER_ALGORITHM = 2  # the current key and the one before it


class SigningKey(NamedTuple):
    kid: str
    algorithm: Algorithm
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    def jwk(self) -> dict[str, Any]:
        """The public half as the JWKS shows it (RFC 7517)."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def pem(self) -> str:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


def make_key(algorithm: Algorithm) -> SigningKey:
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if algorithm == "RS256":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        private = ec.generate_private_key(ec.SECP256R1())
    return SigningKey(f"lab-{algorithm.lower()}-{secrets.token_hex(4)}", algorithm, private)


class SigningKeys:
    """All keys of the provider, newest first within an algorithm, saved at every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: list[SigningKey] = _read(path)
        missing = [alg for alg in ALGORITHMS if not any(key.algorithm == alg for key in self._keys)]
        if missing:
            self._keys.extend(make_key(alg) for alg in missing)
            self._save()

    def current(self, algorithm: Algorithm) -> SigningKey:
        return next(key for key in self._keys if key.algorithm == algorithm)

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.jwk() for key in self._keys]}

    def rotate(self) -> list[str]:
        """New current keys; the previous ones stay published, older ones leave. Returns the new kids."""
        kept: list[SigningKey] = []
        for algorithm in ALGORITHMS:
            previous = [key for key in self._keys if key.algorithm == algorithm]
            kept += [make_key(algorithm), *previous[: PUBLISHED_PER_ALGORITHM - 1]]
        self._keys = kept
        self._save()
        return [self.current(algorithm).kid for algorithm in ALGORITHMS]

    def sign(self, claims: dict[str, Any], algorithm: Algorithm, typ: str = "at+jwt") -> str:
        key = self.current(algorithm)
        return jwt.encode(claims, key.private, algorithm=algorithm, headers={"kid": key.kid, "typ": typ})

    def claims_of(self, token: str, issuer: str) -> dict[str, Any]:
        """What one of these keys signed and still counts; nothing of anything else."""
        for key in self._keys:
            try:
                public = key.private.public_key()
                return dict(
                    jwt.decode(token, public, algorithms=[key.algorithm], issuer=issuer, options={"verify_aud": False})
                )
            except jwt.InvalidTokenError:
                continue
        return {}

    def _save(self) -> None:
        entries = [{"kid": key.kid, "alg": key.algorithm, "pem": key.pem()} for key in self._keys]
        write_private(self._path, json.dumps({"version": 1, "keys": entries}))


def _read(path: Path) -> list[SigningKey]:
    if not path.exists():
        return []
    keys = []
    for entry in json.loads(path.read_text())["keys"]:
        private = serialization.load_pem_private_key(entry["pem"].encode(), password=None)
        if isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            keys.append(SigningKey(entry["kid"], entry["alg"], private))
    return keys
