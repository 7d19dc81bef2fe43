"""Backstage catalog files: files, folders and globs to entities.

A folder is read recursively, hidden folders left out. `Location` entities are followed to relative files. `$text`
and its kin include a file beside the entity. Whatever is followed stays inside the folder that the operator named,
symbolic links resolved; an address is never fetched.

A file that cannot be read is broken, and so is every entity in it: it is reported, not missing. Files are read again
only when their name, size, time or inode changed, or those of a file they include.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway import documents
from gateway.engine.sources import openapi
from gateway.engine.sources.entities import Entity, read_entity
from gateway.engine.sources.pulls import Pull
from policy.facts import Source
from policy.reading import Fault

MAX_FILES = 100_000
SUFFIXES = (".yaml", ".yml")
INCLUDES = ("$text", "$openapi")
OPENAPI_TYPES = ("openapi",)

Stamp = tuple[int, int, int, int]  # device, inode, size, modification time


class _FileRead(NamedTuple):
    stamps: Mapping[str, Stamp | None]  # of the file and of all it includes
    entities: tuple[Entity, ...]
    broken: tuple[str, ...]
    is_broken: bool
    targets: tuple[tuple[str, int], ...]  # of Locations: relative path, line
    faults: tuple[Fault, ...]


def root_of(pattern: str) -> Path:
    """The folder that everything of an entry must stay inside."""
    if glob.has_magic(pattern):
        parts = Path(pattern).parts
        fixed = next(position for position, part in enumerate(parts) if glob.has_magic(part))
        return Path(*parts[:fixed])
    path = Path(pattern)
    return path if path.is_dir() else path.parent


class FileSource:
    """Reads the entries of `catalog.files`; remembers each file it read."""

    def __init__(self, patterns: Iterable[str], prefix: str) -> None:
        self._patterns = tuple(patterns)
        self._prefix = prefix
        self._known: dict[str, _FileRead] = {}
        self._pulled: tuple[list[int], list[Fault], Pull] | None = None  # identities of reads, faults, what they gave

    def pull(self) -> Pull:
        """What the files say now: the very same object as last time when no file changed."""
        reads: dict[str, _FileRead] = {}
        faults: list[Fault] = []
        for pattern in self._patterns:
            files = _files_of(pattern)
            if not files:
                faults.append(Fault(Source(pattern), f"`{pattern}` names no file", ""))
            self._read_all(files, root_of(pattern), reads, faults)
        self._known = reads
        if self._pulled is not None and self._pulled[:2] == (list(map(id, reads.values())), faults):
            return self._pulled[2]
        pull = Pull(faults=list(faults))
        for file, read in reads.items():
            _take(read, file, pull)
        self._pulled = (list(map(id, reads.values())), faults, pull)
        return pull

    def _read_all(self, files: list[str], root: Path, reads: dict[str, _FileRead], faults: list[Fault]) -> None:
        waiting = list(reversed(files))
        while waiting:
            file = waiting.pop()
            if file in reads:
                continue
            if len(reads) >= MAX_FILES:
                faults.append(Fault(Source(file), f"more than {MAX_FILES} files", ""))
                return
            read = reads[file] = self._read(file, root)
            for target, line in read.targets:
                path, message = _inside(target, file, root)
                if path:
                    waiting += reversed(_files_of(path))
                else:
                    faults.append(Fault(Source(file, line), message, "", "warning"))

    def _read(self, file: str, root: Path) -> _FileRead:
        known = self._known.get(file)
        if known is not None and all(_stamp(name) == stamp for name, stamp in known.stamps.items()):
            return known
        return _FileReader(file, root, self._prefix).read()


def _files_of(pattern: str) -> list[str]:
    if glob.has_magic(pattern):
        return sorted(os.path.normpath(name) for name in glob.iglob(pattern, recursive=True) if os.path.isfile(name))
    if not os.path.isdir(pattern):
        return [os.path.normpath(pattern)] if os.path.lexists(pattern) else []
    found = []
    for folder, inner, names in os.walk(pattern):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        found += [os.path.join(folder, n) for n in names if n.endswith(SUFFIXES) and not n.startswith(".")]
    return sorted(os.path.normpath(name) for name in found)


def _stamp(file: str) -> Stamp | None:
    try:
        state = os.stat(file)
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _is_regular(file: str) -> bool:
    """False for what would keep a reader waiting, such as a pipe; what is not there is found out by opening it."""
    return os.path.isfile(file) or not os.path.exists(file)


def _inside(target: str, file: str, root: Path) -> tuple[str, str]:
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


def _take(read: _FileRead, file: str, pull: Pull) -> None:
    pull.faults += read.faults
    pull.broken.update(read.broken)
    if read.is_broken:
        pull.broken_files.add(file)
    for entity in read.entities:
        other = pull.entities.setdefault(entity.ref, entity)
        if other is not entity:
            pull.rivals.setdefault(entity.ref, []).append(entity)
            message = f"`{entity.ref}` is described in {other.source.file}:{other.source.line} too"
            pull.faults.append(Fault(entity.source, message, "remove one of the two: who was here before stands"))


class _FileReader:
    """One file, once."""

    def __init__(self, file: str, root: Path, prefix: str) -> None:
        self._file = file
        self._root = root
        self._prefix = prefix
        self._stamps: dict[str, Stamp | None] = {file: _stamp(file)}
        self._entities: list[Entity] = []
        self._broken: list[str] = []
        self._targets: list[tuple[str, int]] = []
        self._faults: list[Fault] = []
        self._is_broken = False

    def read(self) -> _FileRead:
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
        return _FileRead(
            self._stamps, tuple(self._entities), tuple(self._broken), self._is_broken, tuple(self._targets),
            tuple(self._faults),
        )  # fmt: skip

    def _spoil(self, fault: Fault) -> None:
        self._is_broken = True
        self._faults.append(fault)

    def _document(self, document: documents.Document) -> None:
        value = document.value
        if value is None or _is_definition(value):
            return
        if document.faults:
            self._faults += document.faults
            ref = read_entity(value, document.locate, self._prefix).ref
            self._mark_broken(ref)
            return
        if isinstance(value, dict) and value.get("kind") == "Location":
            self._location(value, document)
            return
        reading = read_entity(value, document.locate, self._prefix, define=self._definer(value, document))
        if reading.entity is not None:
            self._entities.append(reading.entity)
        elif reading.faults:
            self._faults += reading.faults
            self._mark_broken(reading.ref)

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
        path, message = _inside(target, self._file, self._root)
        if not path:
            return openapi.broken(source, message, "include a file beside the entity")
        self._stamps[path] = _stamp(path)
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
