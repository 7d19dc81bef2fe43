"""What a certificate says: names as clients compare them, dates as people read them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.certificates import DAY_S, Certificate, read_certificate, uncovered
from tests.support.certificates import make


def named(*names: str) -> Certificate:
    return Certificate("door.pem", names, 0.0, 1.0)


def test_names_addresses_and_dates_are_read_from_a_real_file(tmp_path: Path) -> None:
    file, _ = make(tmp_path, "door", "localhost", "pay.localhost", "127.0.0.1", "::1", days_left=30)
    read = read_certificate(str(file))
    assert read.names == ("127.0.0.1", "::1", "localhost", "pay.localhost")
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
    certificate = Certificate("door.pem", (), 10 * DAY_S, 170 * DAY_S)
    assert certificate.dates(now) == said
    assert certificate.is_over(now) is over


def test_what_is_no_certificate_is_a_value_error(tmp_path: Path) -> None:
    file = tmp_path / "door.pem"
    file.write_text("hello")
    with pytest.raises(ValueError):
        read_certificate(str(file))
    with pytest.raises(OSError):
        read_certificate(str(tmp_path / "absent.pem"))
