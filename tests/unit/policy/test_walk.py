"""The walk through the tree finds what the definition over lists finds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.compile import exposure_frame
from policy.derive import derive
from policy.exposure import Exposure
from policy.facts import Operation
from policy.paths import METHODS
from policy.routes import required
from policy.statements import AccessPolicy, EnvironmentPolicy
from policy.walk import exact_routes, operations_of
from policy.walk import required as walked
from tests.support.examples import examples
from tests.support.policy_worlds import OPERATIONS, PATHS, catalog, paths_to, service

POLICY = AccessPolicy({"prod": EnvironmentPolicy("prod")})


def exposure(*operations: Operation) -> Exposure:
    (published,) = derive(catalog(service("x", *operations)), POLICY, ("prod",)).published
    return Exposure(exposure_frame(published))


def names(found: list[tuple[str, str, int, int]]) -> list[str]:
    return [f"{method} {template}" for template, method, _, _ in found]


@settings(max_examples=examples(100))
@given(st.lists(OPERATIONS, min_size=1, max_size=8), st.lists(PATHS, min_size=3, max_size=3))
def test_walk_equals_routes(operations: list[Operation], paths: list[tuple[str, ...]]) -> None:
    """For every method and path the same operations are asked for."""
    (published,) = derive(catalog(service("x", *operations)), POLICY, ("prod",)).published
    tree = Exposure(exposure_frame(published)).rules().tree
    for path in [*paths, *paths_to(published.operations)]:
        for method in METHODS:
            expected = {operation.name for operation in required(published.operations, path, method)}
            assert set(names(walked(list(exact_routes(tree, path)), path, method))) == expected


def test_operations_of_a_leaf() -> None:
    tree = exposure(Operation("GET", "/a"), Operation("POST", "/a")).rules().tree
    (route,) = exact_routes(tree, ("a",))
    assert names(operations_of(route.leaf)) == ["GET /a", "POST /a"]
    assert names(operations_of(route.leaf, "POST")) == ["POST /a"]


def test_a_sibling_that_ends_in_a_slash_is_near_a_doubled_one() -> None:
    operations = (Operation("GET", "/a/"), Operation("GET", "/a/**"))
    found = walked(list(exact_routes(exposure(*operations).rules().tree, ("a", "", ""))), ("a", "", ""), "GET")
    assert names(found) == ["GET /a/**", "GET /a/"]
    assert [each.name for each in required(operations, ("a", "", ""), "GET")] == names(found)


def test_a_long_path_costs_no_more_than_the_tree_is_deep() -> None:
    tree = exposure(Operation("GET", "/a/{x}"), Operation("GET", "/a/b"), Operation("GET", "/a/**")).rules().tree
    (route,) = exact_routes(tree, ("a", *("b",) * 5000))
    assert names(operations_of(route.leaf)) == ["GET /a/**"]
