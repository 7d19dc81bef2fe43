"""Where a device differs from what was declared for it, object by object.

A property that a device does not show says nothing, and neither does a class whose objects are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from gateway.engine.network.bigip.objects import Parts, declared

#: Kind and property without which an object does not do what it is there for.
ESSENTIAL: Final = {
    ("virtual", "destination"), ("virtual", "pool"), ("data-group", "records"), ("server-ssl", "checks"),
    ("monitor", "receive"),
}  # fmt: skip


class Edit(NamedTuple):
    """``key`` is "" for a whole object that is not there."""

    path: str
    key: str = ""
    wanted: Any = None
    there: Any = None

    @property
    def is_missing(self) -> bool:
        return not self.key


def is_essential(edit: Edit, wanted: Parts) -> bool:
    """Whether what was declared did not take effect, however a device may write it."""
    return edit.is_missing or (wanted[edit.path]["kind"], edit.key) in ESSENTIAL


def edits(wanted: Parts, parts: Mapping[str, Mapping[str, Any]]) -> Iterator[Edit]:
    """In the order of paths and properties."""
    for path in sorted(wanted):
        part = wanted[path]
        if not part["kind"]:
            continue
        there = parts.get(path)
        if there is None:
            yield Edit(path)
            continue
        for key in sorted(part.keys() & there.keys() - {"kind"}):
            if part[key] != there[key]:
                yield Edit(path, key, part[key], there[key])


class Spellings:
    """What a device was seen to show otherwise right after it took a declaration: its way to write it, no edit. Such a
    value counts as the declared one for as long as both stay as they are."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Any, Any]] = {}

    def learn(self, found: Iterable[Edit]) -> None:
        self._known |= {(edit.path, edit.key): (edit.wanted, edit.there) for edit in found}

    def edits(self, wanted: Parts, parts: Mapping[str, Mapping[str, Any]]) -> Iterator[Edit]:
        """All but those."""
        for edit in edits(wanted, parts):
            if self._known.get((edit.path, edit.key)) != (edit.wanted, edit.there):
                yield edit


def foreign(name: str, tenant: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    """Objects in the tenant ``name`` that its declaration does not make: somebody made them by hand."""
    made = declared(name, tenant)
    return sorted(path for path in parts if path.startswith(f"/{name}/") and path not in made)
