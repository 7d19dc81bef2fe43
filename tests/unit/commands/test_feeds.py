"""`stagedoor feeds`: what is withheld is shown with its reason, and accepted as it was shown, where that helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.link import Message
from gateway.node import asking
from tests.support.commands import run, told

GIVEN = {
    "vendor": "bigip", "device": "dc1", "environment": "prod", "code": "", "why": "", "mark": "m1",
    "documents": ["as3.json", "data-groups/hosts.txt"], "lost": 0, "first": [],
}  # fmt: skip
HELD = GIVEN | {
    "code": "held", "why": "takes away 8 of 10", "mark": "m2", "documents": [], "lost": 8,
    "first": ["component:default/a", "component:default/\x1b[2Jb"],
}  # fmt: skip
ACCEPT = ("feeds", "accept", "--state", "s", "--device", "dc1", "--env", "prod")


class Engine:
    def __init__(self) -> None:
        self.feeds: list[Any] = [GIVEN]
        self.answer: Message = {"t": "accept_feed", "code": "", "why": "", "mark": "m2"}
        self.asked: list[Message] = []

    def ask(self, _folder: Path, _name: str, question: Message, *answers: str, within_s: float = 5.0) -> Message:
        self.asked.append(question)
        answer = {"t": "feeds", "feeds": self.feeds} if question["t"] == "feeds" else self.answer
        assert answer["t"] in answers
        assert within_s > 20, "every environment is made anew"
        return answer


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(asking, "ask", made.ask)
    return made


def test_what_is_given_is_listed_with_its_paths(engine: Engine) -> None:
    result = run("feeds", "list", "--state", "s")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "prod on dc1: given",
        "  /.stagedoor/feeds/bigip/dc1/prod/as3.json",
        "  /.stagedoor/feeds/bigip/dc1/prod/data-groups/hosts.txt",
    ]
    assert told("feeds", "list", "--state", "s") == {"feeds": [GIVEN]}


def test_what_is_withheld_exits_with_1(engine: Engine) -> None:
    engine.feeds = [HELD]
    result = run("feeds", "list", "--state", "s")
    assert result.exit_code == 1
    assert result.stdout == "prod on dc1: withheld (held)\n  takes away 8 of 10\n"


def test_without_readers_there_is_nothing_to_list(engine: Engine) -> None:
    engine.feeds = []
    assert "no device has `readers`" in run("feeds", "list", "--state", "s").stdout


@pytest.mark.parametrize("feeds", [[7], [{}], [{"device": 7, "documents": "x", "lost": "y", "first": [7]}]])
def test_an_engine_of_another_version_is_survived(engine: Engine, feeds: list[Any]) -> None:
    engine.feeds = feeds
    assert run("feeds", "list", "--state", "s").exit_code == 0


def test_what_was_shown_is_accepted_by_its_mark(engine: Engine) -> None:
    engine.feeds = [GIVEN | {"device": "dc2"}, HELD]
    result = run(*ACCEPT, "--yes")
    assert (result.exit_code, result.stdout) == (0, "accepted; it is given\n")
    assert engine.asked[-1] == {
        "t": "accept_feed", "vendor": "bigip", "device": "dc1", "environment": "prod", "mark": "m2",
    }  # fmt: skip
    assert "8 would go: component:default/a, component:default/\\x1b[2Jb, …" in result.stderr


def test_nobody_there_to_ask_accepts_nothing(engine: Engine) -> None:
    engine.feeds = [HELD]
    assert run(*ACCEPT, typed="y\n").exit_code == 2
    assert [each["t"] for each in engine.asked] == ["feeds"]


def test_what_is_given_needs_no_word(engine: Engine) -> None:
    result = run(*ACCEPT, "--yes")
    assert (result.exit_code, "nothing to accept" in result.stdout) == (0, True)
    assert [each["t"] for each in engine.asked] == ["feeds"]


@pytest.mark.parametrize("code", ["empty", "stale", "standby", "unsound", "unmade"])
def test_what_no_word_lifts_is_not_asked_about(engine: Engine, code: str) -> None:
    engine.feeds = [HELD | {"code": code}]
    assert told(*ACCEPT, "--yes", code=1) == {"code": code, "why": "takes away 8 of 10", "mark": "m2"}
    assert [each["t"] for each in engine.asked] == ["feeds"]


def test_a_catalog_that_changed_meanwhile_is_not_accepted(engine: Engine) -> None:
    engine.feeds = [HELD]
    engine.answer = {"t": "accept_feed", "code": "changed", "why": "look again"}
    result = run(*ACCEPT, "--yes")
    assert (result.exit_code, result.stdout) == (1, "not given: look again\n")


def test_a_device_that_nobody_reads_is_a_usage_error(engine: Engine) -> None:
    engine.feeds = [GIVEN | {"device": "dc2"}]
    result = run(*ACCEPT, "--yes")
    assert (result.exit_code, "nobody may read `prod` of `dc1`" in result.stderr) == (2, True)
