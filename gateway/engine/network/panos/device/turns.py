"""Calls at once to one management plane, whoever makes them: at most five, and one place is kept for losses.

Official advice is five, and it counts for the plane: the administrator that sends tags, the one that commits, every
virtual system and everybody who asks at a prompt share it, so they share this. Whoever takes rights away says so
(`urgently`) and waits for nobody who does not; all that is on the way there is urgent with it.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakValueDictionary

MOST_AT_ONCE: Final = 5
KEPT: Final = 1  # of them, for what is urgent
_IS_URGENT: ContextVar[bool] = ContextVar("is_urgent", default=False)


class Turns:
    """Of one management address, in one process and loop."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(MOST_AT_ONCE)
        self._usual = asyncio.Semaphore(MOST_AT_ONCE - KEPT)

    @asynccontextmanager
    async def turn(self, own: asyncio.Semaphore) -> AsyncIterator[None]:
        """For one call. ``own``: how many the caller makes at once by its settings, where nothing is urgent."""
        if _IS_URGENT.get():
            async with self._all:
                yield
        else:
            async with own, self._usual, self._all:
                yield


@contextmanager
def urgently() -> Iterator[None]:
    """Calls made within take the kept place."""
    token = _IS_URGENT.set(True)
    try:
        yield
    finally:
        _IS_URGENT.reset(token)


_HELD: Final[WeakValueDictionary[tuple[AbstractEventLoop, str], Turns]] = WeakValueDictionary()


def turns_at(unit: str) -> Turns:
    """The same for all in this loop who speak to one address, while any of them lives."""
    return _HELD.setdefault((asyncio.get_running_loop(), unit), Turns())


async def together(doing: Sequence[Coroutine[Any, Any, None]]) -> None:
    """All of them, or none any more where one fails: its fault is raised."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(each) for each in doing]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
