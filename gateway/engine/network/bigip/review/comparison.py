"""Where a device differs from what was declared for it, object by object.

A property that a device does not show says nothing, and neither does a class whose objects are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from gateway.engine.network.bigip.objects import Parts, declared

#: Kind and property that a device may write in its own way. Whatever else differs right after an apply did not take
#: effect, or somebody changed it amid the apply.
SPELT: Final = {
    ("monitor", "send"), ("monitor", "receive down"), ("virtual", "metadata"), ("pool", "metadata"),
    ("pool", "balance"), ("one-connect", "mask"),
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
    """Whether what was declared did not take effect: it is no other way to write it."""
    return edit.is_missing or (wanted[edit.path]["kind"], edit.key) not in SPELT


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
    value counts as the declared one for as long as both stay as they are. What was shown as declared before is not
    learnt: somebody changed it meanwhile."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Any, Any]] = {}

    def learn(
        self, found: Iterable[Edit], wanted: Parts, before: Mapping[str, Mapping[str, Any]]
    ) -> tuple[list[Edit], list[Edit]]:
        """What was learnt of ``found``, and what was not. ``before``: the objects as they were shown before."""
        learnt: list[Edit] = []
        others: list[Edit] = []
        for edit in found:
            showed = before.get(edit.path, {}).get(edit.key)
            (others if is_essential(edit, wanted) or showed == edit.wanted else learnt).append(edit)
        self._known |= {(edit.path, edit.key): (edit.wanted, edit.there) for edit in learnt}
        return learnt, others

    def edits(self, wanted: Parts, parts: Mapping[str, Mapping[str, Any]]) -> Iterator[Edit]:
        """All but those."""
        for edit in edits(wanted, parts):
            if self._known.get((edit.path, edit.key)) != (edit.wanted, edit.there):
                yield edit


def foreign(name: str, tenant: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    """Objects in the tenant ``name`` that its declaration does not make: somebody made them by hand."""
    made = declared(name, tenant)
    return sorted(path for path in parts if path.startswith(f"/{name}/") and path not in made)
