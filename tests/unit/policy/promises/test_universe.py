"""Everybody who might ask: people as they are, one more in each team alone, the program behind each component."""

from __future__ import annotations

from policy.directory import Directory, directory_frames
from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, EVERYONE, Person, Team
from policy.promises.universe import ANONYMOUS, PERSON, WORKLOAD, Universe
from policy.statements import ANYONE
from tests.support.policy_worlds import catalog, person, team


def universe(*entities: Person | Team) -> Universe:
    return Universe(Directory(directory_frames(catalog(*entities), (), ("prod",))))


TEAMS = (team("a", "top"), team("b"), team("top"))


def test_a_subject_stands_for_somebody_who_is_nothing_else() -> None:
    known = universe(*TEAMS, person("jane", "a", "b"))
    member = known.named("group:default/a")
    assert member is not None
    assert member.subjects == {"group:default/a", "group:default/top", ALL_PEOPLE, EVERYONE}
    program = known.named("component:default/x@prod")
    assert program is not None
    assert program.subjects == {"component:default/x", ALL_WORKLOADS, EVERYONE}
    jane = known.named("user:default/jane")
    assert jane is not None
    assert {"group:default/a", "group:default/b"} <= jane.subjects
    assert known.named("group:default/gone") is known.named("user:default/gone") is None
    assert [known.named(each) for each in (ALL_PEOPLE, ALL_WORKLOADS, ANYONE)] == [PERSON, WORKLOAD, ANONYMOUS]


def test_people_are_told_apart_by_the_names_that_count() -> None:
    """One for each combination; somebody whom a rule names is asked for by name alone."""
    known = universe(*TEAMS, person("jane", "a"), person("joe", "a"), person("kim", "a", "b"))
    both = frozenset({"group:default/a", "group:default/b"})
    assert [each.ref for each in known.carrying(["group:default/a"], both)] == ["user:default/jane", "user:default/kim"]
    alone = frozenset({"group:default/a"})
    assert [each.ref for each in known.carrying(["group:default/a"], alone)] == ["user:default/jane"]
    named = both | {"user:default/jane", "user:default/kim"}
    assert [each.ref for each in known.carrying(["group:default/top"], named)] == ["user:default/joe"]


def test_a_change_is_told_by_the_names_of_those_who_changed() -> None:
    before = universe(*TEAMS, person("jane", "a"), person("kim", "b"))
    assert universe(*TEAMS, person("jane", "a"), person("kim", "b")).changed(before) == frozenset()
    joined = universe(*TEAMS, person("jane", "a", "b"), person("kim", "b"))
    assert joined.changed(before) == {"group:default/a", "group:default/b", "group:default/top", "user:default/jane"}
    left = universe(*TEAMS, person("jane"), person("kim", "b"))
    assert left.changed(before) == {"user:default/jane"}
    gone = universe(*TEAMS, person("kim", "b"))
    assert gone.changed(before) == frozenset()
    moved = universe(team("a"), team("b", "top"), team("top"), person("jane", "a"), person("kim", "b"))
    assert {"group:default/b", "group:default/top"} <= moved.changed(before)
