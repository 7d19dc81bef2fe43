"""Names asked once, whoever wants to know them, and work in threads that nobody waits for.

A name server that hangs keeps its threads and nobody else: who asked gives up in their own time, the look-up goes on,
and its answer is there for who asks next. Threads are few at a time and daemons, so a process may end over them.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from gateway.egress.resolve import LOOK_UPS, in_thread, system_look_up

MOST_KEPT: Final = 20_000
ADDRESSES: Final = 64  # of one name: a zone may answer with thousands, of which each is looked at


class Names:
    """Look-ups, each in a thread, at most `LOOK_UPS` at a time. An answer, or that there is none, is kept for
    ``fresh_s`` seconds."""

    def __init__(self, fresh_s: float = float("inf")) -> None:
        self._fresh_s = fresh_s
        self._asked: dict[str, tuple[float, asyncio.Task[list[str]]]] = {}
        self._threads = asyncio.Semaphore(LOOK_UPS)

    async def addresses(self, host: str) -> list[str]:
        """The first of them. Raises `OSError` when the name has no answer, `UnicodeError` or `ValueError` for what is
        no name."""
        at_s, task = self._asked.get(host, (0.0, None))
        if task is None or (task.done() and time.monotonic() - at_s > self._fresh_s):
            self._make_room()
            task = asyncio.get_running_loop().create_task(self._look_up(host))
            task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
            self._asked[host] = (time.monotonic(), task)
        return await asyncio.shield(task)

    def close(self) -> None:
        """What still waits for its thread is given up."""
        for _, task in self._asked.values():
            task.cancel()
        self._asked = {}

    async def _look_up(self, host: str) -> list[str]:
        async with self._threads:
            return await in_thread(lambda: system_look_up(host)[:ADDRESSES])

    def _make_room(self) -> None:
        if len(self._asked) >= MOST_KEPT:
            self._asked = {host: held for host, held in self._asked.items() if not held[1].done()}
