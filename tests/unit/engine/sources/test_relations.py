"""Every edge once and in order, whichever side says it, for as long as one side does."""

from __future__ import annotations

from gateway.engine.sources.entities import Edge, Entity
from gateway.engine.sources.relations import RelationIndex
from policy.facts import Source

JANE, JOE, TEAM = "user:default/jane", "user:default/joe", "group:default/team"


def says(ref: str, *edges: tuple[str, str]) -> Entity:
    said = tuple(Edge(origin, "memberOf", target) for origin, target in edges)
    return Entity(ref, ref.partition(":")[0], "", "", (), {}, {}, said, None, Source("x"))


def test_both_sides_may_say_an_edge_and_either_may_stop() -> None:
    index = RelationIndex()
    team, jane = says(TEAM, (JANE, TEAM), (JOE, TEAM)), says(JANE, (JANE, TEAM), (JANE, "group:default/a"))
    assert index.take([], [team, jane]) == {(JANE, "memberOf"), (JOE, "memberOf")}
    assert index[JANE, "memberOf"] == ("group:default/a", TEAM)
    silent = says(TEAM, (JOE, TEAM))
    assert index.take([team], [silent]) == set()  # she says so herself
    assert index.take([jane], [says(JANE)]) == {(JANE, "memberOf")}
    assert index.get((JANE, "memberOf"), ()) == ()
    assert dict(index) == {(JOE, "memberOf"): (TEAM,)}
    assert len(index) == 1


def test_what_is_read_again_and_says_the_same_changes_nothing() -> None:
    index = RelationIndex()
    index.take([], [says(JANE, (JANE, TEAM))])
    assert index.take([says(JANE, (JANE, TEAM))], [says(JANE, (JANE, TEAM))]) == set()
