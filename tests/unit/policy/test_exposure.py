"""An exposure at run time, and its careful way to a verdict."""

from __future__ import annotations

import pytest

from policy.exposure import Exposure, crowd_of, holds_one, missing_scopes
from policy.facts import ANONYMOUS, Operation, Permit, Principal, Refusal
from policy.frames import PermitFrame
from policy.statements import AccessPolicy, EnvironmentPolicy
from policy.table import Match
from tests.support.policy_worlds import catalog, exposure, person, service, team, world

ENTRIES: tuple[PermitFrame, ...] = tuple(
    (subject, "rule", f"r-{n}", (), ()) for n, subject in enumerate(("a", "b", "a", "anyone", "c"))
)
INDEX = {"a": (0, 2), "anyone": (3,), "b": (1,), "c": (4,)}


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [({"a"}, "023"), ({"b", "c"}, "134"), (set(), "3"), ({"z"}, "3"), ({"a", "b", "c"}, "01234")],
)
def test_of_a_crowd_only_who_is_meant_in_order(subjects: set[str], expected: str) -> None:
    found = crowd_of(ENTRIES, INDEX, frozenset(subjects))
    assert [entry[2] for entry in found] == [f"r-{digit}" for digit in expected]


def test_where_hundreds_may_come_each_is_found() -> None:
    """The index by subject gives what reading all permits would give."""
    groups = tuple(f"group:default/g{n}" for n in range(300))
    facts = catalog(
        *(team(f"g{n}") for n in range(300)), person("jane", "g7", "g250"), person("joe"),
        service("x", Operation("GET", "/a", (frozenset({"s"}),)), Operation("GET", "/b"), allow_groups=groups),
    )  # fmt: skip
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", groups=("read",))})
    derived, table = world(facts, policy)
    match = table.match("x.example.com", ("b",))
    assert not isinstance(match, Refusal)
    ids = {rule.subject: rule.id for rule in derived.published[0].rules}
    jane = Principal("person", "user:default/jane", table.subjects_of("user:default/jane"))
    first = min(ids["group:default/g7"], ids["group:default/g250"])
    assert table.decide(match, "GET", jane, 0) == Permit("rule", first, "GET /b")
    assert table.decide(Match(match.exposure, ("a",)), "GET", jane, 0) == Refusal(
        "scope_missing", first, "GET /a", ("s",)
    )
    joe = Principal("person", "user:default/joe", table.subjects_of("user:default/joe"))
    assert table.decide(match, "GET", joe, 0) == Refusal("no_rule")


@pytest.mark.parametrize(
    ("cors", "path", "method", "operation"),
    [
        (("upstream",), "a", "PUT", "OPTIONS /a"),
        (("upstream",), "a", "DELETE", ""),
        (("upstream",), "b", "PUT", ""),
        (("https://shop.example",), "a", "PUT", ""),
        ((), "a", "PUT", ""),
    ],
)
def test_a_question_of_a_script_goes_to_a_service_that_wants_it(
    cors: tuple[str, ...], path: str, method: str, operation: str
) -> None:
    """And only about an operation that there is; the permit is about the question, not about what was asked for."""
    facts = catalog(service("x", Operation("PUT", "/a"), cors=cors))
    _, table = world(facts, AccessPolicy({"prod": EnvironmentPolicy("prod")}))
    (found,) = table.exposures.values()
    permit = found.preflight((path,), method)
    assert permit == (Permit("public", "", operation) if operation else None)


def test_scopes() -> None:
    assert holds_one((("a", "b"), ("c",)), frozenset({"c"}))
    assert not holds_one((("a", "b"),), frozenset({"a"}))
    plain: PermitFrame = ("g", "rule", "r-1", ("b",), ())
    who = Principal("person", subjects=frozenset({"g"}), scopes=frozenset({"a"}))
    assert missing_scopes((("a", "b"),), plain, who, {}) is None
    assert missing_scopes((("a", "b", "c"), ("x", "y")), plain, who, {}) == ("c",)
    assert missing_scopes((("z",), ("y",)), plain, who, {}) == ("y",)
    assert missing_scopes((("z",),), plain, who, {"g": frozenset({"z"})}) is None
    bounded = Principal("person", subjects=frozenset({"g"}), scopes=frozenset({"a"}), bounded=True)
    assert missing_scopes((("a", "b"),), plain, bounded, {"g": frozenset({"b"})}) == ("b",)


def test_nowhere_is_for_nobody() -> None:
    nowhere = Exposure.nowhere()
    assert nowhere.upstreams == ()
    assert nowhere.verdict(("a",), "GET", ANONYMOUS, 0, {}) == Refusal("identity_required")
    everyone = Principal("person", "u", frozenset({"u", "everyone", "all-people"}))
    assert nowhere.verdict(("a",), "OPTIONS", everyone, 0, {}) == Refusal("no_rule")


def test_an_exposure_says_where_it_is_served_and_forwarded() -> None:
    _, table = world(
        catalog(service("x", exposures=(exposure("x", prefix="/v1/pay"),), options=frozenset({"assertion"}))),
        AccessPolicy({}),
    )
    found = table.exposures["component:default/x@prod"]
    assert (found.service, found.environment, found.host) == ("component:default/x", "prod", "x.example.com")
    assert (found.prefix, found.prefix_segments, found.depth) == ("/v1/pay", ("v1", "pay"), 2)
    assert (found.upstreams, found.options) == (("http://10.0.0.1:8080",), frozenset({"assertion"}))
