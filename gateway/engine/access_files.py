"""The access policy from a file or a folder of files. A fault anywhere rejects the version as a whole.

In a folder the files are parts of one document: lists are joined in the order of file names, mappings are united, and
a key that two files give is a fault, because neither author would know which one holds.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from gateway import documents
from policy.access import AccessPolicy, read_policy
from policy.facts import Source
from policy.reading import Fault

MAX_BYTES = 4 * 1024 * 1024
LISTS = ("defaults", "rules", "waive", "tests", "never", "only")

_Origin = tuple[documents.Document, int]  # document, how many entries of the joined list came before its own


class AccessRead(NamedTuple):
    """``policy`` is None when there is a fault. ``texts`` is what was read, by file."""

    policy: AccessPolicy | None
    faults: tuple[Fault, ...]
    texts: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        digest = blake2b(digest_size=16)
        for name in sorted(self.texts):
            digest.update(f"{name}\0{len(self.texts[name])}\0".encode() + self.texts[name])
        return digest.hexdigest()


def read_access(path: str, last: AccessRead | None = None) -> AccessRead:
    """What the files say; ``last``, the very same, when they say what they said then."""
    place = Path(path)
    try:
        files = sorted(each for each in place.iterdir() if _is_part(each)) if place.is_dir() else [place]
        texts = {str(file): _content(file) for file in files}
    except OSError as fault:
        return AccessRead(None, (Fault(Source(path), f"cannot read `{path}`: {fault.strerror}"),), {})
    if not texts:
        return AccessRead(None, (Fault(Source(path), f"`{path}` holds no YAML file"),), {})
    return last if last is not None and last.texts == texts else read_access_texts(texts)


def read_access_texts(texts: Mapping[str, bytes]) -> AccessRead:
    """The same from contents at hand."""
    parts: list[documents.Document] = []
    faults: list[Fault] = []
    for name in sorted(texts):
        found, spoiled = documents.read_text(texts[name], name, max_bytes=MAX_BYTES)
        faults += spoiled
        faults += [fault for document in found for fault in document.faults]
        said = [document for document in found if document.value is not None]
        if not said and not spoiled:
            # What was cut off while it was saved would take the denies that it held with it.
            faults.append(Fault(Source(name), "file of the access policy is empty", "remove it, or say what it holds"))
        parts += said
    if faults:
        return AccessRead(None, tuple(faults), texts)
    joined = _Joined(parts)
    policy, found_faults = read_policy(joined.value, joined.locate)
    errors = [*joined.faults, *found_faults]
    rejected = any(fault.severity == "error" for fault in errors)
    return AccessRead(None if rejected else policy, tuple(errors), texts)


def _is_part(file: Path) -> bool:
    return file.suffix in (".yaml", ".yml") and not file.name.startswith(".") and file.is_file()


def _content(file: Path) -> bytes:
    """Of a regular file alone: a pipe in its place would hold the engine for ever, and every change of the catalog."""
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as source:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return source.read(MAX_BYTES + 1)


class _Joined:
    """Several documents as one, with the place of everything."""

    def __init__(self, parts: Sequence[documents.Document]) -> None:
        self.faults: list[Fault] = []
        self._first = parts[0]
        self._origins: dict[tuple[str | int, ...], _Origin] = {}
        self.value: Any = parts[0].value
        self._single = len(parts) == 1
        if not self._single:
            self.value = {}
            for part in parts:
                self._add(part)

    def _add(self, part: documents.Document) -> None:
        if not isinstance(part.value, dict):
            self.faults.append(Fault(part.locate(()), "document is no mapping"))
            return
        for key, value in part.value.items():
            held = self.value.get(key)
            if key in LISTS and isinstance(value, list) and isinstance(held, list | None):
                held = self.value.setdefault(key, [])
                self._origins.update({(key, len(held) + n): (part, len(held)) for n in range(len(value))})
                held += value
            elif isinstance(value, dict) and isinstance(held, dict | None):
                self._unite(key, value, part)
            elif held is None or (key == "version" and held == value):
                self.value[key] = value
                self._origins[key,] = (part, 0)
            else:
                self.faults.append(Fault(part.locate((key,)), f"`{key}` is given by another file too"))

    def _unite(self, key: str, value: dict[str, Any], part: documents.Document) -> None:
        held = self.value.setdefault(key, {})
        for name, inner in value.items():
            if name in held:
                first = self.locate((key, name))
                message = f"`{key}.{name}` is given in {first.file}:{first.line} too"
                self.faults.append(Fault(part.locate((key, name)), message, "join the two"))
                continue
            held[name] = inner
            self._origins[key, name] = (part, 0)

    def locate(self, path: tuple[str | int, ...]) -> Source:
        if self._single:
            return self._first.locate(path)
        for length in (2, 1):
            if (origin := self._origins.get(path[:length])) is not None:
                part, before = origin
                if len(path) > 1 and isinstance(path[1], int):
                    path = (path[0], path[1] - before, *path[2:])
                return part.locate(path)
        return Source(self._first.file, 1)
