"""`stagedoor catalog accept-losses`: what is let go was shown before, and every other ending has its own exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.commands import catalog
from gateway.link import Message
from gateway.node import asking, status
from tests.support.commands import run, told
from tests.unit.node.test_status import ENGINES

HELD = {"user": {"count": 25, "first": ["user:default/a", "user:default/\x1b[2Jb"]}}
ACCEPTED = {"t": "losses_accepted", "accepted": {"user": 25}, "held": {}, "failure": "", "base": "new"}


class Engine:
    """Holds losses, and remembers what it was asked."""

    def __init__(self, answer: Message) -> None:
        self.answer = answer
        self.asked: list[Message] = []
        self.held: dict[str, Any] = HELD

    def ask(self, _folder: Path, _name: str, question: Message, *answers: str, within_s: float = 5.0) -> Message:
        self.asked.append(question)
        if question["t"] == "status":
            return ENGINES | {"held": self.held, "mark": "m" if self.held else ""}
        assert self.answer["t"] in answers
        assert within_s > 60, "a compile is waited for"
        return self.answer


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(dict(ACCEPTED))
    monkeypatch.setattr(status, "ask", made.ask)
    monkeypatch.setattr(asking, "ask", made.ask)
    return made


def test_what_was_shown_is_accepted_by_its_mark(engine: Engine) -> None:
    result = run("catalog", "accept-losses", "--state", "s", "--yes")
    assert result.exit_code == 0
    assert engine.asked[-1] == {"t": "accept_losses", "mark": "m"}
    assert result.stdout == "accepted; new is published\n"
    assert "25 of kind user are gone: user:default/a, user:default/\\x1b[2Jb, …" in result.stderr


@pytest.mark.parametrize(("typed", "code", "is_asked"), [("y\n", 0, True), ("n\n", 1, False), ("\n", 1, False)])
def test_a_person_is_asked_first(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, is_asked: bool
) -> None:
    monkeypatch.setattr(catalog, "_is_attended", lambda: True)
    result = run("catalog", "accept-losses", "--state", "s", typed=typed)
    assert result.exit_code == code
    assert ("accept_losses" in [question["t"] for question in engine.asked]) is is_asked


def test_nobody_there_to_ask_is_a_usage_error(engine: Engine) -> None:
    result = run("catalog", "accept-losses", "--state", "s", typed="y\n")
    assert result.exit_code == 2
    assert [question["t"] for question in engine.asked] == ["status"]


def test_nothing_held_is_nothing_to_do(engine: Engine) -> None:
    engine.held = {}
    assert told("catalog", "accept-losses", "--state", "s") == {"accepted": {}, "held": {}, "base": "abc"}
    assert "no loss is held" in run("catalog", "accept-losses", "--state", "s").stdout
    assert {question["t"] for question in engine.asked} == {"status"}


def test_more_held_than_was_shown_accepts_nothing(engine: Engine) -> None:
    engine.answer = {"t": "losses_changed", "held": {"user": 26}}
    said = told("catalog", "accept-losses", "--state", "s", "--yes", code=1)
    assert said == {"accepted": {}, "held": {"user": 26}, "base": "abc"}


def test_a_round_that_fails_afterwards_is_partly_done(engine: Engine) -> None:
    engine.answer = ACCEPTED | {"failure": "OSError: disk full"}
    result = run("catalog", "accept-losses", "--state", "s", "--yes")
    assert result.exit_code == 5
    assert "disk full" in result.stdout


# === sync ===


def test_catalogs_are_looked_at_now_and_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Message] = []

    def ask(_folder: Path, _name: str, question: Message, *answers: str, within_s: float = 5.0) -> Message:
        asked.append(question)
        return {"t": "catalogs_hurried", "catalogs": ["main", "other"]}

    monkeypatch.setattr(asking, "ask", ask)
    assert run("catalog", "sync", "--state", "s").stdout == "looking at main, other\n"
    assert told("catalog", "sync", "main", "--state", "s") == {"catalogs": ["main", "other"]}
    assert asked == [{"t": "read_catalogs", "name": ""}, {"t": "read_catalogs", "name": "main"}]


@pytest.mark.parametrize(("name", "said"), [([], "no Backstage catalog"), (["x"], "no catalog called `x`")])
def test_a_catalog_that_the_node_does_not_follow_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, name: list[str], said: str
) -> None:
    monkeypatch.setattr(asking, "ask", lambda *_, **__: {"t": "catalogs_hurried", "catalogs": []})
    result = run("catalog", "sync", *name, "--state", "s")
    assert (result.exit_code, said in result.stderr) == (2, True)
