"""What a node remembers of a catalog and a source reads again, word for word, is one object and not two.

An engine that starts over what it remembers, or with other settings, reads the whole catalog while the last version of
it is still held. Nearly all of that is the same: whoever reads an entity asks here for the one that is there already.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.engine.sources.entities import Entity
from gateway.engine.sources.openapi import Definition


class Held:
    """``entities``: by ref, as they were accepted last. Nobody changes them."""

    def __init__(self, entities: Mapping[str, Entity] | None = None) -> None:
        self._entities = entities or {}

    def entity(self, read: Entity) -> Entity:
        """The remembered entity where nothing in it differs from what was read, else what was read."""
        known = self._entities.get(read.ref)
        if known is None or known.digest != read.digest:
            return read
        return known if _are_alike(known.definition, read.definition) else read

    def definition(self, ref: str, read: Definition) -> Definition:
        """The same for the definition of an API."""
        entity = self._entities.get(ref)
        known = entity.definition if entity is not None else None
        return known if known is not None and _are_alike(known, read) else read


def _are_alike(known: Definition | None, read: Definition | None) -> bool:
    """The digest covers the operations; what it leaves out is compared."""
    if known is None or read is None:
        return known is read
    return _beside_operations(known) == _beside_operations(read)


def _beside_operations(definition: Definition) -> tuple[object, ...]:
    return (
        definition.digest, definition.broken, definition.kept, definition.openapi, definition.schemes,
        definition.faults,
    )  # fmt: skip
