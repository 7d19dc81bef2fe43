"""What services are called, for pages: asked of the engine when a page is wanted, and kept for as long as it is true.

Names change seldom and a base often, in a large company. So a page waits for them once; after that, names that may be
out of date are shown while newer ones are asked for beside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from gateway.control.api.engine import Engine
from gateway.control.api.problems import Problem
from gateway.control.portal.reach import Card

STALE_S: Final = 10.0


class Cards:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: Mapping[str, Card] = {}
        self._base = ""
        self._asked_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def all(self) -> Mapping[str, Card]:
        """By ref. While the engine is away: those that were known, or none."""
        if self._base != self._engine.base and time.monotonic() - self._asked_s > STALE_S and self._asking is None:
            self._asked_s = time.monotonic()
            self._asking = asyncio.get_running_loop().create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        if not self._known and self._asking is not None:
            await asyncio.wait([self._asking])
        return self._known

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> None:
        base, after = self._engine.base, ""
        cards: dict[str, Card] = {}
        while True:
            answer: dict[str, Any] = await self._engine.ask({"t": "cards", "after": after})
            for ref, (title, owner, domain) in answer["cards"].items():
                cards[ref] = Card(str(title) or ref.rpartition("/")[2], str(owner), _name(str(domain)))
            if not (after := answer["next"]):
                break
        self._known, self._base = cards, base

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, Problem):
            raise failure


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]
