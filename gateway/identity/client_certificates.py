"""Client certificates: from what a peer showed to the names a program may be known by.

A certificate names a program by its subject alternative names: a URI with an authority (`://`) as it stands, a SPIFFE
id above all, and a DNS name with `dns:` in front. No OAuth client is found by a SPIFFE id or a `dns:` name, whatever it
is called (`IssuerRules.is_ours`). The subject's common name counts for nothing (RFC 9525 section 6.3); neither do
wildcards, addresses or mail addresses, which name no one program. An X509-SVID has exactly one URI; one with more names
nobody.

There are two ways here. A certificate that TLS verified is only read. One that a trusted peer passes on is verified
against the listener's authorities: it is public, and what the peer vouches for is that its client held the key. How it
is written differs: PEM with percent-encoding (nginx, `URI::encode`), PEM whose lines a header made one (BIG-IP's
`X509::whole` and the field `SSLClientCert` of `X509::cert_fields`), base64 of DER alone, or that between colons
(RFC 9440, 2.1). Each holds the octets of certificates and nothing else.

Pure: bytes and a time in, a value out. Whatever cannot be read is nothing, and never an error.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple, final
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from gateway.identity.presets import DNS_NAME, PRESETS, SPIFFE
from gateway.identity.strict import is_clean

FIELD_BYTES: Final = 16 * 1024
CHAIN_LIMIT: Final = 4  # certificates that a peer passes on: the client's, then those between it and its authority
NAMES_LIMIT: Final = 16
_SPACES: Final = b" \t\r\n"
_BLOCK: Final = rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/= \t\r\n]{1,12288})-----END CERTIFICATE-----[ \t\r\n]*"
_PEM: Final = re.compile(rb"(?:" + _BLOCK.replace(b"(", b"(?:", 1) + rb")+")
_CERTIFICATE: Final = re.compile(_BLOCK)
_BASE64: Final = re.compile(rb"(:?)([A-Za-z0-9+/]{1,16384}={0,2})\1")
_UNREADABLE: Final = (
    ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType
)  # fmt: skip
_SPIFFE_ID: Final = re.compile(PRESETS["spiffe"].client_shape)


@final
class ClientCertificate(NamedTuple):
    """A verified client certificate. Times are epoch seconds, half-open."""

    names: tuple[str, ...]  # what a component's client id may be
    thumbprint: str  # as RFC 8705 section 3.1 writes `x5t#S256`
    begins: int
    ends: int
    authorities: bytes  # digest of those it was verified with


class Authorities:
    """Who may sign the certificates of a listener's clients."""

    __slots__ = ("_between", "_store", "digest")

    def __init__(self, pem: bytes) -> None:
        """Raises `ValueError` when ``pem`` holds no certificate, or none that stands for itself."""
        found = x509.load_pem_x509_certificates(pem)
        self.digest = sha256(pem).digest()
        self._store = Store([each for each in found if each.subject == each.issuer])
        self._between = [each for each in found if each.subject != each.issuer]

    def read(self, der: bytes) -> ClientCertificate | None:
        """A certificate that TLS verified with these authorities."""
        try:
            leaf = x509.load_der_x509_certificate(der)
            return _client_certificate([leaf], _names(leaf), self.digest)
        except _UNREADABLE:
            return None

    def verify(self, field: bytes, now: int) -> ClientCertificate | str:
        """A certificate that a trusted peer passes on in a field, or why it does not count."""
        chain_der = _passed_on(field) if len(field) <= FIELD_BYTES else []
        if not chain_der:
            return "it is neither PEM nor base64 of a certificate"
        try:
            leaf, *between = map(x509.load_der_x509_certificate, chain_der)
            if len(between) >= CHAIN_LIMIT:
                return f"it comes with more than {CHAIN_LIMIT - 1} others"
            names = _names(leaf)
            verifier = PolicyBuilder().store(self._store).time(datetime.fromtimestamp(now, UTC)).build_client_verifier()
            chain = verifier.verify(leaf, between + self._between).chain
            return _client_certificate(chain, names, self.digest) or "it is an authority's"
        except VerificationError as fault:
            return str(fault)
        except _UNREADABLE:
            return "it is no certificate that can be read"


def _passed_on(field: bytes) -> list[bytes]:
    """The certificates in DER; [] where ``field`` is none of the forms."""
    text = (unquote_to_bytes(field) if b"%" in field else field).strip(_SPACES)
    alone = _BASE64.fullmatch(text)
    if alone is None and not _PEM.fullmatch(text):
        return []
    written = [alone[2]] if alone is not None else _CERTIFICATE.findall(text)
    try:
        return [b64decode(each.translate(None, _SPACES), validate=True) for each in written]
    except ValueError:
        return []


def _client_certificate(
    chain: Sequence[x509.Certificate], names: tuple[str, ...], authorities: bytes
) -> ClientCertificate | None:
    leaf = chain[0]
    try:
        if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return None
    except x509.ExtensionNotFound:
        pass
    return ClientCertificate(
        names,
        urlsafe_b64encode(sha256(leaf.public_bytes(Encoding.DER)).digest()).rstrip(b"=").decode(),
        max(int(each.not_valid_before_utc.timestamp()) for each in chain),
        min(int(each.not_valid_after_utc.timestamp()) for each in chain),
        authorities,
    )


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """The names that may mean one program; none when there is doubt. Raises `ValueError` for what cannot be read."""
    try:
        said = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    uris = said.get_values_for_type(x509.UniformResourceIdentifier)
    ids = [uri for uri in uris if uri.lower().startswith(SPIFFE)]
    if ids and (len(uris) > 1 or not _SPIFFE_ID.fullmatch(ids[0])):
        return ()
    hosts = [f"{DNS_NAME}{name.lower()}" for name in said.get_values_for_type(x509.DNSName) if "*" not in name]
    names = [name for name in (*(uri for uri in uris if "://" in uri), *hosts) if is_clean(name) and name.isascii()]
    return tuple(dict.fromkeys(names)) if len(names) <= NAMES_LIMIT else ()
