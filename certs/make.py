"""Makes a development certificate authority and leaves for `localhost` names. Never for anything that people reach.

    python certs/make.py --out .lab/certs --leaf door localhost payments.prod.localhost 127.0.0.1

writes `ca.pem`, `ca.key` and, when names are given, `door.pem`, `door.key`. Keys are P-256, made here and never
committed; key files can be read by this user alone. The authority may sign `localhost`, names below it and the
loopback addresses and nothing else (RFC 5280 §4.2.1.10), so that trusting it is a small step even if its key gets
away.

Calling it again changes nothing while everything holds; a certificate is made anew when it nears its end, when
the names differ, when it was signed by another authority or when its key is not the one beside it.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_NAME = "Stagedoor development CA"
CA_DAYS = 730
LEAF_DAYS = 90
RENEW_BELOW = 1 / 3  # of the lifetime
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class NameRefused(ValueError):
    """A name that the authority may not sign."""


def make_ca(folder: Path, now: datetime) -> bool:
    """`ca.pem` and `ca.key` in `folder`; true when they were made anew."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = _read(folder, "ca")
    if held is not None and _fresh(held[0], now) and _is_ca(held[0]):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CA_NAME)])
    permitted = [x509.DNSName("localhost"), *(x509.IPAddress(network) for network in LOOPBACK)]
    certificate = (
        _begin(name, name, key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder, "ca", certificate, key)
    return True


def make_leaf(folder: Path, leaf: str, names: Sequence[str], now: datetime) -> bool:
    """`LEAF.pem` and `LEAF.key` for all `names`, signed by the authority in `folder`; true when made anew."""
    wanted = [_san(name) for name in dict.fromkeys(names)]
    authority = _read(folder, "ca")
    if authority is None:
        raise FileNotFoundError(f"no certificate authority in `{folder}`")
    ca, ca_key = authority
    held = _read(folder, leaf)
    if held is not None and _fresh(held[0], now) and _sans(held[0]) == set(wanted) and _signed_by(held[0], ca):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    ca_identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _begin(subject, ca.subject, key.public_key(), now, LEAF_DAYS)
        .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write(folder, leaf, certificate, key)
    return True


# ------------------------------------------------------------------------------------------------- certificates


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks of one machine's containers differ a little
        .not_valid_after(now + timedelta(days=days))
    )


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """RFC 5280 section 4.2.1.3: an authority signs certificates and nothing else, a leaf proves that it has its key."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _san(name: str) -> x509.GeneralName:
    """The name as a certificate carries it; refused when the authority is not made for it."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        host = name.lower()
        if host == "localhost" or host.endswith(".localhost"):
            return x509.DNSName(host)
        raise NameRefused(f"`{name}` is neither `localhost`, nor below it, nor a loopback address") from None
    if not address.is_loopback:
        raise NameRefused(f"`{name}` is no loopback address")
    return x509.IPAddress(address)


def _sans(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _fresh(certificate: x509.Certificate, now: datetime) -> bool:
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - lifetime * RENEW_BELOW


def _signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


# -------------------------------------------------------------------------------------------------------- files


def _read(folder: Path, stem: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """A certificate and its key; None when either is absent, unreadable or not the other's."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{stem}.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{stem}.key").read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return certificate, key


def _write(folder: Path, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _replace(folder / f"{stem}.key", pem, 0o600)
    _replace(folder / f"{stem}.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Puts the file in place whole; it never exists with wider rights than `mode`."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as stream:
        stream.write(content)
    fresh.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="certs/make.py", description="development CA and leaves for localhost")
    parser.add_argument("--out", type=Path, default=Path(".lab/certs"), help="folder (default: %(default)s)")
    parser.add_argument("--leaf", default="door", help="name of the leaf's files (default: %(default)s)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="names and loopback addresses of the leaf")
    chosen = parser.parse_args(arguments)
    now = datetime.now(UTC)
    try:
        made = ["ca"] if make_ca(chosen.out, now) else []
        if chosen.names and make_leaf(chosen.out, chosen.leaf, chosen.names, now):
            made.append(chosen.leaf)
    except (NameRefused, OSError) as error:
        print(f"certs/make.py: {error}", file=sys.stderr)
        return 1
    for stem in made:
        print(chosen.out / f"{stem}.pem")
    return 0


if __name__ == "__main__":
    sys.exit(main())
