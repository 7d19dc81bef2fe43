"""One entity as Backstage's API sends it: what it is, whether it changed, and what is wrong with it. No I/O.

`metadata.etag` is a hint alone, because an author can write it and freeze it: every entity is hashed here, without
the etag. Who changes under the same etag, or has one that is no SHA-1, is *frozen* and read again each time.

Relations are those that Backstage stitched; `spec` is never read for them. The origin location is Backstage's own
word, which no author can write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from gateway.engine.sources import openapi
from gateway.engine.sources.entities import Entity, read_entity
from gateway.engine.sources.file_reading import OPENAPI_TYPES
from gateway.engine.sources.misplaced import misplaced
from gateway.engine.sources.openapi import Definition
from gateway.engine.sources.refs import entity_ref, full_ref
from gateway.engine.sources.sharing import Held
from policy.facts import Source
from policy.reading import Fault

PROBED: Final = ("kind", "metadata.namespace", "metadata.name", "metadata.uid", "metadata.etag")
READ: Final = (
    *PROBED, "apiVersion", "metadata.title", "metadata.tags", "metadata.annotations", "spec.type",
    "spec.profile.displayName", "spec.profile.email", "relations", "status",
)  # fmt: skip
DEFINED: Final = ("kind", "metadata.namespace", "metadata.name", "spec.definition")
ENTITY_BYTES: Final = 1024 * 1024
PROCESSING: Final = "backstage.io/catalog-processing"
_MANAGED: Final = "backstage.io/managed-by-"  # written by the catalog: where an entity comes from is no part of it
ORIGIN: Final = _MANAGED + "origin-location"
_LOCATION: Final = _MANAGED + "location"
_CAUSES: Final = re.compile(r";\s*caused by\s+")  # between the errors of a chain, the innermost last
_ERROR: Final = re.compile(r"(?:[A-Za-z]*Error:\s*)+")
_SHA1: Final = re.compile(r"[0-9a-f]{40}\Z")
_SHOWN: Final = 160
_NOT_YET: Final = Definition((), broken=True, digest="not read yet")


class Seen(NamedTuple):
    """What a probe sees of an entity."""

    ref: str
    uid: str
    etag: str


class Record(NamedTuple):
    """An entity as it was read last. ``entity`` is None for one that counts as absent (an orphan) or, with
    ``is_broken``, cannot be read; ``owners`` are those of such a one. ``origin``: which location brought it in;
    ``location``: where its text is."""

    uid: str
    etag: str
    digest: bytes
    origin: str
    location: str
    is_frozen: bool
    is_broken: bool
    entity: Entity | None
    faults: tuple[Fault, ...]
    owners: tuple[str, ...] = ()

    @property
    def is_defined(self) -> bool:
        """Whether it is an API whose operations are read."""
        definition = self.entity.definition if self.entity is not None else None
        return definition is not None and definition.openapi


def seen(items: list[Any]) -> list[Any]:
    """Of a page of a probe: what can be named."""
    found = []
    for item in items:
        if ref := ref_of(item):
            metadata = item["metadata"]
            found.append(Seen(ref, _text(metadata, "uid"), _text(metadata, "etag")))
    return found


def ref_of(item: Any) -> str:
    """The entity's ref, "" where it has none."""
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict):
        return ""
    kind, name, namespace = item.get("kind"), metadata.get("name"), metadata.get("namespace") or "default"
    if not (isinstance(kind, str) and isinstance(name, str) and isinstance(namespace, str)):
        return ""
    return entity_ref(kind, namespace, name)


class ItemReader:
    """Reads the items of one catalog. ``file`` is what stands for a file in places of faults; of what is ``held`` the
    very same is used."""

    def __init__(self, file: str, prefix: str, held: Held | None = None) -> None:
        self.file = file
        self.held = held or Held()
        self._prefix = prefix

    def read_all(self, items: Iterable[Any], records: Mapping[str, Record], found: dict[str, Record]) -> None:
        """Put the records of ``items`` into ``found``; those of ``records`` again that did not change. What has no ref
        is left out: nobody could say what it is."""
        for item in items:
            if ref := ref_of(item):
                found[ref] = self._record(ref, item, records.get(ref))

    def _record(self, ref: str, item: dict[str, Any], known: Record | None) -> Record:
        metadata = item["metadata"]
        uid, etag = _text(metadata, "uid"), _text(metadata, "etag")
        metadata.pop("uid", None)
        metadata.pop("etag", None)
        try:
            content = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
        except TypeError:
            return self._broken(ref, item, Seen(ref, uid, etag), "it holds half a character (a lone surrogate)")
        digest = blake2b(content, digest_size=16).digest()
        if known is not None and known.digest == digest:
            return known._replace(uid=uid, etag=etag)
        if len(content) > ENTITY_BYTES:
            return self._broken(ref, item, Seen(ref, uid, etag), f"it has more than {ENTITY_BYTES} bytes", digest)
        is_frozen = not _SHA1.match(etag) or (known is not None and known.etag == etag)
        return self._read(ref, item, uid, etag, digest, is_frozen=is_frozen)

    def _read(self, ref: str, item: dict[str, Any], uid: str, etag: str, digest: bytes, *, is_frozen: bool) -> Record:
        annotations = item["metadata"].get("annotations")
        origin = location = ""
        if isinstance(annotations, dict):
            origin, location = _text(annotations, ORIGIN), _text(annotations, _LOCATION)
            item["metadata"]["annotations"] = {k: v for k, v in annotations.items() if not k.startswith(_MANAGED)}
        place = Source(self.file)
        reading = read_entity(item, lambda path: place, self._prefix, _relations(item), _definer(item))
        is_broken = reading.entity is None and bool(reading.faults)
        faults = reading.faults
        if reading.entity is not None:
            faults = (*faults, *misplaced(item, reading.entity, self._prefix))
            if _concerns_us(reading.entity):
                faults = (*faults, *_processing_faults(item, reading.entity))
            entity = self.held.entity(reading.entity)
            return Record(uid, etag, digest, origin, location, is_frozen, is_broken, entity, faults)
        return Record(uid, etag, digest, origin, location, is_frozen, is_broken, None, faults, _owners(item))

    def _broken(self, ref: str, item: dict[str, Any], seen: Seen, why: str, digest: bytes = b"") -> Record:
        fault = Fault(Source(self.file, 0, ref), f"`{ref}` is not read: {why}", "correct it where it is written")
        location = _text(_mapping(item["metadata"], "annotations"), _LOCATION)
        return Record(seen.uid, seen.etag, digest, "", location, False, True, None, (fault,), _owners(item))


def definition_of(item: Any, ref: str, file: str) -> tuple[str, Callable[[], Definition]]:
    """A hash of what an API's definition says, and how to read it. Whatever it refers to is never fetched."""
    spec = item.get("spec") if isinstance(item, dict) else None
    text = spec.get("definition") if isinstance(spec, dict) else None
    if not isinstance(text, str):
        return "", lambda: openapi.broken(Source(file, 0, ref), "`spec.definition` is no text")
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return digest, lambda: openapi.read_definition(text, ref, file, 1)


def _definer(item: dict[str, Any]) -> Callable[[object, str], Definition]:
    """The definition itself comes later; until then an API that has one has no operations, and nothing is open."""
    spec = item.get("spec")
    kind = spec.get("type") if isinstance(spec, dict) else None
    if isinstance(kind, str) and kind.strip().lower() in OPENAPI_TYPES:
        return lambda definition, ref: _NOT_YET
    return lambda definition, ref: openapi.no_definition(str(kind)[:_SHOWN])


def _relations(item: dict[str, Any]) -> list[tuple[str, str]]:
    relations = item.get("relations")
    found = []
    for each in relations if isinstance(relations, list) else []:
        kind, target = (each.get("type"), each.get("targetRef")) if isinstance(each, dict) else (None, None)
        if isinstance(kind, str) and isinstance(target, str):
            found.append((kind, target))
    return found


def _owners(item: dict[str, Any]) -> tuple[str, ...]:
    """Whose it is, of what has no form that could be asked."""
    found = (full_ref(target, "", "default") for kind, target in _relations(item) if kind == "ownedBy")
    return tuple(dict.fromkeys(ref for ref in found if ref))


def _concerns_us(entity: Entity) -> bool:
    """An API does once somebody's operations come from it; whether they do is seen later."""
    is_api = entity.definition is not None and entity.definition.openapi
    return is_api or entity.kind in ("user", "group") or bool(entity.annotations)


def _processing_faults(item: dict[str, Any], entity: Entity) -> list[Fault]:
    """The catalog could not read its newest version and sends the last good one."""
    status = item.get("status")
    items = status.get("items") if isinstance(status, dict) else None
    for each in items if isinstance(items, list) else []:
        if isinstance(each, dict) and each.get("type") == PROCESSING and each.get("level") == "error":
            said = _innermost(str(each.get("message", "")))
            message = f"`{entity.ref}` counts as it was: its newest version was refused by the catalog ({said})"
            todo = "correct it where it is written: the catalog reads it again by itself"
            return [Fault(entity.source, message, todo, "warning", keeps=True)]
    return []


def _innermost(message: str) -> str:
    """What is wrong, of a chain of errors: those around it say which part of the catalog noticed."""
    said = _ERROR.sub("", _CAUSES.split(message)[-1], count=1) or message
    return "".join(c if c.isprintable() else " " for c in said[:_SHOWN]).strip()


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return value if isinstance(value, str) else ""
