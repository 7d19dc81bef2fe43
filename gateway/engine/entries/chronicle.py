"""Since when each entity is what it is: the time and the base of the last change of its state or of what it says.

Kept in the engine's journal, so a restart starts no state anew. Only who names us is remembered for good; others are
while there is something to say of them. Written after a base is published and told, never in its way; the next change
may already be waiting, so only those are judged anew who differ from the round before, or were not well then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from gateway.engine.entries.states import States
from gateway.engine.ground import Ground
from gateway.engine.journal import Journal
from gateway.engine.sources.entities import Entity
from policy.reading import Fault
from policy.tracking import Comparison

SECTION: Final = "states"


class Since(NamedTuple):
    """``at_ms``: epoch milliseconds. ``base``: the version that showed it first. ``digest``: of what the entity said,
    "" of what could not be read."""

    state: str
    at_ms: int
    base: str
    digest: str


class Chronicle:
    """``since`` is replaced as a whole, so another thread may read it."""

    def __init__(
        self, journal: Journal, clock: Callable[[], float], comparison: Comparison[str, Entity] | None = None
    ) -> None:
        self._journal = journal
        self._comparison = comparison or Comparison()
        self._clock = clock
        self.since: Mapping[str, Since] = {ref: Since(*entry) for ref, entry in journal.sections[SECTION].items()}
        self._said: Mapping[str, Entity] = {}  # when it was noted last
        self._naming: set[str] = set()  # who names us

    def note(self, ground: Ground) -> None:
        """Remember what this round changed. Raises `OSError` when it cannot be written; it counts all the same."""
        if ground.compiled is None:
            return
        at_ms = int(self._clock() * 1000)
        states = States(ground, in_words=False)
        troubled = _troubled(ground)
        changed = self._comparison.differing(self._said, ground.said)
        self._follow(changed, ground.said)
        spoken_of = self._naming | ground.remarkable
        since = {ref: known for ref, known in self.since.items() if ref in spoken_of}
        unwell = {ref for ref, known in since.items() if known.state != "published"}
        for ref in spoken_of & {*changed, *troubled, *unwell} | spoken_of - since.keys():
            entity = ground.said.get(ref)
            digest = entity.digest if entity is not None else ""
            known = since.get(ref)
            if known is not None and known.digest == digest and known.state == "published" and ref not in troubled:
                continue
            state = states.of(ref).state
            if known is None or (known.state, known.digest) != (state, digest):
                since[ref] = Since(state, at_ms, ground.base, digest)
        self._said = ground.said
        if since != self.since:
            self.since = since
            self._journal.record({SECTION: {ref: tuple(each) for ref, each in since.items()}})

    def _follow(self, changed: Iterable[str], said: Mapping[str, Entity]) -> None:
        """Keep up with who names us."""
        for ref in changed:
            entity = said.get(ref)
            (self._naming.add if entity is not None and entity.annotations else self._naming.discard)(ref)


def _troubled(ground: Ground) -> frozenset[str]:
    """Whose state may be another without a change of what they say."""
    refs = {ref for ref, faults in ground.faults_of.items() if any(_bears(each) for each in faults)}
    refs.update(ground.kept, ground.lost, ground.missing, ground.pull.broken)
    for api in [ref for ref in refs if ref.startswith("api:")]:
        refs.update(ground.providers.get(api, ()))
    return frozenset(refs)


def _bears(fault: Fault) -> bool:
    return fault.severity == "error" or fault.keeps
