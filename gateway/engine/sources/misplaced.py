"""Annotations of ours on what is no Component: they have no effect, and whoever wrote them waits for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.engine.sources.annotations import KEYS
from gateway.engine.sources.entities import Entity
from policy.reading import Fault

_NAMED: Final = 3


def misplaced(document: object, entity: Entity, prefix: str) -> Iterator[Fault]:
    """One warning at most. ``document``: as the entity was written, metadata and all."""
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if entity.kind == "component" or not isinstance(annotations, Mapping):
        return
    ours = [key for key in annotations if key.startswith(prefix) and _is_ours(key.removeprefix(prefix))]
    if ours:
        shown = ", ".join(f"`{key}`" for key in sorted(ours)[:_NAMED]) + (", …" if len(ours) > _NAMED else "")
        verb = "has" if len(ours) == 1 else "have"
        message = f"{shown} on `{entity.ref}` {verb} no effect: only a Component is exposed"
        yield Fault(entity.source, message, "write it on the Component", "warning")


def _is_ours(key: str) -> bool:
    return key.partition(".")[0] in KEYS
