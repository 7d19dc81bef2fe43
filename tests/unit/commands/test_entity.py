"""`stagedoor entity`: the engine's own answer on a terminal, hostile text made harmless, an exit code for scripts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.entries.enquiries import Enquiries, Known
from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from gateway.link import Message
from gateway.node import asking
from gateway.node.asking import Away
from tests.support.catalogs import api, people, service, settings, write
from tests.support.commands import run, told

HOSTILE = "x\x1b[2Jy"


class Engine:
    """Answers as the running engine would."""

    def __init__(self, folder: Path) -> None:
        documents = (
            service("a"), service("b", host="b.evil.test"), service("c", providesApis=["c"]), api("c", "- no\n"),
            service("d", access=HOSTILE, environments="prod,prd"), *people("team"),
        )  # fmt: skip
        write(folder, "catalog/all.yaml", *documents)
        said = settings(folder)
        self.rounds = Rounds(said, Publisher(Path(said.state_folder)), Journal(Path(said.state_folder)))
        self.rounds.round()
        self.rounds.chronicle()
        self.file = folder / "catalog/all.yaml"
        self.unread = False
        self.asked: list[Message] = []

    def line_of(self, text: str) -> int:
        return next(number for number, line in enumerate(self.file.read_text().splitlines(), 1) if text in line)

    def ask(self, _folder: Path, _name: str, question: Message, *answers: str, within_s: float = 5.0) -> Message:
        assert question["t"] in answers
        self.asked.append(question)
        ground = None if self.unread else self.rounds.ground
        known = Known(ground, self.rounds.since, [], 1_700_000_000.0, "", 1_700_000_000.0)
        return asyncio.run(Enquiries().answer(known, {"limit": 2, **question}))


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(tmp_path)
    monkeypatch.setattr(asking, "ask", made.ask)
    return made


def lines(*words: str, code: int) -> list[str]:
    result = run("entity", *words, "--state-folder", "s")
    assert result.exit_code == code, result.output
    assert "\x1b" not in result.stdout
    return [line.rstrip() for line in result.stdout.splitlines()]


def test_what_is_published_is_told_with_where_and_whom_to_ask(engine: Engine) -> None:
    shown = lines("a", code=0)
    assert shown[0].startswith("component:default/a published since ")
    assert shown[1:3] == ["  It is published in prod.", "  prod  published https://a.example.com/"]
    assert shown[4] == "  ask       team group:default/team: jane"
    assert shown[5].startswith("  catalog   files, read ")


def test_what_is_refused_says_where_it_stands_and_what_to_do(engine: Engine) -> None:
    shown = lines("component:default/b", code=1)
    assert shown[2] == "  prod  refused"
    assert shown[3].startswith("    ✗ host `b.evil.test` is outside what `prod` may use: `.example.com`  ")
    assert shown[3].endswith(f"all.yaml:{engine.line_of('b.evil.test')}")
    assert shown[4] == "      ask the operator to list it for this environment"
    assert "            Stagedoor's administrators; the settings name none" in shown


def test_nothing_that_somebody_wrote_moves_the_cursor(engine: Engine) -> None:
    shown = "\n".join(lines("d", code=1))
    assert "unknown access `x\\x1b[2Jy`" in shown
    assert "prd   refused" in shown


def test_an_entity_with_very_much_to_say_fits_a_screen(engine: Engine) -> None:
    words = ",".join(f"word{number}" for number in range(60))
    write(engine.file.parent, "e.yaml", service("e", options=words, allow_groups=words))
    engine.rounds.round()
    shown = lines("e", code=0)
    assert len(shown) < 60
    assert "    12 more: --json has all" in shown
    says = [note["says"] for note in told("entity", "e", "--state-folder", "s")["notes"]]
    assert len(says) == 32
    assert "40 more of what it says is not known and left out" in says
    assert "50 more of the teams and components that it names are not in the catalog" in says


def test_without_a_name_everybody_is_counted_and_who_is_not_published_is_listed(engine: Engine) -> None:
    shown = lines(code=1)
    assert shown[0] == "1 published, 1 held, 3 refused"
    assert [line.split()[:2] for line in shown[1:]] == [
        ["api:default/c", "refused"], ["component:default/b", "refused"], ["component:default/c", "held"],
        ["component:default/d", "refused"],
    ]  # fmt: skip
    assert len(engine.asked) == 3, "it came in pages"
    assert len(lines("--all", code=1)) == 6
    assert [line.split()[0] for line in lines("--state", "held", code=1)[1:]] == ["component:default/c"]


def test_programs_get_the_same_with_every_key(engine: Engine) -> None:
    one: Any = told("entity", "c", "--state-folder", "s", code=1)
    assert (one["state"], one["notices"]) == ("held", [])
    assert [each["ref"] for each in one["needs"]] == ["api:default/c"]
    many: Any = told("entity", "--state-folder", "s", code=1)
    assert many["counts"] == {"published": 1, "held": 1, "refused": 3, "not_seen": 0}
    assert len(many["entities"]) == 4


def test_a_near_miss_is_suggested(engine: Engine) -> None:
    shown = lines("group:default/teem", code=1)
    assert shown[0] == "group:default/teem not seen"
    assert shown[1] == "  No catalog that is read holds it. did you mean `group:default/team`?"


@pytest.mark.parametrize(
    ("words", "why"),
    [(("no ref",), "`no ref` is no entity ref"), (("a", "--all"), "leave REF out"), (("--state", "bad"), "bad")],
)
def test_what_cannot_be_meant_is_said(engine: Engine, words: tuple[str, ...], why: str) -> None:
    result = run("entity", *words, "--state-folder", "s")
    assert (result.exit_code, why in result.stderr) == (2, True)


def test_an_engine_that_is_away_or_has_not_read_yet_is_4(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.unread = True
    result = run("entity", "a", "--state-folder", "s")
    assert (result.exit_code, "not been read yet" in result.stderr) == (4, True)

    def failing(*_: Any, **__: Any) -> Message:
        return {"t": "entity", "fault": "failed"}

    monkeypatch.setattr(asking, "ask", failing)
    for words in (("a",), ()):
        result = run("entity", *words, "--state-folder", "s")
        assert (result.exit_code, "could not answer" in result.stderr) == (4, True)

    def away(*_: Any, **__: Any) -> Message:
        raise Away("the engine does not run")

    monkeypatch.setattr(asking, "ask", away)
    assert run("entity", "--state-folder", "s").exit_code == 4
