"""Two versions of an exposure meet in what both permit; the properties ask about everything, this about each case."""

from __future__ import annotations

import pytest

from policy.compile import exposure_frame
from policy.derive import derive
from policy.facts import ANONYMOUS, Operation, Permit, Principal
from policy.frames import NO_RULES, DenyFrame, ExposureFrame
from policy.promises.narrowing import denying, narrowed, offers_of, rules_of
from policy.statements import AccessPolicy, EnvironmentPolicy
from policy.table import Exposure
from tests.support.policy_worlds import catalog, service, team

JANE = Principal("person", "user:default/jane", frozenset({"user:default/jane", "group:default/owners", "all-people"}))


def frame_of(*operations: str, prefix: str = "/") -> ExposureFrame:
    """Open to its owners. ``GET /a read``: with the scope that it needs."""
    found = []
    for text in operations:
        method, template, *scopes = text.split()
        found.append(Operation(method, template, tuple(frozenset({each}) for each in scopes), "api:default/a"))
    facts = catalog(team("owners"), service("a", *found))
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))})
    return exposure_frame(derive(facts, policy, ("prod",)).published[0])


def asked(frame: ExposureFrame, call: str, caller: Principal = JANE) -> str:
    method, _, path = call.partition(" ")
    verdict = Exposure(frame).verdict(tuple(path[1:].split("/")), method, caller, 0, {})
    return "permit" if isinstance(verdict, Permit) else verdict.reason


@pytest.mark.parametrize(
    ("before", "now", "call", "expected"),
    [
        (["GET /a"], ["GET /a"], "GET /a", "permit"),
        (["GET /a"], ["GET /a", "GET /b"], "GET /b", "no_rule"),  # what is new waits
        (["GET /a", "GET /b"], ["GET /a"], "GET /b", "no_rule"),  # what is gone is gone
        (["GET /{x}", "GET /b"], ["GET /{x}"], "GET /b", "no_rule"),  # and no wider operation serves its path
        (["GET /{x}"], ["GET /{x}", "GET /b"], "GET /b", "no_rule"),
        (["GET /{x}"], ["GET /{x}", "GET /b"], "GET /B", "no_rule"),  # nor one that comes near
        (["GET /{x}"], ["GET /{y}"], "GET /c", "permit"),  # a variable's name means nothing
    ],
)
def test_an_operation_of_one_version_is_open_to_nobody(
    before: list[str], now: list[str], call: str, expected: str
) -> None:
    assert asked(narrowed(frame_of(*now), rules_of(frame_of(*before))), call) == expected


def test_scopes_of_both_versions_are_needed() -> None:
    frame = narrowed(frame_of("GET /a new"), rules_of(frame_of("GET /a old")))

    def holding(*scopes: str) -> str:
        caller = Principal("person", JANE.ref, JANE.subjects, scopes=frozenset(scopes), bounded=True)
        return asked(frame, "GET /a", caller)

    assert [holding("old"), holding("new"), holding("old", "new")] == ["scope_missing", "scope_missing", "permit"]


def test_what_was_published_nowhere_is_open_to_nobody() -> None:
    assert asked(narrowed(frame_of("GET /a"), NO_RULES), "GET /a") == "no_rule"
    assert asked(narrowed(frame_of("GET /a"), NO_RULES), "GET /a", ANONYMOUS) == "identity_required"


def test_denies_of_both_versions_hold() -> None:
    deny: DenyFrame = (("all-people",), "r-deny", None, (("GET", ("a",)),))
    denied = denying(frame_of("GET /a", "GET /b"), [deny])
    plain = frame_of("GET /a", "GET /b")
    for frame in (narrowed(denied, rules_of(plain)), narrowed(plain, rules_of(denied))):
        assert [asked(frame, "GET /a"), asked(frame, "GET /b")] == ["denied", "permit"]
        assert Exposure(frame).denied == {"all-people"}


def test_a_version_that_meets_itself_is_the_same_to_everybody() -> None:
    frame = frame_of("GET /a read", "POST /a", "GET /{x}/**")
    met = narrowed(frame, rules_of(frame))
    offers = sorted(offers_of(rules_of(frame)), key=lambda each: (each.template, each.method))
    assert list(offers_of(rules_of(met))) == offers
    assert met[:13] == frame[:13]
