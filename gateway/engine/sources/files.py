"""Backstage catalog files: files, folders and globs to entities.

A folder is read recursively, hidden folders left out. `Location` entities are followed to relative files. `$text`
and its kin include a file beside the entity. Whatever is followed stays inside the folder that the operator named,
symbolic links resolved; an address is never fetched.

A file that cannot be read is broken, and so is every entity in it: it is reported, not missing. Files are read again
only when their name, size, time or inode changed, or those of a file they include. Whoever knows which files were
touched saves a look at all others; whenever that could miss something, all are looked at. Somebody beside the readings
may look for what nobody told (`unread`).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gateway.engine.sources.file_reading import FileRead, FileReader, inside, stamp_of
from gateway.engine.sources.pulls import Pull
from gateway.engine.sources.sharing import Held
from policy.facts import Source
from policy.reading import Fault

MAX_FILES = 100_000
SUFFIXES = (".yaml", ".yml")


def root_of(pattern: str) -> Path:
    """The folder that everything of an entry must stay inside."""
    if glob.has_magic(pattern):
        parts = Path(pattern).parts
        fixed = next(position for position, part in enumerate(parts) if glob.has_magic(part))
        return Path(*parts[:fixed])
    path = Path(pattern)
    return path if path.is_dir() else path.parent


class FileSource:
    """Reads the entries of `catalog.files`; remembers each file it read. ``held``: what others hold of the catalog,
    asked until all is read for the first time."""

    def __init__(self, patterns: Iterable[str], prefix: str, held: Held | None = None) -> None:
        self._patterns = tuple(patterns)
        self._prefix = prefix
        self._held = held or Held()
        self._known: dict[str, FileRead] = {}
        self._pulled: tuple[list[int], list[Fault], Pull] | None = None  # identities of reads, faults, what they gave
        self._has_links = False
        self._has_targets = False  # whether Locations lead to files of any name
        self._roots: dict[str, Path] = {}  # file -> the folder it must stay inside
        self._readers: dict[str, list[str]] = {}  # path -> the files that are it or include it

    def pull(self, touched: frozenset[str] | None = None) -> Pull:
        """What the files say now: the very same object as last time when no file changed. ``touched``: all paths at
        which anything happened since, as far as that is known."""
        if touched is not None and (pull := self._pull_touched(touched)) is not None:
            return pull
        reads: dict[str, FileRead] = {}
        faults: list[Fault] = []
        for pattern in self._patterns:
            files = _files_of(pattern)
            if not files:
                faults.append(Fault(Source(pattern), f"`{pattern}` names no file", ""))
            self._read_all(files, root_of(pattern), reads, faults)
        self._know(reads)
        if self._pulled is not None and self._pulled[:2] == (list(map(id, reads.values())), faults):
            return self._pulled[2]
        pull = Pull(faults=list(faults))
        for file, read in reads.items():
            _take(read, file, pull)
        self._pulled = (list(map(id, reads.values())), faults, pull)
        self._held = Held()
        return pull

    def unread(self) -> frozenset[str] | None:
        """The files that differ from what was read of them last; None when only a look at everything could tell: files
        came or went, or links lead to them. Changes nothing, and may be called while another thread reads."""
        known, roots = self._known, self._roots
        if self._pulled is None or self._has_links:
            return None
        differ: set[str] = set()
        seen: set[str] = set()
        waiting = [file for pattern in self._patterns for file in _files_of(pattern)]
        while waiting:
            file = waiting.pop()
            if file in seen:
                continue
            read, root = known.get(file), roots.get(file)
            if read is None or root is None:
                return None
            seen.add(file)
            if not _is_current(read):
                differ.add(file)
            for target, _ in read.targets:
                path, _ = inside(target, file, root)
                waiting += _files_of(path) if path else []
        return frozenset(differ) if seen == known.keys() else None

    def _know(self, reads: dict[str, FileRead]) -> None:
        self._known = reads
        self._roots = {file: self._roots[file] for file in reads}
        self._has_links = any(read.is_linked for read in reads.values())
        self._has_targets = any(read.targets for read in reads.values())
        self._readers = {}
        for file, read in reads.items():
            for path in read.stamps:
                self._readers.setdefault(path, []).append(file)

    def _pull_touched(self, touched: frozenset[str]) -> Pull | None:
        """None when a look at these paths alone could miss something, or would not be simple."""
        if self._pulled is None or self._has_links:
            return None
        if not all(path in self._readers or self._is_of_no_matter(path) for path in touched):
            return None
        fresh = {file: self._read(file, self._roots[file]) for path in touched for file in self._readers.get(path, ())}
        fresh = {file: read for file, read in fresh.items() if read is not self._known[file]}
        pull = self._pulled[2]
        if not fresh:
            return pull
        if pull.rivals or not all(self._is_simple(file, read, pull) for file, read in fresh.items()):
            return None
        entities = dict(pull.entities)
        for file, read in fresh.items():
            there = {each.ref: each for each in read.entities}
            for gone in self._known[file].entities:
                if gone.ref not in there:
                    del entities[gone.ref]
            entities |= there
        if len(entities) != len(pull.entities) + sum(
            len(read.entities) - len(self._known[file].entities) for file, read in fresh.items()
        ):
            return None  # two of the files describe one entity
        self._known |= fresh
        pull = replace(pull, entities=entities)
        self._pulled = (list(map(id, self._known.values())), self._pulled[1], pull)
        return pull

    def _is_of_no_matter(self, path: str) -> bool:
        """Whether no reading looks at a path that was not read: it lies elsewhere, or below a hidden folder, or is what
        editors put beside a file for a moment."""
        for pattern in self._patterns:
            root = str(root_of(pattern))
            if any(path == each or path.startswith(f"{each}{os.sep}") for each in (root, os.path.realpath(root))):
                below = path[len(root) :].split(os.sep) if path.startswith(root) else []
                if root != os.path.normpath(pattern):
                    return False
                if not any(part.startswith(".") for part in below) and not self._is_passing(path):
                    return False
        return True

    def _is_passing(self, path: str) -> bool:
        """Whether a path in a folder is no folder, was none that held a file, and has no name that is read."""
        if path.endswith(SUFFIXES) or self._has_targets or os.path.isdir(path):
            return False
        return not any(file.startswith(f"{path}{os.sep}") for file in self._readers)

    def _is_simple(self, file: str, read: FileRead, pull: Pull) -> bool:
        """Whether a file that changed is there and sound, as it was before, includes what it included, and describes
        nothing that another one describes."""
        before = self._known[file]
        odd = (read.faults, read.broken, read.absent, read.is_broken, read.targets)
        if any(odd) or any((before.faults, before.broken, before.absent, before.is_broken, before.targets)):
            return False
        if read.stamps.keys() != before.stamps.keys() or None in read.stamps.values() or read.is_linked:
            return False
        refs = [each.ref for each in read.entities]
        ours = all(ref not in pull.entities or pull.entities[ref].source.file == file for ref in refs)
        return ours and len(set(refs)) == len(refs)

    def _read_all(self, files: list[str], root: Path, reads: dict[str, FileRead], faults: list[Fault]) -> None:
        waiting = list(reversed(files))
        while waiting:
            file = waiting.pop()
            if file in reads:
                continue
            if len(reads) >= MAX_FILES:
                faults.append(Fault(Source(file), f"more than {MAX_FILES} files", ""))
                return
            read = reads[file] = self._read(file, root)
            self._roots[file] = root
            for target, line in read.targets:
                path, message = inside(target, file, root)
                if path:
                    waiting += reversed(_files_of(path))
                else:
                    faults.append(Fault(Source(file, line), message, "", "warning"))

    def _read(self, file: str, root: Path) -> FileRead:
        known = self._known.get(file)
        if known is not None and _is_current(known):
            return known
        read = FileReader(file, root, self._prefix).read()
        return read._replace(entities=tuple(map(self._held.entity, read.entities)))


def _is_current(read: FileRead) -> bool:
    """Whether the file, and all it includes, is as it was when it was read."""
    return all(stamp_of(name) == stamp for name, stamp in read.stamps.items())


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


def _take(read: FileRead, file: str, pull: Pull) -> None:
    pull.faults += read.faults
    pull.broken.update(read.broken)
    pull.absent.update(read.absent)
    if read.is_broken:
        pull.broken_files.add(file)
    for entity in read.entities:
        other = pull.entities.setdefault(entity.ref, entity)
        if other is not entity:
            pull.rivals.setdefault(entity.ref, []).append(entity)
            message = f"`{entity.ref}` is described in {other.source.file}:{other.source.line} too"
            pull.faults.append(Fault(entity.source, message, "remove one of the two: who was here before stands"))
