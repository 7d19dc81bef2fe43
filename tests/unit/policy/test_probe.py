"""What must be shown is found by asking the table: all of it, and no more than is missed."""

from __future__ import annotations

from typing import Any

import pytest

from policy.facts import Operation, Permit, Refusal
from policy.probe import Asker, Way, needs_in_words, principal_of, way_of
from policy.reasons import DENIED, NO_RULE, SCOPE_MISSING
from policy.statements import AccessPolicy, EnvironmentPolicy, PolicyRule, Requirement, Selector
from policy.table import Match, Table
from tests.support.policy_worlds import HERE, catalog, person, service, team, world

NOW = 10_000
MFA, FRESH, FRESHER = (Requirement("person", *each) for each in (("mfa",), ("fresh", 3600), ("fresh", 60)))
CI, MAIN = (Requirement("workload", "issuer", name) for name in ("ci", "ci,main"))
NEAR, WIDE = (Requirement("workload", "network", text) for text in ("10.1.0.0/16", "10.0.0.0/8"))
SURE = Requirement("workload", "certificate")


def allow(subject: str, *requirements: Requirement, effect: str = "allow", **changes: Any) -> PolicyRule:
    fields = {"methods": None, "operations": (), "scopes": frozenset(), "because": "x", "source": HERE} | changes
    return PolicyRule(
        effect,  # type: ignore[arg-type]  # one of the two words
        (subject,), Selector((("service", ("component:default/a",)),)), ("prod",), fields["methods"],
        fields["operations"], fields["scopes"], requirements, False, fields["because"], fields["source"],
    )  # fmt: skip


def asked(*rules: PolicyRule, who: str = "user:default/jane", scopes: str = "") -> Way | Refusal:
    """A GET on /a, which needs the alternatives of ``scopes``."""
    needed = tuple(frozenset(each.split("+")) for each in scopes.split()) if scopes else ()
    facts = catalog(
        team("b"), person("jane", "b"), service("c", client_ids={"": "c"}, exposures=()),
        service("a", Operation("GET", "/a", needed), owner=""),
    )  # fmt: skip
    _, table = world(facts, AccessPolicy({"prod": EnvironmentPolicy("prod")}, rules=rules))
    return way_of(table, match_of(table), "GET", asker_of(table, who), NOW)


def match_of(table: Table) -> Match:
    match = table.match("a.example.com", ("a",))
    assert isinstance(match, Match)
    return match


def asker_of(table: Table, who: str) -> Asker:
    return Asker("person" if who.startswith("user:") else "workload", who, table.subjects_of(who))


def shown(answer: Way | Refusal) -> tuple[tuple[str, ...], tuple[str, ...]]:
    assert isinstance(answer, Way), answer
    return answer.scopes, answer.needs


PROGRAM = "component:default/c"


def test_who_needs_nothing_shows_nothing() -> None:
    assert shown(asked(allow("group:default/b"))) == ((), ())
    assert shown(asked(allow("group:default/b", scopes=frozenset({"r"})), scopes="r")) == ((), ())


def test_people_show_what_the_rule_asks_of_people() -> None:
    assert shown(asked(allow("group:default/b", MFA, FRESH, CI, SURE))) == ((), ("max_age=3600", "mfa"))


def test_of_several_rules_the_least_is_shown() -> None:
    assert shown(asked(allow("group:default/b", MFA, FRESHER), allow("user:default/jane", FRESH))) == (
        (),
        ("max_age=3600",),
    )
    assert shown(asked(allow("group:default/b", MFA, FRESHER), allow("user:default/jane"))) == ((), ())


def test_a_shorter_alternative_of_scopes_is_preferred() -> None:
    assert shown(asked(allow("group:default/b"), scopes="a+b c d+e")) == (("c",), ())
    assert shown(asked(allow("group:default/b", scopes=frozenset({"e"})), scopes="a+b d+e")) == (("d",), ())


@pytest.mark.parametrize(
    ("requirements", "needs"),
    [
        ((CI,), ("issuer=ci",)),
        ((CI, MAIN), ("issuer=ci",)),
        ((WIDE, NEAR), ("network=10.1.0.0/16",)),
        ((SURE, MFA), ("certificate",)),
        ((SURE, MAIN, WIDE), ("certificate", "issuer=ci", "network=10.0.0.0/8")),
    ],
)
def test_programs_show_an_issuer_an_address_and_a_certificate(
    requirements: tuple[Requirement, ...], needs: tuple[str, ...]
) -> None:
    assert shown(asked(allow(PROGRAM, *requirements), who=PROGRAM)) == ((), needs)


def test_what_cannot_be_shown_is_a_refusal() -> None:
    """One token has one issuer, and a call one address."""
    other = Requirement("workload", "issuer", "other")
    assert isinstance(asked(allow(PROGRAM, CI, other), who=PROGRAM), Refusal)
    far = Requirement("workload", "network", "192.0.2.0/24")
    assert isinstance(asked(allow(PROGRAM, NEAR, far), who=PROGRAM), Refusal)


def test_a_deny_and_no_rule_are_told_as_they_are() -> None:
    denied = asked(allow("group:default/b"), allow("user:default/jane", effect="deny"))
    assert isinstance(denied, Refusal)
    assert denied.reason == DENIED
    assert asked(allow(PROGRAM)) == Refusal(NO_RULE)


def test_an_unresolvable_scheme_stays_refused_whatever_is_shown() -> None:
    facts = catalog(team("owners"), person("jane", "owners"), service("a", Operation("GET", "/a", unresolved=True)))
    _, table = world(facts, AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))}))
    answer = way_of(table, match_of(table), "GET", asker_of(table, "user:default/jane"), NOW)
    assert isinstance(answer, Refusal)
    assert answer.reason == SCOPE_MISSING


def test_the_principal_is_just_as_fresh_as_is_told() -> None:
    way = Way(Permit("", "", ""), (), ("max_age=60",))
    principal, call = principal_of(Asker("person", "user:default/jane", frozenset()), way, NOW)
    assert (NOW - principal.auth_time, principal.amr, call.certified, call.address) == (59, frozenset(), False, "")


def test_needs_read_as_words() -> None:
    needs = ("certificate", "issuer=ci", "max_age=3600", "mfa", "network=10.0.0.0/8")
    assert needs_in_words(needs) == (
        "a verified client certificate, a token of issuer ci, a sign-in in the last 1h, mfa, an address in 10.0.0.0/8"
    )
