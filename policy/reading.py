"""Reads an untyped document with care: every fault is kept with its place, nothing is raised, nothing is guessed.

A document is what a YAML or JSON reader returns: mappings, lists, texts, numbers. A place in it is a path of
keys and indexes; the caller's ``locate`` turns a path into file and line. A value that is not what was
expected becomes a :class:`Fault` and the neutral value of its type, so that one reading finds every fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from policy.facts import Source

_MANY: Final = 300  # names that are all compared
_SLIP: Final = 3  # letters too few or too many

Path = tuple[str | int, ...]
Locate = Callable[[Path], Source]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, where, and what was probably meant. ``error`` rejects what it is about: the entity that the source
    names, with ``environment`` its exposure there alone, else the document. ``keeps``: until it is mended, an older
    form of that counts."""

    source: Source
    message: str
    suggestion: str = ""
    severity: Literal["error", "warning"] = "error"
    environment: str = ""
    keeps: bool = False

    def __str__(self) -> str:
        file, line, entity = self.source.file, self.source.line, self.source.entity
        place = f"{file}:{line}" if line else f"{file} {entity}" if entity and entity not in self.message else file
        return f"{place}: {self.message}" + (f"; {self.suggestion}" if self.suggestion else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The suggestion part of a fault, empty when nothing known is close, case aside. Of refs the names are compared:
    what all have in front would make any two alike. Of many names only those that begin alike and are about as long:
    in a large company hundreds of entries may name what is not there."""
    wanted = word.rpartition("/")[2].casefold()
    candidates = list(known)
    if len(candidates) > _MANY:
        candidates = [each for each in candidates if _may_be_meant(wanted, each.rpartition("/")[2].casefold())]
    names: dict[str, str] = {}
    for each in sorted(candidates):
        names.setdefault(each.rpartition("/")[2].casefold(), each)
    close = get_close_matches(wanted, names, n=1, cutoff=0.6)
    return f"did you mean `{names[close[0]]}`?" if close else ""


def _may_be_meant(wanted: str, name: str) -> bool:
    return abs(len(name) - len(wanted)) <= _SLIP and name[:1] == wanted[:1]


def ref_of(text: str, kind: str) -> str:
    """A full, lower-cased entity ref; a bare name takes ``kind`` and the namespace `default`."""
    lowered = text.strip().lower()
    head, colon, tail = lowered.rpartition(":")
    if not colon:
        head = kind
    return f"{head}:{tail}" if "/" in tail else f"{head}:default/{tail}"


class Reader:
    """Walks one document and collects the faults."""

    def __init__(self, locate: Locate) -> None:
        self.locate = locate
        self.faults: list[Fault] = []

    def fault(self, path: Path, message: str, suggestion: str = "") -> None:
        self.faults.append(Fault(self.locate(path), message, suggestion))

    def mapping(
        self, node: object, path: Path, known: Iterable[str] | None = None, example: str = ""
    ) -> Mapping[str, object]:
        """The mapping at ``path``; with ``known``, other keys are faults and left out. ``example``: how one looks."""
        if node is None:
            return {}
        if not isinstance(node, Mapping):
            hint = f"write `{path[-1]}: {example}`" if example else ""
            self.fault(path, f"{_name(path)} must be a mapping, not {_kind(node)}", hint)
            return {}
        allowed = None if known is None else tuple(known)
        found: dict[str, object] = {}
        for key, value in node.items():
            if not isinstance(key, str):
                self.fault(path, f"key `{key}` must be text")
            elif allowed is not None and key not in allowed:
                listed = ", ".join(f"`{each}`" for each in allowed)
                self.fault((*path, key), f"unknown key `{key}`", did_you_mean(key, allowed) or f"known here: {listed}")
            else:
                found[key] = value
        return found

    def mappings(self, node: object, path: Path) -> list[tuple[Path, object]]:
        """The elements of a list of mappings; others are faults and left out."""
        found = self.items(node, path)
        for place, item in found:
            if not isinstance(item, Mapping):
                self.fault(place, f"{_name(place)} must be a mapping, not {_kind(item)}")
        return [(place, item) for place, item in found if isinstance(item, Mapping)]

    def items(self, node: object, path: Path) -> list[tuple[Path, object]]:
        """The elements of the list at ``path``, each with its own path."""
        if node is None:
            return []
        if not isinstance(node, list):
            self.fault(path, f"{_name(path)} must be a list, not {_kind(node)}")
            return []
        return [((*path, index), item) for index, item in enumerate(node)]

    def one_or_many(self, node: object, path: Path) -> list[tuple[Path, object]]:
        return self.items(node, path) if isinstance(node, list) or node is None else [(path, node)]

    def text(self, node: object, path: Path) -> str:
        """A text that is not blank, or a fault and ``""``."""
        if isinstance(node, str) and node.strip():
            return node.strip()
        self.fault(path, f"{_name(path)} must be text, not {_kind(node)}")
        return ""

    def texts(self, node: object, path: Path) -> tuple[str, ...]:
        """A list of texts, or one text; blank ones are faults."""
        return tuple(filter(None, (self.text(item, place) for place, item in self.one_or_many(node, path))))

    def word(self, node: object, path: Path, known: Iterable[str], otherwise: str) -> str:
        """One of a closed list of words."""
        words = tuple(known)
        if isinstance(node, str) and node in words:
            return node
        listed = ", ".join(f"`{word}`" for word in words)
        shown = f"`{node}`" if isinstance(node, str) else _kind(node)
        self.fault(path, f"{_name(path)} must be one of {listed}, not {shown}", did_you_mean(str(node), words))
        return otherwise

    def words(self, node: object, path: Path, known: Iterable[str]) -> tuple[str, ...]:
        """A list of words, each of a closed list."""
        words = tuple(known)
        found = (self.word(item, place, words, "") for place, item in self.one_or_many(node, path))
        return tuple(dict.fromkeys(filter(None, found)))


def _name(path: Path) -> str:
    if not path:
        return "the document"
    if isinstance(path[-1], int):
        return f"entry {path[-1] + 1} of {_name(path[:-1])}"
    return f"`{path[-1]}`"


def _kind(node: object) -> str:
    if node is None:
        return "nothing"
    if isinstance(node, bool):
        return f"`{str(node).lower()}`"
    if isinstance(node, str):
        return "text" if node.strip() else "empty text"
    if isinstance(node, (int, float)):
        return f"the number `{node}`"
    return "a mapping" if isinstance(node, Mapping) else "a list" if isinstance(node, list) else "something else"
