"""Stagedoor's own pages are entries of the table like all others."""

from __future__ import annotations

import pytest

from policy.derive import Builtin
from policy.facts import ANONYMOUS, Permit, Principal, Refusal, Source
from policy.statements import AccessPolicy, EnvironmentPolicy, PolicyRule, Selector
from policy.table import Match
from tests.support.policy_worlds import catalog, person, service, team, world

BUILTIN = Builtin(
    "door.example.com", ("GET /",), ("GET /.stagedoor/me",), ("POST /.stagedoor/cut",), ("group:default/admins",)
)
FACTS = catalog(
    team("admins"), team("out"), person("jane"), person("root", "admins"), person("eve", "out"), service("x")
)
DENY = PolicyRule(
    "deny", ("group:default/out",), Selector(), (), None, (), frozenset(), (), False, "Out.", Source("p", 1)
)  # fmt: skip


@pytest.mark.parametrize(
    ("who", "asked", "expected"),
    [
        ("", "GET /", "own_endpoint"),
        ("", "GET /.stagedoor/me", "identity_required"),
        ("jane", "GET /.stagedoor/me", "own_endpoint"),
        ("jane", "POST /.stagedoor/cut", "no_rule"),
        ("root", "POST /.stagedoor/cut", "own_endpoint"),
        ("jane", "GET /other", "operation_unknown"),
        ("eve", "GET /", "denied"),
    ],
)
def test_who_may_ask_the_door_itself(who: str, asked: str, expected: str) -> None:
    _, table = world(FACTS, AccessPolicy({"prod": EnvironmentPolicy("prod")}, rules=(DENY,)), builtin=BUILTIN)
    method, path = asked.split()
    match = table.match("door.example.com", tuple(path[1:].split("/")))
    assert isinstance(match, Match)
    assert match.exposure.upstreams == ("unix:control",)
    ref = f"user:default/{who}"
    principal = Principal("person", ref, table.subjects_of(ref)) if who else ANONYMOUS
    verdict = table.decide(match, method, principal, 0)
    assert isinstance(verdict, (Permit, Refusal))
    assert verdict.reason == expected
