"""How long to try again, and when: full jitter below a ceiling that doubles, and always an end.

Clock, sleep and randomness are arguments. Devices are many and their administrators few: everybody who waits for the
same device waits a different time, so that a device that comes up is not asked by all of them at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, NamedTuple

SHORTEST_S: Final = 5.0  # the first ceiling
LONGEST_S: Final = 240.0
LOCK_S: Final = 120.0  # AS3's lock lives so long when whoever took it died


class Time(NamedTuple):
    """Where time and chance come from."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    uniform: Callable[[float, float], float] = Random().uniform
    wall: Callable[[], float] = time.time  # epoch seconds; only for how long certificates last


class Limits(NamedTuple):
    """How long anything may take, in seconds. Whoever asks for a read has pauses of its own, of minutes."""

    call: float = 60.0  # AS3 answers 202 after 45
    connect: float = 5.0
    goodbye: float = 5.0  # giving the token back
    read: float = 10.0  # trying a read again
    write: float = 30.0  # trying a write again that was not begun
    task: float = 600.0


class Patience:
    """The pauses of one endeavour that must end within ``deadline_s``."""

    def __init__(self, time: Time, deadline_s: float) -> None:
        self._time = time
        self._end_s = time.monotonic() + deadline_s
        self._ceiling_s = SHORTEST_S

    def left_s(self) -> float:
        return self._end_s - self._time.monotonic()

    async def pause(self, *, locked: bool = False) -> bool:
        """Wait before the next try. False, at once, when there is none any more. ``locked``: the device works for
        somebody else, whose lock may last for two minutes."""
        ceiling_s = max(self._ceiling_s, LOCK_S) if locked else self._ceiling_s
        self._ceiling_s = min(2 * self._ceiling_s, LONGEST_S)
        pause_s = self._time.uniform(0.0, ceiling_s)
        if pause_s >= self.left_s():
            return False
        await self._time.sleep(pause_s)
        return True


class Polls:
    """The pauses between two looks at something that runs: 1 s, then half as much again each time up to 10 s."""

    FIRST_S: Final = 1.0
    GROWTH: Final = 1.5
    MOST_S: Final = 10.0

    def __init__(self, time: Time, deadline_s: float, first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        self._time = time
        self._end_s = time.monotonic() + deadline_s
        self._next_s = first_s
        self._most_s = most_s

    async def pause(self) -> bool:
        """False, at once, when the deadline has passed."""
        if self._time.monotonic() >= self._end_s:
            return False
        await self._time.sleep(self._next_s)
        self._next_s = min(self._next_s * self.GROWTH, self._most_s)
        return True
