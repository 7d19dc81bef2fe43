"""`stagedoor doctor`: lines for people, a stable form for programs, an exit code for scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import run, told
from tests.support.ports import free_port

CONFIG = """\
listeners: [{{name: main, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
environments: {{prod: {{hosts: [.example.com], upstreams: [127.0.0.0/8]}}}}
catalog: {{files: [catalog.yaml]}}
access_policy: access.yaml
state: {{folder: state}}
limits: {{connections: 100}}
"""
GROUP = "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: team}\nspec: {type: team, children: []}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "stagedoor.yaml").write_text(CONFIG.format(port=free_port(), admin=free_port()))
    (tmp_path / "access.yaml").write_text("version: 1\nenvironments: {prod: {}}\n")
    (tmp_path / "catalog.yaml").write_text(GROUP)
    return tmp_path / "stagedoor.yaml"


def test_warnings_are_no_failure(config: Path) -> None:
    report = told("doctor", "--config", config)
    assert report["ok"] is True
    assert {line["verdict"] for line in report["lines"]} == {"OK", "WARN"}
    assert all(set(line) == {"check", "subject", "verdict", "found", "fix"} for line in report["lines"])


def test_a_failure_is_an_exit_code_of_one(config: Path) -> None:
    (config.parent / "catalog.yaml").unlink()
    report = told("doctor", "--config", config, code=1)
    assert report["ok"] is False
    assert [line["check"] for line in report["lines"] if line["verdict"] == "FAIL"] == ["catalog"]


def test_people_read_a_line_a_finding_and_the_fix_below_it(config: Path) -> None:
    result = run("doctor", "--config", config)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    warning = next(number for number, line in enumerate(lines) if line.startswith("WARN  catalog"))
    assert lines[warning + 1].strip().startswith("fix: owners publish a Component")
    assert lines[-1].endswith("0 failed")
    assert "\x1b" not in result.output


def test_a_certificate_that_cannot_be_read_is_a_line_and_not_the_end(config: Path) -> None:
    config.write_text(config.read_text().replace('"}]', '", tls: {certificate: a.pem, key: a.key}}]', 1))
    report = told("doctor", "--config", config, code=1)
    assert [line["check"] for line in report["lines"] if line["verdict"] == "FAIL"] == ["tls"]


def test_an_unreadable_configuration_is_told_as_such(config: Path) -> None:
    config.write_text("listeners: [\n")
    result = run("doctor", "--config", config, "--json")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert f"error: {config}:" in result.stderr
