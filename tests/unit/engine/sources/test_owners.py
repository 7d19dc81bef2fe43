"""Whose a service is: one team of the catalog, and otherwise nobody's, with what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.sources.entities import Entity, read_entity
from gateway.engine.sources.owners import owner_of
from gateway.engine.sources.relations import RelationIndex
from policy.facts import Source
from tests.support.catalogs import PREFIX, entity, people, service


def owned(document: dict[str, Any], *others: dict[str, Any]) -> tuple[str, str]:
    """The owner, and what is said when there is none."""
    read = [read_entity(each, lambda path: Source("f.yaml", 1), PREFIX).entity for each in (document, *others)]
    entities: dict[str, Entity] = {each.ref: each for each in read if each is not None}
    relations = RelationIndex()
    relations.take((), list(entities.values()))
    owner, faults = owner_of(next(iter(entities.values())), entities, relations)
    return owner, "\n".join(map(str, faults))


def test_one_team_of_the_catalog_owns_and_nothing_is_said() -> None:
    assert owned(service("a"), *people("team")) == ("group:default/team", "")


@pytest.mark.parametrize(
    ("document", "says", "todo"),
    [
        (service("a", owner="gone"), "owner `group:default/gone` of `component:default/a` is no team of the catalog",
         "name a Group that the catalog holds"),
        (service("far/a"), "owner `group:far/team` of `component:far/a` is no team of the catalog",
         "own namespace: write `group:default/team`"),
        (service("a", owner="user:jane"), "owner `user:default/jane`", "a person owns nothing here: name their team"),
        (entity("Component", "a", annotations={"access": "owners"}), "`component:default/a` has no owner",
         "name a Group as `spec.owner`"),
        (service("a", owner=["team", "other"]), "has several owners, `group:default/other`, `group:default/team`",
         "name one"),
    ],
)  # fmt: skip
def test_nobody_owns_what_does_not_name_one_team(document: dict[str, Any], says: str, todo: str) -> None:
    owner, said = owned(document, *people("team", "other"))
    assert owner == ""
    assert says in said
    assert said.endswith(todo) or todo in said
    assert "nobody reaches it as its owner" in said
