"""What breaks an invariant and what does not, case by case; every caller and path is the property test's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.facts import Operation, Person, Service, Team
from policy.promises.invariants import invariants_in
from policy.promises.promised import place_in
from policy.promises.proofs import Breach, breach_of, is_about, serves
from policy.promises.universe import Universe
from policy.reading import Reader
from policy.statements import AccessPolicy, EnvironmentPolicy, PolicyRule, Requirement, Selector
from tests.support.policy_worlds import HERE, catalog, person, service, team, world

PROD = EnvironmentPolicy("prod", ("all",), ("all",), ("read",), consent="any")
OPERATIONS = (
    Operation("GET", "/a", (frozenset({"read"}),), "api:default/a"),
    Operation("POST", "/a", api="api:default/a"),
)


def breaches(said: str, *entities: Service | Team | Person, policy: AccessPolicy | None = None) -> list[Breach]:
    """Of one invariant, ``never: …`` or ``only: …``, over a world with team `owners`."""
    kind, _, line = said.partition(": ")
    reader = Reader(lambda path: HERE)
    (invariant,) = invariants_in(reader, {kind: line}, ("dev", "prod"))
    facts = catalog(team("owners"), *entities)
    derived, table = world(facts, policy or AccessPolicy({"prod": PROD}))
    found = []
    for published in derived.published:
        exposure, place = table.exposures[published.key], place_in(published.service, published.operations)
        if is_about(invariant, exposure, place):
            breach = breach_of(invariant, exposure, place, Universe(table.directory))
            found += [breach] if breach is not None else []
    return found


def test_a_team_that_nobody_is_in_breaks_it_all_the_same() -> None:
    (breach,) = breaches("never: owners write", service("a", *OPERATIONS))
    assert (breach.caller, breach.permit.operation) == ("a member of `group:default/owners`", "POST /a")


def test_two_teams_together_break_it_where_neither_does_alone() -> None:
    """Only somebody who is in both: that is asked of the people there are."""
    entities = (team("guests"), service("a", *OPERATIONS))
    assert breaches("never: guests any", *entities, person("jane", "owners"), person("kim", "guests")) == []
    (breach,) = breaches("never: guests any", *entities, person("jane", "owners", "guests"))
    assert breach.caller == "`user:default/jane`"


@pytest.mark.parametrize(
    "need",
    [
        ("person", "mfa", ""), ("person", "fresh", 60), ("workload", "certificate", ""), ("workload", "issuer", "main"),
        ("workload", "network", "10.0.0.0/8,::1/128"),
    ],
)  # fmt: skip
def test_what_could_be_shown_is_shown(need: Any) -> None:
    """Scopes and requirements keep nobody from breaking an invariant: who meets them may."""
    policy = AccessPolicy({"prod": replace(PROD, requirements=(Requirement(*need),))})
    entities = (service("a", *OPERATIONS, access="everyone"), service("b", consumes=("api:default/a",), exposures=()))
    assert breaches("never: owners read", *entities, policy=policy)
    assert breaches("never: all-workloads GET /a", *entities, policy=policy)


def test_a_deny_on_whoever_is_meant_keeps_it() -> None:
    deny = PolicyRule(
        "deny", ("group:default/guests",), Selector(), (), None, (), frozenset(), (), False, "because", HERE
    )
    entities = (team("guests"), service("a", *OPERATIONS, access="everyone"), person("jane", "owners", "guests"))
    assert breaches("never: guests any", *entities)
    assert breaches("never: guests any", *entities, policy=AccessPolicy({"prod": PROD}, rules=(deny,))) == []


def test_only_keeps_out_programs_the_public_and_every_other_team() -> None:
    entities = (team("support"), service("a", *OPERATIONS, allow_groups=("group:default/support",)))
    opened = AccessPolicy({"prod": replace(PROD, groups=("read",))})
    assert breaches("only: owners, support may any", *entities, policy=opened) == []
    (breach,) = breaches("only: owners may any", *entities, policy=opened)
    assert breach.caller == "a member of `group:default/support`"
    (breach,) = breaches("only: all-people may any", service("a", *OPERATIONS, access="everyone"))
    assert breach.caller == "any program"


def test_a_team_above_has_the_rights_of_those_below() -> None:
    """Members of a child count as members of its parents, so an invariant about the parent is about them."""
    entities = (team("all"), replace(team("payments"), parents=("group:default/all",)))
    owned = service("a", *OPERATIONS, owner="group:default/payments")
    assert breaches("never: all write", *entities, owned, person("jane", "payments"))
    assert breaches("only: all may any", *entities, owned, person("jane", "payments")) == []


def test_a_path_is_the_operation_of_that_path_or_whatever_serves_it() -> None:
    shop = service("shop", access="everyone", has_definition=False)
    (breach,) = breaches("never: owners GET /admin/**", shop)
    assert breach.request.startswith("GET /admin")
    templates = [Operation("GET", each, api="api:default/a") for each in ("/users/{id}", "/users/me")]
    (breach,) = breaches("never: owners GET /users/{x}", service("a", *templates))
    assert breach.permit.operation == "GET /users/{id}"
    (breach,) = breaches("never: owners GET /users/root", service("a", *templates))
    assert (breach.request, breach.permit.operation) == ("GET /users/root", "GET /users/{id}")
    assert breaches("never: owners GET /teams", service("a", *templates)) == []


def test_a_slash_at_the_end_makes_no_way_round_where_it_makes_no_difference() -> None:
    """`options: trailing-slash-same` gives each operation a second path; both are the operation."""
    same = service("a", *OPERATIONS, options=frozenset({"trailing-slash-same"}))
    for said in ("never: owners POST /a/", "never: owners POST /a", "only: guests may POST /a"):
        (breach,) = breaches(said, same, team("guests"))
        assert breach.permit.operation in ("POST /a", "POST /a/")


def test_a_program_of_another_environment_still_reaches_what_is_public() -> None:
    """No deny of this environment is about it, so the public operation is open to it."""
    public = PolicyRule(
        "allow", ("anyone",), Selector((("service", ("component:default/a",)),)), ("prod",), None,
        (("GET", ("a",)),), frozenset(), (), False, "because", HERE,
    )  # fmt: skip
    deny = PolicyRule("deny", ("all-workloads",), Selector(), (), None, (), frozenset(), (), False, "because", HERE)
    policy = AccessPolicy({"prod": PROD}, rules=(public, deny))
    said = "never: all-workloads any in prod"
    assert breaches(said, service("a", *OPERATIONS), service("b", exposures=()), policy=policy) == []
    (breach,) = breaches(said, service("a", *OPERATIONS), service("b", client_ids={"dev": "b"}), policy=policy)
    assert breach.caller == "`component:default/b@dev`"


def test_an_invariant_is_about_its_environments_and_services_alone() -> None:
    entities = (service("a", *OPERATIONS, system="system:default/s"), service("b", *OPERATIONS))
    (breach,) = breaches("never: owners any of system:s", *entities)
    assert breach.exposure == "component:default/a@prod"
    assert breaches("never: owners any in dev", *entities) == []


def test_which_requests_an_operation_answers() -> None:
    assert serves("GET", "HEAD")
    assert serves("POST", "OPTIONS")
    assert serves("POST", "POST")
    assert not serves("HEAD", "GET")
    assert not serves("GET", "POST")
