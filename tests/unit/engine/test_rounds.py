"""Rounds over real files: what is published when files change, break, vanish, and after a restart."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.journal import NAME, Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Outcome, Rounds
from gateway.snapshot import BaseLoader
from tests.support.catalogs import ACCESS, api, openapi, people, service, settings, write


class Engine:
    """One engine process after the other over the same folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = settings(folder)
        self.state = Path(self.settings.state_folder)
        self.restart()

    def restart(self) -> None:
        publisher, journal = Publisher(self.state), Journal(self.state)
        assert (publisher.fault, journal.fault) == ("", "")
        self.rounds = Rounds(self.settings, publisher, journal)

    def round(self) -> Outcome:
        return self.rounds.round()

    def settled(self) -> Outcome:
        outcome = self.round()
        return self.round() if outcome.confirm else outcome

    def write(self, name: str, *documents: object) -> Path:
        return write(self.folder / "catalog", name, *documents)

    def loaded(self) -> BaseLoader:
        loader = BaseLoader(self.state, with_why=True)
        loader.load()
        assert loader.fault == ""
        return loader

    def rules(self, key: str = "") -> set[str]:
        """Ids of the rules of an exposure; without one, the exposures that have any."""
        why = {name.removeprefix("why/"): frame for name, frame in self.loaded().why.items()}
        return set(why[key] if key else why)

    def host(self, key: str) -> str:
        return self.loaded().table.exposures[key].host

    def published(self) -> set[str]:
        loader = self.loaded()
        return {key.partition(":default/")[2] for key in loader.table.exposures}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = Engine(tmp_path)
    engine.write("org.yaml", *people("team"))
    engine.write("a.yaml", service("a"))
    engine.write("b.yaml", service("b"), service("c"))
    return engine


def messages(outcome: Outcome) -> list[str]:
    return [fault.message for fault in outcome.faults]


def test_an_edit_is_published_by_the_next_round_and_nothing_by_the_one_after(engine: Engine) -> None:
    assert engine.round().message is not None
    assert engine.published() == {"a@prod", "b@prod", "c@prod"}
    assert engine.round().message is None
    engine.write("a.yaml", service("a"), service("d"))
    outcome = engine.round()
    assert outcome.message is not None
    assert "exposure/component:default/d@prod" in outcome.message["set"]
    assert engine.published() == {"a@prod", "b@prod", "c@prod", "d@prod"}


def test_a_restart_changes_nothing(engine: Engine) -> None:
    engine.round()
    engine.restart()
    assert engine.round().message is None


def test_a_removed_service_leaves_with_the_second_reading(engine: Engine) -> None:
    engine.round()
    (engine.folder / "catalog/a.yaml").unlink()
    first = engine.round()
    assert first.confirm
    assert first.message is None
    assert engine.round().message is not None
    assert engine.published() == {"b@prod", "c@prod"}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_broken_file_changes_nothing_for_what_is_in_it(engine: Engine, restarted: bool) -> None:
    engine.round()
    engine.write("b.yaml", "kind: [")
    engine.write("d.yaml", service("d"))
    if restarted:
        engine.restart()
    outcome = engine.settled()
    assert any("not YAML" in message for message in messages(outcome))
    assert engine.published() == {"a@prod", "b@prod", "c@prod", "d@prod"}


def test_an_empty_catalog_is_held(engine: Engine) -> None:
    engine.round()
    for file in (engine.folder / "catalog").iterdir():
        file.unlink()
    for _ in range(3):
        outcome = engine.round()
    assert any("held as they were" in message for message in messages(outcome))
    assert engine.published() == {"a@prod", "b@prod", "c@prod"}
    engine.restart()
    engine.settled()
    assert engine.published() == {"a@prod", "b@prod", "c@prod"}


def test_an_accepted_loss_comes_through(engine: Engine) -> None:
    engine.round()
    for name in ("a.yaml", "b.yaml"):
        (engine.folder / "catalog" / name).unlink()
    engine.settled()
    assert engine.published() != set()
    engine.rounds.accept_losses()
    engine.round()
    assert engine.published() == set()


def test_a_first_reading_that_finds_nothing_publishes_nothing(tmp_path: Path) -> None:
    outcome = Engine(tmp_path).round()
    assert outcome.message is None
    assert "the catalog holds no entity: nothing is published" in messages(outcome)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_broken_access_policy_is_rejected_and_the_last_good_one_holds(engine: Engine, restarted: bool) -> None:
    engine.round()
    access = engine.folder / "access.yaml"
    access.write_text(ACCESS.replace("owners: [read]", "owners: [raed]"))
    if restarted:
        engine.restart()
    engine.write("d.yaml", service("d"))
    outcome = engine.round()
    assert any("the last good one holds" in message for message in messages(outcome))
    assert any(fault.source.file == str(access) and fault.source.line == 4 for fault in outcome.faults)
    assert engine.published() == {"a@prod", "b@prod", "c@prod", "d@prod"}
    access.write_text(ACCESS.replace("owners: [read]", "owners: [all]"))
    assert engine.round().message is not None


def test_without_any_good_access_policy_nothing_is_published(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    (tmp_path / "access.yaml").write_text("version: 2\n")
    engine.write("a.yaml", service("a"))
    assert engine.round().message is None
    assert engine.published() == set()


def test_a_broken_definition_keeps_its_operations(engine: Engine) -> None:
    definition: dict[str, Any] = openapi("GET /x")
    engine.write("d.yaml", service("d", providesApis=["d"]), api("d", definition))
    engine.round()
    before = engine.state.joinpath("manifest").read_bytes()
    engine.write("d.yaml", service("d", providesApis=["d"]), api("d", "openapi: ["))
    outcome = engine.round()
    assert any("definition" in message for message in messages(outcome))
    frames = [line for line in before.splitlines() if b"exposure/component:default/d@" in line]
    assert frames
    assert all(line in engine.state.joinpath("manifest").read_bytes() for line in frames)


def test_the_incumbent_of_a_host_is_remembered_across_restarts(engine: Engine) -> None:
    engine.round()
    engine.restart()
    engine.write("0.yaml", service("aa", host="a.example.com"))
    outcome = engine.round()
    assert "aa@prod" not in engine.published()
    assert "a@prod" in engine.published()
    assert any("component:default/aa" in message for message in messages(outcome))


def test_who_has_a_host_keeps_it_across_a_restart_an_edit_of_its_path_and_a_new_name(engine: Engine) -> None:
    engine.round()
    engine.write("0.yaml", service("aa", host="a.example.com", path="/v2", owner="other"))
    for name, path in (("a", "/v2"), ("a", "/"), ("anew", "/"), ("anew", "/v3")):
        engine.restart()
        engine.write("a.yaml", service(name, host="a.example.com", path=path))
        outcome = engine.settled()
        assert f"{name}@prod" in engine.published()
        assert "aa@prod" not in engine.published()
        assert any("component:default/aa" in message for message in messages(outcome))


def test_a_dispute_outlives_a_restart_and_takes_no_host_from_who_has_it(engine: Engine) -> None:
    """Renamed while another one says to be of the same team, and a third waits."""
    engine.round()
    engine.write("0.yaml", service("aa", host="a.example.com", path="/v2", owner="other"))
    engine.write("a.yaml", service("anew", host="a.example.com"))
    engine.write("twin.yaml", service("twin", host="a.example.com"))
    for _ in range(2):
        engine.settled()
        assert not {"aa@prod", "anew@prod", "twin@prod"} & engine.published()
        engine.restart()
    engine.folder.joinpath("catalog/twin.yaml").unlink()
    engine.settled()
    assert "anew@prod" in engine.published()
    assert "aa@prod" not in engine.published()


def test_incumbents_that_an_older_version_remembered_without_their_team_are_read(engine: Engine) -> None:
    engine.round()
    journal = Journal(engine.state)
    told = journal.sections["incumbents"]
    assert told["a.example.com /"] == "component:default/a@prod group:default/team"
    journal.record({**journal.sections, "incumbents": {claim: said.split()[0] for claim, said in told.items()}})
    engine.restart()
    engine.write("0.yaml", service("aa", host="a.example.com", owner="other"))
    engine.settled()
    assert "a@prod" in engine.published()
    assert "aa@prod" not in engine.published()
    assert Journal(engine.state).sections["incumbents"] == told


def test_what_is_watched_are_the_folders_of_catalog_and_access_policy(engine: Engine) -> None:
    deep, flat = engine.rounds.watched()
    assert deep == {engine.folder / "catalog"}
    assert flat == {engine.folder}


def test_an_environment_that_is_broken_from_the_start_takes_nothing_from_the_others(engine: Engine) -> None:
    both = {"environments": "dev,prod", "host": "d.{env}.example.com", "host.prod": "d.evil.example"}
    engine.write("d.yaml", service("d", **both))
    engine.round()
    assert engine.rules("component:default/d@dev")
    assert "component:default/d@prod" not in engine.rules()


def test_an_environment_that_breaks_changes_nothing_in_the_others(engine: Engine) -> None:
    engine.write("d.yaml", service("d", environments="dev,prod", host="d.{env}.example.com"))
    engine.round()
    both = {"environments": "dev,prod", "host": "d.{env}.example.com", "host.prod": "d.evil.example"}
    engine.write("d.yaml", service("d", access="everyone", **both))
    engine.round()
    assert len(engine.rules("component:default/d@dev")) == 2
    assert len(engine.rules("component:default/d@prod")) == 1


def test_who_described_an_entity_first_keeps_it_when_another_file_describes_it_too(engine: Engine) -> None:
    """A file whose name sorts first could otherwise take over any service, team or person."""
    engine.round()
    engine.write("0.yaml", service("a", host="taken.example.com"))
    for _ in range(2):
        outcome = engine.round()
        assert engine.host("component:default/a@prod") == "a.example.com"
        (fault,) = [each for each in outcome.faults if "component:default/a" in each.message]
        assert {"catalog/0.yaml", "catalog/a.yaml"} <= set(re.findall(r"catalog/\w+\.yaml", str(fault)))
        engine.restart()
    engine.write("a.yaml", "kind: [")
    engine.settled()
    assert engine.host("component:default/a@prod") == "a.example.com"
    (engine.folder / "catalog/a.yaml").unlink()
    engine.settled()
    assert engine.host("component:default/a@prod") == "taken.example.com"


def test_a_pipe_in_the_catalog_stops_nothing(engine: Engine) -> None:
    engine.round()
    os.mkfifo(engine.folder / "catalog/pipe.yaml")
    os.mkfifo(engine.folder / "catalog/definition.json")
    engine.write("d.yaml", service("d", providesApis=["d"]), api("d", {"$text": "./definition.json"}))
    outcome = engine.round()
    assert "d@prod" in engine.published()
    assert sum("no regular file" in each for each in messages(outcome)) == 2


def test_a_memory_that_cannot_be_written_is_said_and_delays_no_news(engine: Engine) -> None:
    engine.round()
    journal = engine.state / NAME
    journal.rename(engine.state / "kept")
    journal.mkdir()
    engine.write("a.yaml", service("a"), service("d"))
    outcome = engine.round()
    assert outcome.message is not None
    assert any("remember" in message for message in messages(outcome))
    journal.rmdir()
    (engine.state / "kept").rename(journal)
    assert not any("remember" in message for message in messages(engine.round()))
    assert "component:default/d" in Journal(engine.state).sections["entities"]
