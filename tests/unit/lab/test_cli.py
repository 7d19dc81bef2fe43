"""Promises about `stagedoor lab`: every obstacle is one sentence with a way out and an exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.lab.cli import command as lab
from gateway.lab.folder import LabFacts, LabFolder


def run(*words: str) -> Result:
    return CliRunner().invoke(lab, list(words))


def test_without_a_lab_a_token_says_how_to_start_one(tmp_path: Path) -> None:
    result = run("token", "--user", "jane", "--folder", str(tmp_path / "none"))
    assert result.exit_code == 4
    assert "make run" in result.stderr
    assert not (tmp_path / "none").exists()


def test_a_lab_that_has_ended_says_so(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    folder.prepare()
    folder.write_facts(LabFacts(8443, "http://127.0.0.1:9", "127.0.0.1:9", "c", "a", "stagedoor", "ca"))
    result = run("rotate-keys", "--folder", str(tmp_path))
    assert result.exit_code == 4
    assert "does not answer" in result.stderr


@pytest.mark.parametrize("words", [(), ("--user", "jane", "--client", "orders")])
def test_a_token_is_for_somebody_and_for_one(words: tuple[str, ...]) -> None:
    result = run("token", *words)
    assert result.exit_code == 2
    assert "--user jane or --client orders" in result.stderr


@pytest.mark.parametrize("ttl", ["soon", "0s", "1d", "", "1.5h"])
def test_a_lifetime_that_is_none_is_refused_with_examples(ttl: str) -> None:
    result = run("token", "--user", "jane", f"--ttl={ttl}")
    assert result.exit_code == 2
    assert "`90s`" in result.stderr


def test_outside_the_project_the_lab_says_what_is_missing(tmp_path: Path) -> None:
    result = run("run", "--catalog", str(tmp_path / "none"), "--folder", str(tmp_path / "lab"))
    assert result.exit_code == 4
    assert "does not exist" in result.stderr
    assert not (tmp_path / "lab").exists()
