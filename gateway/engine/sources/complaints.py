"""What is wrong with what one entity says, and no more of it than somebody reads.

An author may write a list of a hundred thousand words, and may mean harm by it. Each word that is not known would cost
a search for what was meant, a line of the log, a note to whoever asks, and all of that before anybody else's change
counts. So the first `TOLD` warnings are told and the rest is counted. An error is about one exposure and always told.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.engine.sources.entities import Entity
from policy.reading import Fault, did_you_mean

TOLD = 20
SHOWN = 80  # characters of a word that somebody made up


class Complaints:
    """Of one entity. ``broken``: the environments that have an error. A key is that of an annotation."""

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._faults: list[Fault] = []
        self._warnings = 0
        self.errors = 0
        self.broken: set[str] = set()

    def warn(self, key: str, message: str, suggestion: str = "", environment: str = "") -> None:
        self._warnings += 1
        if self._warnings <= TOLD:
            says = f"{environment}: {message}" if environment else message
            self._faults.append(Fault(self._entity.place(key), says, suggestion, "warning", environment))

    def breaks(self, environment: str, key: str, message: str, suggestion: str = "") -> None:
        self.errors += 1
        self.broken.add(environment)
        says = f"{environment}: {message}"
        self._faults.append(Fault(self._entity.place(key), says, suggestion, environment=environment))

    def breaks_all(self, environments: Iterable[str], key: str, message: str, suggestion: str) -> None:
        self.errors += 1
        self.broken.update(environments)
        self._faults.append(Fault(self._entity.place(key), message, suggestion))

    def meant(self, word: str, known: Iterable[str]) -> str:
        """The suggestion of a warning, "" when it is not told any more."""
        return did_you_mean(word, known) if self._warnings < TOLD else ""

    @property
    def faults(self) -> tuple[Fault, ...]:
        untold = self._warnings - TOLD
        if untold <= 0:
            return tuple(self._faults)
        says = f"{untold:,} more of what it says is not known and left out"
        return (*self._faults, Fault(self._entity.source, says, "mend what is named first", "warning"))
