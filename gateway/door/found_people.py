"""Whom a worker found its sessions to be, for control, which compares it with whose account a User is.

A session is served as somebody from the first request on, and perhaps only once; who it was must not depend on another
one. So control is told when a session is first found to be a User and when it is found to be another one, each time in
the order in which it was found: the first account of a User is pinned to it, and whom it was last is who it is. While
control is away it is kept.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.door.worker import Door

MOST_TOLD: Final = 4_096  # in one message
MOST_KEPT: Final = 250_000  # as many as sessions are held; what is beyond that is told with questions alone


class FoundPeople:
    """One worker's."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._untold: deque[tuple[bytes, str]] = deque()  # in the order in which they were found
        self._last: dict[bytes, str] = {}  # whom each session was found to be last, of what is untold

    def found(self, sid: bytes, ref: str) -> None:
        """This session is that User now; "" = nobody of the catalog. Told with all that is found in this turn of the
        loop."""
        if not ref or self._last.get(sid) == ref or len(self._untold) >= MOST_KEPT:
            return
        if not self._untold:
            self._door.loop.call_soon(self.tell)
        self._untold.append((sid, ref))
        self._last[sid] = ref

    def tell(self) -> None:
        """One message a turn: what was kept for long holds up nobody. Called again each second, for what could not be
        told."""
        some = list(islice(self._untold, MOST_TOLD))
        people = [["s-" + sid.hex(), ref] for sid, ref in some]
        if not some or not self._door.following.ask_control({"t": "found", "people": people}):
            return
        for sid, _ in some:
            self._untold.popleft()
            self._last.pop(sid, None)
        if self._untold:
            self._door.loop.call_soon(self.tell)
