"""Promise: coarse rules never leave out anybody whom the door lets in, and name nobody to whom no permit applies.

Random companies; the door's side is the definition itself (`policy.reference`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.coarse import Scope, Scopes, scopes_of
from policy.derive import derive
from policy.facts import ALL_PEOPLE, EVERYONE, Catalog, Circumstances, Permit, Principal, Refusal
from policy.reasons import IDENTITY_REQUIRED, NO_RULE
from policy.reference import decide
from policy.rule import Derived, Published
from policy.statements import AccessPolicy
from tests.support.examples import examples
from tests.support.policy_worlds import (
    BUILTIN,
    ENVIRONMENTS,
    NOW,
    PATHS,
    PEOPLE,
    POLICIES,
    SCOPES,
    catalogs,
    paths_to,
    world,
)

WELL_CONNECTED = Circumstances("10.0.0.1", True)


def scope_by_key(derived: Derived) -> dict[str, Scope]:
    return {
        f"{service}@{name}": scope
        for name in ENVIRONMENTS
        for scope in scopes_of(name, derived.published)
        for service in scope.services
    }


def person(subjects: frozenset[str], ref: str = "user:default/somebody") -> Principal:
    """Who shows everything that can be shown."""
    return Principal(
        "person", ref, subjects, scopes=frozenset(SCOPES), amr=frozenset({"mfa"}), auth_time=NOW, issuer="main"
    )


def is_named(scope: Scope, subjects: Iterable[str]) -> bool:
    return scope.everyone or scope.anyone or not {*scope.teams, *scope.people}.isdisjoint(subjects)


def verdicts(
    derived: Derived, each: Published, who: Principal, more: Iterable[tuple[str, ...]] = ()
) -> list[Permit | Refusal]:
    """At a path to every operation, and ``more`` paths, by every method there is."""
    methods = {operation.method for operation in each.operations} | {"OPTIONS"}
    paths = {*paths_to(each.operations), *more}
    return [
        decide(derived, each.key, path, method, who, NOW, WELL_CONNECTED)
        for path in sorted(paths) for method in sorted(methods)
    ]  # fmt: skip


@given(catalogs(), POLICIES, st.lists(PATHS, max_size=3))
def test_whom_the_door_lets_in_the_coarse_rules_name(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]]
) -> None:
    derived, table = world(facts, policy, builtin=BUILTIN)
    named = scope_by_key(derived)
    for each in derived.published:
        if each.key not in named:
            assert each.exposure.environment not in ENVIRONMENTS
            continue
        for ref in PEOPLE:
            who = person(table.subjects_of(ref), ref)
            if any(isinstance(verdict, Permit) for verdict in verdicts(derived, each, who, paths)):
                assert is_named(named[each.key], who.subjects)
        if any(isinstance(verdict, Permit) for verdict in verdicts(derived, each, Principal("anonymous"), paths)):
            assert named[each.key].anyone


def without_denies(derived: Derived) -> Derived:
    permits = (replace(each, rules=tuple(rule for rule in each.rules if rule.is_permit)) for each in derived.published)
    return replace(derived, published=tuple(permits))


def reaches(derived: Derived, scope: Scope, who: Principal) -> bool:
    """Whether the definition ever says more to them than that no rule lets them in, denies aside."""
    return any(
        isinstance(verdict, Permit) or verdict.reason not in (NO_RULE, IDENTITY_REQUIRED)
        for each in derived.published
        if each.service.ref in scope.services and each.exposure.environment == scope.environment
        for verdict in verdicts(derived, each, who)
    )


@given(catalogs(), POLICIES)
def test_nobody_is_named_to_whom_no_permit_applies(facts: Catalog, policy: AccessPolicy) -> None:
    derived, _ = world(facts, policy)
    permits = without_denies(derived)
    for scope in {*scope_by_key(derived).values()}:
        for subject in (*scope.teams, *scope.people):
            assert reaches(permits, scope, person(frozenset({subject}))), subject
        if scope.everyone:
            assert reaches(permits, scope, person(frozenset({ALL_PEOPLE, EVERYONE})))
        if scope.anyone:
            assert reaches(permits, scope, Principal("anonymous"))


@settings(max_examples=examples(100))
@given(catalogs(), POLICIES, POLICIES, st.permutations(range(6)))
def test_a_memory_and_another_order_change_nothing(
    facts: Catalog, policy: AccessPolicy, other: AccessPolicy, order: list[int]
) -> None:
    fewer = Catalog(facts.people, facts.teams, {ref: facts.services[ref] for ref in sorted(facts.services)[1:]})
    remembering = Scopes("prod")
    for known, rules in ((facts, policy), (fewer, policy), (facts, other), (facts, policy)):
        published = derive(known, rules, ENVIRONMENTS).published
        shuffled = [published[place] for place in order if place < len(published)]
        assert remembering.scopes(shuffled) == scopes_of("prod", published)
