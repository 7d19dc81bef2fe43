"""`/.stagedoor/api/v1/entities` through a real door: owners and administrators learn what became of an entry, everybody
else as much as of one that does not exist; an edit of the catalog is in the next answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from policy.builtin import API
from tests.support.central import CentralNode, Reply, central_node
from tests.support.door import until

LEDGER = "entities/component:default/ledger"


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralNode]:
    with central_node(tmp_path_factory.mktemp("central")) as node:
        yield node


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["code"]


@pytest.mark.parametrize("asker", ["olga", "root", "pipeline-id"])
def test_owners_and_administrators_learn_what_became_of_it(central: CentralNode, asker: str) -> None:
    said = central.ask(LEDGER, asker).json
    assert (said["state"], said["owners"]) == ("published", ["group:default/books"])
    assert said["exposures"][0]["url"] == "https://ledger.test/"
    assert [each["ref"] for each in said["contacts"]] == ["group:default/books"]


def test_to_everybody_else_it_is_as_one_that_does_not_exist(central: CentralNode) -> None:
    for asker in ("joe", "jane", "robot-id"):
        theirs, nobodys = central.ask(LEDGER, asker), central.ask("entities/component:default/nothing", asker)
        for each in (theirs, nobodys):
            assert code(each) == (403, "not_yours")
            each.json.pop("request_id")
        assert {**theirs.json, "request_id": ""} == {**nobodys.json, "request_id": ""}
    assert central.ask(LEDGER, None).status == 401


@pytest.mark.parametrize("asker", ["olga", "root"])
def test_who_uses_somebodys_token_sees_no_more_than_what_is_about_that_person(central: CentralNode, asker: str) -> None:
    token = central.token(asker, act={"sub": "robot-id"})
    assert code(central.ask(LEDGER, None, token=token)) == (403, "not_yours")
    assert central.ask("entities", None, token=token).json["entities"] == []
    assert central.ask(f"entities/user:default/{asker}", None, token=token).json["ref"] == f"user:default/{asker}"


def test_everybody_lists_their_own(central: CentralNode) -> None:
    refs = [each["ref"] for each in central.ask("entities", "olga").json["entities"]]
    assert refs == ["component:default/ledger", "component:default/robot"]
    assert central.ask("entities", "joe").json["counts"] == {"published": 0, "held": 0, "refused": 0, "not_seen": 0}
    everything = central.ask("entities", "root").json
    assert {"component:default/ledger", "component:default/echo"} <= {each["ref"] for each in everything["entities"]}
    first = central.ask("entities", "root", {"limit": 1}).json
    assert (len(first["entities"]), first["next"]) == (1, first["entities"][0]["ref"])


def test_administrators_learn_of_what_is_not_there(central: CentralNode) -> None:
    said = central.ask("entities/component:default/ledgr", "root").json
    assert (said["state"], said["suggestion"]) == ("not_seen", "did you mean `component:default/ledger`?")
    assert said["catalogs"][0]["read_at"]


def test_what_is_no_ref_or_no_state_is_named(central: CentralNode) -> None:
    for operation, query in (
        ("entities/nonsense/ledger", {}),
        ("entities", {"state": "good"}),
        ("entities", {"limit": 0}),
    ):
        assert code(central.ask(operation, "root", query)) == (400, "parameters_invalid")


def test_every_answer_is_as_described(central: CentralNode) -> None:
    document: dict[str, Any] = central.ask("openapi.json", "joe").json
    for operation, path in ((LEDGER, "entities/{scope}/{name}"), ("entities", "entities")):
        answers = document["paths"][f"{API}/{path}"]["get"]["responses"]
        for asker, status in (("olga", "200"), ("root", "200"), ("joe", "403" if operation == LEDGER else "200")):
            (content,) = answers[status]["content"].values()
            validator = jsonschema_rs.validator_for({**content["schema"], "components": document["components"]})
            validator.validate(central.ask(operation, asker).json)


def test_an_edit_of_the_catalog_is_in_the_next_answers(central: CentralNode) -> None:
    file = central.node.folder / "more" / "all.yaml"
    before = file.read_text()
    try:
        file.write_text(before.replace("host: ledger.test", "host: ledger.elsewhere"))
        until(lambda: central.ask(LEDGER, "olga").json["state"] == "held")
        said = central.ask(LEDGER, "olga").json
        (note,) = said["exposures"][0]["notes"]
        assert "ledger.elsewhere" in note["says"]
        assert note["source"]["file"] == str(file)
        assert [each["ref"] for each in said["contacts"]] == [
            "group:default/books", "group:default/platform", "pipeline-id",
        ]  # fmt: skip
    finally:
        file.write_text(before)
    until(lambda: central.ask(LEDGER, "olga").json["state"] == "published")
