"""What the engine remembers across restarts: one versioned, fsynced file of changes in the state folder.

Sections of named values: the entities last accepted, the routes last published, who holds which host and path, the
rules each exposure had, the access policy last accepted, whose loss is held, since when each entity has its state. A
round appends what changed as one record with its own checksum; a record that was cut off by a crash is dropped,
everything before it stands. The file is rewritten whole when it has grown to several times what it holds.

Losing it loses memory, never safety: without it a newcomer may take a place first, and nothing is kept for entities
that are broken.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from hashlib import blake2b
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

from gateway.engine.sources.entities import Edge, Entity
from gateway.engine.sources.openapi import Definition
from policy.facts import Exposure, Operation, Source
from policy.reading import Fault
from policy.tracking import differing

HEAD = b"SDjr\x01"  # magic and version
SECTIONS = ("entities", "routes", "incumbents", "rules", "access", "states", "held")
NAME = "engine.journal"
MANY = 20_000  # changes: then the file is rewritten, bit by bit
AT_ONCE = 500  # values in a record of a file that is rewritten
_DIGEST_SIZE = 16
_SLACK_BYTES = 1024 * 1024
_SHARING = 4  # of marshal's forms one that writes a text once, however often it is said, and reads one object
_KINDS: tuple[type[Any], ...] = (Definition, Entity, Exposure, Fault, Operation, Source)
_ATOMS = frozenset((str, int, bool, bytes, frozenset, type(None)))
_CLASSES: dict[str, Callable[..., Any]] = {kind.__name__: kind for kind in _KINDS}
_MEMBERS: dict[type[Any], Callable[[Any], tuple[Any, ...]]] = {
    kind: attrgetter(*(each.name for each in fields(kind))) for kind in _KINDS
}

Sections = dict[str, Mapping[str, Any]]


class Journal:
    """``sections`` is what is remembered; `record` brings it to a new state and writes the difference."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.sections: Sections = {name: {} for name in SECTIONS}
        self.fault = ""
        self._whole_bytes = 0  # size after the last rewriting
        self._sound_bytes = 0
        self._read()

    def record(self, sections: Mapping[str, Mapping[str, Any]]) -> bool:
        """Remember this instead; nobody changes it after. Returns whether anything changed; it is on disk then. What
        cannot be written is not remembered either, so the next call tries again."""
        changes = []
        for name, values in sections.items():
            known = self.sections[name]
            differ = [key for key in differing(known, values) if not _is_same(known.get(key), values.get(key))]
            changes += [(name, key, values.get(key)) for key in differ]
        after: Sections = {**self.sections, **sections}
        if not changes:
            self.sections = after  # the same in other objects: those that the next call is compared with
            return False
        if self._sound_bytes == 0 or len(changes) > MANY or not self._is_there():
            self._rewrite(after)
        else:
            record = _record(changes)
            if self._sound_bytes + len(record) > 3 * self._whole_bytes + _SLACK_BYTES:
                self._rewrite(after)
            else:
                self._append(record)
        self.sections = after
        return True

    # ---- the file ----

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as source:
                self._read_records(source)
        except FileNotFoundError:
            return
        except OSError as fault:
            self.fault = f"cannot read `{self._path}`: {fault.strerror}: nothing is remembered"

    def _read_records(self, source: BinaryIO) -> None:
        """One at a time: all of them at once would be more than everything else that the engine holds."""
        if source.read(len(HEAD)) != HEAD:
            self.fault = f"`{self._path}` has an unknown form or version: nothing is remembered"
            return
        at, sections = len(HEAD), {name: dict[str, Any]() for name in SECTIONS}
        while head := source.read(4 + _DIGEST_SIZE):
            body = source.read(int.from_bytes(head[:4], "big"))
            end = at + len(head) + len(body)
            if len(body) < int.from_bytes(head[:4], "big") or _digest(body) != head[4:]:
                self.fault = f"`{self._path}` was cut off: its last record is dropped"
                break
            try:
                for name, key, value in marshal.loads(body):
                    _take(sections[name], name, key, value)
            except (EOFError, IndexError, KeyError, TypeError, ValueError) as misfit:
                self.fault = f"`{self._path}` does not fit this program: nothing is remembered ({misfit})"
                return
            at = end
        self.sections = {**sections}
        self._sound_bytes = self._whole_bytes = at

    def _is_there(self) -> bool:
        """Whether what was written is: a file that somebody removed or cut takes no record more."""
        try:
            return os.stat(self._path).st_size >= self._sound_bytes
        except FileNotFoundError:
            return False

    def _append(self, record: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW)
        with open(descriptor, "wb") as out:
            out.truncate(self._sound_bytes)
            out.seek(self._sound_bytes)
            out.write(record)
            out.flush()
            os.fsync(out.fileno())
        self._sound_bytes += len(record)

    def _rewrite(self, sections: Sections) -> None:
        everything = ((name, key, value) for name, held in sections.items() for key, value in held.items())
        draft = self._path.with_name(f".{NAME}-{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as out:
            out.write(HEAD)
            while changes := list(islice(everything, AT_ONCE)):
                out.write(_record(changes))
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
        draft.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._sound_bytes = self._whole_bytes = size


def _take(section: dict[str, Any], name: str, key: str, value: Any) -> None:
    """One change of a section; raises `ValueError` where it may hold no such value."""
    if value is None:
        section.pop(key, None)
        return
    known = rebuilt(value)
    if not _fits(name, known):
        raise ValueError(f"{name} `{key}`")
    section[key] = known


def _fits(section: str, value: Any) -> bool:
    """Whether a section may hold such a value: what another version wrote may be sound and something else."""
    if section in ("routes", "rules", "held"):
        inner = Exposure if section == "routes" else str
        return type(value) is tuple and all(type(each) is inner for each in value)
    if section == "states":
        return type(value) is tuple and tuple(map(type, value)) == (str, int, str, str)
    return type(value) is {"entities": Entity, "incumbents": str, "access": bytes}[section]


def _record(changes: list[tuple[str, str, Any]]) -> bytes:
    body = marshal.dumps([(name, key, plain(value)) for name, key, value in changes], _SHARING)
    return len(body).to_bytes(4, "big") + _digest(body) + body


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_SIZE).digest()


def _is_same(known: Any, value: Any) -> bool:
    """Entities carry a digest, which spares comparing their operations one by one."""
    if known is value:
        return True
    if type(known) is Entity and type(value) is Entity:
        return known.digest == value.digest
    return bool(known == value)


# ---- plain forms: a fact is [class name, field, …], a tuple stays one ----


def plain(value: Any) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is tuple:
        return tuple([plain(each) for each in value])
    if (members := _MEMBERS.get(kind)) is not None:
        return [kind.__name__, *[each if type(each) in _ATOMS else plain(each) for each in members(value)]]
    if kind is Edge:
        return ("Edge", *value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    raise TypeError(f"a {kind.__name__} has no plain form")


def rebuilt(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return _CLASSES[value[0]](*[each if type(each) in _ATOMS else rebuilt(each) for each in value[1:]])
    if kind is tuple:
        if value and value[0] == "Edge":
            return Edge(*value[1:])
        return tuple([rebuilt(each) for each in value])
    if kind is dict:
        return {key: rebuilt(each) for key, each in value.items()}
    return value
