"""What a certificate says: its names, how long it holds. For those who look before somebody else is turned away.

Names are compared as RFC 9525 section 6.3 says: a wildcard stands for exactly one whole label, the first; a common
name counts for nothing. The clock is an argument (epoch seconds).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

DAY_S: Final = 86400.0
SOON_S: Final = 21 * DAY_S  # a certificate that ends sooner wants to be renewed
LARGEST_BYTES: Final = 1024 * 1024


class Certificate(NamedTuple):
    """The first certificate of a file. Times are epoch seconds; names are lower case, and as many as its maker liked:
    they are looked up, never walked."""

    file: str
    names: frozenset[str]
    begins: float
    ends: float

    def covers(self, host: str) -> bool:
        """``host`` is a name, an address, or `*.name` for every name below."""
        host = host.lower().rstrip(".")
        label, _, rest = host.partition(".")
        if host in self.names:
            return True
        return label not in ("", "*") and f"*.{rest}" in self.names and not _is_address(host)

    def ends_on(self) -> str:
        return datetime.fromtimestamp(self.ends, UTC).strftime("%Y-%m-%d")

    def days_left(self, now: float) -> int:
        return int((self.ends - now) // DAY_S)

    def is_over(self, now: float) -> bool:
        return not self.begins <= now < self.ends

    def dates(self, now: float) -> str:
        """When it ends or ended, for a person."""
        if now < self.begins:
            return f"begins only on {datetime.fromtimestamp(self.begins, UTC):%Y-%m-%d %H:%M} UTC"
        days = self.days_left(now)
        if now >= self.ends:
            return f"ended on {self.ends_on()}"
        return f"ends on {self.ends_on()}, in {days} day{'' if days == 1 else 's'}"


def read_certificate(file: str) -> Certificate:
    """The leaf of a PEM file. Raises `OSError`, or `ValueError` when there is none to read."""
    with Path(file).open("rb") as opened:
        found = x509.load_pem_x509_certificates(opened.read(LARGEST_BYTES))
    return _certificate(file, found[0])


def certificate_in(der: bytes, place: str) -> Certificate:
    """The same of one that a server has shown; ``place`` stands for the file. Raises `ValueError`."""
    return _certificate(place, x509.load_der_x509_certificate(der))


def _certificate(file: str, leaf: x509.Certificate) -> Certificate:
    return Certificate(file, _names(leaf), leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp())


def uncovered(hosts: Iterable[str], certificates: Iterable[Certificate]) -> list[str]:
    """Those of ``hosts`` that no certificate is for."""
    known = tuple(certificates)
    return [host for host in sorted(set(hosts)) if not any(each.covers(host) for each in known)]


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as fault:
        raise ValueError(f"its names cannot be read: {fault}") from None
    names = {name.lower().rstrip(".") for name in said.get_values_for_type(x509.DNSName)}
    return frozenset(names | {str(address) for address in said.get_values_for_type(x509.IPAddress)})


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
