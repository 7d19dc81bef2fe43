"""What only control can do for somebody in a browser: hand a session over to this host, end one.

A question has a number, its asker is known by it, and nobody waits longer than a few seconds: whoever cannot be
answered is refused, and may try again. What comes too late is dropped.
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
        self._numbers = count(1)

    def ask(self, exchange: Exchange, message: dict[str, object], done: Done) -> None:
        """Send ``message``; ``done`` is called with control's answer, unless the exchange has ended by then."""
        if len(self._open) >= MOST:
            self._forget()
        number = next(self._numbers)
        if len(self._open) >= MOST or not self.door.following.ask_control({**message, "id": number}):
            exchange.refuse("session_unavailable", NOT_NOW)
            return
        self._open[number] = exchange, done
        exchange.waited |= WAITED_FOR_SESSION
        exchange.client.deadline_s = self.door.tick_s + ERRAND_S

    def answered(self, message: Mapping[str, Any]) -> None:
        """A `redeemed` or `signed_out` message."""
        number = message.get("id")
        exchange, done = self._open.pop(number, (None, None)) if isinstance(number, int) else (None, None)
        if exchange is not None and done is not None and not exchange.ended:
            done(exchange, message)

    def control_lost(self) -> None:
        given_up, self._open = list(self._open.values()), {}
        for exchange, _ in given_up:
            if not exchange.ended:
                exchange.refuse("session_unavailable", NOT_NOW)

    def _forget(self) -> None:
        """Those that were refused by their deadline, or whose client left."""
        self._open = {number: errand for number, errand in self._open.items() if not errand[0].ended}
