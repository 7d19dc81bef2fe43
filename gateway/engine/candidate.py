"""What was compiled and is not published yet, as a table to ask, and what of it has to be decided again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.engine.compilation import Compiled
from gateway.snapshot import WHY
from policy.builtin import BUILTIN_SERVICE
from policy.promises.promised import place_in
from policy.promises.proofs import Place, is_about
from policy.promises.universe import COMMON, Universe
from policy.rule import Published
from policy.statements import Invariant
from policy.table import Table
from policy.table_builder import TableBuilder

EXPOSURE: Final = "exposure/"
_PEOPLE: Final = ("people", "teams")  # kinds of frames that say who is in which team


class Candidate:
    """Follows compile after compile. Stagedoor's own pages are in the table and among no exposures."""

    def __init__(self) -> None:
        self.table = Table.allow_none()
        self.frames: Mapping[str, Any] = {}
        self.published: dict[str, Published] = {}
        self.places: dict[str, Place] = {}
        self.universe = Universe(self.table.directory)
        self._naming: dict[str, set[str]] = {}  # name -> the exposures on which some rule is about it

    def follow(self, compiled: Compiled) -> set[str]:
        """Brings the table up to what was compiled; returns the exposures that have to be decided again."""
        builder, due, directory_changed = TableBuilder(self.table), set(), False
        for name, frame in compiled.frames.items():
            if name.startswith(WHY) or self.frames.get(name) is frame:
                continue
            builder.put(name, frame)
            directory_changed |= name.partition("/")[0] in _PEOPLE
            if name.startswith(EXPOSURE):
                due.add(name[len(EXPOSURE) :])
        for name in self.frames.keys() - compiled.frames.keys():
            builder.drop(name)
            directory_changed |= name.partition("/")[0] in _PEOPLE
        self.frames, self.table = compiled.frames, builder.finish()
        due |= self._place(compiled.published)
        if directory_changed:
            last, self.universe = self.universe, Universe(self.table.directory)
            for name in self.universe.changed(last):
                due |= self._naming.get(name, set())
        return {key for key in due if key in self.published}

    def _place(self, published: Iterable[Published]) -> set[str]:
        """Which exposures are about other facts or operations than before."""
        known, changed = self.published, set()
        self.published = {each.key: each for each in published if each.service.ref != BUILTIN_SERVICE.ref}
        for key in known.keys() - self.published.keys():
            self.places.pop(key, None)
            self._unname(known[key])
        for key, each in self.published.items():
            last = known.get(key)
            if last is not each:
                changed.add(key)
                self.places[key] = place_in(each.service, each.operations)
                if last is not None:
                    self._unname(last)
                for name in _names(each):
                    self._naming.setdefault(name, set()).add(key)
        return changed

    def _unname(self, published: Published) -> None:
        for name in _names(published):
            self._naming.get(name, set()).discard(published.key)

    def about(self, invariant: Invariant, stopped: set[str]) -> Iterator[Place]:
        """The places of the exposures that an invariant is about. Those where somebody ``stopped`` looking come first,
        and where they stop now is added."""
        for key in (*(stopped & self.places.keys()), *self.places):
            if is_about(invariant, self.table.exposures[key], self.places[key]):
                stopped.add(key)
                yield self.places[key]
                stopped.discard(key)

    def put(self, forms: Mapping[str, Any]) -> None:
        """Other forms of exposures, by key, in the place of what was compiled."""
        builder = TableBuilder(self.table)
        for key, frame in forms.items():
            builder.put(EXPOSURE + key, frame)
        self.table = builder.finish()


def _names(published: Published) -> Iterator[str]:
    """Whom the rules of an exposure are about, everybody aside: who carries no more than those is decided already."""
    return (name for name in {rule.subject for rule in published.rules} - COMMON)
