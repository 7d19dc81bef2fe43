"""How little is derived again: counts, so that a change of one service never becomes work for all of them. That the
result is right is for `tests/properties/test_incremental.py`.
"""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest

from policy.claims import Incumbent, holders
from policy.derive import Memory, derive
from policy.facts import Catalog, Operation, Service
from policy.memory import _Remembered
from policy.statements import AccessPolicy, EnvironmentPolicy, PolicyRule, Selector
from tests.support.policy_worlds import HERE, catalog, exposure, person, service, team

PROD = EnvironmentPolicy("prod", ("all",), ("all",), consent="any")
POLICY = AccessPolicy({"prod": PROD})
MANY = 50


def company(**changes: Service) -> Catalog:
    """Fifty services, each used by the next; all of team `owners`."""
    services = [
        service(
            f"s{n}", Operation("GET", "/", api=f"api:default/a{n}"), consumes=(f"api:default/a{(n + 1) % MANY}",),
            access="consumers",
        )
        for n in range(MANY)
    ]  # fmt: skip
    found = catalog(team("owners"), person("jane", "owners"), *services)
    return replace(found, services={**found.services, **{f"component:default/{k}": v for k, v in changes.items()}})


def deny(name: str) -> PolicyRule:
    return PolicyRule(
        "deny", ("group:default/owners",), Selector((("service", (f"component:default/{name}",)),)), (), None, (),
        frozenset(), (), False, "because", HERE,
    )  # fmt: skip


class Following:
    """Derives one catalog after the other, and counts the exposures that were derived for it."""

    def __init__(self, facts: Catalog) -> None:
        self.memory = Memory()
        self.count(facts)

    def count(self, facts: Catalog, policy: AccessPolicy = POLICY) -> int:
        with patch("policy.memory._Remembered", side_effect=_Remembered) as made:
            found = derive(facts, policy, ("prod",), memory=self.memory)
        count: int = made.call_count
        assert found == derive(facts, policy, ("prod",))
        return count


def test_nothing_is_derived_again_when_nothing_changed() -> None:
    facts = company()
    assert Following(facts).count(facts) == 0
    assert Following(facts).count(replace(facts, services=dict(facts.services))) == 0


def test_a_service_that_changed_is_derived_again_with_those_whose_apis_it_uses() -> None:
    facts = company()
    following = Following(facts)
    changed = replace(facts.services["component:default/s7"], title="Other")
    assert following.count(replace(facts, services={**facts.services, changed.ref: changed})) == 2


def test_people_and_teams_bear_on_no_rule() -> None:
    facts = company()
    assert Following(facts).count(replace(facts, people={}, teams={})) == 0


def test_a_rule_of_the_access_policy_bears_on_the_services_it_covers() -> None:
    facts = company()
    assert Following(facts).count(facts, replace(POLICY, rules=(deny("s3"),))) == 1


def test_another_environment_policy_bears_on_all_of_its_exposures() -> None:
    facts = company()
    assert Following(facts).count(facts, AccessPolicy({"prod": replace(PROD, owners=("read",))})) == MANY


def test_a_derivation_that_failed_half_way_is_not_built_upon() -> None:
    facts = company()
    following = Following(facts)
    changed = replace(facts.services["component:default/s7"], title="Other")
    after = replace(facts, services={**facts.services, changed.ref: changed})
    with patch("policy.places.holders", side_effect=MemoryError), pytest.raises(MemoryError):
        derive(after, POLICY, ("prod",), memory=following.memory)
    following.count(after)
    following.count(facts)


def test_who_holds_a_place_is_settled_again_only_where_somebody_else_wants_it() -> None:
    """After the first compile everybody is told to be the incumbent of their own place."""
    rivals = {name: service(name, Operation("GET", "/"), exposures=(exposure("same"),)) for name in ("x", "y")}
    facts = company(**rivals)
    memory = Memory()
    derive(facts, POLICY, ("prod",), memory=memory)
    incumbents = {
        (each.host, each.prefix): Incumbent(f"{ref}@prod") for ref, s in facts.services.items() for each in s.exposures
    }
    incumbents["same.example.com", "/"] = Incumbent("component:default/x@prod")
    with patch("policy.places.holders", side_effect=holders) as settled:
        found = derive(facts, POLICY, ("prod",), None, incumbents, memory=memory)
    assert settled.call_count == 1
    assert found == derive(facts, POLICY, ("prod",), None, incumbents)
    assert "component:default/x@prod" in {each.key for each in found.published}
