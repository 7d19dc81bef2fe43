"""Answers to who asks what became of an entry: the same form always, one's own only, whom to ask, how old they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.engine.entries.enquiries import LISTED, Enquiries, Known
from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from gateway.link import Message
from tests.support.catalogs import entity, people, service, settings, write

NOW_S = 1_700_000_000.0
KEYS = {
    "ref", "kind", "title", "state", "sentence", "since", "base", "exposures", "source", "location", "owners",
    "notes", "needs", "contacts", "catalogs", "suggestion",
}  # fmt: skip
AWAY = {"name": "main", "age_s": 90.0, "fault": "it is away", "fix": ""}


class Asked:
    """An engine that has read a catalog, and a way to ask it."""

    def __init__(self, folder: Path, *documents: Any, administrators: tuple[str, ...] = ()) -> None:
        self.folder = folder
        write(folder, "catalog/all.yaml", *documents)
        said = settings(folder, administrators=administrators)
        state = Path(said.state_folder)
        self.rounds = Rounds(said, Publisher(state), Journal(state))
        self.failure = ""
        self.round()

    def round(self) -> None:
        self.rounds.round()
        self.rounds.chronicle()

    def ask(self, **question: Any) -> Message:
        known = Known(self.rounds.ground, self.rounds.since, [AWAY], NOW_S - 5, self.failure, NOW_S)
        answer = asyncio.run(Enquiries().answer(known, question))
        assert orjson.dumps(answer)
        return answer

    def entity(self, ref: str, **more: Any) -> Any:
        return self.ask(t="entity", ref=ref, **more)["entity"]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Asked]:
    lead = entity("User", "lead", memberOf=["team"], profile={"displayName": "Lea D", "email": "lea@example.com"})
    group = entity("Group", "team", type="team", children=[], profile={"email": "team@example.com"})

    def made(*documents: Any, **more: Any) -> Asked:
        given = documents or (service("a"), service("b", owner="others", host="b.evil.test"), *people("others"))
        return Asked(tmp_path, lead, group, *given, **more)

    return made


def test_one_entity_is_told_with_every_key_whatever_its_state(make: Callable[..., Asked]) -> None:
    asked = make()
    for ref in ("a", "component:default/b", "group:default/team", "user:default/lead", "nowhere", "template:default/x"):
        assert asked.entity(ref).keys() == KEYS
    assert asked.entity("no ref") is None
    a = asked.entity("a")
    assert (a["ref"], a["state"], a["owners"]) == ("component:default/a", "published", ["group:default/team"])
    assert a["exposures"][0]["url"] == "https://a.example.com/"
    assert a["base"] == asked.rounds.ground.base if asked.rounds.ground else False


def test_whom_to_ask_is_told_with_mail_and_members(make: Callable[..., Asked]) -> None:
    (contact,) = make().entity("a")["contacts"]
    assert contact == {
        "ref": "group:default/team", "title": "team", "mail": "team@example.com", "administers": False, "people": 1,
        "members": [{"ref": "user:default/lead", "title": "Lea D", "mail": "lea@example.com"}],
    }  # fmt: skip


@pytest.mark.parametrize("named", [(), ("group:default/team", "pipeline-id")])
def test_where_the_operator_decides_the_administrators_are_named(
    make: Callable[..., Asked], named: tuple[str, ...]
) -> None:
    b = make(administrators=named).entity("b")
    (note,) = [note for place in b["exposures"] for note in place["notes"]]
    assert note["ask"] == ["administrators"]
    assert [each["ref"] for each in b["contacts"]] == ["group:default/others", *(named or ("administrators",))]
    assert all(each["administers"] for each in b["contacts"][1:])


def test_somebody_elses_entity_is_answered_as_one_that_does_not_exist(make: Callable[..., Asked]) -> None:
    asked = make()
    mine = {"subjects": ["user:default/lead", "group:default/team"]}
    assert asked.entity("a", **mine)["state"] == "published"
    theirs = asked.ask(t="entity", ref="b", **mine)
    assert theirs == asked.ask(t="entity", ref="nothing-of-the-kind", **mine)
    assert theirs["entity"] is None
    assert asked.entity("user:default/lead", **mine) is not None
    assert asked.entity("user:default/jane", **mine) is None
    listed = asked.ask(t="entities", **mine)
    assert [each["ref"] for each in listed["entities"]] == ["component:default/a"]
    assert listed["counts"] == {"published": 1, "held": 0, "refused": 0, "not_seen": 0}
    assert asked.ask(t="entities", subjects=[])["entities"] == []


def test_what_nobody_owns_is_for_administrators(make: Callable[..., Asked]) -> None:
    asked = make(service("c", owner="gone"))
    assert asked.entity("c", subjects=["group:default/gone"]) is None
    assert [each["ref"] for each in asked.entity("c")["contacts"]] == ["administrators"]


def test_a_list_comes_in_pages_and_by_state(make: Callable[..., Asked]) -> None:
    asked = make(*(service(f"s{number}") for number in range(5)), service("x", host="x.evil.test"))
    found, after = [], ""
    while True:
        answer = asked.ask(t="entities", after=after, limit=2)
        found += [each["ref"] for each in answer["entities"]]
        after = answer["next"]
        if not after:
            break
    assert found == [*(f"component:default/s{number}" for number in range(5)), "component:default/x"]
    refused = asked.ask(t="entities", state="refused")
    assert [each["ref"] for each in refused["entities"]] == ["component:default/x"]
    assert refused["counts"] == {"published": 5, "held": 0, "refused": 1, "not_seen": 0}
    named = asked.ask(t="entities", words="S3 component")  # every word, in any case
    assert [each["ref"] for each in named["entities"]] == ["component:default/s3"]
    assert asked.ask(t="entities", words="s3 nothing")["entities"] == []
    assert len(asked.ask(t="entities", limit=10**9)["entities"]) <= LISTED
    assert asked.ask(t="entities", whole=True)["entities"][0].keys() == KEYS


def test_how_old_the_answer_is_is_told(make: Callable[..., Asked]) -> None:
    asked = make()
    read_at = {"name": "files", "read_at": "2023-11-14T22:13:15.000Z", "fault": ""}
    assert asked.entity("a")["catalogs"] == [read_at]
    away = {"name": "main", "read_at": "2023-11-14T22:11:50.000Z", "fault": "it is away"}
    assert asked.entity("nowhere")["catalogs"] == [read_at, away]
    asked.failure = "OSError: disk"
    assert "OSError: disk" in asked.ask(t="entity", ref="a")["notices"][0]
    assert asked.ask(t="entity", ref="a", subjects=["group:default/team"])["notices"] == []


def test_before_the_first_round_the_answer_says_so() -> None:
    known = Known(None, {}, [], None, "", NOW_S)
    for kind in ("entity", "entities"):
        answer = asyncio.run(Enquiries().answer(known, {"t": kind, "ref": "a"}))
        assert (answer["unread"], len(answer["notices"])) == (True, 1)
        assert not answer.get("entity")
        assert not answer.get("entities")


def test_a_near_miss_is_suggested_to_administrators(make: Callable[..., Asked]) -> None:
    asked = make(service("payments"))
    assert asked.entity("paymnts")["suggestion"] == "did you mean `component:default/payments`?"
    assert asked.entity("paymnts", subjects=["group:default/team"]) is None
