"""Keys, tokens and certificates of the bench: one RSA issuer key, RS256 tokens of about 850 bytes, a small CA.

Tokens are minted once, kept in `bench/.work` and used until a day before they expire: 60,000 signatures take half
a minute, and measuring should not wait for them twice. The private key never leaves that folder.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from base64 import urlsafe_b64encode
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from bench.ground import AUDIENCE, DOMAIN, ISSUER, WORK

KEY_ID = "bench-2026-a"
LIFE_S = 30 * 86400
PEOPLE = 2_000
FOLDER = WORK / "credentials"


def _encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def issuer_key() -> rsa.RSAPrivateKey:
    path = FOLDER / "issuer.pem"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        _write_private(path, _pem(rsa.generate_private_key(65537, 2048)))
        (FOLDER / "tokens.json").unlink(missing_ok=True)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def public_pem() -> Path:
    path = FOLDER / "issuer-public.pem"
    pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(issuer_key().public_key().public_bytes(pem, info))
    return path


def jwks(key: rsa.RSAPrivateKey | None = None) -> str:
    numbers = (key or issuer_key()).public_key().public_numbers()
    modulus = numbers.n.to_bytes(256, "big")
    told = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "e": "AQAB", "n": _encoded(modulus)}
    return json.dumps({"keys": [told]})


def person(number: int) -> str:
    return f"user-{number % PEOPLE:04}"


def claims(number: int, now: int) -> dict[str, object]:
    """What token ``number`` says; it makes the token about 850 bytes long."""
    who = person(number)
    return {
        "iss": ISSUER, "sub": who, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + LIFE_S,
        "jti": f"{number:08x}-5d3c-4c63-9d8e-{number:012x}", "azp": "bench-client", "client_id": "bench-client",
        "scope": "openid profile email", "email": f"{who}@example.com", "email_verified": True,
        "name": f"Person {number:05}",
    }  # fmt: skip


def signed(key: rsa.RSAPrivateKey, said: dict[str, object]) -> str:
    head = _encoded(json.dumps({"alg": "RS256", "typ": "at+jwt", "kid": KEY_ID}, separators=(",", ":")).encode())
    text = f"{head}.{_encoded(json.dumps(said, separators=(',', ':')).encode())}"
    return f"{text}.{_encoded(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _mint(first: int, count: int, now: int) -> list[str]:
    key = issuer_key()
    return [signed(key, claims(number, now)) for number in range(first, first + count)]


def tokens(count: int) -> list[str]:
    """The first ``count`` tokens; token n is of person n modulo :data:`PEOPLE`."""
    issuer_key()
    path = FOLDER / "tokens.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"at": 0, "tokens": []}
    fresh: list[str] = kept["tokens"] if kept["at"] + LIFE_S > time.time() + 86400 else []
    if len(fresh) < count:
        now, step = int(time.time()) - 60, 1_000
        fresh = []
        with ProcessPoolExecutor(2) as pool:
            for some in pool.map(_mint, range(0, count, step), [step] * -(-count // step), [now] * -(-count // step)):
                fresh += some
        _write_private(path, json.dumps({"at": now, "tokens": fresh}).encode())
    return fresh[:count]


def certificates() -> tuple[Path, Path, Path]:
    """(authority, certificate, key): a P-256 leaf for every host of the bench, signed by a throw-away authority."""
    authority, leaf, key_path = FOLDER / "ca.pem", FOLDER / "leaf.pem", FOLDER / "leaf-key.pem"
    if authority.exists() and authority.stat().st_mtime > time.time() - 20 * 86400:
        return authority, leaf, key_path
    FOLDER.mkdir(parents=True, exist_ok=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = _name("bench authority"), _name(f"*.{DOMAIN}")
    ca = _certificate(ca_name, ca_name, ca_key, ca_key, x509.BasicConstraints(True, 0))
    signed = _certificate(name, ca_name, key, ca_key, x509.SubjectAlternativeName([x509.DNSName(f"*.{DOMAIN}")]))
    _write_private(key_path, _pem(key))
    leaf.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    authority.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return authority, leaf, key_path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signer, hashes.SHA256())
    )  # fmt: skip
