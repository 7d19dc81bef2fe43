"""Whose a service is: the one team that `spec.owner` leads to, and what to say where it leads to none."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.engine.sources.complaints import TOLD
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.relations import Relations
from policy.reading import Fault


def owner_of(entity: Entity, entities: Mapping[str, Entity], relations: Relations) -> tuple[str, list[Fault]]:
    """The owning team. A person cannot own a service here, and a team that is not in the catalog owns nothing."""
    owners = relations.get((entity.ref, "ownedBy"), ())
    teams = [ref for ref in owners if ref.startswith("group:") and ref in entities]
    if len(teams) == 1:
        return teams[0], []
    if not owners:
        message, hint = f"`{entity.ref}` has no owner", "name a Group as `spec.owner`"
    elif teams:
        named = ", ".join(f"`{ref}`" for ref in teams[:TOLD])
        message, hint = f"`{entity.ref}` has several owners, {named}, so none of them is", "name one"
    else:
        message = f"owner `{owners[0]}` of `{entity.ref}` is no team of the catalog"
        hint = _meant_owner(owners[0], entities)
    return "", [Fault(entity.source, f"{message}: nobody reaches it as its owner", hint, "warning")]


def _meant_owner(owner: str, entities: Mapping[str, Entity]) -> str:
    if owner.startswith("user:"):
        return "a person owns nothing here: name their team"
    usual = f"group:default/{owner.rpartition('/')[2]}"
    if usual in entities:
        return f"a bare name means the entity's own namespace: write `{usual}`"
    return "name a Group that the catalog holds; a bare name means the entity's own namespace"
