"""Whose turn it is: while several clients are connected, each has a slice of a worker's loop, and no more.

The event loop serves whoever is ready, so a client with two hundred ready connections would have two hundred turns for
every one of another client's. Here a client is an address (of IPv6 a network), or one connection of a trusted peer,
which brings other people's. The work that its connections bring is timed. Once they have used up a slice, what comes
next waits in a line of its own, from which every turn of the loop takes one slice more: nobody else waits for more
than a slice of each client, and what nobody else wants is still all its own. Within a line, those who are known take
turns, too: behind one address there may be many. A head that was begun is read to its end before another one: hundreds
of half-read ones would hold thousands of objects, all of which a collection walks through in one turn.

While only one client is connected nothing is timed, and neither is a single connection that brings little at once: it
has no more than its turn anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

TURN_REQUESTS: Final = 8  # of one connection are begun in one turn of the loop, which others wait for
CROWDED_REQUESTS: Final = 1  # the same while there are other clients
SLICE_NS: Final = 40_000  # about one request
FORGOTTEN_NS: Final = 160_000  # what was used before counts no more: less than a quarter of the loop's time is no greed
BYTES_PER_NS: Final = 4  # received and sent on by the kernel


class Share:
    """One client's part in the turns of one worker's loop."""

    __slots__ = ("began_ns", "called", "connections", "lines", "since_ns", "spent_ns", "turns")

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.connections = 0
        self.called = False
        # by who it is for; made when first needed: most clients never wait
        self.lines: dict[str, deque[Callable[[], None]]] | None = None
        self.spent_ns = 0  # since `since_ns`
        self.since_ns = 0
        self.began_ns = 0  # the work that is being timed; 0 = none is

    def begin(self) -> bool:
        """Whether work of this client may be done in this turn of the loop: `end` is owed then, else `line_up`."""
        if self.lines:
            return False
        now_ns = perf_counter_ns()
        if now_ns - self.since_ns > FORGOTTEN_NS:
            self.since_ns = now_ns
            self.spent_ns = 0
        elif self.spent_ns >= SLICE_NS:
            return False
        self.began_ns = now_ns
        return True

    def end(self) -> None:
        self.spent_ns += perf_counter_ns() - self.began_ns
        self.began_ns = 0

    def moved(self, size: int) -> None:
        """So many bytes came; what it took to receive them, and takes to send them on, is timed nowhere."""
        self.spent_ns += size // BYTES_PER_NS

    def is_over(self) -> bool:
        """Whether the work that is being done should go on in a later turn."""
        return self.began_ns > 0 and perf_counter_ns() - self.began_ns >= SLICE_NS

    def line_up(self, work: Callable[[], None], who: str, begun: bool = False) -> None:
        """Have ``work`` done in one of the next turns of the loop. ``who``: for whom, as far as that is known.
        ``begun``: it goes on with what is half done, and comes before what else waits for them."""
        lines = self.lines
        if not lines and not self.turns.crowded:
            self.turns.loop.call_soon(work)
            return
        if lines is None:
            lines = self.lines = {}
        line = lines.get(who)
        if line is None:
            line = lines[who] = deque()
        if begun:
            line.appendleft(work)
        else:
            line.append(work)
        self._call_turn()

    def use_up(self) -> None:
        """What was just done makes a whole slice of work, which cannot be timed: a read of much at once."""
        self.spent_ns += SLICE_NS

    def _call_turn(self) -> None:
        if not self.called:
            self.called = True
            self.turns.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.called = False
        lines = self.lines
        assert lines is not None
        self.since_ns = self.began_ns = perf_counter_ns()
        self.spent_ns = 0
        try:
            while lines and self.spent_ns < SLICE_NS:
                self._next_of(lines)()
                now_ns = perf_counter_ns()
                self.spent_ns += now_ns - self.began_ns
                self.began_ns = now_ns
        finally:
            self.began_ns = 0
            if lines:
                self._call_turn()

    def _next_of(self, lines: dict[str, deque[Callable[[], None]]]) -> Callable[[], None]:
        """The first of whoever waits longest for a turn."""
        who = next(iter(lines))
        line = lines.pop(who)
        work = line.popleft()
        if line:
            lines[who] = line
        return work


class Turns:
    """The clients of one worker."""

    __slots__ = ("clients", "crowded", "loop", "requests", "shares")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.shares: dict[str, Share] = {}  # of those that are not trusted, by network
        self.clients = 0
        self.crowded = False  # more than one is here
        self.requests = TURN_REQUESTS  # of one connection that may begin in one turn

    def join(self, network: str, trusted: bool) -> Share:
        """The share of a connection that was admitted; `leave` is owed."""
        share = None if trusted else self.shares.get(network)
        if share is None:
            share = Share(self)
            self._count(1)
            if not trusted:
                self.shares[network] = share
        share.connections += 1
        return share

    def leave(self, network: str, trusted: bool) -> None:
        if not trusted:
            share = self.shares[network]
            share.connections -= 1
            if share.connections:
                return
            del self.shares[network]
        self._count(-1)

    def _count(self, more: int) -> None:
        self.clients += more
        self.crowded = self.clients > 1
        self.requests = CROWDED_REQUESTS if self.crowded else TURN_REQUESTS
