"""How Stagedoor shows a provider that it is the client it says: a secret, or a key that never leaves this machine.

Secrets and keys are read from their files for each call, so a rotated one counts at once. `client_secret_basic` is RFC
6749 section 2.3.1 to the letter (both parts form-encoded); `private_key_jwt` is RFC 7523, one assertion for each call,
a minute long, without `kid`: the provider knows one key of ours. Its audience is the issuer, which no other server can
pass on; the two providers that ask for the token endpoint instead get that.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import Any, Final
from urllib.parse import quote_plus

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.config import Issuer
from gateway.config.sign_in import Client
from gateway.errors import StagedoorError
from gateway.secret_files import read_secret

LASTS_S: Final = 60
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AT_TOKEN_ENDPOINT: Final = frozenset({"entra", "okta"})  # presets whose documentation asks for that audience


class ProofFault(StagedoorError):
    """The client's secret or key cannot be used."""


def proof(issuer: Issuer, client: Client, token_endpoint: str, now: int) -> tuple[dict[str, str], dict[str, str]]:
    """Header fields and form fields of a request to this provider. Raises `ProofFault`."""
    try:
        if client.method == "private_key_jwt":
            audience = token_endpoint if issuer.preset in AT_TOKEN_ENDPOINT else issuer.issuer
            return {}, {
                "client_id": client.id,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": _assertion(client, audience, now),
            }
        secret = read_secret(client.secret_file)
    except (OSError, ValueError, TypeError) as error:
        file = client.key_file if client.method == "private_key_jwt" else client.secret_file
        raise ProofFault(f"cannot use `{file}`: {type(error).__name__}") from None
    if client.method == "client_secret_post":
        return {}, {"client_id": client.id, "client_secret": secret}
    pair = f"{quote_plus(client.id)}:{quote_plus(secret)}"
    return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}, {}


def _assertion(client: Client, audience: str, now: int) -> str:
    with open(client.key_file, "rb") as opened:
        pem = opened.read(64 * 1024)
    private: Any = load_pem_private_key(pem, None)
    alg = "RS256"
    if isinstance(private, ec.EllipticCurvePrivateKey):
        alg = "ES256"
    elif isinstance(private, ed25519.Ed25519PrivateKey):
        alg = "EdDSA"
    claims = {
        "iss": client.id, "sub": client.id, "aud": audience, "iat": now, "exp": now + LASTS_S,
        "jti": secrets.token_urlsafe(16),
    }  # fmt: skip
    return jwt.encode(claims, private, alg)
