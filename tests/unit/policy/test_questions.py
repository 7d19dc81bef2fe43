"""Who may make a request: everybody, once, by name or by number, at the size of a large company."""

from __future__ import annotations

import time

import pytest

from policy import questions
from policy.compile import compile_frames
from policy.derive import derive
from policy.facts import Catalog, Operation, Permit
from policy.probe import Asker, Way, way_of
from policy.questions import Entry, Member, WhoCan, subject_of, who_can
from policy.statements import AccessPolicy, EnvironmentPolicy, Requirement
from policy.table import Match, Table
from policy.table_builder import TableBuilder
from tests.support.policy_worlds import ENVIRONMENTS, catalog, person, service, team, world
from tests.unit.policy.test_probe import NOW, allow

PROD = EnvironmentPolicy(
    "prod", ("all",), ("declared",), ("read",), requirements=(Requirement("person", "mfa"),), consent="any"
)


def small(*rules: object) -> Table:
    facts = catalog(
        team("money"), team("payments", "money"), team("guests"),
        person("jane", "payments"), person("joe", "guests"), person("ann", "money", "guests"), person("eve"),
        service("a", Operation("GET", "/a"), Operation("POST", "/a"), owner="group:default/money", access="everyone"),
        service("b", exposures=(), client_ids={"": "b"}), service("c", exposures=(), client_ids={"dev": "c"}),
    )  # fmt: skip
    return world(facts, AccessPolicy({"prod": PROD}, rules=rules))[1]  # type: ignore[arg-type]  # rules, as they come


def asked(table: Table, method: str) -> WhoCan:
    match = table.match("a.example.com", ("a",))
    assert isinstance(match, Match)
    return who_can(table, match, method, NOW)


def told(entries: tuple[Entry, ...]) -> list[tuple[str, str, bool, list[Member]]]:
    return [(each.kind, each.subject, each.everybody, list(each.members)) for each in entries]


JANE, JOE, ANN, EVE = (f"user:default/{name}" for name in ("jane", "joe", "ann", "eve"))


def test_people_come_with_the_team_through_which() -> None:
    """A member of a child team belongs to the owning one; the team that is named is the person's own."""
    found = asked(small(), "POST")
    owners = [Member(ANN, ("group:default/money",)), Member(JANE, ("group:default/payments",))]
    assert told(found.allowed) == [("person", "group:default/money", False, owners)]
    assert found.public is None
    assert [each.name for each in found.operations] == ["POST /a"]


def test_whom_no_rule_names_is_one_of_everybody() -> None:
    found = asked(small(), "GET")
    assert told(found.allowed)[1:] == [
        ("person", "everyone", True, [Member(EVE), Member(JOE)]),
        ("workload", "everyone", True, [Member("component:default/b")]),
    ]
    assert all(isinstance(each.answer, Way) and each.answer.needs == ("mfa",) for each in found.allowed[:2])


def test_whom_a_deny_keeps_away_is_told_and_not_among_everybody() -> None:
    found = asked(small(allow("group:default/guests", effect="deny")), "GET")
    denied = [Member(ANN, ("group:default/guests",)), Member(JOE, ("group:default/guests",))]
    assert told(found.denied) == [("person", "group:default/guests", False, denied)]
    assert {each.ref for entry in found.allowed for each in entry.members} == {JANE, EVE, "component:default/b"}


def test_the_public_needs_no_name() -> None:
    rule = allow("anyone", operations=(("GET", ("a",)),))
    found = asked(small(rule), "GET")
    assert isinstance(found.public, Permit)
    assert found.public.reason == "public"


def test_what_the_service_does_not_offer_nobody_may() -> None:
    found = asked(small(), "DELETE")
    assert (found.operations, found.allowed, found.denied) == ((), (), ())


def test_a_rule_names_its_subject() -> None:
    table = small(allow("group:default/guests", effect="deny"))
    exposure = table.exposures["component:default/a@prod"]
    (deny,) = (each[1] for each in exposure.rules().denies)
    assert subject_of(exposure, deny) == "group:default/guests"
    assert subject_of(exposure, "r-unknown") == ""


# ------------------------------------------------------------------------------------------ a large company

COMPONENTS, PEOPLE, TEAMS = 20_000, 40_000, 1_000
OPERATIONS = [
    Operation(method, f"/things{k}/{{id}}", (frozenset({"r"}),)) for k in range(5) for method in ("GET", "POST")
]


def company() -> Table:
    """Twenty thousand components, each published and a caller; forty thousand people in a thousand teams. Twenty
    exposures are compiled and stand under the names of all: who asks about one reads no other."""
    facts = Catalog(
        {each.ref: each for each in (person(f"p{n}", f"t{n % TEAMS}") for n in range(PEOPLE))},
        {each.ref: each for each in (team(f"t{n}", *([f"t{n - 1}"] if n % 10 else [])) for n in range(TEAMS))},
        {
            each.ref: each
            for each in (
                service(
                    f"s{n}",
                    *OPERATIONS,
                    owner=f"group:default/t{n}", access="everyone", client_ids={"": f"c{n}"},
                    **({} if n < 20 else {"exposures": ()}),
                )
                for n in range(COMPONENTS)
            )
        },
    )  # fmt: skip
    policy = AccessPolicy({"prod": PROD}, rules=(allow("group:default/t7", effect="deny"),))
    frames = compile_frames(facts, derive(facts, policy, ENVIRONMENTS), ())
    published = [frame for name, frame in frames.items() if name.startswith("exposure/")]
    builder = TableBuilder(Table.allow_none())
    for name, frame in frames.items():
        if not name.startswith(("exposure/", "why/")):
            builder.put(name, frame)
    for n in range(COMPONENTS):
        frame = published[n % len(published)]
        key, host = f"component:default/copy{n}@prod", f"copy{n}.example.com"
        builder.put(f"exposure/{key}", (frame[0], key, *frame[2:4], host, *frame[5:]))
    return builder.finish()


@pytest.fixture(scope="module")
def large() -> Table:
    return company()


def asked_at_large(table: Table, number: int = 19_999) -> WhoCan:
    match = table.match(f"copy{number}.example.com", ("things3", "7"))
    assert isinstance(match, Match)
    return who_can(table, match, "GET", NOW)


@pytest.mark.slow
def test_of_sixty_thousand_callers_the_table_is_asked_once_for_each_kind(
    large: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What decides is which of the exposure's own names a caller carries, and those are few."""
    askers: list[Asker] = []

    def counted(table: Table, match: Match, method: str, asker: Asker, now: int) -> object:
        askers.append(asker)
        return way_of(table, match, method, asker, now)

    monkeypatch.setattr(questions, "way_of", counted)
    found = asked_at_large(large)
    assert len(askers) < 10
    named = {each.ref for entry in (*found.allowed, *found.denied) for each in entry.members}
    assert len(named) == PEOPLE + COMPONENTS


@pytest.mark.bench
def test_who_can_answers_in_300_ms_at_20_000_components(large: Table) -> None:
    """Of CPU: nothing is waited for, so on an idle machine it is the time that passes. Measured: 0.15 s."""
    best = 1.0
    for number in range(5):
        started = time.process_time()
        asked_at_large(large, number)
        best = min(best, time.process_time() - started)
    assert best < 0.3
