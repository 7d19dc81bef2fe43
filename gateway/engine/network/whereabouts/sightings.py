"""Which addresses one name has: those it is answered with, and for a time those that it was.

An address leaves `KEEP_S` after it was answered last, and only time counts in which somebody had an answer: zones
rotate and name servers have bad hours, and nobody is to be cut off for that. Nor is the way round the door to open for
it: an address that leaves is closed by no rule any more. Silence of `AWAY_S` is taken for an answer at last, as a zone
whose servers are gone for good would keep its addresses for ever. Between two questions no more than `LONGEST_S` count:
a machine that slept, or whose clock was put right, has heard nothing meanwhile. Values and times in, no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Final

from gateway.egress.look_ups import ADDRESSES

KEEP_S: Final = 3600
AWAY_S: Final = 86_400
LONGEST_S: Final = 1800  # questions follow each other sooner than that
VERSIONS: Final = (4, 6)  # of IP: a server may be silent about one


class Sightings:
    """``seen``: by address, when it was answered last, silences not counted (epoch seconds). ``is_crowded``: some
    were left out within the last `KEEP_S`, being too many. ``is_awaited``: nothing was answered yet that would take
    something. Begins at ``now``."""

    __slots__ = ("_asked_at", "_crowded_at", "_heard_at", "is_awaited", "is_crowded", "seen")

    def __init__(self, now: int, seen: Mapping[str, int] | None = None) -> None:
        self.seen = dict(seen or {})
        self.is_crowded = False
        self.is_awaited = not self.seen
        self._asked_at = now
        self._crowded_at = now - KEEP_S
        self._heard_at = dict.fromkeys(VERSIONS, now)

    def hear(self, answered: Sequence[str], silent: Collection[int], now: int) -> bool:
        """A question was answered so, those first that matter most, and had no answer for the versions in ``silent``.
        Whether that leads elsewhere than before."""
        before = self.seen.keys()
        away_s = self._passed(now)
        for version in VERSIONS:
            if version not in silent:
                self._heard_at[version] = now
        waits = {version for version in silent if now - self._heard_at[version] < AWAY_S}
        self.is_awaited = self.is_awaited and bool(waits) and not answered
        seen = {text: at + away_s if version_of(text) in waits else at for text, at in self.seen.items()}
        rank = {text: position for position, text in enumerate(dict.fromkeys(answered))}
        seen.update(dict.fromkeys(rank, now))
        newest = sorted(seen.items(), key=lambda each: (-each[1], rank.get(each[0], len(rank)), each[0]))
        kept = {text: at for text, at in newest if now - at < KEEP_S}
        self.seen = dict(islice(kept.items(), ADDRESSES))
        self._crowded_at = now if len(kept) > ADDRESSES else self._crowded_at
        self.is_crowded = now - self._crowded_at < KEEP_S
        return self.seen.keys() != before

    def _passed(self, now: int) -> int:
        """The seconds since the last question that count; others are as if they had not been."""
        counted_s = min(max(0, now - self._asked_at), LONGEST_S)
        leap_s = now - self._asked_at - counted_s
        self._asked_at = now
        self._crowded_at += leap_s
        self.seen = {text: at + leap_s for text, at in self.seen.items()}
        self._heard_at = {version: at + leap_s for version, at in self._heard_at.items()}
        return counted_s

    def are_past(self, now: int) -> bool:
        """Whether none of them would be kept any longer, if nobody asked again."""
        return all(now - at >= KEEP_S for at in self.seen.values())


def version_of(text: str) -> int:
    """Of IP."""
    return 6 if ":" in text else 4
