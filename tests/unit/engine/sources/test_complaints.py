"""What is told of one entity is bounded, whatever it says; errors never give way to warnings."""

from __future__ import annotations

from gateway.engine.sources.complaints import TOLD, Complaints
from gateway.engine.sources.entities import read_entity
from policy.facts import Source
from tests.support.catalogs import PREFIX, service


def complaints() -> Complaints:
    entity = read_entity(service("a"), lambda path: Source("f.yaml", len(path)), PREFIX).entity
    assert entity is not None
    return Complaints(entity)


def test_warnings_and_errors_say_where_and_what_they_are_about() -> None:
    found = complaints()
    found.warn("host", "odd", "mend it", "prod")
    found.breaks("dev", "host", "worse")
    found.breaks_all(["dev", "prod"], "environments", "worst", "choose")
    assert [(str(each), each.severity, each.environment) for each in found.faults] == [
        ("f.yaml:3: prod: odd; mend it", "warning", "prod"),
        ("f.yaml:3: dev: worse", "error", "dev"),
        ("f.yaml:3: worst; choose", "error", ""),
    ]
    assert (found.errors, found.broken) == (2, {"dev", "prod"})


def test_of_very_many_warnings_the_first_are_told_and_the_rest_is_counted() -> None:
    found = complaints()
    for number in range(10_000):
        found.warn("options", f"unknown word {number}", found.meant("hots", ["host"]))
    found.breaks("prod", "host", "broken")
    faults = found.faults
    assert len(faults) == TOLD + 2
    assert {each.suggestion for each in faults[:TOLD]} == {"did you mean `host`?"}
    assert faults[TOLD].message == "prod: broken"
    assert faults[-1].message == f"{10_000 - TOLD:,} more of what it says is not known and left out"


def test_nothing_is_searched_for_what_is_not_told() -> None:
    found = complaints()
    for _ in range(TOLD):
        found.warn("options", "unknown word")
    assert found.meant("hots", ["host"]) == ""
