"""The OpenAPI definitions of one catalog: read by ref, a few at a time, only those somebody needs and only when the
API's etag changed. An API whose etag is frozen is read again with every full reading, all of them now and then.

Definitions are the large and hostile part of a catalog. They are read beside everything else, so that one which takes
seconds to refuse delays no revocation; one that is too large is broken, and its API keeps the operations it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Final, NamedTuple

from gateway.engine.sources import openapi
from gateway.engine.sources.backstage_api import ANSWER_BYTES, CatalogApi, TooLarge
from gateway.engine.sources.backstage_items import DEFINED, Record, definition_of
from gateway.engine.sources.entities import Entity, digested
from gateway.engine.sources.openapi import Definition
from gateway.engine.sources.pulls import Pull
from gateway.engine.sources.sharing import Held
from policy.facts import Source

BATCH: Final = 50


class Wanted(NamedTuple):
    """An API somebody needs, and its etag."""

    ref: str
    etag: str


def wanted_of(records: Mapping[str, Record]) -> list[Wanted]:
    """APIs that services with our annotations provide."""
    refs = {
        edge.target
        for record in records.values()
        if record.entity is not None and record.entity.kind == "component" and record.entity.annotations
        for edge in record.entity.edges
        if edge.relation == "providesApi"
    }
    return [Wanted(ref, records[ref].etag) for ref in sorted(refs) if ref in records and records[ref].is_defined]


def pull_of(records: Mapping[str, Record], file: str, definitions: Definitions) -> Pull:
    """What the records say, with the definitions that are known."""
    pull = Pull(catalogs=frozenset((file,)))
    origins: dict[str, str] = {}
    for ref, record in records.items():
        pull.locations[ref] = record.location
        if record.entity is None:
            (pull.broken if record.is_broken else pull.absent).add(ref)
            pull.owners[ref] = record.owners
        else:
            pull.entities[ref] = definitions.attached(record.entity) if record.is_defined else record.entity
            origins[ref] = record.origin
        if record.faults:
            is_idle = record.is_defined and not definitions.is_read(ref)  # nobody's operations come from that API
            pull.faults += (each for each in record.faults if not (is_idle and each.keeps))
    pull.origins = origins
    return pull


class _Read(NamedTuple):
    etag: str
    digest: str  # of the text
    definition: Definition


class Definitions:
    """What is known, by ref of the API. ``worker`` reads the texts; ``file`` is what places of faults name; of what is
    ``held`` the very same is used."""

    def __init__(self, api: CatalogApi, file: str, worker: Executor, held: Held | None = None) -> None:
        self.held = held or Held()
        self._api = api
        self._file = file
        self._worker = worker
        self._known: dict[str, _Read] = {}
        self._attached: dict[str, tuple[Entity, Definition, Entity]] = {}

    def is_read(self, ref: str) -> bool:
        return ref in self._known

    def attached(self, entity: Entity) -> Entity:
        """The API with its definition as far as that is known."""
        read = self._known.get(entity.ref)
        if read is None:
            return entity
        made = self._attached.get(entity.ref)
        if made is None or made[0] is not entity or made[1] is not read.definition:
            whole = self.held.entity(digested(replace(entity, definition=read.definition)))
            made = self._attached[entity.ref] = (entity, read.definition, whole)
        return made[2]

    def stale(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Those that were never read, or under another etag."""
        known = self._known
        return [each for each in wanted if each.ref not in known or known[each.ref].etag != each.etag]

    def forget(self, refs: Iterable[str]) -> None:
        """They are not in the catalog any more."""
        for ref in refs:
            self._known.pop(ref, None)
            self._attached.pop(ref, None)

    async def read(self, stale: Sequence[Wanted]) -> bool:
        """Read these. Returns whether any says something else now. Raises `CatalogFault`; what was read counts."""
        changed = False
        for start in range(0, len(stale), BATCH):
            changed = await self._read(stale[start : start + BATCH]) or changed
        return changed

    async def _read(self, batch: Sequence[Wanted]) -> bool:
        try:
            items = await self._api.by_refs([each.ref for each in batch], DEFINED)
        except TooLarge:
            if len(batch) == 1:
                return self._take_too_large(batch[0])
            half = len(batch) // 2
            first = await self._read(batch[:half])
            return await self._read(batch[half:]) or first
        changed = False
        for each, item in zip(batch, items, strict=True):
            if item is not None:
                changed = await self._take(each, item) or changed
        return changed

    async def _take(self, wanted: Wanted, item: Any) -> bool:
        known = self._known.get(wanted.ref)
        digest, read = definition_of(item, wanted.ref, self._file)
        if known is not None and known.digest == digest:
            self._known[wanted.ref] = known._replace(etag=wanted.etag)
            return False
        definition = await asyncio.get_running_loop().run_in_executor(self._worker, read)
        self._known[wanted.ref] = _Read(wanted.etag, digest, self.held.definition(wanted.ref, definition))
        return True

    def _take_too_large(self, wanted: Wanted) -> bool:
        message = f"definition is larger than {ANSWER_BYTES} bytes"
        definition = openapi.broken(Source(self._file, 0, wanted.ref), message, "split the API")
        known = self._known.get(wanted.ref)
        self._known[wanted.ref] = _Read(wanted.etag, message, definition)
        return known is None or known.digest != message
