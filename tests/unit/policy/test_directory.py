"""Whom a token's claims mean, and which subjects they carry."""

from __future__ import annotations

from policy.directory import AMBIGUOUS, block_of, directory_frames
from policy.facts import KeyField, Person
from policy.statements import AccessPolicy
from policy.table import Table
from tests.support.policy_worlds import catalog, person, service, table_of, team, world

KEYS = (
    KeyField("main", "person", "oid", "annotations.oid"),
    KeyField("main", "person", "email", "spec.profile.email"),
    KeyField("main", "team", "groups", "metadata.name"),
    KeyField("both", "person", "id", "annotations.oid"),
    KeyField("both", "person", "id", "spec.profile.email"),
)


def mail(name: str, address: str, oid: str = "") -> Person:
    return person(name, **{"spec.profile.email": address, "annotations.oid": oid})


def table(*entities: object) -> Table:
    _, made = world(catalog(*entities), AccessPolicy({}), KEYS)  # type: ignore[arg-type]  # facts of any kind
    return made


def test_a_claim_finds_the_person_of_its_issuer() -> None:
    known = table(mail("jane", "Jane@Example.com", "O1"))
    assert known.person("main", "oid", "O1") == "user:default/jane"
    assert known.person("main", "email", "jane@example.COM") == "user:default/jane"
    assert known.person("main", "oid", "o1") is None
    assert known.person("other", "oid", "O1") is None
    assert known.person("main", "oid", "") is None


def test_two_people_under_one_key_are_nobody() -> None:
    known = table(mail("jane", "same@example.com"), mail("joe", "SAME@example.com"))
    assert known.person("main", "email", "same@example.com") == AMBIGUOUS


def test_one_claim_with_two_fields_must_agree() -> None:
    """A value that is one person's annotation and another one's address means neither."""
    known = table(mail("jane", "x@example.com", "y@example.com"), mail("joe", "y@example.com", "z"))
    assert known.person("both", "id", "y@example.com") == AMBIGUOUS
    assert known.person("both", "id", "z") == "user:default/joe"
    assert known.person("both", "id", "x@example.com") == "user:default/jane"


def test_teams_are_found_by_their_own_field() -> None:
    known = table(team("a", **{"metadata.name": "a"}), mail("a", "a"))
    assert known.team("main", "groups", "a") == "group:default/a"
    assert known.team("main", "groups", "b") is None


def test_membership_is_transitive_and_survives_circles() -> None:
    known = table(team("a", "b"), team("b", "c"), team("c", "a", "gone"), person("jane", "a", "nowhere"))
    above = {"group:default/a", "group:default/b", "group:default/c"}
    assert known.team_subjects("group:default/a") == above
    assert known.team_subjects("group:default/gone") == frozenset()
    assert known.subjects_of("user:default/jane") == above | {"user:default/jane", "all-people", "everyone"}
    assert known.subjects_of("user:default/nobody") == frozenset()


def test_a_workload_is_found_by_its_client_id() -> None:
    known = table(service("x", client_ids={"": "cx"}), service("y", client_ids={}))
    assert known.workload("cx") == "component:default/x"
    assert known.workload("component:default/y") is None
    assert known.subjects_of("component:default/x") == {"component:default/x", "all-workloads", "everyone"}
    assert known.subjects_of("component:default/y") == frozenset()


def test_a_client_id_of_one_environment_means_nothing_in_another() -> None:
    known = table(
        service("x", client_ids={"": "cx", "dev": "cx-dev"}), service("y", client_ids={"dev": "b", "prod": "b"})
    )
    assert known.workload("cx") == "component:default/x@prod"
    assert known.workload("cx-dev") == "component:default/x@dev"
    assert known.workload("b") == "component:default/y"
    assert known.subjects_of("component:default/x@dev") == {
        "component:default/x@dev", "all-workloads@dev", "everyone@dev"
    }  # fmt: skip
    assert known.subjects_of("component:default/x") == frozenset()


def test_a_client_id_may_hold_in_some_environments() -> None:
    facts = catalog(service("x", client_ids={"dev": "c", "staging": "c"}))
    known = table_of(directory_frames(facts, (), ("dev", "prod", "staging")))
    assert known.workload("c") == "component:default/x@dev+staging"
    assert known.subjects_of("component:default/x@dev+staging") >= {"everyone@dev", "everyone@staging"}


def test_an_environment_that_empties_the_client_id_has_none() -> None:
    known = table(service("x", client_ids={"": "cx", "prod": ""}))
    assert known.workload("cx") == "component:default/x@dev"
    assert known.workload("") is None


def test_two_components_with_one_client_id_are_neither() -> None:
    known = table(service("x", client_ids={"": "c"}), service("y", client_ids={"dev": "c"}))
    assert known.workload("c") == AMBIGUOUS
    assert known.subjects_of(AMBIGUOUS) == frozenset()


def test_blocks_are_two_hexadecimal_digits() -> None:
    assert len({block_of(str(number)) for number in range(5000)}) == 256
