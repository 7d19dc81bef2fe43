"""What the sources say, put together: one reading of the whole catalog out of the readings of each source.

The first source that describes an entity is believed, the others are told as rivals. Users and Groups count only from
where the operator lets them be defined; what is refused is there, so its loss is no accident and is not held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.config.sources import FILES, Origins
from gateway.engine.sources.entities import Entity
from policy.facts import Source
from policy.reading import Fault

CATALOG = "catalog:"  # how the "file" of an entity begins that was read over an API


@dataclass(slots=True)
class Pull:
    """One reading of a source. Of several descriptions ``entities`` holds the first. ``broken``: refs that are there
    and cannot be read; ``broken_files``: whatever was in them is there and cannot be read; ``absent``: refs that are
    there and count as if they were not (orphans)."""

    entities: dict[str, Entity] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    broken_files: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    rivals: dict[str, list[Entity]] = field(default_factory=dict)  # further descriptions of what is in ``entities``
    faults: list[Fault] = field(default_factory=list)
    unread: bool = False  # a source has never been read
    catalogs: frozenset[str] = frozenset(("",))  # what was read here: the places of catalogs, "" for files
    origins: Mapping[str, str] = field(default_factory=dict)  # ref -> origin location, where a catalog says it
    locations: dict[str, str] = field(default_factory=dict)  # ref -> where its text is, where a catalog says it
    owners: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of what is broken or absent, as far as known
    is_trusted: bool = False  # who is in it may define people, whatever the origin
    refused: dict[tuple[str, str], str] = field(default_factory=dict)  # (ref, file): origin, where nobody is trusted


def file_of(catalog: str) -> str:
    """What stands for a file in the places of a catalog's entities."""
    return CATALOG + catalog


class Joined:
    """Joins pulls, file by file and in order: the very same object as last time when no part changed."""

    def __init__(self, origins: Origins | None) -> None:
        self._trust = {"user": origins.users, "group": origins.groups} if origins is not None else None
        self._parts: list[tuple[str, Pull]] = []
        self._pull = Pull()

    def pull(self, parts: Sequence[tuple[str, Pull]]) -> Pull:
        """``parts``: name of the source and its reading."""
        same = len(parts) == len(self._parts) and all(
            a[1] is b[1] for a, b in zip(parts, self._parts, strict=True)
        )  # fmt: skip
        if not same:
            self._parts = list(parts)
            if len(parts) == 1 and self._trust is None:
                self._pull = parts[0][1]
            else:
                self._pull = self._join(parts)
        return self._pull

    def _join(self, parts: Sequence[tuple[str, Pull]]) -> Pull:
        whole = Pull(catalogs=frozenset[str]().union(*(part.catalogs for _, part in parts)))
        for name, part in parts:
            whole.broken |= part.broken
            whole.broken_files |= part.broken_files
            whole.absent |= part.absent
            whole.locations = {**part.locations, **whole.locations}
            whole.owners = {**part.owners, **whole.owners}
            whole.faults += part.faults
            whole.unread = whole.unread or part.unread
            untrusted: Counter[tuple[str, str]] = Counter()
            for ref, entity in part.entities.items():
                for each in (entity, *part.rivals.get(ref, ())):
                    origin = part.origins.get(ref, each.source.file)
                    if part.is_trusted or self._is_trusted(name, each.kind, origin):
                        _put(whole, each, is_new=each is entity)
                    else:
                        whole.refused[ref, each.source.file] = origin
                        untrusted[each.kind, origin] += 1
            whole.faults += [_refused_fault(name, *which, count) for which, count in sorted(untrusted.items())]
        return whole

    def _is_trusted(self, name: str, kind: str, origin: str) -> bool:
        if kind not in ("user", "group"):
            return True
        return self._trust is not None and any(_covers(entry, name, origin) for entry in self._trust[kind])


def _covers(entry: str, name: str, origin: str) -> bool:
    source, _, location = entry.partition(" ")
    if source != name:
        return False
    if location.endswith("*"):
        return origin.startswith(location[:-1])
    return location in ("", origin)


def _put(whole: Pull, entity: Entity, *, is_new: bool) -> None:
    other = whole.entities.setdefault(entity.ref, entity)
    if other is entity:
        return
    whole.rivals.setdefault(entity.ref, []).append(entity)
    if is_new:  # rivals inside one source were told by it
        place = f"{other.source.file}:{other.source.line}" if other.source.line else other.source.file
        message = f"`{entity.ref}` is described in {place} too"
        whole.faults.append(Fault(entity.source, message, "remove one of the two: who was here before stands"))


def _refused_fault(name: str, kind: str, origin: str, count: int) -> Fault:
    where = "" if name == FILES else f" of catalog `{name}`"
    message = f"{count} of kind `{kind}` from `{origin[:200] or 'nowhere'}`{where} are not read: not trusted with that"
    return Fault(Source(origin if name == FILES else file_of(name)), message, f"list it in `catalog.origins.{kind}s`",
                 "warning")  # fmt: skip
