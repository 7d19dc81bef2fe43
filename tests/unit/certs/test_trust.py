"""Trusting the development CA: this user's databases alone, and no trace after the undo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CERTS = Path(__file__).parents[3] / "certs"
NEEDS_CERTUTIL = pytest.mark.skipif(shutil.which("certutil") is None, reason="certutil (libnss3-tools) is not here")


def run(home: Path, script: str, *arguments: str | Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HOME": str(home)} | ({"PATH": path} if path else {})
    return subprocess.run(
        [sys.executable, CERTS / script, *arguments], capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def certificate(home: Path) -> Path:
    assert run(home, "make.py", "--out", home / "certs").returncode == 0
    return home / "certs" / "ca.pem"


def trusted(database: Path) -> str:
    listed = subprocess.run(["certutil", "-d", f"sql:{database}", "-L"], capture_output=True, text=True, check=True)
    return listed.stdout


@NEEDS_CERTUTIL
def test_the_authority_comes_into_chromium_and_firefox_and_leaves_again(home: Path, certificate: Path) -> None:
    profile = home / ".mozilla" / "firefox" / "abc.default"
    profile.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{profile}", "-N", "--empty-password"], check=True)
    for _ in range(2):  # adding twice is adding once
        added = run(home, "trust.py", "add", certificate)
        assert added.returncode == 0, added.stderr
    databases = [home / ".pki" / "nssdb", profile]
    for database in databases:
        assert trusted(database).count("Stagedoor development CA") == 1
        assert "C,," in trusted(database)
    assert run(home, "trust.py", "remove").returncode == 0
    for database in databases:
        assert "Stagedoor" not in trusted(database)
    assert run(home, "trust.py", "remove").returncode == 0


@NEEDS_CERTUTIL
def test_a_database_that_refuses_is_named(home: Path, certificate: Path) -> None:
    profile = home / ".mozilla" / "firefox" / "broken"
    profile.mkdir(parents=True)
    (profile / "cert9.db").write_text("no database")
    added = run(home, "trust.py", "add", certificate)
    assert str(profile) in added.stderr
    assert str(profile) not in added.stdout


def test_without_certutil_the_way_for_programs_is_said(home: Path, certificate: Path) -> None:
    added = run(home, "trust.py", "add", certificate, path="/nonexistent")
    assert added.returncode == 1
    for word in ("libnss3-tools", f"CURL_CA_BUNDLE={certificate}", f"REQUESTS_CA_BUNDLE={certificate}"):
        assert word in added.stderr
    assert run(home, "trust.py", "remove", path="/nonexistent").returncode == 0


def test_a_certificate_that_is_not_there_is_named(home: Path) -> None:
    added = run(home, "trust.py", "add", home / "nowhere.pem")
    assert added.returncode == 1
    assert "nowhere.pem" in added.stderr
