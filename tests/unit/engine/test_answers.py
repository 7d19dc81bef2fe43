"""What the engine answers about its compile: owners, origins and findings, by the code that answers on files."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.engine import answers
from gateway.engine.answers import FINDINGS_LIMIT, Answers, Live
from gateway.engine.linting import findings_as_json, ground_of
from gateway.engine.offline import compile_offline
from gateway.engine.origins import origin_of
from gateway.engine.precedence import Precedence
from policy.lint.checks import Ground, lint
from policy.lint.findings import Finding
from tests.support.catalogs import api, openapi, people, service, settings, write

NOW = 1_800_000_000
ACCESS = """\
version: 1
environments:
  prod: {owners: [all], everyone: [all]}
rules:
  - {deny: group:guests, in: [prod], because: Guests stay out.}
"""


@pytest.fixture
def live(tmp_path: Path) -> Live:
    (tmp_path / "access.yaml").write_text(ACCESS)
    write(tmp_path, "catalog/org.yaml", *people("team", "guests"))
    write(tmp_path, "catalog/a.yaml", service("a", providesApis=["a"]), api("a", openapi("GET /a")))
    write(tmp_path, "catalog/b.yaml", service("b", owner="guests"))
    compiled = compile_offline(replace(settings(tmp_path), central_host="door.example.com"))
    assert compiled.access.policy is not None
    return Live(compiled.published, compiled.catalog, compiled.entities, compiled.access)


def ask(live: Live | None, **question: Any) -> dict[str, Any]:
    return Answers().answer(live, question, NOW)


def rule_of(live: Live, reason: str) -> str:
    return next(rule.id for each in live.published for rule in each.rules if rule.reason == reason)


def findings(live: Live) -> list[dict[str, Any]]:
    assert live.access.policy is not None
    return findings_as_json(lint(ground_of(live, live.access.policy), "2027-01-15"))


def test_owners_are_told_and_what_is_unknown_has_none(live: Live) -> None:
    asked = ["component:default/a", "component:default/b", "component:default/none", 7]
    assert ask(live, t="owners", services=asked) == {
        "owners": {"component:default/a": "group:default/team", "component:default/b": "group:default/guests"}
    }
    assert ask(live, t="owners", services="component:default/a") == {"owners": {}}


def test_a_rule_is_told_as_on_files_with_the_owners_of_where_it_holds(live: Live) -> None:
    rule = rule_of(live, "denied")
    origin = origin_of(live, rule)
    assert origin is not None
    answer = ask(live, t="why", rule=rule)
    assert answer["origin"] == origin.as_json()
    assert answer["owners"]["component:default/a@prod"] == "group:default/team"
    assert answer["owners"]["component:default/b@prod"] == "group:default/guests"
    assert set(answer["owners"]) == set(origin.exposures)
    assert ask(live, t="why", rule="r-none") == {"origin": None, "owners": {}}


def test_findings_are_those_of_the_files_or_what_is_theirs(live: Live) -> None:
    every = ask(live, t="lint", most=FINDINGS_LIMIT)
    assert every["findings"] == findings(live)
    assert every["total"] == len(every["findings"]) > 1
    theirs = ask(live, t="lint", owners=["group:default/team"], most=FINDINGS_LIMIT)
    about = {each["about"].partition("@")[0] for each in theirs["findings"]}
    assert about
    assert about <= {"component:default/a", "api:default/a", "group:default/team"}
    assert ask(live, t="lint", owners=["group:default/none"], most=9)["findings"] == []
    assert ask(live, t="lint", owners=[], most=9)["findings"] == []


def test_findings_come_in_pages(live: Live) -> None:
    every = findings(live)
    pages = [ask(live, t="lint", begin=begin, most=1)["findings"] for begin in range(len(every))]
    assert [each for page in pages for each in page] == every
    assert ask(live, t="lint", begin=-5, most=True)["findings"] == []


def test_before_the_first_compile_nothing_is_known() -> None:
    assert ask(None, t="owners", services=[]) == {"fault": "policy_unavailable"}


def test_findings_are_found_once_for_what_is_published_on_a_day(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(ground: Ground, today: str) -> tuple[Finding, ...]:
        asked.append(today)
        return lint(ground, today)

    monkeypatch.setattr(answers, "lint", counted)
    kept = Answers()
    first = kept.answer(live, {"t": "lint", "most": 9}, NOW)
    assert kept.answer(live, {"t": "lint", "most": 9, "owners": None}, NOW + 1) == first
    kept.answer(live, {"t": "lint", "most": 9}, NOW + 86_400)
    kept.answer(live._replace(published=()), {"t": "lint", "most": 9}, NOW + 86_400)
    assert asked == ["2027-01-15", "2027-01-16", "2027-01-16"]


def test_lint_gives_way_to_a_round_between_one_service_and_the_next(live: Live) -> None:
    precedence, begun, done = Precedence(), threading.Event(), threading.Event()

    def give_way() -> None:
        begun.set()
        precedence.give_way()

    def work() -> None:
        Answers(give_way).answer(live, {"t": "lint", "most": 9}, NOW)
        done.set()

    with precedence.claimed():
        threading.Thread(target=work).start()
        assert begun.wait(10)
        assert not done.wait(0.05)
    assert done.wait(10)
    passed: list[None] = []
    Answers(lambda: passed.append(None)).answer(live, {"t": "lint", "most": 9}, NOW)
    assert len(passed) > 3 * len(live.published)
