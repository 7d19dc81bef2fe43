"""The development CA: what it may sign, whose its keys are, and when it is made anew."""

from __future__ import annotations

import importlib.util
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

SCRIPT = Path(__file__).parents[3] / "certs" / "make.py"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
NAMES = ["localhost", "payments.prod.localhost", "127.0.0.1", "::1"]


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("certs_make", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path, make: ModuleType) -> Path:
    made = tmp_path / "certs"
    assert make.make_ca(made, NOW)
    assert make.make_leaf(made, "door", NAMES, NOW)
    return made


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_this_users_alone_and_p256(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for stem in ("ca", "door"):
        assert stat.S_IMODE((folder / f"{stem}.key").stat().st_mode) == 0o600
        key = certificate(folder / f"{stem}.pem").public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
    assert sorted(path.name for path in folder.iterdir()) == ["ca.key", "ca.pem", "door.key", "door.pem"]


def test_the_authority_may_sign_loopback_names_alone(folder: Path) -> None:
    constraints = certificate(folder / "ca.pem").extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    permitted = constraints.value.permitted_subtrees
    assert permitted is not None
    assert [str(name.value) for name in permitted] == ["localhost", "127.0.0.0/8", "::1/128"]


def test_the_leaf_names_what_was_asked_for_and_ends_within_browsers_limits(folder: Path) -> None:
    leaf = certificate(folder / "door.pem")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == NAMES
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=398)


@pytest.mark.parametrize("name", NAMES)
def test_openssl_accepts_the_chain_for_each_name(folder: Path, name: str, make: ModuleType) -> None:
    now = datetime.now(UTC)
    make.make_ca(folder / "now", now)
    make.make_leaf(folder / "now", "door", NAMES, now)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "now" / "door.pem", folder / "now" / "door.key")
    client = ssl.create_default_context(cafile=folder / "now" / "ca.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_hostname=name)
    answerer = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (caller, answerer):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert caller.version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["example.com", "localhost.example.com", "notlocalhost", "10.0.0.1", "::2", ""])
def test_other_names_are_refused(folder: Path, make: ModuleType, name: str) -> None:
    with pytest.raises(make.NameRefused, match=f"`{name}`"):
        make.make_leaf(folder, "door", ["localhost", name], NOW)


def test_a_second_call_changes_nothing(folder: Path, make: ModuleType) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert not make.make_ca(folder, NOW)
    assert not make.make_leaf(folder, "door", list(reversed(NAMES)), NOW)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_other_names_make_the_leaf_anew_and_keep_the_authority(folder: Path, make: ModuleType) -> None:
    assert not make.make_ca(folder, NOW)
    assert make.make_leaf(folder, "door", ["localhost"], NOW)


def test_a_leaf_near_its_end_is_made_anew(folder: Path, make: ModuleType) -> None:
    assert not make.make_leaf(folder, "door", NAMES, NOW + timedelta(days=59))
    assert make.make_leaf(folder, "door", NAMES, NOW + timedelta(days=61))


def test_an_authority_near_its_end_is_made_anew_and_its_leaves_with_it(folder: Path, make: ModuleType) -> None:
    later = NOW + timedelta(days=600)
    assert make.make_ca(folder, later)
    assert make.make_leaf(folder, "door", NAMES, later)


def test_a_leaf_of_another_authority_is_made_anew(folder: Path, make: ModuleType) -> None:
    (folder / "ca.key").unlink()
    assert make.make_ca(folder, NOW)
    assert make.make_leaf(folder, "door", NAMES, NOW)


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN CERTIFICATE-----\nzzz\n-----END CERTIFICATE-----\n"])
def test_a_damaged_certificate_is_made_anew(folder: Path, make: ModuleType, damage: bytes) -> None:
    (folder / "door.pem").write_bytes(damage)
    assert make.make_leaf(folder, "door", NAMES, NOW)


def test_a_leaf_is_no_authority(folder: Path, make: ModuleType) -> None:
    for suffix in ("pem", "key"):
        (folder / f"ca.{suffix}").write_bytes((folder / f"door.{suffix}").read_bytes())
    assert make.make_ca(folder, NOW)


def test_a_leaf_needs_an_authority(tmp_path: Path, make: ModuleType) -> None:
    with pytest.raises(FileNotFoundError):
        make.make_leaf(tmp_path, "door", ["localhost"], NOW)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_script_prints_what_it_made_and_nothing_the_second_time(tmp_path: Path) -> None:
    made = run("--out", tmp_path / "c", "--leaf", "door", *NAMES)
    assert made.returncode == 0, made.stderr
    assert made.stdout.split() == [str(tmp_path / "c" / "ca.pem"), str(tmp_path / "c" / "door.pem")]
    assert run("--out", tmp_path / "c", "--leaf", "door", *NAMES).stdout == ""


def test_the_script_refuses_a_public_name_in_one_sentence(tmp_path: Path) -> None:
    refused = run("--out", tmp_path / "c", "www.example.com")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "`www.example.com`" in refused.stderr
