"""`stagedoor test`: files and a node's state folder asked, in words, as JSON and as JUnit, with exit codes for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest

from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from gateway.terminal import settings_at
from tests.support.commands import run, told
from tests.unit.commands.test_questions import ACCESS, CATALOG, CONFIG

HOLDING = """\
tests:
  - jane with mfa GET https://shop.apps.example.com/items/7 in prod → permit owner
  - omar GET https://shop.apps.example.com/items/7 in prod → refused
never: contractors any in prod
"""
FAILING = """\
tests:
  - jane GET https://shop.apps.example.com/items/7 in prod → permit owner
  - {name: a slip, who: jane, call: refund, of: shop, in: prod, expect: permit}
only: [contractors may read of shop]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "stagedoor.yaml").write_text(CONFIG)
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "access.yaml").write_text(ACCESS + HOLDING)
    return tmp_path


def asked(files: Path, *words: str, code: int = 0) -> str:
    result = run("test", *words, "--config", str(files / "stagedoor.yaml"))
    assert result.exit_code == code, result.output
    return result.stdout


def test_what_holds_is_counted_and_exits_with_0(files: Path) -> None:
    assert asked(files) == "3 passed\n"
    assert asked(files, "--all").count("passed: ") == 3


def test_what_fails_says_expected_got_the_rule_and_where_it_comes_from(files: Path) -> None:
    (files / "access.yaml").write_text(ACCESS + FAILING)
    shown = asked(files, code=1)
    assert "failed: jane GET https://shop.apps.example.com/items/7 in prod → permit owner\n" in shown
    assert "  expected  permit owner\n  got       refused requirement_unmet\n" in shown
    assert "call      user:default/jane: GET /items/{id} of component:default/shop@prod" in shown
    assert "rule      r-" in shown
    assert "catalog.yaml:" in shown
    assert "failed: a slip" not in shown
    assert "void: a slip\n" in shown
    assert "failed: only: contractors may read of shop\n" in shown
    assert "  because   " not in shown
    assert shown.endswith("0 passed, 2 failed, 1 void\n")
    assert "\x1b" not in shown, "no colour without a terminal"


def test_the_form_for_programs_is_stable(files: Path) -> None:
    (files / "access.yaml").write_text(ACCESS + FAILING)
    found: Any = told("test", "--config", str(files / "stagedoor.yaml"), code=1)
    assert found["counts"] == {"passed": 0, "failed": 2, "void": 1}
    first = found["results"][0]
    assert (first["kind"], first["status"], first["source"]["line"]) == ("test", "failed", ACCESS.count("\n") + 2)
    assert first["findings"][0]["decision"] == "refused requirement_unmet"
    assert {tuple(sorted(each)) for each in found["results"]} == {tuple(sorted(first))}


def test_junit_is_written_beside_what_is_shown(files: Path, tmp_path: Path) -> None:
    (files / "access.yaml").write_text(ACCESS + FAILING)
    report = tmp_path / "report.xml"
    asked(files, "--junit", str(report), code=1)
    root = xml.parse(report).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "2", "1")
    result = run("test", "--junit", str(tmp_path / "no" / "report.xml"), "--config", str(files / "stagedoor.yaml"))
    assert result.exit_code == 3
    assert "cannot write" in result.stderr


def test_files_hold_other_tests_and_only_chooses_among_them(files: Path) -> None:
    more = files / "more.yaml"
    more.write_text(FAILING)
    assert "2 failed" in asked(files, str(more), code=1)
    assert asked(files, "--only", "OMAR") == "1 passed\n"
    assert run("test", "--only", "nobody", "--config", str(files / "stagedoor.yaml")).exit_code == 2
    more.write_text("tests: [jane GET]\nrules: []\n")
    result = run("test", str(more), "--config", str(files / "stagedoor.yaml"))
    assert result.exit_code == 3
    assert result.stderr.count("more.yaml:") == 2, result.stderr


def test_files_that_cannot_be_used_exit_with_3_and_every_fault(files: Path) -> None:
    (files / "access.yaml").write_text(ACCESS + "never: [contractors raed of, contractors]\n")
    result = run("test", "--config", str(files / "stagedoor.yaml"))
    assert result.exit_code == 3
    assert result.stderr.count("access.yaml:") == 2


def test_no_promise_is_no_failure(files: Path) -> None:
    (files / "access.yaml").write_text(ACCESS)
    assert asked(files).startswith("no tests and no invariants: write")


def test_what_a_node_serves_is_asked_with_the_policy_in_force_there(files: Path) -> None:
    """The files may be further: a change that breaks an invariant is held there, and fails here."""
    assert run("test", "--running", "--config", str(files / "stagedoor.yaml")).exit_code == 3
    settings = settings_at(files / "stagedoor.yaml", with_named_files=False)
    state = Path(settings.state_folder)
    Rounds(settings, Publisher(state), Journal(state)).round()
    assert asked(files, "--running") == "3 passed\n"
    (files / "access.yaml").write_text(ACCESS.replace("deny: group:default/contractors", "deny: user:default/nobody"))
    assert asked(files, "--running") == "3 passed\n"
    more = files / "more.yaml"
    more.write_text(FAILING)
    assert "1 void" in asked(files, "--running", str(more), code=1)


def test_check_tells_what_the_promises_come_to(files: Path) -> None:
    """A node would take the files: it holds what breaks a promise, and serves the rest."""
    result = run("check", "--config", str(files / "stagedoor.yaml"))
    assert "2 tests, 1 invariant, all hold" in result.output
    (files / "access.yaml").write_text(ACCESS + FAILING)
    result = run("check", "--config", str(files / "stagedoor.yaml"))
    assert "`only: contractors may read of shop` broken on 1 exposure of 1" in result.output
    assert result.exit_code == 0
