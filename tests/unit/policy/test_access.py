"""The access policy as a document: what it means, and what it must not say. Faults in bulk are golden files."""

from __future__ import annotations

from typing import Any

import pytest

from policy.access import read_policy
from policy.facts import Source
from policy.statements import AccessPolicy, Requirement, Temporary


def read(**parts: Any) -> tuple[AccessPolicy, list[str]]:
    document = {"version": 1, "environments": {"prod": {}, "dev": {}}} | parts
    policy, faults = read_policy(document, lambda path: Source("p.yaml", len(path)))
    return policy, [fault.message for fault in faults]


def rule(**parts: Any) -> dict[str, Any]:
    return {"allow": "group:a", "to": {"service": "x"}, "in": ["prod"], "because": "It is so."} | parts


def test_an_environment_says_what_each_relation_is_worth() -> None:
    environment = {
        "owners": ["all"],
        "consumers": ["declared", "read"],
        "everyone": "read",
        "groups": ["write"],
        "consent": "any",
        "public": "declared",
        "people": {"require": ["mfa", {"fresh": "12h"}]},
        "workloads": {"require": [{"issuer": "main"}]},
        "temporary": {"longest": "8h", "approvers": ["owners", "sre"], "reason": "optional"},
    }
    policy, faults = read(environments={"prod": environment})
    assert faults == []
    prod = policy.environments["prod"]
    assert (prod.owners, prod.consumers, prod.everyone, prod.groups) == (
        ("all",), ("declared", "read"), ("read",), ("write",)
    )  # fmt: skip
    assert (prod.consent, prod.public) == ("any", "declared")
    assert set(prod.requirements) == {
        Requirement("person", "mfa"), Requirement("person", "fresh", 43200), Requirement("workload", "issuer", "main")
    }  # fmt: skip
    assert prod.temporary == Temporary(28800, ("owners", "group:default/sre"), False)


def test_a_key_that_an_environment_lacks_means_none() -> None:
    policy, _ = read()
    prod = policy.environments["prod"]
    assert (prod.owners, prod.consumers, prod.everyone, prod.groups) == ((), (), (), ())
    assert (prod.consent, prod.public, prod.temporary) == ("named", "never", None)


def test_only_consumers_have_declared() -> None:
    _, faults = read(environments={"prod": {"owners": ["declared"]}})
    assert len(faults) == 1


@pytest.mark.parametrize(
    ("require", "expected"),
    [
        (["mfa"], {Requirement("person", "mfa")}),
        ("mfa", {Requirement("person", "mfa")}),
        ({"fresh": "5m"}, {Requirement("person", "fresh", 300)}),
        ({"people": ["mfa"], "workloads": [{"issuer": "a"}]},
         {Requirement("person", "mfa"), Requirement("workload", "issuer", "a")}),
    ],
)  # fmt: skip
def test_a_rule_requires_of_people_unless_it_names_the_kind(require: object, expected: set[Requirement]) -> None:
    policy, faults = read(rules=[rule(require=require)])
    assert faults == []
    assert set(policy.rules[0].requirements) == expected


@pytest.mark.parametrize("key", ["to", "in", "methods", "operations", "scopes", "require", "except"])
@pytest.mark.parametrize("empty", [None, [], {}, ""])
def test_an_empty_value_never_widens_a_rule(key: str, empty: object) -> None:
    """`in: []` or `methods:` is a slip of the pen; it must not mean everywhere or everything."""
    _, faults = read(rules=[rule(**{key: empty})])
    assert f"`{key}` is empty" in faults


@pytest.mark.parametrize("key", ["people", "workloads"])
@pytest.mark.parametrize("empty", [None, {}, [], ""])
def test_an_empty_requirement_is_not_none(key: str, empty: object) -> None:
    _, faults = read(environments={"prod": {key: empty}})
    assert f"`{key}` is empty" in faults


@pytest.mark.parametrize("empty", [None, {}, [], ""])
def test_a_default_for_nothing_is_not_one_for_every_service(empty: object) -> None:
    _, faults = read(defaults=[{"for": empty, "access": "everyone"}])
    assert "`for` is empty" in faults


def test_an_environment_that_says_nothing_is_no_environment() -> None:
    """A rule of its own would hold there without what the environment asks of everybody."""
    _, faults = read(environments={"prod": None})
    assert faults == ["`prod` is empty"]
    assert read(environments={"prod": {}})[1] == []


def test_a_deny_may_be_about_everything() -> None:
    policy, faults = read(rules=[{"deny": "all-people", "because": "No.", "except": ["grants"]}])
    assert faults == []
    (deny,) = policy.rules
    assert (deny.effect, deny.services.terms, deny.environments, deny.methods, deny.except_grants) == (
        "deny", (), (), None, True
    )  # fmt: skip


def test_subjects_and_selectors_are_normalised() -> None:
    policy, faults = read(
        rules=[rule(allow=["user:Jane", "group:default/a", "group:A"], to={"system": "Pay", "tag": ["PCI", "b"]})]
    )
    assert faults == []
    assert policy.rules[0].subjects == ("group:default/a", "user:default/jane")
    assert policy.rules[0].services.terms == (("system", ("system:default/pay",)), ("tag", ("b", "pci")))


def test_roles_and_named_scopes() -> None:
    policy, faults = read(
        roles={"support": {"groups": ["support"], "scopes": ["r"]}},
        scopes={"wide": {"domain": "d", "methods": ["GET"]}},
    )
    assert faults == []
    assert policy.roles[0].groups == ("group:default/support",)
    assert policy.scopes[0].methods == frozenset({"GET"})


@pytest.mark.parametrize("duration", ["8", "0h", "h", 8, None, "1w", "-1h"])
def test_durations_have_a_unit(duration: object) -> None:
    _, faults = read(environments={"prod": {"people": {"require": [{"fresh": duration}]}}})
    assert len(faults) == 1


def test_names_are_plain() -> None:
    _, faults = read(environments={"pr od": {}})
    assert faults == ["`pr od` is no name"]


def test_an_issuer_requirement_names_the_issuer() -> None:
    _, faults = read(environments={"prod": {"workloads": {"require": [{"issuer": ""}, {}]}}})
    assert faults == ["a requirement is empty", "`issuer` must be text, not empty text"]


def test_a_requirement_that_is_not_understood_is_none_of_those_asked() -> None:
    _, faults = read(environments={"prod": {"people": {"require": [{"mfa": 1}, "strong", {}]}}})
    assert len(faults) == 3


def test_a_blank_subject_is_nobody() -> None:
    _, faults = read(rules=[rule(allow=["", "group:a"])])
    assert faults == ["entry 1 of `allow` must be text, not empty text"]


def test_faults_come_in_the_order_of_the_file() -> None:
    _, faults = read_policy(
        {"version": 1, "environments": {"prod": {"a": 1}}, "rules": 3},
        lambda path: Source("p.yaml", {"environments": 9, "rules": 2}.get(str(path[0]) if path else "", 0)),
    )
    assert [fault.source.line for fault in faults] == [2, 9]
