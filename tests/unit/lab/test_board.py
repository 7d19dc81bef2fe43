"""Promises about the start page's content: it says what the table says, and follows it when it changes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway import config_load
from gateway.config import Settings
from gateway.engine.access_files import read_access
from gateway.engine.compilation import Compiler, no_past
from gateway.engine.publisher import Publisher
from gateway.engine.sources.files import FileSource
from gateway.lab.board import Board
from gateway.lab.calls import EDIT_FROM, EDIT_TO, EDITED
from gateway.lab.engine import opened
from gateway.lab.folder import LabFacts
from gateway.lab.ground import Wishes, lay
from tests.support.ports import free_ports
from tests.support.running_lab import PROJECT

NOW = 1_800_000_000.0


class Company:
    """The example company with its engine's work done by hand."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(PROJECT / "examples", folder / "examples")
        port = free_ports(4)
        ground = lay(
            Wishes(port, folder / ".lab", folder / "examples/catalog", folder / "examples/access-policy.yaml", port + 1)
        )
        self.settings: Settings = opened(config_load.load(ground.folder.settings_file, {}))
        self.facts: LabFacts = ground.facts
        self.state = ground.folder.state
        self.catalog = ground.catalog
        self.publisher = Publisher(self.state)
        self.board = Board(self.state, ground.facts, lambda: NOW)

    def publish(self) -> None:
        pull = FileSource(self.settings.catalog.files, self.settings.catalog.prefix).pull()
        access = read_access(self.settings.access_policy)
        assert access.policy is not None
        assert [*pull.faults, *access.faults] == []
        compiler = Compiler(self.settings)
        compiled = compiler.compile(pull.entities, access.policy, no_past())
        assert compiled.faults == ()
        self.publisher.publish(compiler.base(pull.entities, "digest"), compiled.frames)

    def call(self, title: str) -> dict[str, Any]:
        people = self.board.people()["people"]
        return next(call for person in people for call in person["calls"] if call["title"] == title)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    made = Company(tmp_path)
    made.publish()
    assert made.board.renew()
    return made


def test_before_the_first_base_every_call_is_refused(tmp_path: Path) -> None:
    made = Company(tmp_path)
    assert not made.board.renew()
    page = made.board.page()
    assert page["base"] == ""
    assert {call["decision"] for call in page["first"]} == {"refusal"}


@pytest.mark.parametrize(
    ("title", "label"),
    [
        ("Jane reads what her team owns", "allowed"),
        ("A scope, but the wrong one", "refused · scope_missing"),
        ("A password alone does not open production", "refused · requirement_unmet"),
        ("Production is for looking", "refused · no_rule"),
        ("In staging she charges cards", "allowed"),
        ("Priya is on another team", "refused · no_rule"),
        ("Support reads payments", "allowed"),
        ("Same team as Jane, but a contractor", "refused · denied"),
        ("In dev he may work", "allowed"),
        ("No such operation", "refused · operation_unknown"),
        ("Orders charges a card through the API it consumes", "allowed"),
        ("The carrier's webhook needs no account", "allowed"),
        ("Nobody in particular", "refused · identity_required"),
        ("Zoe has left: a good token, and no such person", "refused · identity_unknown"),
    ],
)
def test_the_company_is_interesting(company: Company, title: str, label: str) -> None:
    assert company.call(title)["label"] == label


def test_every_service_has_its_sentences_with_their_places(company: Company) -> None:
    for service in company.board.services()["services"]:
        for environment in service["environments"]:
            assert environment["rules"]
            for rule in environment["rules"]:
                assert rule["sentence"].endswith(".")
                assert rule["source"].partition(":")[0].endswith(".yaml")


def test_the_edit_of_step_three_turns_the_refusal_around(company: Company) -> None:
    file = company.catalog / EDITED
    file.write_text(file.read_text().replace(EDIT_FROM, EDIT_TO))
    company.publish()
    assert company.board.renew()
    assert company.call("Priya is on another team")["label"] == "allowed"


def test_nothing_new_is_no_news(company: Company) -> None:
    assert not company.board.renew()


def test_a_catalog_in_the_middle_of_an_edit_keeps_its_names_on_the_page(company: Company) -> None:
    names = [service["title"] for service in company.board.services()["services"]]
    file = company.catalog / EDITED
    file.write_text(file.read_text().replace(EDIT_FROM, EDIT_TO))
    company.publish()
    file.write_text("kind: [")
    assert company.board.renew()
    assert [service["title"] for service in company.board.services()["services"]] == names


def test_a_decision_carries_its_rules_sentence(company: Company) -> None:
    exposure = "component:default/payments@prod"
    frame = company.board._why[f"why/{exposure}"]
    rule, words = next(iter(frame.items()))
    record = {
        "time": "2026-01-01T12:34:56.789Z", "subject": "user:default/jane", "method": "GET", "status": 200,
        "host": "payments.localhost", "path": "/payments", "decision": "permit", "reason": "owner",
        "rule": rule, "exposure": exposure,
    }  # fmt: skip
    (line,) = company.board.decisions([record])
    assert line == {
        "time": "12:34:56", "who": "jane", "call": "GET payments.localhost/payments", "decision": "permit",
        "label": "200 · owner", "why": words[0],
    }  # fmt: skip


@pytest.mark.parametrize("reason", ["no_rule", "scope_missing", "token_expired", "upstream_connect"])
def test_a_refusal_without_a_rule_says_what_its_reason_means(company: Company, reason: str) -> None:
    (line,) = company.board.decisions([{"decision": "refusal", "reason": reason, "status": 403}])
    assert line["who"] == "somebody"
    assert line["why"] != reason
