"""Requests under way when somebody is cut off: their answers end, however long they would go on.

A policy that is swapped in while an answer streams does not concern it: that request was decided. But a stream of
events may never end by itself. So whoever is cut off, or whose session is over, loses what is under way as well, a
service that is shut loses its callers, and an answer that was not begun becomes the refusal. As with tunnels there is
no index of who is concerned: each change has all that is under way looked at, in slices between which the loop turns,
and so does each second, because sessions end by time alone as well. An answer that goes on is a use of its session, as
an open tunnel is. What is asked of Stagedoor itself goes on, for one of those requests may be the one that ended the
session.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final

from gateway.door.faults import body_broken
from gateway.door.held_facts import Gone, Wanted, sid_of
from gateway.door.pool import OWN_SERVICE, is_shut
from gateway.door.sessions import ref_under
from policy.reasons import DENIED

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.worker import Door

SLICE_S: Final = 0.0005  # of looking, in one turn of the loop


class UnderWay:
    """One worker's."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._due: deque[Exchange] = deque()
        self._walking = False

    def look_again(self) -> None:
        """Somebody was cut off, or a session is over; or a second has passed, since time ends sessions, too."""
        found = [each.exchange for each in self.door.connections()]
        self._due = deque([each for each in found if each is not None and each.endpoint is not None])
        if self._due and not self._walking:
            self._walking = True
            self.door.loop.call_soon(self._walk)

    def _walk(self) -> None:
        until = perf_counter() + SLICE_S
        while self._due and perf_counter() < until:
            exchange = self._due.popleft()
            if not exchange.ended and exchange.client.exchange is exchange and (code := self._over(exchange)):
                body_broken(exchange, code, "")
        if self._due:
            self.door.loop.call_soon(self._walk)
        else:
            self._walking = False

    def _over(self, exchange: Exchange) -> str:
        """Why it may not go on; "" if it may."""
        match, caller, snapshot = exchange.match, exchange.caller, self.door.snapshot
        if match is None or match.exposure.service == OWN_SERVICE:
            return ""
        if not snapshot.denied.isdisjoint(caller.subjects) or is_shut(snapshot.shut, match.exposure):
            return DENIED
        if snapshot.not_before and caller.is_cut(snapshot.not_before):
            return "session_ended" if caller.session else "token_revoked"
        if not caller.session:
            return ""
        door = self.door
        if door.now >= door.sessions.end_of(caller, match.exposure.environment):
            return "session_ended"
        sid, facts = sid_of(caller.session), door.sessions.facts
        known = facts.known(sid, door.now, ref_under(snapshot, caller))
        if isinstance(known, Wanted):
            return "session_unavailable" if facts.is_missed(sid, door.now) else ""
        return "session_ended" if isinstance(known, Gone) else ""
