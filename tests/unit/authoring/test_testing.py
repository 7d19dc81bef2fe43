"""JUnit XML as CI systems read it, whatever somebody wrote into a test, a catalog or a rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as xml

import pytest

from gateway.authoring.testing import Finding, Result, counts_of, junit_of, lines_of, results_as_json, sentence_of
from policy.facts import Source

HERE = Source("access.yaml", 7)
FINDING = Finding("user:default/jane", "component:default/a@prod", "GET /a", "permit owner", "r-abc", "Jane may.", HERE)
PASSED = Result("test", "jane GET https://a.b/ → permit", "passed", HERE, "permit", (FINDING,))
FAILED = PASSED._replace(status="failed", expected="refused no_rule")
BROKEN = Result("never", "never: a any", "failed", HERE, "nobody of these may", (FINDING,) * 30, decided=40)
VOID = Result("only", "only: b may read", "void", HERE, "nobody else may", (), "nobody is called `b`", "correct it")
HOSTILE = "\x00\x1b[31m<failure>]]>&'\"\ufffe\u202e é\ud800"


def suites(*results: Result) -> xml.Element:
    return xml.fromstring(junit_of(results, 0.25).encode("utf-8"))


def test_every_test_is_a_case_with_its_place_and_the_counts_add_up() -> None:
    root = suites(PASSED, FAILED, BROKEN, VOID)
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("time")) == ("4", "2", "1", "0.250")
    tests, invariants = root.findall("testsuite")
    assert [(each.get("name"), each.get("tests"), each.get("failures")) for each in (tests, invariants)] == [
        ("tests", "2", "1"), ("invariants", "2", "1"),
    ]  # fmt: skip
    passed, failed = tests.findall("testcase")
    assert (passed.get("name"), passed.get("classname"), list(passed)) == (PASSED.name, "stagedoor.test", [])
    assert (failed.get("file"), failed.get("line")) == ("access.yaml", "7")


def test_a_failure_says_what_was_expected_and_names_the_rule() -> None:
    (failure,) = suites(FAILED).iter("failure")
    assert failure.get("message") == "expected refused no_rule, got permit owner"
    assert "by r-abc (access.yaml:7): Jane may." in (failure.text or "")
    (failure,) = suites(BROKEN).iter("failure")
    assert failure.get("message") == "broken on 30 exposures of 40"
    assert (failure.text or "").rstrip().endswith("and 10 more exposures")
    (error,) = suites(VOID).iter("error")
    assert error.get("message") == "says nothing: nobody is called `b`"
    assert "to do: correct it" in (error.text or "")


@pytest.mark.parametrize("field", ["name", "void", "todo", "because", "expected"])
def test_hostile_text_stays_text(field: str) -> None:
    """XML 1.0, 2.2: no control characters, not even escaped; surrogates and non-characters neither."""
    for result in (FAILED, BROKEN, VOID):
        root = suites(result._replace(**dict[str, Any]({field: HOSTILE})))
        assert len(list(root.iter("testcase"))) == 1
        assert len([*root.iter("failure"), *root.iter("error")]) == 1
    finding = Finding(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, replace(HERE, file=HOSTILE))
    assert len(list(suites(FAILED._replace(findings=(finding,))).iter("failure"))) == 1


def test_the_form_for_programs_has_every_key() -> None:
    passed, void = results_as_json([PASSED, VOID])
    assert passed.keys() == void.keys()
    assert passed["findings"][0]["source"] == {"file": "access.yaml", "line": 7, "entity": ""}
    assert counts_of([PASSED, FAILED, BROKEN, VOID]) == {"passed": 1, "failed": 2, "void": 1}
    assert sentence_of(BROKEN._replace(findings=(FINDING,))) == "broken on 1 exposure of 40"
    assert lines_of(VOID)[:2] == ["at access.yaml:7", "note: nobody is called `b`"]
