"""What only control can do for somebody in a browser: hand a session over to this host, end one.

A question has a number, its asker is known by it, and nobody waits longer than a few seconds: whoever cannot be
answered is refused, and may try again. What comes too late is dropped. While control is away, being replaced say,
questions wait for the next one within that time; of what the last one was asked nobody knows whether it was done, so
that it is not asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from gateway.door.sessions import WAITED_FOR_SESSION

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.worker import Door

ERRAND_S: Final = 5.0
MOST: Final = 512
NOT_NOW: Final = "control could not be asked"

Done = Callable[["Exchange", Mapping[str, Any]], None]


class Errands:
    """One worker's."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._open: dict[int, tuple[Exchange, Done]] = {}
        self._unsent: dict[int, dict[str, object]] = {}  # of those: what waits for control to come back
        self._numbers = count(1)

    def ask(self, exchange: Exchange, message: dict[str, object], done: Done) -> None:
        """Send ``message``; ``done`` is called with control's answer, unless the exchange has ended by then."""
        if len(self._open) >= MOST:
            self._forget()
        number = next(self._numbers)
        if len(self._open) >= MOST:
            exchange.refuse("session_unavailable", NOT_NOW)
            return
        self._open[number] = exchange, done
        numbered: dict[str, object] = {**message, "id": number}
        if not self.door.following.ask_control(numbered):
            self._unsent[number] = numbered
        exchange.waited |= WAITED_FOR_SESSION
        exchange.client.deadline_s = self.door.tick_s + ERRAND_S

    def answered(self, message: Mapping[str, Any]) -> None:
        """A `redeemed` or `signed_out` message."""
        number = message.get("id")
        exchange, done = self._open.pop(number, (None, None)) if isinstance(number, int) else (None, None)
        if exchange is not None and done is not None and not exchange.ended:
            done(exchange, message)

    def control_found(self) -> None:
        """Ask what nobody was there to hear, for those who still wait."""
        waiting, self._unsent = self._unsent, {}
        for number, message in waiting.items():
            if number in self._open and not self._open[number][0].ended:
                self.door.following.ask_control(message)

    def control_lost(self) -> None:
        asked = [number for number in self._open if number not in self._unsent]
        for exchange, _ in [self._open.pop(number) for number in asked]:
            if not exchange.ended:
                exchange.refuse("session_unavailable", NOT_NOW)

    def _forget(self) -> None:
        """Those that were refused by their deadline, or whose client left."""
        self._open = {number: errand for number, errand in self._open.items() if not errand[0].ended}
        self._unsent = {number: message for number, message in self._unsent.items() if number in self._open}
