"""What was learnt by changing a device, and keeps us from doing it again by ourselves.

What the device understood and refused is not sent again until the wish is another. What another hand changes back
again and again is left to a person. Where a change costs the device minutes, and people their turn, there is a budget:
counted for all environments of a device together, from when the last change began, whoever wanted it and however it
ended. A try that found somebody else at work changed nothing and is not counted. Whoever applies a plan has looked, and
is not held up. In memory but for what the ledger says of the last change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.engine.network.desired import Place
from gateway.engine.network.guards import Hindrance

MENDED_MOST: Final = 3  # within `MENDED_S`
MENDED_S: Final = 3600.0


class Budget:
    """One change within ``gap_s``; 0 for any number."""

    def __init__(self, gap_s: float = 0.0) -> None:
        self._gap_s = gap_s
        self._last_s = float("-inf")

    def note(self, at_s: float) -> None:
        """A change began then (epoch seconds)."""
        self._last_s = max(self._last_s, at_s)

    def left_s(self, now_s: float) -> float:
        """Until the next may begin, 0 where it may now. A clock that was set back starts anew."""
        since_s = now_s - self._last_s
        return self._gap_s - since_s if 0.0 <= since_s < self._gap_s else 0.0


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
        if left_s := self.budget.left_s(now_s):
            why = "the device was changed a moment ago, and each change costs it minutes"
            yield Hindrance("budget", why, f"it goes on in {max(left_s / 60, 1):.0f} min, or when you apply a plan")
