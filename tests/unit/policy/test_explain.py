"""Rules and decisions in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.explain import Explanation, counted_in, explain, sentence_of, short_name, why_frame
from policy.facts import Permit, Refusal, Source
from policy.paths import READ, WRITE
from policy.requirements import duration_text
from policy.rule import Rule, with_id
from policy.statements import Requirement
from policy.table import Match
from tests.support.policy_worlds import catalog, service, world
from tests.unit.policy.test_derive import READ as POLICY

OWNER = with_id(
    Rule("", "owner", "catalog", "group:default/payments", "component:default/payments", "prod",
         because="They own it.", source=Source("payments.yaml", 3, "component:default/payments"))
)  # fmt: skip
STATED = replace(OWNER, origin="access-policy", reason="rule", target="system system:default/payments")


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (OWNER, "Team payments may call every operation of payments in prod because it owns it."),
        (replace(OWNER, methods=READ), "Team payments may read payments in prod because it owns it."),
        (replace(OWNER, methods=WRITE), "Team payments may write to payments in prod because it owns it."),
        (replace(OWNER, methods=frozenset({"GET", "PUT"})),
         "Team payments may send GET/PUT to payments in prod because it owns it."),
        (replace(OWNER, methods=frozenset({"GET", "PUT", "POST"})),
         "Team payments may send GET/POST/PUT to payments in prod because it owns it."),
        (replace(OWNER, reason="everyone", subject="everyone"),
         "Everyone in the catalog may call every operation of payments in prod because it is open to everyone."),
        (replace(OWNER, reason="public", subject="anyone", operations=(("GET", ("a", "{}")),)),
         "Anyone may call GET /a/{} of payments in prod, without signing in, because its owner made it public."),
        (replace(OWNER, reason="own_endpoint", subject="all-people", operations=(("GET", ("",)), ("GET", ("a",)))),
         "All people may call GET / and GET /a of payments in prod because stagedoor serves itself."),
        (replace(OWNER, reason="consumer", subject="component:other/x", apis=frozenset({"api:default/pay"})),
         "Service other/x may call pay of payments in prod because it declares that use."),
        (replace(OWNER, reason="rule", subject="user:default/jane"),
         "User jane may call every operation of payments in prod because its owner names that team."),
        (replace(STATED, reason="denied", environment="", target="every service"),
         "Team payments must never use any service anywhere because the access policy says so."),
        (replace(STATED, reason="denied", except_grants=True, target="service a"),
         "Team payments must never use a in prod without temporary access because the access policy says so."),
        (replace(STATED, target="domain domain:default/d and type website"),
         "Team payments may call every operation of all services of type website of domain d in prod because the "
         "access policy says so."),
        (replace(STATED, target="tag pci or old"),
         "Team payments may call every operation of all services tagged pci or old in prod because the access "
         "policy says so."),
        (replace(STATED, target="system a or b or c"),
         "Team payments may call every operation of all services of system a or b or c in prod because the access "
         "policy says so."),
        (replace(STATED, target="service a or b or c or d"),
         "Team payments may call every operation of a, b, c and d in prod because the access policy says so."),
        (replace(STATED, target="type website"),
         "Team payments may call every operation of all services of type website in prod because the access policy "
         "says so."),
        (replace(OWNER, requirements=(Requirement("person", "fresh", 43200), Requirement("person", "mfa"),
                                      Requirement("workload", "issuer", "main"))),
         "Team payments may call every operation of payments in prod, with a sign-in within 12h and mfa, because it "
         "owns it."),
        (replace(OWNER, subject="everyone", reason="everyone", requirements=(
            Requirement("person", "fresh", 90), Requirement("person", "mfa"), Requirement("workload", "issuer", "a"))),
         "Everyone in the catalog may call every operation of payments in prod, with 3 requirements, because it is "
         "open to everyone."),
        (replace(OWNER, subject="everyone", reason="everyone", methods=READ, requirements=(
            Requirement("person", "mfa"), Requirement("workload", "issuer", "main"))),
         "Everyone in the catalog may read payments in prod, with mfa for people, with main token for programs, "
         "because it is open to everyone."),
        (replace(OWNER, subject="everyone", reason="everyone", methods=READ, requirements=(
            Requirement("person", "mfa"),)),
         "Everyone in the catalog may read payments in prod, with mfa for people, because it is open to everyone."),
        (replace(OWNER, subject="all-workloads", requirements=(Requirement("workload", "issuer", "main"),)),
         "All programs may call every operation of payments in prod, with a token of main, because it owns it."),
        (replace(OWNER, subject="all-workloads", requirements=(
            Requirement("workload", "certificate"), Requirement("workload", "network", "10.0.0.0/8"))),
         "All programs may call every operation of payments in prod, with a certificate and an address in "
         "10.0.0.0/8, because it owns it."),
        (replace(OWNER, subject="all-workloads", requirements=(
            Requirement("workload", "certificate"), Requirement("workload", "network", "10.0.0.0/8,192.0.2.0/24"))),
         "All programs may call every operation of payments in prod, with a certificate and an address in "
         "10.0.0.0/8 or 192.0.2.0/24, because it owns it."),
        (replace(OWNER, subject="all-workloads", requirements=(
            Requirement("workload", "issuer", "a,b"), Requirement("workload", "network", "10.0.0.0/8,192.0.2.0/24"))),
         "All programs may call every operation of payments in prod, with a|b token and 10.0.0.0/8|192.0.2.0/24 "
         "address, because it owns it."),
        (replace(OWNER, subject="all-workloads", requirements=(
            Requirement("workload", "certificate"), Requirement("workload", "issuer", "a"),
            Requirement("workload", "network", "10.0.0.0/8"))),
         "All programs may call every operation of payments in prod, with certificate and a token and 10.0.0.0/8 "
         "address, because it owns it."),
    ],
)  # fmt: skip
def test_a_rule_is_one_sentence(rule: Rule, sentence: str) -> None:
    assert sentence_of(rule) == sentence
    assert len(sentence.split()) <= 25


@pytest.mark.parametrize(
    ("rule", "counted"),
    [
        (replace(OWNER, subject="all-workloads", requirements=(
            Requirement("workload", "certificate"), Requirement("workload", "issuer", "a,b"),
            Requirement("workload", "network", "10.0.0.0/8"), Requirement("person", "mfa"))), {}),
        (replace(STATED, target="service component:default/a or component:x/b and tag pci and type service",
                 subject="component:default/a",
                 operations=(("GET", ("long", "{}", "path")), ("POST", ("x",)), ("PUT", ("x",))),
                 requirements=(Requirement("workload", "certificate"), Requirement("workload", "issuer", "a"),
                               Requirement("workload", "network", "10.0.0.0/8"))),
         {"operations": ["GET /long/{}/path", "POST /x", "PUT /x"],
          "services": ["service a or x/b", "tag pci", "type service"],
          "must show": ["a certificate", "a token of a", "an address in 10.0.0.0/8"]}),
        (replace(OWNER, subject="component:default/a", reason="consumer", requirements=(
                    Requirement("workload", "certificate"), Requirement("workload", "issuer", "a"),
                    Requirement("workload", "network", "10.0.0.0/8")),
                 apis=frozenset({f"api:default/some-api-{each} with words" for each in range(3)})),
         {"APIs": [f"some-api-{each} with words" for each in range(3)]}),
    ],
)  # fmt: skip
def test_what_a_sentence_only_counts_is_told_by_name(rule: Rule, counted: dict[str, list[str]]) -> None:
    """Nothing that was left out of a sentence is left out altogether: `why` shows it."""
    assert counted_in(rule) == counted, sentence_of(rule)


def test_names_are_short_unless_another_namespace_says_something() -> None:
    assert short_name("group:default/a") == "a"
    assert short_name("group:other/a") == "other/a"
    assert short_name("website") == "website"


def test_durations() -> None:
    assert [duration_text(seconds) for seconds in (86400, 7200, 90, 120)] == ["1d", "2h", "90s", "2m"]


FRAME = why_frame([OWNER])
SERVED = Match(next(iter(world(catalog(service("x")), POLICY)[1].exposures.values())), ("",))


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (Permit("owner", OWNER.id, "GET /"),
         "Team payments may call every operation of payments in prod because it owns "
         "it."),
        (Permit("owner", "r-unheardof", "GET /"), "The caller belongs to the team that owns the service."),
        (Refusal("denied", OWNER.id), "Team payments may call every operation of payments in prod because it owns it."),
        (Refusal("no_rule"), "No rule gives the caller access to component:default/x@prod."),
        (Refusal("scope_missing", OWNER.id, "GET /", ("a", "b")),
         "The operation needs a scope that the caller does not have: a, b."),
        (Refusal("host_unknown"), "No service is published under this host name."),
    ],
)  # fmt: skip
def test_a_decision_in_words(verdict: Permit | Refusal, sentence: str) -> None:
    assert explain(FRAME, SERVED, verdict).sentence == sentence


def test_an_explanation_names_the_place_and_what_to_do() -> None:
    assert explain(FRAME, SERVED, Refusal("requirement_unmet", OWNER.id, "GET /", ("mfa",))) == Explanation(
        allowed=False,
        reason="requirement_unmet",
        rule=OWNER.id,
        operation="GET /",
        sentence="The caller may come, but the sign-in is not strong or recent enough: mfa.",
        because="They own it.",
        source=Source("payments.yaml", 3, "component:default/payments"),
        todo="Sign in again in the way named here.",
    )


@pytest.mark.parametrize(
    ("need", "sentence", "todo"),
    [
        (("max_age=43200",),
         "The caller may come, but the sign-in is not strong or recent enough: a sign-in in the last 12h.",
         "Sign in again in the way named here."),
        (("mfa", "max_age=90"),
         "The caller may come, but the sign-in is not strong or recent enough: mfa, a sign-in in the last 90s.",
         "Sign in again in the way named here."),
        (("issuer=corp",),
         "The caller may come, but the call lacks what is asked of programs: a token of issuer corp.",
         "Call again with what is named here."),
        (("issuer=corp,main", "network", "certificate"),
         "The caller may come, but the call lacks what is asked of programs: a token of issuer corp or main, "
         "an address in an allowed network, a verified client certificate.",
         "Call again with what is named here."),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_to_people_and_programs_in_their_own_words(
    need: tuple[str, ...], sentence: str, todo: str
) -> None:
    told = explain(FRAME, SERVED, Refusal("requirement_unmet", OWNER.id, "GET /", need))
    assert (told.sentence, told.todo) == (sentence, todo)


def test_nothing_matched_is_explained_too() -> None:
    assert explain({}, None, Refusal("no_rule")).sentence == "No rule gives the caller access."
