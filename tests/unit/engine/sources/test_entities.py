"""One entity: what is read, what is refused, and that an edge is the same whichever side says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.engine.sources.entities import Edge, Entity, Reading, read_entity
from policy.facts import Source
from tests.support.catalogs import PREFIX, entity


def locate(path: Sequence[str | int]) -> Source:
    return Source("f.yaml", len(path) + 1)


def read(document: object, relations: list[tuple[str, str]] | None = None) -> Reading:
    return read_entity(document, locate, PREFIX, relations)


def edges(document: dict[str, Any], relations: list[tuple[str, str]] | None = None) -> set[Edge]:
    found = read(document, relations).entity
    assert isinstance(found, Entity)
    return set(found.edges)


def test_bare_refs_take_the_own_namespace_and_the_kind_of_the_field() -> None:
    found = edges(
        entity("Component", "staging/x", owner="team", system="s", providesApis=["a"], consumesApis=["default/b"])
    )
    own = "component:staging/x"
    assert found == {
        Edge(own, "ownedBy", "group:staging/team"),
        Edge(own, "partOf", "system:staging/s"),
        Edge(own, "providesApi", "api:staging/a"),
        Edge(own, "consumesApi", "api:default/b"),
    }


def test_membership_and_parents_are_one_edge_from_either_side() -> None:
    assert edges(entity("Group", "t", members=["jane"])) == edges(entity("User", "jane", memberOf=["t"]))
    assert edges(entity("Group", "p", children=["c"])) == edges(entity("Group", "c", parent="p"))


def test_stitched_relations_give_the_edges_of_spec() -> None:
    component = entity("Component", "x", owner="team", consumesApis=["a"])
    stitched = [
        ("ownedBy", "group:default/team"),
        ("consumesApi", "api:default/a"),
        ("dependsOn", "component:default/y"),
    ]
    assert edges(component, stitched) == edges(component)


@pytest.mark.parametrize("relation", ["apiConsumedBy", "apiProvidedBy", "ownerOf", "hasPart"])
def test_what_is_said_of_another_entity_counts_where_that_one_says_it(relation: str) -> None:
    """Else an API of one catalog could add its operations to a service of another."""
    assert edges(entity("API", "a"), [(relation, "component:default/x")]) == set()


def test_with_relations_at_hand_spec_is_not_read_for_them() -> None:
    assert edges(entity("Component", "x", owner="other"), []) == set()


@pytest.mark.parametrize("kind", ["Location", "Resource", "Template", "Anything"])
def test_other_kinds_are_no_entities_of_ours_and_no_fault(kind: str) -> None:
    assert read(entity(kind, "x")) == Reading(None, "", ())


@pytest.mark.parametrize(
    "document",
    [
        None, [], "text", {}, {"kind": "Component"}, {"kind": "Component", "metadata": {"name": 5}},
        {"kind": "Component", "metadata": {"name": "a b"}}, {"kind": "Component", "metadata": []},
        {"kind": "Component", "metadata": {"name": "x", "namespace": "A B"}},
        {"kind": "Component", "metadata": {"name": "x"}, "spec": []},
        {"kind": "Component", "metadata": {"name": "x"}, "spec": {"owner": 5}},
        {"kind": "Component", "metadata": {"name": "x"}, "spec": {"owner": "a b"}},
        {"kind": "Component", "metadata": {"name": "x", "annotations": {"a": 1}}},
        {"kind": "Component", "metadata": {"name": "x", "annotations": []}},
        {"kind": "User", "metadata": {"name": "x"}, "spec": {"memberOf": [{}]}},
    ],
)  # fmt: skip
def test_a_broken_entity_is_a_fault_and_nothing_else(document: object) -> None:
    reading = read(document)
    assert reading.entity is None
    assert len(reading.faults) == 1


def test_a_broken_entity_is_known_by_name_where_it_has_one() -> None:
    reading = read({"kind": "Component", "metadata": {"name": "Pay"}, "spec": {"owner": 5}})
    assert reading.ref == "component:default/pay"
    assert reading.faults[0].source.entity == "component:default/pay"


def test_orphans_and_guests_are_nobody() -> None:
    orphan = entity("User", "jane")
    orphan["metadata"]["annotations"] = {"backstage.io/orphan": "true"}
    assert read(orphan).entity is None
    assert read(entity("User", "development/guest")).entity is None


def test_an_author_cannot_say_that_an_entity_is_no_orphan_by_accident() -> None:
    document = entity("User", "jane")
    document["metadata"]["annotations"] = {"backstage.io/orphan": "false"}
    assert read(document).entity is not None


def test_what_an_issuer_matches_on_is_kept_as_it_is() -> None:
    document = entity("User", "Jane", profile={"email": "Jane@Example.com", "displayName": "Jane\x00 Doe"})
    document["metadata"]["annotations"] = {"graph.microsoft.com/user-id": "42"}
    found = read(document).entity
    assert found is not None
    assert found.fields == {
        "metadata.name": "Jane", "spec.profile.email": "Jane@Example.com",
        "annotations.graph.microsoft.com/user-id": "42",
    }  # fmt: skip
    assert found.title == "Jane  Doe"


def test_links_and_their_scripts_are_never_read() -> None:
    document = entity("Component", "x", owner="t")
    document["metadata"]["links"] = [{"url": "javascript:alert(1)"}]
    assert "javascript" not in repr(read(document).entity)


def test_only_annotations_below_the_prefix_are_kept_with_their_lines() -> None:
    document = entity("Component", "x", annotations={"host": "h"})
    document["metadata"]["annotations"]["other/host"] = "evil"
    found = read(document).entity
    assert found is not None
    assert found.annotations == {"host": "h"}
    assert found.place("host") == Source("f.yaml", 4, "component:default/x")


def test_the_digest_changes_with_everything_that_is_kept() -> None:
    plain, other = read(entity("Component", "x", owner="a")).entity, read(entity("Component", "x", owner="b")).entity
    assert plain is not None
    assert other is not None
    assert plain.digest != other.digest
    again = read(entity("Component", "x", owner="a")).entity
    assert again == plain
