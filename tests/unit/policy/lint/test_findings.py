"""Findings keep their ids when things move, and a waiver accepts what it names, until its day and no longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.facts import Source
from policy.lint.findings import CHECKS, SEVERITIES, Finding, in_order, reaches, with_waivers
from policy.statements import Waiver

HERE = Source("access.yaml", 7)
FOUND = Finding(
    "operation_unreachable", "component:default/a@prod", Source("a.yaml", 3), "Nobody can call it.", "open it"
)
TODAY = "2027-06-15"


def waiver(finding: str, about: str = "", until: str = "2028-01-31") -> Waiver:
    return Waiver(finding, about, until, "It is meant.", HERE)


def test_an_id_is_of_the_kind_and_the_thing_alone() -> None:
    moved = replace(FOUND, source=Source("b.yaml", 9), sentence="Nobody can call two.", fix="open them")
    assert moved.id == FOUND.id == "f-7hxjikdgoz"
    assert replace(FOUND, about="component:default/b@prod").id != FOUND.id
    assert replace(FOUND, kind="wildcard").id != FOUND.id


def test_findings_come_by_place_and_each_once() -> None:
    first = replace(FOUND, about="x", source=Source("a.yaml", 1))
    assert in_order([FOUND, first, FOUND]) == (first, FOUND)


@pytest.mark.parametrize(
    "said",
    [
        waiver(FOUND.id),
        waiver("operation_unreachable", "component:default/a@prod"),
        waiver("operation_unreachable", "component:default/a"),
        waiver(FOUND.id, until=TODAY),
    ],
)
def test_a_waiver_accepts_what_it_names_to_the_end_of_its_last_day(said: Waiver) -> None:
    (found,) = with_waivers([FOUND], [said], TODAY)
    assert found.waived == said
    assert not reaches(found, "note")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (waiver(FOUND.id, until="2027-06-14"), "waiver_expired"),
        (waiver("f-aaaaaaaaaa"), "waiver_unused"),
        (waiver("wildcard", "component:default/a@prod"), "waiver_unused"),
        (waiver("operation_unreachable", "component:default/a@dev"), "waiver_unused"),
        (waiver("operation_unreachable", "component:default"), "waiver_unused"),
    ],
)
def test_a_waiver_that_is_over_or_about_nothing_accepts_nothing_and_is_a_finding(said: Waiver, kind: str) -> None:
    found = with_waivers([FOUND], [said], TODAY)
    assert FOUND in found
    (complaint,) = (each for each in found if each.kind == kind)
    assert complaint.source == HERE
    assert complaint.sentence.startswith("The waiver of `")


def test_what_is_wrong_with_a_waiver_cannot_be_waived() -> None:
    over = waiver(FOUND.id, until="2027-01-01")
    (_, complaint) = sorted(with_waivers([FOUND], [over], TODAY), key=lambda each: each.kind)
    found = with_waivers([FOUND], [over, waiver(complaint.id)], TODAY)
    assert [each.kind for each in found if each.waived] == []


def test_severities_have_an_order_and_every_kind_has_one() -> None:
    assert {each.severity for each in CHECKS.values()} == set(SEVERITIES)
    assert reaches(FOUND, "note")
    assert reaches(FOUND, "warning")
    assert not reaches(FOUND, "error")
