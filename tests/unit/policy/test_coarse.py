"""Scopes: which services coarse rules speak of together, and whom they name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.coarse import Scopes, scopes_of
from policy.derive import derive
from policy.facts import ALL_PEOPLE, ALL_WORKLOADS
from policy.statements import ANYONE, AccessPolicy, EnvironmentPolicy, PolicyRule, Selector
from tests.support.policy_worlds import BUILTIN, ENVIRONMENTS, HERE, catalog, service


def test_every_service_is_in_the_one_scope_of_its_system_domain_or_itself() -> None:
    parts = {
        "a": {"system": "system:default/s", "domain": "domain:default/d"},
        "b": {"system": "system:default/s", "domain": "domain:default/d", "owner": "group:default/others"},
        "c": {"domain": "domain:default/d"},
        "d": {},
    }
    facts = catalog(*(service(name, **said) for name, said in parts.items()))
    scopes = scopes_of("prod", derive(facts, AccessPolicy({}), ENVIRONMENTS).published)
    assert [(scope.ref, scope.owner, [ref[-1] for ref in scope.services]) for scope in scopes] == [
        ("component:default/d", "group:default/owners", ["d"]),
        ("domain:default/d", "group:default/owners", ["c"]),
        ("system:default/s", "", ["a", "b"]),
    ]
    assert all(scope.is_closed for scope in scopes)


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("group:default/t", {"teams": ("group:default/t",)}),
        ("user:default/p", {"people": ("user:default/p",)}),
        (ALL_PEOPLE, {"everyone": True}),
        (ANYONE, {"anyone": True}),
        ("component:default/c", {}),
        (ALL_WORKLOADS, {}),
    ],
)
def test_a_subject_is_told_as_a_filter_knows_it(subject: str, said: dict[str, object]) -> None:
    """Programs come through the door and are no people."""
    statement = PolicyRule(
        "allow", (subject,), Selector(), ("prod",), None, (("GET", ("x",)),), frozenset(), (), False, "because", HERE
    )
    policy = AccessPolicy({}, rules=(statement,))
    (scope,) = scopes_of("prod", derive(catalog(service("a")), policy, ENVIRONMENTS).published)
    assert {name: getattr(scope, name) for name in ("teams", "people", "everyone", "anyone")} == {
        "teams": (), "people": (), "everyone": False, "anyone": False, **said
    }  # fmt: skip
    assert bool(scope.rules) == bool(said)


def test_what_stays_is_the_same_object() -> None:
    """So that whoever compares scopes by identity sees what changed."""
    facts = catalog(*(service(name) for name in "abc"))
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", owners=("all",))})
    published = derive(facts, policy, ENVIRONMENTS).published
    scopes = Scopes("prod")
    before = scopes.scopes(published)
    again = scopes.scopes([*published[1:], replace(published[0], rules=())])
    assert [one is other for one, other in zip(before, again, strict=True)] == [False, True, True]
    assert not before[0].is_closed
    assert again[0].is_closed


def test_stagedoors_own_pages_are_in_no_scope() -> None:
    published = derive(catalog(service("a")), AccessPolicy({}), ENVIRONMENTS, BUILTIN).published
    assert {each.exposure.environment for each in published} == {"central", "prod"}
    assert scopes_of("central", published) == ()
    assert len(scopes_of("prod", published)) == 1
