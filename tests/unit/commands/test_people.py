"""Promises of `stagedoor people report`: what it takes, what it says when it cannot, and its exit codes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.control.sightings import FILE, Sightings
from tests.support.commands import run, told
from tests.support.people_golden import write_world

ADDRESS = "https://sso.example.com"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_world(tmp_path)


def remember(folder: Path, *subjects: str, issuer: str = ADDRESS, age_s: int = 0) -> None:
    """As control leaves it when the node ends."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    sightings = Sightings(state, lambda: time.time() - age_s)
    sightings.configure({"sso": issuer}, 1e9)
    seen = [
        {"issuer": "sso", "subject": each, "claims": {"sub": each}, "email_verified": False, "groups": ["sso-pay"],
         "more_groups": 0, "ref": "", "refusal": "identity_unknown", "at": int(time.time()) - age_s}
        for each in subjects
    ]  # fmt: skip
    sightings.take({"seen": seen, "left_out": 2})
    assert asyncio.run(sightings.save()) == ""


def issuer_of(file: Path, *words: str | Path, code: int = 1) -> Any:
    return told("people", "report", "--config", file, *words, code=code)["issuers"][0]


def names(issuer: Any) -> set[str]:
    return {each["name"] for each in issuer["people"]["there"]}


def test_without_a_node_a_past_and_a_list_there_is_nothing_to_compare(file: Path) -> None:
    result = run("people", "report", "--config", file)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "give a list with --from" in result.stderr


def test_what_was_seen_is_shown_while_the_node_is_down(file: Path) -> None:
    remember(file.parent, "s-ann", "s-new")
    result = run("people", "report", "--config", file)
    assert result.exit_code == 1
    assert "note: the node is not running" in result.stderr
    assert "2 seen since" in result.stdout
    assert "2 came when there was no room" in result.stdout
    report = told("people", "report", "--config", file, code=1)
    assert (report["node"], report["left_out"], names(report["issuers"][0])) == ("stopped", 2, {"s-ann", "s-new"})
    assert {each["seen_at"][:4] for each in report["issuers"][0]["people"]["there"]} == {
        time.strftime("%Y", time.gmtime())
    }


def test_a_list_is_added_to_what_was_seen(file: Path) -> None:
    remember(file.parent, "s-ann", "s-new")
    issuer = issuer_of(file, "--from", file.parent / "people.json")
    assert {"s-new", "s-ann", "s-zoe"} <= names(issuer)
    assert (issuer["seen"], issuer["listed"]) == (2, 9)
    (ann,) = [each for each in issuer["people"]["there"] if each["name"] == "s-ann"]
    assert (ann["listed"], ann["seen_at"] is None, ann["label"]) == (True, False, "ann")


def test_what_is_older_than_its_retention_or_of_another_address_is_not_shown(file: Path) -> None:
    remember(file.parent, "s-old", age_s=91 * 86400)
    assert names(issuer_of(file)) == set()
    remember(file.parent, "s-new", issuer="https://former.example.com")
    assert names(issuer_of(file)) == set()


def test_a_damaged_past_is_said_and_the_list_counts(file: Path) -> None:
    remember(file.parent, "s-ann")
    past = file.parent / "state" / FILE
    past.write_bytes(past.read_bytes()[:-9])
    result = run("people", "report", "--config", file, "--from", file.parent / "people.json")
    assert (result.exit_code, "is damaged" in result.stderr, "9 in the list" in result.stdout) == (5, True, True)


def test_every_bad_line_of_a_list_is_named_however_many(file: Path) -> None:
    broken = file.parent / "broken.csv"
    broken.write_text("sub,email\n" + "".join(f"s-1,{number}\n" for number in range(60)))
    result = run("people", "report", "--config", file, "--from", broken)
    assert result.exit_code == 5
    assert [f"broken.csv:{number}: `s-1`" in result.stderr for number in range(3, 62)] == [True] * 59


def test_no_difference_is_zero(file: Path) -> None:
    (file.parent / "catalog.yaml").write_text(
        "apiVersion: backstage.io/v1alpha1\nkind: User\n"
        "metadata: {name: ann, annotations: {example.com/subject: s-ann}}\nspec: {memberOf: []}\n"
    )
    people = file.parent / "people.csv"
    people.write_text("sub,groups\ns-ann,\n")
    assert issuer_of(file, "--from", people, code=0)["differs"] is False


TWO = """\
  - {name: partner, preset: entra, issuer: "https://p.example.com", audiences: [api]}
  - {name: ci, preset: github-actions, issuer: "https://ci.example.com", audiences: [api]}
environments:"""


def test_with_several_issuers_a_list_says_whose_it_is(file: Path) -> None:
    file.write_text(file.read_text().replace("environments:", TWO))
    people = file.parent / "people.json"
    unsaid = run("people", "report", "--config", file, "--from", people)
    assert (unsaid.exit_code, "--issuer whose list it is: sso, partner" in unsaid.stderr) == (2, True)
    mistaken = run("people", "report", "--config", file, "--from", people, "--issuer", "partnr")
    assert (mistaken.exit_code, "did you mean `partner`" in mistaken.stderr) == (2, True)
    platform = run("people", "report", "--config", file, "--from", people, "--issuer", "ci")
    assert (platform.exit_code, "no issuer of people" in platform.stderr) == (2, True)
    issuer = issuer_of(file, "--from", people, "--issuer", "partner", code=5)
    assert (issuer["name"], {each["claims"]["oid"] for each in issuer["people"]["there"]}) == ("partner", names(issuer))


def test_tokens_of_entra_list_groups_by_id_and_others_by_name(file: Path) -> None:
    file.write_text(file.read_text().replace("environments:", TWO))
    people = file.parent / "groups.json"
    people.write_bytes(orjson.dumps([{"id": "g-1", "displayName": "Pay", "members": []}, {"id": "u-1"}]))

    def groups(*words: str) -> list[str]:
        issuer = issuer_of(file, "--from", people, *words)
        return [each["name"] for each in issuer["groups"]["there"]]

    assert groups("--issuer", "partner") == ["g-1"]
    assert groups("--issuer", "sso") == ["Pay"]
    assert groups("--issuer", "partner", "--groups-by", "name") == ["Pay"]


def test_without_an_issuer_of_people_it_is_said(file: Path) -> None:
    text = file.read_text()
    start, end = text.index("  - name: sso"), text.index("environments:")
    file.write_text(text[:start] + TWO.splitlines()[1] + "\n" + text[end:])
    result = run("people", "report", "--config", file)
    assert (result.exit_code, "no issuer of the configuration gives tokens to people" in result.stderr) == (2, True)


def test_a_policy_with_faults_compares_nothing(file: Path) -> None:
    (file.parent / "access.yaml").write_text("version: 2\n")
    assert run("people", "report", "--config", file, "--from", file.parent / "people.json").exit_code == 3


def test_groups_that_nothing_compares_leave_out_memberships(file: Path) -> None:
    text = file.read_text()
    file.write_text("\n".join(line for line in text.splitlines() if "groups: {claim" not in line) + "\n")
    issuer = issuer_of(file, "--from", file.parent / "people.json")
    assert (issuer["groups"], issuer["groups_by"], issuer["memberships"], issuer["teams"]) == (None, None, [], [])
    assert any("`groups` is not set" in note for note in issuer["notes"])
