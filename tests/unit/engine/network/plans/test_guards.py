"""Guards: what may not be applied, said all at once, with what to do; and what no consent lifts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.config.devices import ChangeWindow
from gateway.engine.network.plans.guards import ENGINE, Basis, Consent, Terms, hindrances, present, removed
from gateway.engine.network.plans.plan import MOVED, Difference, Drift, Kind, Observed, Plan, Step
from tests.support.network import FakeDevice, FakeTarget, wish

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()  # a Monday
ENFORCE = Terms("enforce")
BY_ITSELF = Consent(ENGINE)
JANE = Consent("jane")
WHOLE = Basis(10)


def planned(before: list[str], after: list[str]) -> tuple[Plan, Observed, int]:
    """A plan from some services to others."""
    target = FakeTarget(FakeDevice(), "prod")
    content = {each.host: each.entity for each in wish(*before).places}
    observed = Observed("f", content, entities=tuple(content.values()))
    plan = target.plan(wish(*after), observed, "now")
    return plan, observed, present(plan, observed, wish(*after))


def codes(
    before: list[str], after: list[str], terms: Terms = ENFORCE, basis: Basis = WHOLE, consent: Consent = BY_ITSELF,
    drifts: tuple[Drift, ...] = (),
) -> set[str]:  # fmt: skip
    plan, observed, held = planned(before, after)
    return {each.code for each in hindrances(plan, observed, drifts, held, terms, basis, consent, NOW)}


NAMES = [f"s{number:02d}" for number in range(40)]


@pytest.mark.parametrize(
    ("before", "gone", "expected"),
    [
        (3, 1, set()),  # one may always go
        (40, 5, set()),
        (40, 6, {"removals"}),  # more than five
        (9, 2, {"removals"}),  # more than a fifth
        (10, 2, set()),
        (1, 1, {"removals"}),  # all there was
    ],
)
def test_a_plan_takes_a_few_services_away_and_no_more(before: int, gone: int, expected: set[str]) -> None:
    assert codes(NAMES[:before], NAMES[gone:before]) == expected
    assert codes(NAMES[:before], NAMES[gone:before], consent=Consent("jane", removals=True)) == set()


def test_a_person_who_did_not_say_so_removes_no_more_than_the_engine() -> None:
    assert codes(NAMES, NAMES[20:], consent=JANE) == {"removals"}


def test_an_empty_catalog_removes_nothing_whoever_says_so() -> None:
    approved = Consent("jane", removals=True)
    assert codes(NAMES, [], basis=Basis(0), consent=approved) == {"catalog_empty"}
    assert codes(NAMES, [], basis=Basis(0)) == {"catalog_empty"}
    assert codes(NAMES[:1], [], basis=Basis(0)) == {"catalog_empty"}


def test_what_a_device_has_against_it_stops_everybody() -> None:
    """A missing anchor, say: no consent makes one."""
    plan, observed, held = planned(NAMES[:3], NAMES[:2])
    stopped = replace(observed, stops=(("the rule `sd-end` is not there", "make it"),))
    for consent in (BY_ITSELF, JANE, Consent("jane", "CHG-1", removals=True)):
        found = hindrances(plan, stopped, (), held, ENFORCE, WHOLE, consent, NOW)
        assert [(each.code, str(each)) for each in found] == [("device", "the rule `sd-end` is not there: make it")]


def test_a_catalog_that_cannot_be_believed_removes_nothing_and_adds_what_it_has() -> None:
    away = Basis(10, "catalog main is away")
    assert codes(NAMES[:20], NAMES[1:20], basis=away) == {"catalog_away"}
    assert codes(NAMES[:20], NAMES[1:20], basis=away, consent=Consent("jane", removals=True)) == {"catalog_away"}
    assert codes(NAMES[:20], NAMES[:25], basis=away) == set()


def test_a_service_that_moves_is_not_taken_away() -> None:
    steps = (
        Step(Kind.REMOVE, "app one", "…", ("component:default/a",), ("a.test",)),
        Step(Kind.ADD, "app two", "…", ("component:default/a",), ("a.test",)),
        Step(Kind.REMOVE, "pool", "An object of no service goes."),
    )
    assert removed(steps) == ("pool",)


def test_a_service_that_loses_one_of_its_hosts_counts() -> None:
    steps = (
        Step(Kind.REMOVE, "old", "…", ("component:default/a",), ("old.test",)),
        Step(Kind.ADD, "new", "…", ("component:default/a",), ("new.test",)),
    )
    assert removed(steps) == ("component:default/a",)


@pytest.mark.parametrize("kind", [Kind.CHANGE, Kind.ADD])
@pytest.mark.parametrize("entities", [(), ("component:default/b",)], ids=["of nobody", "of another"])
def test_no_other_step_makes_up_for_a_removal(kind: Kind, entities: tuple[str, ...]) -> None:
    """Objects that all hosts share change with every second plan."""
    hosts = ("a.test", "b.test")
    steps = (
        Step(Kind.REMOVE, "a.test", "…", ("component:default/a",), ("a.test",)),
        Step(Kind.REMOVE, "shared", "…", (), hosts, {"class": "one"}),
        Step(kind, "more", "…", entities, hosts, None, {"class": "another"}),
    )
    assert removed(steps) == ("component:default/a", "shared")


def test_addresses_that_move_are_counted_for_the_engine_alone() -> None:
    _, observed, _ = planned(NAMES, NAMES)
    held = len(NAMES)
    for number, expected in ((1, []), (5, []), (6, ["moves"])):
        steps = tuple(Step(Kind.CHANGE, f"{each} {MOVED}", "…", (each,), (each,)) for each in NAMES[:number])
        moving = Plan("lb1", "prod", "now", "v", "f", steps)
        found = hindrances(moving, observed, (), held, ENFORCE, WHOLE, BY_ITSELF, NOW)
        assert [each.code for each in found] == expected
        assert not hindrances(moving, observed, (), held, ENFORCE, WHOLE, JANE, NOW)
        assert not removed(steps)


@pytest.mark.parametrize(
    ("terms", "consent", "expected"),
    [
        (Terms("observe"), JANE, {"mode"}),
        (Terms("plan"), BY_ITSELF, {"mode"}),
        (Terms("plan"), JANE, set()),
        (Terms("enforce", frozen="year end"), JANE, {"frozen"}),
        (Terms("enforce", windows=(ChangeWindow(0, 60),)), JANE, {"window"}),
        (Terms("enforce", windows=(ChangeWindow(12 * 60, 13 * 60),)), BY_ITSELF, set()),
        (Terms("enforce", ticket=True), BY_ITSELF, {"ticket"}),
        (Terms("enforce", ticket=True), Consent("jane", "CHG-1"), set()),
        (Terms("plan", frozen="x", ticket=True), BY_ITSELF, {"frozen", "mode", "ticket"}),
    ],
)
def test_terms_hold_for_whom_they_are_meant(terms: Terms, consent: Consent, expected: set[str]) -> None:
    assert codes(["a"], ["a", "b"], terms, consent=consent) == expected


def test_what_is_not_ours_is_touched_by_nobody_without_adopting() -> None:
    plan, observed, held = planned(["a"], ["a", "b"])
    theirs = Observed(observed.fingerprint, observed.content, ours=False)
    adopting = Plan(plan.device, plan.environment, plan.made, plan.version, plan.fingerprint, plan.steps, adopts=True)
    for given, consent, expected in ((plan, JANE, 1), (adopting, BY_ITSELF, 1), (adopting, JANE, 0)):
        said = hindrances(given, theirs, (), held, ENFORCE, WHOLE, consent, NOW)
        assert [each.code for each in said] == ["not_ours"] * expected
    (found,) = hindrances(plan, theirs, (), 1, ENFORCE, WHOLE, JANE, NOW)
    assert "stagedoor adopt --device lb1 --env prod" in str(found)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(Difference.FOREIGN, {"foreign"}), (Difference.REPLACED, {"foreign"}), (Difference.EDITED, set()),
     (Difference.DRAINED, set())],
)  # fmt: skip
def test_the_engine_never_writes_over_another_hand_for_good(difference: Difference, expected: set[str]) -> None:
    drifts = (Drift(difference, "x", "Somebody did it."),)
    assert codes(["a"], ["a", "b"], drifts=drifts) == expected
    assert codes(["a"], ["a", "b"], drifts=drifts, consent=JANE) == set()


def test_every_hindrance_says_what_to_do() -> None:
    plan, observed, held = planned(NAMES, [])
    theirs = Observed("f", observed.content, ours=False)
    drifts = (Drift(Difference.FOREIGN, "x", "Somebody made x."),)
    terms = Terms("observe", (ChangeWindow(0, 1),), "year end", ticket=True)
    found = hindrances(plan, theirs, drifts, held, terms, Basis(3, "catalog main is away"), BY_ITSELF, NOW)
    assert len(found) == 8
    assert all(each.todo and each.why in str(each) for each in found)
