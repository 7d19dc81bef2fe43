"""Whom doors found sessions to be, until each is compared with the pin of that User.

Compared in the order in which they were found, for the first account of a User is pinned, and whom a session was found
to be last is who it is. Those that cannot be compared while the store is away wait; a fault about one keeps no other
from it. Many take long, since each may be written: nobody waits for that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from gateway.control.signin.pins import Pins
from gateway.control.store import Session, Store, StoreUnavailable

MOST: Final = 250_000  # doors say again whom they found with each question
AT_ONCE: Final = 256  # that are read before they are compared


class FoundUsers:
    def __init__(self, store: Store, pins: Pins) -> None:
        self._store = store
        self._pins = pins
        self._waiting: deque[tuple[str, str]] = deque()  # session and User, oldest first
        self._last: dict[str, str] = {}  # whom each session was found to be last, of those that wait
        self._one_compares = asyncio.Lock()

    def add(self, people: Iterable[tuple[str, str]]) -> bool:
        """Sessions and whom a door found them to be. Whether somebody waits, and nobody compares."""
        for sid, ref in people:
            if len(self._waiting) < MOST and self._last.get(sid) != ref:
                self._waiting.append((sid, ref))
                self._last[sid] = ref
        return bool(self._waiting) and not self._one_compares.locked()

    async def compare(self) -> None:
        """All that wait. Raises `StoreUnavailable`; then they go on to wait."""
        async with self._one_compares:
            while self._waiting:
                some = list(islice(self._waiting, AT_ONCE))
                rows = await self._store.sessions.get({sid for sid, _ in some})
                for sid, ref in some:
                    self._waiting.popleft()
                    self._last.pop(sid, None)
                    try:
                        await self._compare(sid, rows.pop(sid, None), ref)
                    except StoreUnavailable:
                        self._waiting.appendleft((sid, ref))
                        raise

    async def _compare(self, sid: str, row: Session | None, ref: str) -> None:
        """``row``: as it was read before any was compared; None for one that was compared since."""
        if row is None:
            row = (await self._store.sessions.get([sid])).get(sid)
        if row is not None and row.ended is None and row.ref != ref:
            await self._pins.found(row, ref)
