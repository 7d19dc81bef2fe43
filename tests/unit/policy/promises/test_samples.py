"""The paths that stand for all others. Each case is one that the path which comes to mind first would miss."""

from __future__ import annotations

import pytest

from policy.compile import exposure_frame
from policy.derive import derive
from policy.facts import Operation, Permit, Principal
from policy.paths import matches, template_of
from policy.promises.samples import Samples, is_within, shared
from policy.statements import AccessPolicy, EnvironmentPolicy, PolicyRule, Selector
from policy.table import Exposure
from tests.support.policy_worlds import HERE, catalog, person, service, team

JANE = Principal("person", "user:default/jane", frozenset({"user:default/jane", "group:default/owners"}))


def exposure_of(*operations: str, deny: str = "") -> Exposure:
    """Open to its owners, but for one deny."""
    denied = tuple((method, template_of(path)) for method, path in [deny.split()] if deny) if deny else ()
    rule = PolicyRule(
        "deny", ("group:default/owners",), Selector(), (), None, denied, frozenset(), (), False, "because", HERE
    )
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))}, rules=(rule,) if deny else ())
    found = [Operation(*text.partition(" ")[::2], api="api:default/a") for text in operations]
    facts = catalog(team("owners"), person("jane", "owners"), service("a", *found))
    (published,) = derive(facts, policy, ("prod",)).published
    return Exposure(exposure_frame(published))


def permitted(exposure: Exposure, text: str) -> list[tuple[str, ...]]:
    """The sample paths of a template on which jane is let in."""
    method, _, template = text.partition(" ")
    paths = list(Samples(exposure.rules()).paths(template_of(template)))
    assert all(matches(template_of(template), path) for path in paths)
    verdicts = {path: exposure.verdict(path, method, JANE, 0, {}) for path in paths}
    return [path for path, verdict in verdicts.items() if isinstance(verdict, Permit) and verdict.operation == text]


@pytest.mark.parametrize(
    ("operations", "deny", "asked"),
    [
        (("GET /{x}", "GET /vvv", "GET /v{y}"), "", "GET /{x}"),  # a filler that is a literal, or fits a pattern
        (("GET /{x}", "POST /admin"), "GET /{y}z", "GET /{x}"),
        (("GET /a{x}z.b",), "GET /{y}z", "GET /a{x}z.b"),  # the deny is near `/avz.b`, and not near `/av;vz.b`
        (("GET /a/**", "GET /a/{x}"), "", "GET /a/**"),  # only with two segments more, or none
        (("GET /a/**", "GET /a/{x}", "GET /a", "GET /a/{x}/**"), "", "GET /a/**"),  # only below an empty segment
        (("GET /**",), "GET /{x}", "GET /**"),  # the deny is near every path of one segment
        (("GET /**",), "GET /{x}/{y}/**", "GET /**"),  # and this one near all with two or more
        (("GET /a/{x}/**",), "GET /a/{x}", "GET /a/{x}/**"),
    ],
)
def test_a_path_is_found_on_which_an_operation_is_permitted(operations: tuple[str, ...], deny: str, asked: str) -> None:
    assert permitted(exposure_of(*operations, deny=deny), asked)


@pytest.mark.parametrize(
    ("operations", "deny", "asked"),
    [
        (("GET /{x}",), "GET /{y}", "GET /{x}"),
        (("GET /a{x}",), "GET /A{y}", "GET /a{x}"),
        (("GET /a/**",), "GET /a/**", "GET /a/**"),
        (("GET /a{x}.b",), "GET /a{y}", "GET /a{x}.b"),
    ],
)
def test_what_every_path_is_denied_has_none(operations: tuple[str, ...], deny: str, asked: str) -> None:
    assert permitted(exposure_of(*operations, deny=deny), asked) == []


def test_the_letter_of_the_variables_is_one_that_no_template_uses() -> None:
    every = "vwxyz0123456789bcdfghjklmnpqrstaeiou~-_"
    exposure = exposure_of("GET /{x}", *(f"GET /{letter}{{x}}" for letter in every))
    (path,) = permitted(exposure, "GET /{x}")
    assert path[0][0] not in every


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("/a/{x}", "/{y}/b", ["/a/b"]),
        ("/a/**", "/a", ["/a"]),
        ("/**", "/a/{x}/**", ["/a/{x}/**"]),
        ("/a/**", "/**", ["/a/**"]),
        ("/a", "/a/b", []),
        ("/a{x}", "/b{x}", []),
        ("/a{x}", "/{y}b", ["/a{x}b", "/ab"]),
        ("/ab{x}", "/{y}bc", ["/ab{x}bc", "/abbc", "/abc"]),
        ("/ab{x}", "/a{y}", ["/ab{x}"]),
        ("/{x}", "/", []),
    ],
)
def test_what_two_templates_share(one: str, other: str, both: list[str]) -> None:
    found = {template_of(each) for each in both}
    assert set(shared(template_of(one), template_of(other))) == found
    assert set(shared(template_of(other), template_of(one))) == found


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("/a/b", "/a/{x}", True),
        ("/a/{x}", "/a/b", False),
        ("/a/{x}/c", "/a/**", True),
        ("/a", "/a/**", True),
        ("/**", "/a/**", False),
        ("/a/**", "/a/{x}", False),
        ("/ab{x}", "/a{x}", True),
        ("/a{x}", "/ab{x}", False),
    ],
)
def test_a_template_within_another(inner: str, outer: str, expected: bool) -> None:
    assert is_within(template_of(inner), template_of(outer)) == expected
