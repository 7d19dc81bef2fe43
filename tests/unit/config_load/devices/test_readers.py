"""Who may read a device's feeds, in the configuration: nobody unless it is said, and nobody says "all" by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config
from gateway.config.devices import Readers
from tests.support.certificates import make
from tests.unit.config_load.devices.test_bigip import LEAST
from tests.unit.config_load.test_load import MINIMAL, faults_of, load

CENTRAL = MINIMAL + "central_host: door.example.com\n"
LONG = "a-password-of-this-year"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    secrets = {"password": "a-secret", "now": LONG, "next": LONG + "-too", "short": "fifteen-letters"}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "open").write_text(LONG)
    (tmp_path / "open").chmod(0o644)
    return tmp_path


def with_readers(said: str, base: str = CENTRAL) -> str:
    return base + LEAST + f"      readers: {said}\n"


def test_without_them_nobody_reads(folder: Path) -> None:
    (device,) = load(folder, CENTRAL + LEAST).devices.bigip
    assert device.readers == Readers()


def test_all_of_it_reaches_the_roles_without_a_password(folder: Path) -> None:
    make(folder / "tls", "door", "localhost")
    tls = "{certificate: tls/door.pem, key: tls/door.key, client_ca: tls/ca.pem}"
    direct = f'"127.0.0.1:8443", direct: true, tls: {tls}}}'
    base = CENTRAL.replace('"127.0.0.1:8443"}', direct)
    said = "{networks: [198.51.100.0/24, '2001:db8::/64'], username: dc1, password_files: [now, next], "
    said += "certificates: ['dns:BigIP.example', 'spiffe://x.test/B']}"
    settings = load(folder, with_readers(said, base))
    (device,) = settings.devices.bigip
    assert device.readers == Readers(
        ("198.51.100.0/24", "2001:db8::/64"), "dc1", (str(folder / "now"), str(folder / "next")),
        ("dns:bigip.example", "spiffe://x.test/B"),
    )  # fmt: skip
    frame = config.encode(settings)
    assert config.decode(frame) == settings
    assert LONG.encode() not in frame


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{networks: []}", "is empty; name at least one"),
        ("{}", "`devices.bigip.0.readers.networks` is missing"),
        ("{networks: [198.51.100.7/24]}", "is no network"),
        ("{networks: [0.0.0.0/0]}", "`0.0.0.0/0` is nearly everybody; name the device's own addresses"),
        ("{networks: ['2000::/3']}", "is nearly everybody"),
        ("{networks: [10.0.0.0/7]}", "is nearly everybody"),
        ("{networks: [198.51.100.0/24], username: a}", "`username` is of no use without `password_files`"),
        ("{networks: [198.51.100.0/24], password_files: [now]}", "`password_files` is of no use without `username`"),
        ("{networks: [198.51.100.0/24], username: 'a:b', password_files: [now]}", "is no user name for Basic"),
        ("{networks: [198.51.100.0/24], certificates: [bigip.example]}", "write `dns:bigip.example.com`"),
        ("{networks: [198.51.100.0/24], certificates: ['dns:b.example']}", "no listener learns which certificate"),
        ("{networks: [198.51.100.0/24], network: x}", "did you mean"),
    ],
)
def test_a_fault_says_where_and_what(folder: Path, said: str, expected: str) -> None:
    faults = faults_of(folder, with_readers(said))
    assert any(expected in fault for fault in faults), faults
    assert all(fault.startswith("stagedoor.yaml:") for fault in faults)


def test_they_are_of_no_use_without_a_central_host(folder: Path) -> None:
    faults = faults_of(folder, with_readers("{networks: [198.51.100.0/24]}", MINIMAL))
    assert any("of no use without `central_host`" in fault for fault in faults), faults


def test_an_address_that_speaks_for_others_is_no_proof_by_itself(folder: Path) -> None:
    """Behind a virtual server that writes no X-Forwarded-For, everybody has the load balancer's own address."""
    base = CENTRAL.replace('"127.0.0.1:8443"}', '"127.0.0.1:8443", trusted_peers: [198.51.100.2/32]}')
    faults = faults_of(folder, with_readers("{networks: [198.51.100.0/24]}", base))
    assert any("trusted peers of listener `main`" in fault for fault in faults), faults
    with_password = "{networks: [198.51.100.0/24], username: dc1, password_files: [now]}"
    assert load(folder, with_readers(with_password, base)).devices.bigip[0].readers.username == "dc1"


@pytest.mark.parametrize(
    ("file", "expected"),
    [("nowhere", "cannot read"), ("open", "can be read by others"), ("short", "15 characters, fewer than 16")],
)
def test_a_password_file_that_cannot_be_used_is_a_fault(folder: Path, file: str, expected: str) -> None:
    said = f"{{networks: [198.51.100.0/24], username: dc1, password_files: [now, {file}]}}"
    found = faults_of(folder, with_readers(said))
    assert any(f"`{folder / file}`" in each and expected in each for each in found), found
    assert not any(LONG in each for each in found)
