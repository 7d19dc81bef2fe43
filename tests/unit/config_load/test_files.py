"""Files that the configuration names: what cannot be used is a fault at the place that names it, in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gateway import config_load
from tests.support.certificates import make

TEXT = """\
listeners:
  - name: main
    address: 127.0.0.1:8443
    tls:
      certificate: {certificate}
      key: {key}
      client_ca: {client_ca}
environments:
  prod:
    hosts: [.localhost]
    upstreams: [127.0.0.1/32]
    services:
      component:default/pay:
        tls: {{ca: {ca}}}
catalog: {{files: [catalog]}}
access_policy: access.yaml
state: {{folder: state}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path, "door", "localhost")
    make(tmp_path, "other", "other.localhost")
    (tmp_path / "junk.pem").write_text("no certificate here\n")
    (tmp_path / "access.yaml").write_text("version: 1\n")
    return tmp_path


def faults_of(folder: Path, **files: str) -> list[str]:
    named = {"certificate": "door.pem", "key": "door.key", "client_ca": "ca.pem", "ca": "ca.pem"} | files
    (folder / "stagedoor.yaml").write_text(TEXT.format(**named))
    try:
        config_load.load(folder / "stagedoor.yaml", {})
    except config_load.ConfigFaults as faults:
        return [str(fault).removeprefix(f"{folder}/") for fault in faults.faults]
    return []


def test_files_that_belong_together_are_taken(folder: Path) -> None:
    assert faults_of(folder) == []


@pytest.mark.parametrize(
    ("files", "line", "said"),
    [
        ({"key": "other.key"}, 4, "the key belongs to another certificate"),
        ({"certificate": "junk.pem"}, 4, "the first holds no certificate in PEM"),
        ({"key": "junk.pem"}, 4, "the second holds no private key in PEM"),
        ({"key": "absent.key"}, 4, "cannot read"),
        ({"client_ca": "junk.pem"}, 7, "holds no certificates"),
        ({"client_ca": "absent.pem"}, 7, "cannot read"),
        ({"ca": "junk.pem"}, 14, "holds no certificates"),
        ({"ca": "."}, 14, "holds no certificates"),
    ],
)
def test_what_cannot_be_used_is_told_where_it_is_named(
    folder: Path, files: dict[str, str], line: int, said: str
) -> None:
    (fault,) = faults_of(folder, **files)
    assert fault.startswith(f"stagedoor.yaml:{line}: ")
    assert said in fault


def test_a_key_with_a_password_is_named_as_one(folder: Path) -> None:
    """Nobody is there to type it when the node starts."""
    key = serialization.load_pem_private_key((folder / "door.key").read_bytes(), password=None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    (folder / "locked.key").write_bytes(locked)
    (fault,) = faults_of(folder, key="locked.key")
    assert "has a password" in fault
    assert "word" not in fault.replace("password", "")


def test_every_file_is_looked_at_in_one_reading(folder: Path) -> None:
    assert len(faults_of(folder, key="other.key", client_ca="junk.pem", ca="junk.pem")) == 3
