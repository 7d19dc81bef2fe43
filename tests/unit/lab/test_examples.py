"""Promises about the examples: a reader can start from them, because they are read without a single fault."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from gateway import config_load
from gateway.engine.access_files import read_access
from tests.support.running_lab import PROJECT


def test_the_commented_configuration_is_valid(tmp_path: Path) -> None:
    made = [sys.executable, str(PROJECT / "certs/make.py"), "--out", str(tmp_path), "--leaf", "door", "localhost"]
    subprocess.run(made, check=True, capture_output=True)
    text = (PROJECT / "examples/stagedoor.yaml").read_text()
    text = text.replace("tls/door.", f"{tmp_path}/door.").replace("tls/internal-ca", f"{tmp_path}/ca")
    for name in ("catalog", "access-policy.yaml"):
        text = re.sub(rf"(?<=[ \[]){name}(?=\]|$)", str(PROJECT / "examples" / name), text, flags=re.MULTILINE)
    (tmp_path / "stagedoor.yaml").write_text(text)
    settings = config_load.load(tmp_path / "stagedoor.yaml", {})
    assert [issuer.preset for issuer in settings.issuers] == ["okta", "entra", "github-actions"]
    assert settings.timeouts.drain_announce_s == 21.0
    assert set(settings.environments) == {"dev", "staging", "prod"}


def test_its_commented_defaults_are_the_defaults(tmp_path: Path) -> None:
    text = (PROJECT / "examples/stagedoor.yaml").read_text()
    shown = re.findall(r"# (head|fields|connections|connect|keepalive): (\w+)", text)
    assert dict(shown) == {
        "head": "32KiB", "fields": "100", "connections": "20000", "connect": "5s", "keepalive": "310s",
    }  # fmt: skip


def test_the_access_policy_is_valid() -> None:
    access = read_access(str(PROJECT / "examples/access-policy.yaml"))
    assert access.policy is not None
    assert list(access.faults) == []
