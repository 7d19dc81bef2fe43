"""An authority for client certificates in tests: real keys, any names, any fault in the extensions."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.support.certificates import key_usage

DAY_S = 86400
CLIENT_AUTH, SERVER_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def uri(value: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(value)


def dns(value: str) -> x509.GeneralName:
    return x509.DNSName(value)


@dataclass(frozen=True)
class Certified:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def field(self) -> bytes:
        """As a load balancer passes it on."""
        return passed_on(self.pem)

    def write(self, folder: Path, name: str) -> tuple[str, str]:
        """Certificate and key as files."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(certificate), str(key)


def passed_on(pem: bytes) -> bytes:
    return quote(pem, safe="").encode()


class ClientAuthority:
    """Signs leaves, and other authorities."""

    def __init__(self, name: str = "Test CA", *, now: float, parent: ClientAuthority | None = None) -> None:
        self.now = now
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = parent or self
        builder = (
            self._begin(self.subject, signer.subject, self.key.public_key(), -DAY_S, 30 * DAY_S)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(key_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        if parent is not None:
            builder = builder.add_extension(_signed_by(parent), critical=False)
        self.own = Certified(builder.sign(signer.key, hashes.SHA256()), self.key)

    def leaf(
        self,
        *names: x509.GeneralName,
        begins_s: float = -DAY_S,
        ends_s: float = DAY_S,
        uses: Sequence[ObjectIdentifier] = (CLIENT_AUTH,),
        common_name: str = "leaf",
        ca: bool = False,
    ) -> Certified:
        """Validity is counted from the authority's ``now``. Without names there is no extension for them."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (
            self._begin(subject, self.subject, key.public_key(), begins_s, ends_s)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(key_usage(signs=ca), critical=True)
            .add_extension(_signed_by(self), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if ca:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return Certified(builder.sign(self.key, hashes.SHA256()), key)

    def _begin(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins_s: float, ends_s: float
    ) -> x509.CertificateBuilder:
        now = datetime.fromtimestamp(self.now, UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(seconds=begins_s))
            .not_valid_after(now + timedelta(seconds=ends_s))
        )


def client_context(server_ca: str, shown: tuple[str, str] | None) -> ssl.SSLContext:
    """What a client connects with, and the certificate it shows."""
    context = ssl.create_default_context(cafile=server_ca)
    if shown is not None:
        context.load_cert_chain(*shown)
    return context


def _signed_by(authority: ClientAuthority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
