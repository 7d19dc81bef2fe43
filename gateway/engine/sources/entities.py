"""One Backstage entity, reduced to what policy needs. Shared by every source, so that equal catalogs give equal facts.

A source hands over the entity's document and, where it has them, its relations as Backstage stitched them; the file
source has none and they are derived here from `spec`, by Backstage's rules: a bare ref takes the entity's own
namespace and the field's default kind. Whichever side a relation is said on, it becomes one edge in one direction
(a Group's `members` and a User's `memberOf` are the same edge).

An entity says nothing about whether the target of an edge exists, nor what an annotation means: that is decided
over all entities together. Links, labels, lifecycle and unknown kinds are not read at all.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

from gateway.documents import Locate
from gateway.engine.sources.openapi import Definition
from gateway.engine.sources.refs import entity_ref, full_ref, namespace_of
from policy.facts import Source
from policy.reading import Fault

KINDS = frozenset(("component", "api", "user", "group", "system", "domain"))
Relation = Literal["memberOf", "childOf", "ownedBy", "partOf", "providesApi", "consumesApi"]

_TITLE_LENGTH = 200
_NO_STATEMENT: Mapping[str, tuple[object, ...]] = {  # what would take away what a deny names, or a definition limits
    "tags": (None,), "providesApis": (None,), **dict.fromkeys(("system", "domain", "subdomainOf"), (None, [])),
}  # fmt: skip


class Edge(NamedTuple):
    """``origin`` stands in ``relation`` to ``target``; both are refs, either may be absent from the catalog."""

    origin: str
    relation: Relation
    target: str


class _Field(NamedTuple):
    """What a field of `spec` says: refs of ``kind`` by default; ``inverse``: they stand in relation to the entity."""

    relation: Relation
    kind: str
    inverse: bool = False


_FIELDS: Mapping[str, Mapping[str, _Field]] = {
    "user": {"memberOf": _Field("memberOf", "group")},
    "group": {
        "parent": _Field("childOf", "group"),
        "children": _Field("childOf", "group", inverse=True),
        "members": _Field("memberOf", "user", inverse=True),
    },
    "component": {
        "owner": _Field("ownedBy", "group"),
        "system": _Field("partOf", "system"),
        "providesApis": _Field("providesApi", "api"),
        "consumesApis": _Field("consumesApi", "api"),
    },
    "api": {"owner": _Field("ownedBy", "group"), "system": _Field("partOf", "system")},
    "system": {"owner": _Field("ownedBy", "group"), "domain": _Field("partOf", "domain")},
    "domain": {"owner": _Field("ownedBy", "group"), "subdomainOf": _Field("partOf", "domain")},
}

# Backstage's stitched relations: (our relation, said from the other side). Only teams say something of others; the
# rest counts where its origin says it, so that no second catalog gives a service an API, an owner or a place.
_STITCHED: Mapping[str, tuple[Relation, bool]] = {
    "memberOf": ("memberOf", False), "hasMember": ("memberOf", True),
    "childOf": ("childOf", False), "parentOf": ("childOf", True),
    "ownedBy": ("ownedBy", False), "partOf": ("partOf", False),
    "providesApi": ("providesApi", False), "consumesApi": ("consumesApi", False),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entity:
    """``annotations`` are those below our prefix, without it (Components); ``fields`` what an issuer may match on
    (Users, Groups). ``lines`` holds the line of each annotation. ``digest`` covers everything."""

    ref: str
    kind: str
    title: str
    type: str
    tags: tuple[str, ...]
    annotations: Mapping[str, str]
    fields: Mapping[str, str]
    edges: tuple[Edge, ...]
    definition: Definition | None
    source: Source
    lines: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""

    def place(self, annotation: str) -> Source:
        return Source(self.source.file, self.lines.get(annotation, self.source.line), self.ref)


class Reading(NamedTuple):
    """``entity`` is None when the document is none of our kinds, when it counts as absent (an orphan), or (with an
    error) when it is broken.

    ``ref`` is set as soon as it is known, so that a broken entity can keep its last good form."""

    entity: Entity | None
    ref: str
    faults: tuple[Fault, ...]


class _Broken(Exception):
    def __init__(self, path: tuple[str | int, ...], message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.fault = (path, message, suggestion)


def read_entity(
    document: object,
    locate: Locate,
    prefix: str,
    relations: Iterable[tuple[str, str]] | None = None,
    define: Callable[[object, str], Definition] | None = None,
) -> Reading:
    """Reduce one document. ``relations``: (type, targetRef) pairs, or None to derive them from `spec`.
    ``define`` reads an API's definition (its `spec.definition`, the entity's ref)."""
    ref = ""
    try:
        if not isinstance(document, Mapping):
            raise _Broken((), "document is no entity", "an entity has `apiVersion`, `kind`, `metadata` and `spec`")
        kind = _text(document, ("kind",)).lower()
        if kind not in KINDS:
            _text(document, ("apiVersion",))
            return Reading(None, "", ())
        metadata, spec = _mapping(document, "metadata"), _mapping(document, "spec")
        ref = _ref_of(kind, metadata)
        if _is_absent(ref, metadata):
            return Reading(None, ref, ())
        entity = _reduced(ref, kind, metadata, spec, locate, prefix, relations, define)
        return Reading(entity, ref, entity.definition.faults if entity.definition else ())
    except _Broken as broken:
        path, message, suggestion = broken.fault
        place = locate(path)
        return Reading(None, ref, (Fault(Source(place.file, place.line, ref), message, suggestion),))


def _ref_of(kind: str, metadata: Mapping[str, Any]) -> str:
    name = _text(metadata, ("metadata", "name"))
    namespace = metadata.get("namespace") or "default"
    if not entity_ref(kind, "default", name):
        raise _Broken(("metadata", "name"), f"`{name[:80]}` is no entity name", "letters, digits, `-`, `_` and `.`")
    ref = entity_ref(kind, namespace, name) if isinstance(namespace, str) else ""
    if not ref:
        raise _Broken(("metadata", "namespace"), f"`{str(namespace)[:80]}` is no namespace")
    return ref


def _is_absent(ref: str, metadata: Mapping[str, Any]) -> bool:
    """An orphan's source no longer says that it exists; Backstage's guest is nobody."""
    annotations = metadata.get("annotations")
    orphan = isinstance(annotations, Mapping) and annotations.get("backstage.io/orphan") == "true"
    return orphan or ref in ("user:development/guest", "user:default/guest")


def _reduced(
    ref: str,
    kind: str,
    metadata: Mapping[str, Any],
    spec: Mapping[str, Any],
    locate: Locate,
    prefix: str,
    relations: Iterable[tuple[str, str]] | None,
    define: Callable[[object, str], Definition] | None,
) -> Entity:
    annotations = _annotations(metadata)
    named = annotations if kind == "component" else {}
    ours = {key.removeprefix(prefix): text for key, text in named.items() if key.startswith(prefix)}
    place = locate(("metadata", "name"))
    source = Source(place.file, place.line, ref)
    edges = _edges_of_spec(ref, kind, spec) if relations is None else _edges_of_relations(ref, relations)
    entity = Entity(
        ref=ref,
        kind=kind,
        title=_title(metadata, spec),
        type=_text(spec, ("spec", "type")).strip().lower() if "type" in spec else "",
        tags=_texts(metadata, ("metadata", "tags")),
        annotations=ours,
        fields=_match_fields(metadata, spec, annotations) if kind in ("user", "group") else {},
        edges=edges,
        definition=define(spec.get("definition"), ref) if kind == "api" and define is not None else None,
        source=source,
        lines={key: locate(("metadata", "annotations", prefix + key)).line for key in ours},
    )
    return digested(entity)


def digested(entity: Entity) -> Entity:
    """The same with the digest of what is in it."""
    definition = entity.definition.digest if entity.definition else ""
    content = (
        entity.ref, entity.title, entity.type, entity.tags, sorted(entity.annotations.items()),
        sorted(entity.fields.items()), [tuple(edge) for edge in entity.edges], definition,
        (entity.source.file, entity.source.line), sorted(entity.lines.items()),
    )  # fmt: skip
    return replace(entity, digest=blake2b(marshal.dumps(content, 2), digest_size=16).hexdigest())


def with_last_definition(entity: Entity, last: Definition) -> Entity:
    """An API whose definition cannot be read, with the operations it had; what is wrong with it stays said."""
    faults = entity.definition.faults if entity.definition is not None else ()
    kept = replace(last, faults=faults, broken=False, kept=True, digest=f"kept {last.digest.removeprefix('kept ')}")
    return digested(replace(entity, definition=kept))


# ---- parts ----


def _edges_of_spec(ref: str, kind: str, spec: Mapping[str, Any]) -> tuple[Edge, ...]:
    edges: dict[Edge, None] = {}
    for name, what in _FIELDS[kind].items():
        for text in _texts(spec, ("spec", name)):
            other = full_ref(text, what.kind, namespace_of(ref))
            if not other:
                raise _Broken(("spec", name), f"`{text[:80]}` is no entity ref", "write `kind:namespace/name`")
            edges[Edge(other, what.relation, ref) if what.inverse else Edge(ref, what.relation, other)] = None
    return tuple(sorted(edges))


def _edges_of_relations(ref: str, relations: Iterable[tuple[str, str]]) -> tuple[Edge, ...]:
    """Edges that the entity's own kind says in `spec` as well: the other side carries the rest."""
    edges: dict[Edge, None] = {}
    for kind, target in relations:
        if kind in _STITCHED and (other := full_ref(target, "", "default")):
            relation, inverse = _STITCHED[kind]
            edges[Edge(other, relation, ref) if inverse else Edge(ref, relation, other)] = None
    return tuple(sorted(edges))


def _annotations(metadata: Mapping[str, Any]) -> dict[str, str]:
    annotations = metadata.get("annotations")
    if annotations is None:
        return {}
    if not isinstance(annotations, Mapping):
        raise _Broken(("metadata", "annotations"), "`annotations` is no mapping")
    for key, value in annotations.items():
        if not isinstance(value, str):
            path = ("metadata", "annotations", key)
            raise _Broken(path, f"annotation `{key}` is no text", f'quote it: "{value}"')
    return dict(annotations)


def _match_fields(
    metadata: Mapping[str, Any], spec: Mapping[str, Any], annotations: Mapping[str, str]
) -> dict[str, str]:
    fields = {f"annotations.{key}": text for key, text in sorted(annotations.items()) if text}
    fields["metadata.name"] = str(metadata["name"])
    profile = spec.get("profile")
    email = profile.get("email") if isinstance(profile, Mapping) else None
    if isinstance(email, str) and email.strip():
        fields["spec.profile.email"] = email.strip()
    return fields


def _title(metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    profile = spec.get("profile")
    shown = profile.get("displayName") if isinstance(profile, Mapping) else None
    for text in (metadata.get("title"), shown, metadata["name"]):
        if isinstance(text, str) and text.strip():
            return "".join(c if c.isprintable() else " " for c in text.strip())[:_TITLE_LENGTH]
    return ""


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    if key not in document and key == "spec":
        return {}
    if not isinstance(value, Mapping):
        raise _Broken((key,), f"`{key}` is no mapping" if value is not None else f"`{key}` is missing")
    return value


def _text(holder: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value = holder.get(path[-1])
    if not isinstance(value, str) or not value.strip():
        state = "is missing" if value is None else "is no text"
        raise _Broken(path, f"`{'.'.join(path)}` {state}", "" if value is None else f'quote it: "{value}"')
    return value


def _texts(holder: Mapping[str, Any], path: tuple[str, ...]) -> tuple[str, ...]:
    """A text or a list of texts. Nothing at all is no statement where it would widen."""
    value = holder.get(path[-1])
    if path[-1] in holder and value in _NO_STATEMENT.get(path[-1], ()):
        raise _Broken(path, f"`{'.'.join(path)}` is empty", "leave it out, or say what it holds")
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) and each.strip() for each in values):
        raise _Broken(path, f"`{'.'.join(path)}` holds something that is no text", "quote numbers")
    return tuple(dict.fromkeys(values))
