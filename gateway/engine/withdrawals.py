"""Memberships that one side takes back while the other is kept as it was.

A catalog says each membership on both its entities, the person's and the team's. While a team is held because so many
are gone, its old form still says who is in it; somebody who leaves it then says so alone. So what the side that is
there said before and says no more leaves the form of the side that is kept, too.

Of an entity that is gone and held this is judged like a loss itself: that its counterparts stop naming it may only
follow from its being gone. Files say a membership where its author wrote it, and are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from gateway.engine.sources.entities import Edge, Entity, digested
from gateway.engine.sources.pulls import CATALOG

_BOTH_SIDED: Final = ("memberOf", "childOf")


def without_withdrawn(
    entities: Mapping[str, Entity],
    accepted: Mapping[str, Entity],
    lost: Collection[str],
    broken: Collection[str],
    is_mass_loss: Callable[[int, int], bool],
) -> dict[str, Entity]:
    """The kept entities that lose a membership. ``lost`` are gone and held; ``broken`` are there and cannot be read."""
    if not lost and not broken:
        return {}
    kept = {ref for ref in (*lost, *broken) if ref in entities and entities[ref].source.file.startswith(CATALOG)}
    taken = _taken_back(entities, accepted, kept)
    changed = {ref: _withdrawn(entities[ref], taken) for ref in kept}
    of_lost = sum(len(changed[ref]) for ref in kept if ref in lost)
    known = sum(len(_memberships(entities[ref])) for ref in kept if ref in lost)
    follows = is_mass_loss(of_lost, known)
    return {
        ref: digested(replace(entities[ref], edges=tuple(each for each in entities[ref].edges if each not in edges)))
        for ref, edges in changed.items()
        if edges and not (follows and ref in lost)
    }


def _taken_back(entities: Mapping[str, Entity], accepted: Mapping[str, Entity], kept: Collection[str]) -> set[Edge]:
    """What those that are there, or just went, said last and say no more."""
    taken: set[Edge] = set()
    for ref, before in accepted.items():
        now = entities.get(ref)
        if now is before or ref in kept or before.kind not in ("user", "group"):
            continue
        taken |= _memberships(before) - (_memberships(now) if now is not None else set())
    return taken


def _memberships(entity: Entity) -> set[Edge]:
    return {edge for edge in entity.edges if edge.relation in _BOTH_SIDED}


def _withdrawn(entity: Entity, taken: set[Edge]) -> set[Edge]:
    return _memberships(entity) & taken
