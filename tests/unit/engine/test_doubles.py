"""Whoever shares a key is told, both sides, for as long as they share it: exactly those whom the directory finds
ambiguous."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.doubles import Doubles
from policy.directory import AMBIGUOUS, directory_frames
from policy.facts import Catalog, KeyField, Person, Source
from tests.support.policy_worlds import catalog, service, team

EMAIL = KeyField("idp", "person", "email", "spec.profile.email")
NAME = KeyField("idp", "person", "sub", "metadata.name")
TEAM = KeyField("idp", "team", "groups", "metadata.name")


def person(ref: str, email: str) -> Person:
    return Person(f"user:default/{ref}", ref, (), {"spec.profile.email": email}, Source("f.yaml", 1))


def messages(doubles: Doubles, facts: Catalog) -> list[str]:
    return [f"{fault.message}; {fault.suggestion}" for fault in doubles.faults(facts)]


def test_two_people_with_one_address_are_both_told_whatever_its_case() -> None:
    facts = catalog(person("jo", "jo@example.com"), person("jon", "Jo@Example.com"), person("al", "a@b"))
    field, rest = "`spec.profile.email`", "too: tokens of `idp` with it mean nobody; each needs one of its own"
    assert messages(Doubles([EMAIL], with_clients=True), facts) == [
        f"{field} of `user:default/jo` is that of `user:default/jon`, {rest}",
        f"{field} of `user:default/jon` is that of `user:default/jo`, {rest}",
    ]


def test_two_teams_of_one_name_are_told_where_tokens_list_teams() -> None:
    one, other = (replace(team(name), fields={"metadata.name": "crew"}) for name in ("crew", "abroad"))
    assert len(messages(Doubles([TEAM], with_clients=True), catalog(one, other))) == 2
    assert messages(Doubles([NAME], with_clients=True), catalog(one, other)) == []


def test_two_components_with_one_client_id_are_told_unless_client_ids_find_nobody_anyway() -> None:
    facts = catalog(service("a", client_ids={"": "same"}), service("b", client_ids={"prod": "same", "dev": "own"}))
    said = messages(Doubles([], with_clients=True), facts)
    assert said[0].startswith(
        "`client-id` of `component:default/a` is that of `component:default/b`, too: tokens with it"
    )
    assert len(said) == 2
    assert messages(Doubles([], with_clients=False), facts) == []


def test_two_components_with_one_address_on_a_big_ip_are_told_environment_by_environment() -> None:
    facts = catalog(
        service("a", virtual_addresses={"prod": "10.0.0.9", "dev": "10.0.0.8"}),
        service("b", virtual_addresses={"prod": "10.0.0.9", "dev": "10.0.0.9"}),
    )
    doubles = Doubles([], with_clients=False)
    assert [(fault.source.entity, fault.environment) for fault in doubles.faults(facts)] == [
        (facts.services[f"component:default/{name}"].source.entity, "prod") for name in "ab"
    ]
    start = "`virtual-address` 10.0.0.9 of `component:default/a` in prod is that of `component:default/b`, too"
    assert messages(doubles, facts)[0].startswith(start)
    assert messages(doubles, catalog(service("a", virtual_addresses={"prod": "10.0.0.9"}))) == []


def test_of_very_many_under_one_key_a_few_are_named() -> None:
    facts = catalog(*(person(f"p{number}", "none@example.com") for number in range(500)))
    said = messages(Doubles([EMAIL], with_clients=True), facts)
    assert len(said) == 500
    assert "and 496 more, too" in said[0]


PEOPLE = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["", "x@y", "X@Y", "z@y", "w@y"]), max_size=6)


@given(st.lists(PEOPLE, min_size=1, max_size=6))
def test_told_are_those_whom_the_directory_finds_ambiguous_also_after_changes(versions: list[dict[str, str]]) -> None:
    doubles = Doubles([EMAIL], with_clients=True)
    for version in versions:
        facts = catalog(*(person(name, text) for name, text in version.items()))
        told = {fault.message.split("`")[3] for fault in doubles.faults(facts)}
        blocks = [frame for name, frame in directory_frames(facts, [EMAIL], ()).items() if name.startswith("keys/")]
        found = {
            value for block in blocks for values in block.values() for value, ref in values.items() if ref == AMBIGUOUS
        }
        assert told == {f"user:default/{name}" for name, text in version.items() if text.casefold() in found}
