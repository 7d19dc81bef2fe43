"""What was learnt by changing a device, and keeps us from doing it again by ourselves.

What the device understood and refused is not sent again until the wish is another. What another hand changes back
again and again is left to a person. Where a change costs the device minutes, and people their turn, there is a budget:
counted for all environments of a device together, from when the last change began, whoever wanted it and however it
ended. A try that found somebody else at work changed nothing and is not counted; of such a device, whoever is at work
for long is asked more and more rarely, while others are asked at their usual pace. Whoever applies a plan has looked,
and is not held up. In memory but for what the ledger says of the last change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from gateway.engine.network.desired import Place
from gateway.engine.network.faults import Busy, Outdated
from gateway.engine.network.history.trail import Untold
from gateway.engine.network.plans.guards import Hindrance

MENDED_MOST: Final = 3  # within `MENDED_S`
MENDED_S: Final = 3600.0
SOONEST_S: Final = 60.0  # from the second try that met somebody else at work to the next
LATEST_S: Final = 900.0


class Budget:
    """One change within ``gap_s``; 0 for any number."""

    def __init__(self, gap_s: float = 0.0) -> None:
        self._gap_s = gap_s
        self._last_s = float("-inf")
        self._met = 0  # tries in a row that met somebody else
        self._met_s = float("-inf")
        self._who = ""

    def note(self, at_s: float) -> None:
        """A change began then (epoch seconds)."""
        self._last_s = max(self._last_s, at_s)

    def left_s(self, now_s: float) -> float:
        """Until the next may begin, 0 where it may now. A clock that was set back starts anew."""
        since_s = now_s - self._last_s
        return self._gap_s - since_s if 0.0 <= since_s < self._gap_s else 0.0

    def note_busy(self, at_s: float, who: str) -> None:
        """A try of ours began then and met ``who``, in the device's words."""
        self._met, self._met_s, self._who = self._met + 1, at_s, who

    def note_free(self) -> None:
        """Nobody was in the way."""
        self._met = 0

    def hindrances(self, now_s: float) -> Iterator[Hindrance]:
        """The first meeting holds nothing up: most commits are over within a minute. Without a gap none does."""
        if left_s := self.left_s(now_s):
            why = "the device was changed a moment ago, and each change costs it minutes"
            yield Hindrance("budget", why, f"it goes on in {_minutes(left_s)}, or when you apply a plan")
        pause_s, since_s = min(SOONEST_S * 2.0 ** min(self._met - 2, 10), LATEST_S), now_s - self._met_s
        if self._gap_s and self._met > 1 and 0.0 <= since_s < pause_s:
            why = f"somebody else is at work on the device, as {self._met} tries found: {self._who}"
            todo = f"it is tried again in {_minutes(pause_s - since_s)}, or when you apply a plan"
            yield Hindrance("busy", why, todo)


class Refused(NamedTuple):
    """What the device refused: content, and the places of the wish; the version of a policy alone makes it no other."""

    mark: bytes
    places: tuple[Place, ...] | None
    why: str


class Experience:
    """Of one environment; ``budget`` is that of the whole device."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.refused: Refused | None = None
        self._mended: deque[float] = deque(maxlen=MENDED_MOST)

    def note_mended(self, now_s: float) -> None:
        """What another hand had made different."""
        self._mended.append(now_s)

    @contextmanager
    def changing(self, at_s: float, *, is_mending: bool) -> Iterator[None]:
        """A change begins then, and is noted unless it could not even begin."""
        try:
            yield
        except Busy as busy:
            self.budget.note_busy(at_s, str(busy))
            raise
        except (Outdated, Untold):
            raise
        except BaseException:
            self._note(at_s, is_mending=is_mending)
            raise
        self._note(at_s, is_mending=is_mending)
        self.budget.note_free()

    def _note(self, at_s: float, *, is_mending: bool) -> None:
        self.budget.note(at_s)
        if is_mending:
            self.note_mended(at_s)

    def hindrances(
        self, mark: bytes, places: tuple[Place, ...], *, is_mending: bool, now_s: float
    ) -> Iterator[Hindrance]:
        """``mark`` of the content that would be sent, ``places`` of the wish."""
        refused = self.refused
        if refused is not None and (refused.places == places or refused.mark == mark):
            todo = "mend the cause, then `stagedoor plan --out FILE` and `apply FILE`"
            yield Hindrance("refused", f"the device refused exactly this: {refused.why}", todo)
        elif is_mending and len(self._mended) == MENDED_MOST and now_s - self._mended[0] < MENDED_S:
            why = f"another hand has changed it back {MENDED_MOST} times within an hour"
            yield Hindrance("contested", why, "find who else writes there, then apply a plan")
        yield from self.budget.hindrances(now_s)


def _minutes(seconds: float) -> str:
    return f"{max(seconds / 60, 1):.0f} min"
