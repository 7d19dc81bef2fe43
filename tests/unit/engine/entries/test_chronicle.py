"""Since when an entity is what it is: it stays over rounds and restarts, and changes with its state or its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.engine.entries.chronicle import Chronicle, Since
from gateway.engine.entries.states import States
from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from tests.support.catalogs import api, openapi, people, service, settings, write

A, B = "component:default/a", "component:default/b"


class Engine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 1000.0
        self.restart()

    def restart(self) -> None:
        said = settings(self.folder)
        state = Path(said.state_folder)
        self.journal = Journal(state)
        assert self.journal.fault == ""
        self.rounds = Rounds(said, Publisher(state), self.journal)
        self.chronicle = Chronicle(self.journal, lambda: self.now_s)

    def since(self, *documents: object) -> dict[str, Since]:
        """After a round a second later, over these documents."""
        if documents:
            write(self.folder, "catalog/s.yaml", *documents)
        self.now_s += 1
        self.rounds.round()
        assert self.rounds.ground is not None
        self.chronicle.note(self.rounds.ground)
        return dict(self.chronicle.since)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    write(tmp_path, "catalog/org.yaml", *people("team"))
    return Engine(tmp_path)


def test_it_changes_with_the_state_and_with_what_is_said_and_with_nothing_else(engine: Engine) -> None:
    first = engine.since(service("a"), service("b"))
    assert (first[A].state, first[A].at_ms) == ("published", 1_001_000)
    assert engine.since() == first
    second = engine.since(service("a"), service("b", access="everyone"))
    assert (second[A], second[B].at_ms) == (first[A], 1_003_000)
    assert second[B].base != first[B].base
    third = engine.since(service("a", host="no host"), service("b", access="everyone"))
    assert (third[A].state, third[A].at_ms, third[B]) == ("held", 1_004_000, second[B])
    assert engine.since() == third


def test_it_outlives_a_restart(engine: Engine) -> None:
    before = engine.since(service("a"), service("b", host="b.evil.test"))
    engine.restart()
    assert engine.chronicle.since == before
    assert engine.since() == before


def test_what_is_gone_is_forgotten(engine: Engine) -> None:
    engine.since(service("a"), service("b"))
    engine.since(service("a"))
    assert set(engine.since()) == {A}


def test_it_counts_when_it_cannot_be_written_and_nothing_is_noted_before_a_compile(engine: Engine) -> None:
    engine.since(service("a"))
    ground = engine.rounds.ground
    assert ground is not None
    with patch.object(Journal, "record", side_effect=OSError("disk")), pytest.raises(OSError, match="disk"):
        engine.since(service("a"), service("b"))
    assert B in engine.chronicle.since
    known = engine.chronicle.since
    engine.chronicle.note(replace(ground, compiled=None))
    assert engine.chronicle.since is known


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """What is on disk after a power cut is the journal's promise."""
    with patch("os.fsync"):
        yield


def test_only_who_differs_or_was_not_well_is_judged_anew_and_all_are_right(engine: Engine) -> None:
    many = [service(f"s{number}") for number in range(12)]
    histories = (
        (*many, service("a"), service("b", host="no host")),
        (*many, service("a", access="everyone"), service("b", host="no host")),
        (*many, service("a", providesApis=["x"]), api("x", "nonsense: [")),
        (*many, service("a", providesApis=["x"]), api("x", openapi("GET /x"))),
        (*many, service("a"), {"kind": "Component", "metadata": {"name": "s3"}}),
        (*many[:-1], service("a")),
        (*many[:-1], service("a")),
        (*many[:-1],),
    )
    for documents in histories:
        with patch("gateway.engine.entries.chronicle.States.of", autospec=True, side_effect=States.of) as judged:
            since = engine.since(*documents)
        ground = engine.rounds.ground
        assert ground is not None
        states = States(ground)
        assert {ref: each.state for ref, each in since.items()} == {each.ref: each.state for each in states.all()}
        said = {ref: ground.said[ref].digest if ref in ground.said else "" for ref in since}
        assert {ref: each.digest for ref, each in since.items()} == said
        if documents is not histories[0]:
            assert judged.call_count < 8
