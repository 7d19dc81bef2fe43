"""What a result was made from, noted while it is made, so that it is made anew when one of those things changes.

A reader asks its questions of a :class:`Tracked` mapping; the :class:`Ledger` keeps which keys it asked for, found or
not, and names the readers of a key that changed. Nobody has to list by hand what a rule depends on, and so nobody can
forget it. Whoever walks through a whole mapping has asked for everything in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import compress
from operator import is_, is_not
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

WHOLE: Final = ("", "whole")  # noted by who walks through all keys; touched when a key comes or goes


class Ledger:
    """Readers by what they asked for. Only one reader is at work at a time."""

    def __init__(self) -> None:
        self._noted: dict[Hashable, None] = {}
        self._asked: dict[str, tuple[Hashable, ...]] = {}
        self._readers: dict[Hashable, set[str]] = {}

    def note(self, key: Hashable) -> None:
        self._noted[key] = None

    def begin(self) -> None:
        """A reader starts its work."""
        self._noted = {}

    def end(self, reader: str) -> None:
        """The work is done: this is what it asked for, whatever it was before."""
        self.forget(reader)
        self._asked[reader] = tuple(self._noted)
        for key in self._noted:
            self._readers.setdefault(key, set()).add(reader)

    def forget(self, reader: str) -> None:
        for key in self._asked.pop(reader, ()):
            readers = self._readers[key]
            readers.discard(reader)
            if not readers:
                del self._readers[key]

    def readers(self, keys: Iterable[Hashable]) -> set[str]:
        """Who asked for one of the keys."""
        return set().union(*(self._readers.get(key, ()) for key in keys))


class Tracked(Mapping[K, V], Generic[K, V]):
    """A mapping whose questions are noted, under the key or, with a ``name``, under (name, key)."""

    def __init__(self, inner: Mapping[K, V], ledger: Ledger, name: str = "") -> None:
        self._inner = inner
        self._ledger = ledger
        self._name = name

    def _note(self, key: Hashable) -> None:
        self._ledger.note((self._name, key) if self._name else key)

    def __getitem__(self, key: K) -> V:
        self._note(key)
        return self._inner[key]

    def __contains__(self, key: object) -> bool:
        self._note(key)
        return key in self._inner

    def __iter__(self) -> Iterator[K]:
        self._note(WHOLE)
        return iter(self._inner)

    def __len__(self) -> int:
        self._note(WHOLE)
        return len(self._inner)


class Comparison(Generic[K, V]):
    """What differs between two mappings that nobody changes any more. Several ask it of the same two, one after the
    other: it is worked out once."""

    def __init__(self) -> None:
        self._before: Mapping[K, V] | None = None
        self._after: Mapping[K, V] | None = None
        self._found: tuple[K, ...] = ()

    def differing(self, before: Mapping[K, V], after: Mapping[K, V]) -> tuple[K, ...]:
        if before is not self._before or after is not self._after:
            self.note(before, after, differing(before, after))
        return self._found

    def note(self, before: Mapping[K, V], after: Mapping[K, V], found: Iterable[K]) -> None:
        """Whoever knows it already says so."""
        self._before, self._after, self._found = before, after, tuple(found)


def differing(before: Mapping[K, V], after: Mapping[K, V]) -> list[K]:
    """The keys that only one of the two has, or whose values are not the very same object."""
    if before is after:
        return []
    if len(before) == len(after) and all(map(is_, before, after)):  # the usual case, in a quarter of the time
        return list(compress(before, map(is_not, before.values(), after.values())))
    now = after.get
    found = [key for key, value in before.items() if now(key) is not value]
    if len(after) > len(before) - sum(key not in after for key in found):
        found += [key for key in after if key not in before]
    return found
