"""Since when each entity is what it is: the time and the base of the last change of its state or of what it says.

Kept in the engine's journal, so a restart starts no state anew. Only who names us is remembered for good; others are
while there is something to say of them. Written after a base is published and told, never in its way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from gateway.engine.ground import Ground
from gateway.engine.journal import Journal
from gateway.engine.states import States
from policy.reading import Fault

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

    def __init__(self, journal: Journal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self.since: Mapping[str, Since] = {ref: Since(*entry) for ref, entry in journal.sections[SECTION].items()}

    def note(self, ground: Ground) -> None:
        """Remember what this round changed. Raises `OSError` when it cannot be written; it counts all the same."""
        if ground.compiled is None:
            return
        at_ms = int(self._clock() * 1000)
        states = States(ground)
        troubled = _troubled(ground)
        since: dict[str, Since] = {}
        for ref in ground.spoken_of:
            entity = ground.said.get(ref)
            digest = entity.digest if entity is not None else ""
            known = self.since.get(ref)
            if known is not None and known.digest == digest and known.state == "published" and ref not in troubled:
                since[ref] = known
                continue
            state = states.of(ref).state
            if known is not None and (known.state, known.digest) == (state, digest):
                since[ref] = known
            else:
                since[ref] = Since(state, at_ms, ground.base, digest)
        if since != self.since:
            self.since = since
            self._journal.record({SECTION: {ref: tuple(each) for ref, each in since.items()}})


def _troubled(ground: Ground) -> frozenset[str]:
    """Whose state may be another without a change of what they say."""
    refs = {ref for ref, faults in ground.faults_of.items() if any(_bears(each) for each in faults)}
    refs.update(ground.kept, ground.lost, ground.missing, ground.pull.broken)
    for ref in tuple(refs):
        refs.update(ground.providers.get(ref, ()))
    return frozenset(refs)


def _bears(fault: Fault) -> bool:
    return fault.severity == "error" or fault.keeps
