"""One catalog file, read once: its entities with what they include, and where its Locations lead.

Whatever is followed stays inside the folder that the operator named, symbolic links resolved; an address is never
fetched. The stamps of the file and of all it includes are taken before anything is read, so that a change meanwhile is
seen by the next reading.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from gateway import documents
from gateway.engine.sources import openapi
from gateway.engine.sources.entities import Entity, read_entity
from gateway.engine.sources.misplaced import misplaced
from policy.facts import Source
from policy.reading import Fault

INCLUDES = ("$text", "$openapi")
OPENAPI_TYPES = ("openapi",)

Stamp = tuple[int, int, int, int]  # device, inode, size, modification time


class FileRead(NamedTuple):
    stamps: Mapping[str, Stamp | None]  # of the file and of all it includes
    entities: tuple[Entity, ...]
    broken: tuple[str, ...]
    absent: tuple[str, ...]
    is_broken: bool
    targets: tuple[tuple[str, int], ...]  # of Locations: relative path, line
    faults: tuple[Fault, ...]
    is_linked: bool  # whether a symbolic link below the folder led to any of it


def stamp_of(file: str) -> Stamp | None:
    try:
        state = os.stat(file)
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _is_regular(file: str) -> bool:
    """False for what would keep a reader waiting, such as a pipe; what is not there is found out by opening it."""
    return os.path.isfile(file) or not os.path.exists(file)


def inside(target: str, file: str, root: Path) -> tuple[str, str]:
    """The path that ``target`` means beside ``file``, or why it is not followed."""
    shown = target[:80]
    if "://" in target or target.startswith("//"):
        return "", f"`{shown}` is an address: only files are read"
    if os.path.isabs(target) or "\0" in target:
        return "", f"`{shown}` is no relative path"
    path = os.path.normpath(os.path.join(os.path.dirname(file), target))
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        return "", f"`{shown}` leads out of `{root}`"
    return path, ""


def _is_linked(file: str, root: Path) -> bool:
    return os.path.relpath(file, root) != os.path.relpath(os.path.realpath(file), os.path.realpath(root))


class FileReader:
    """One file, once."""

    def __init__(self, file: str, root: Path, prefix: str) -> None:
        self._file = file
        self._root = root
        self._prefix = prefix
        self._stamps: dict[str, Stamp | None] = {file: stamp_of(file)}
        self._entities: list[Entity] = []
        self._broken: list[str] = []
        self._absent: list[str] = []
        self._targets: list[tuple[str, int]] = []
        self._faults: list[Fault] = []
        self._is_broken = False

    def read(self) -> FileRead:
        if not Path(os.path.realpath(self._file)).is_relative_to(os.path.realpath(self._root)):
            self._spoil(Fault(Source(self._file), f"file is a link that leads out of `{self._root}`", ""))
        elif not _is_regular(self._file):
            self._spoil(Fault(Source(self._file), "file is no regular file", ""))
        else:
            found, faults = documents.read_file(Path(self._file))
            for fault in faults:
                self._spoil(fault)
            for document in found:
                self._document(document)
        return FileRead(
            self._stamps, tuple(self._entities), tuple(self._broken), tuple(self._absent), self._is_broken,
            tuple(self._targets), tuple(self._faults), any(_is_linked(each, self._root) for each in self._stamps),
        )  # fmt: skip

    def _spoil(self, fault: Fault) -> None:
        self._is_broken = True
        self._faults.append(fault)

    def _document(self, document: documents.Document) -> None:
        value = document.value
        if value is None or _is_definition(value):
            return
        if document.faults:
            ref = read_entity(value, document.locate, self._prefix).ref
            self._faults += [replace(each, source=replace(each.source, entity=ref)) for each in document.faults]
            self._mark_broken(ref)
            return
        if isinstance(value, dict) and value.get("kind") == "Location":
            self._location(value, document)
            return
        reading = read_entity(value, document.locate, self._prefix, define=self._definer(value, document))
        if reading.entity is not None:
            self._entities.append(reading.entity)
            self._faults += misplaced(value, reading.entity, self._prefix)
        elif reading.faults:
            self._faults += reading.faults
            self._mark_broken(reading.ref)
        elif reading.ref:
            self._absent.append(reading.ref)

    def _mark_broken(self, ref: str) -> None:
        if ref:
            self._broken.append(ref)
        else:
            self._is_broken = True

    def _location(self, value: dict[str, Any], document: documents.Document) -> None:
        spec = value.get("spec")
        spec = spec if isinstance(spec, dict) else {}
        targets = spec.get("targets")
        found = [*(targets if isinstance(targets, list) else []), spec.get("target")]
        self._targets += [(each, document.locate(("spec",)).line) for each in found if isinstance(each, str)]

    # ---- definitions ----

    def _definer(self, value: Any, document: documents.Document) -> Any:
        spec = value.get("spec") if isinstance(value, dict) else None
        kind = spec.get("type") if isinstance(spec, dict) else None
        line = document.locate(("spec", "definition")).line

        def define(definition: object, ref: str) -> openapi.Definition:
            source = Source(self._file, line, ref)
            if not isinstance(kind, str) or kind.strip().lower() not in OPENAPI_TYPES:
                return openapi.no_definition(str(kind))
            if isinstance(definition, str):
                # The text of a block scalar starts in the line after its key.
                return openapi.read_definition(definition, ref, self._file, line + 1)
            if isinstance(definition, dict) and len(definition) == 1:
                ((include, target),) = definition.items()
                if include in INCLUDES and isinstance(target, str):
                    return self._included(target, ref, source)
            return openapi.broken(source, "`spec.definition` is neither text nor `{$text: FILE}`")

        return define

    def _included(self, target: str, ref: str, source: Source) -> openapi.Definition:
        path, message = inside(target, self._file, self._root)
        if not path:
            return openapi.broken(source, message, "include a file beside the entity")
        self._stamps[path] = stamp_of(path)
        if not _is_regular(path):
            return openapi.broken(source, f"`{target}` is no regular file")
        try:
            with open(path, "rb") as included:
                content = included.read(openapi.MAX_BYTES + 1)
            text = content.decode("utf-8-sig")
        except OSError as fault:
            return openapi.broken(source, f"cannot read `{target}`: {fault.strerror}")
        except UnicodeDecodeError:
            return openapi.broken(source, f"`{target}` is not UTF-8")
        return openapi.read_definition(text, ref, path, 1)


def _is_definition(value: object) -> bool:
    """A definition lying in the same folder, read where an entity includes it."""
    return isinstance(value, Mapping) and "kind" not in value and ("openapi" in value or "swagger" in value)
