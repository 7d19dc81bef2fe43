"""What a certificate says: names as clients compare them, dates as people read them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.certificates import DAY_S, Certificate, certificate_in, read_certificate, uncovered
from tests.support.certificates import make


def named(*names: str) -> Certificate:
    return Certificate("door.pem", frozenset(names), 0.0, 1.0)


def test_names_addresses_and_dates_are_read_from_a_real_file(tmp_path: Path) -> None:
    file, _ = make(tmp_path, "door", "localhost", "pay.localhost", "127.0.0.1", "::1", days_left=30)
    read = read_certificate(str(file))
    assert read.names == {"127.0.0.1", "::1", "localhost", "pay.localhost"}
    assert read.days_left(time.time()) == 30
    assert not read.is_over(time.time())


@pytest.mark.parametrize(
    ("name", "host", "covers"),
    [
        ("pay.example.com", "pay.example.com", True),
        ("pay.example.com", "PAY.Example.com.", True),
        ("*.example.com", "pay.example.com", True),
        ("*.example.com", "a.pay.example.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.0.0.1", "127.0.0.1", False),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "*.pay.example.com", False),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
def test_a_wildcard_stands_for_one_whole_label(name: str, host: str, covers: bool) -> None:
    assert named(name).covers(host) is covers


def test_hosts_that_no_certificate_names_are_left() -> None:
    certificates = [named("a.example.com"), named("*.b.example.com")]
    assert uncovered(["x.b.example.com", "c.example.com", "a.example.com"], certificates) == ["c.example.com"]


@pytest.mark.parametrize(
    ("now", "said", "over"),
    [
        (100 * DAY_S, "ends on 1970-06-20, in 70 days", False),
        (169 * DAY_S, "ends on 1970-06-20, in 1 day", False),
        (170 * DAY_S, "ended on 1970-06-20", True),
        (9 * DAY_S, "begins only on 1970-01-11 00:00 UTC", True),
    ],
)
def test_dates_are_said_for_a_person(now: float, said: str, over: bool) -> None:
    certificate = Certificate("door.pem", frozenset(), 10 * DAY_S, 170 * DAY_S)
    assert certificate.dates(now) == said
    assert certificate.is_over(now) is over


def test_what_is_no_certificate_is_a_value_error(tmp_path: Path) -> None:
    file = tmp_path / "door.pem"
    file.write_text("hello")
    with pytest.raises(ValueError):
        read_certificate(str(file))
    with pytest.raises(OSError):
        read_certificate(str(tmp_path / "absent.pem"))


def looked_up_s(names: Sequence[str], hosts: Sequence[str]) -> float:
    certificate = named(*names)
    begun = time.thread_time()
    assert uncovered(hosts, [certificate]) == sorted(hosts)
    return time.thread_time() - begun


def test_a_certificate_of_very_many_names_costs_its_reader_no_more_than_another() -> None:
    """Whoever shows one chooses how many names it has, and the engine asks it about every host there is."""
    hosts = [f"host-{number}.example.com" for number in range(500)]
    many = [f"{number:x}" for number in range(10_000)]
    pairs = [looked_up_s(many, hosts) / looked_up_s(many[:5], hosts) for _ in range(5)]
    assert sorted(pairs)[2] < 30  # a thousand and more, when each is looked at


NAMES = "2.5.29.17"  # RFC 5280 section 4.2.1.6


def shown(*extensions: tuple[str, bytes]) -> bytes:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    for oid, value in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "der",
    [
        b"",
        shown((NAMES, b"\xff\xff")),
        shown((NAMES, b"\x30\x04\x82\x02\xff\xfe")),  # a name that is no ASCII
        shown((NAMES, b"\x30\x04\xa3\x02\x05\x00")),  # an x400Address
        shown((NAMES, b"\x30\x00"), ("2.5.29.18", b"\x30\x00")).replace(b"\x55\x1d\x12", b"\x55\x1d\x11"),  # twice
    ],
)
def test_a_hostile_certificate_is_a_value_error_and_nothing_else(der: bytes) -> None:
    with pytest.raises(ValueError):
        certificate_in(der, "192.0.2.10:443")
