"""Checks of what comes of catalog and policy together, where one fact decides."""

from __future__ import annotations

from policy.derive import derive
from policy.facts import Operation, Person, Team
from policy.lint.ground import Ground
from policy.lint.reach import lint_reach
from policy.statements import AccessPolicy, EnvironmentPolicy, Role
from tests.support.policy_worlds import ENVIRONMENTS, catalog, person, service, team


def kinds(*people: str, role: frozenset[str] = frozenset()) -> list[str]:
    """Of one service, open for all to read, whose operation needs a scope."""
    entities: list[Person | Team] = [
        team("owners"),
        *(person(name, "owners" if name == "owner" else "guests") for name in people),
    ]
    operation = Operation("GET", "/a", (frozenset({"a:read"}),), "api:default/a")
    facts = catalog(*entities, service("a", operation, access="everyone"))
    roles = (Role("readers", ("group:default/owners",), role),) if role else ()
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",), everyone=("read",))}, roles)
    published = derive(facts, policy, ENVIRONMENTS).published
    return [each.kind for each in lint_reach(Ground(facts, policy, published, {}))]


def test_an_owner_who_exists_holds_every_scope() -> None:
    assert kinds("owner") == []
    assert kinds("joe") == ["scope_unheld"]
    assert kinds("joe", role=frozenset({"a:read"})) == []


def test_where_nobody_exists_nobody_can_call_and_no_scope_is_missed() -> None:
    assert kinds() == ["operation_unreachable"]
