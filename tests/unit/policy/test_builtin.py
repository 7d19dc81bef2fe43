"""Stagedoor's own pages are entries of the table like all others."""

from __future__ import annotations

import pytest

from policy.builtin import (
    COMMAND_LINE,
    DEVICE_PAGES,
    FEEDS,
    OWN_OPERATIONS,
    PORTAL,
    SIGN_IN,
    START,
    STATIC,
    SYNC,
    publish_builtin,
    with_own_operations,
)
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


def subjects_of_administration(*administrators: str, **client_ids: dict[str, str]) -> set[str]:
    """Whom the rules about administration name, where these services call with these client ids."""
    services = tuple(service(name, client_ids=ids) for name, ids in client_ids.items())
    builtin = Builtin("door.example.com", administration=("POST /.stagedoor/cut",), administrators=administrators)
    published = publish_builtin(builtin, (), services, ("dev", "prod"))
    return {rule.subject for rule in published.rules}


@pytest.mark.parametrize(
    ("administrators", "clients", "subjects"),
    [
        (("Group:default/Admins",), {}, {"group:default/admins"}),
        (("ci",), {"pipeline": {"": "ci"}}, {"component:default/pipeline"}),
        (("ci",), {"pipeline": {"dev": "ci", "prod": "ci"}}, {"component:default/pipeline"}),
        (("ci",), {"pipeline": {"": "x", "prod": "ci"}}, {"component:default/pipeline@prod"}),
        (("ci",), {"pipeline": {"": "ci", "prod": "other"}}, {"component:default/pipeline@dev"}),
        (("ci",), {"pipeline": {"": "ci"}, "copy": {"prod": "ci"}}, set()),  # ambiguous: it means nobody
        (("ci",), {"pipeline": {"": "other"}}, set()),
        (("spiffe://td/ci",), {"pipeline": {"": "spiffe://td/ci"}}, {"component:default/pipeline"}),
        (("",), {"pipeline": {"dev": "ci"}}, set()),
    ],
)
def test_an_administrator_is_a_ref_or_the_one_program_of_a_client_id(
    administrators: tuple[str, ...], clients: dict[str, dict[str, str]], subjects: set[str]
) -> None:
    assert subjects_of_administration(*administrators, **clients) == subjects


def test_the_own_operations_are_for_whom_they_say() -> None:
    plain = with_own_operations(Builtin("door.example.com", ("GET /",)), signed_sync=False)
    assert plain.public == ("GET /", STATIC, COMMAND_LINE, *SIGN_IN)
    assert SYNC.text in plain.administration
    assert SYNC.text not in plain.signed_in
    operations = {each.text for each in OWN_OPERATIONS}
    assert {*plain.signed_in, *plain.administration} == {*PORTAL, *DEVICE_PAGES, *operations}
    devices = {*DEVICE_PAGES, *(each for each in operations if "/devices" in each)}
    assert len(devices) == 4
    assert devices <= set(plain.administration)
    assert not devices & {*plain.public, *plain.signed_in}
    signed = with_own_operations(Builtin("door.example.com"), signed_sync=True)
    assert signed.public == (STATIC, COMMAND_LINE, *SIGN_IN, SYNC.text)
    assert START in signed.signed_in  # nobody's page but the portal's, where no embedder has one
    assert signed.administration == plain.administration


@pytest.mark.parametrize(("feeds", "expected"), [(False, "identity_required"), (True, "own_endpoint")])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_devices_come_to_where_feeds_are_judged_only_where_somebody_may_read(
    feeds: bool, expected: str, method: str
) -> None:
    """They are nobody; whatever they ask for is answered by who knows their addresses, and nothing beside it."""
    builtin = with_own_operations(BUILTIN, signed_sync=False, feeds=feeds)
    _, table = world(FACTS, AccessPolicy({"prod": EnvironmentPolicy("prod")}), builtin=builtin)
    for path in (FEEDS, f"{FEEDS}/", f"{FEEDS}/bigip/dc1/prod/data-groups/hosts.txt"):
        match = table.match("door.example.com", tuple(path[1:].split("/")))
        assert isinstance(match, Match)
        assert table.decide(match, method, ANONYMOUS, 0).reason == expected
    beside = table.match("door.example.com", tuple(f"{FEEDS}x".removeprefix("/").split("/")))
    assert isinstance(beside, Match)
    assert table.decide(beside, method, ANONYMOUS, 0).reason == "identity_required"
