"""Who comes next: the line of sockets that were accepted and are no connection yet.

A TLS handshake is the dearest thing that a stranger can have for nothing, and its first half, the signature, cannot be
cut. So it is begun only once the client's whole first message lies in the kernel's buffer, which costs nobody anything
to wait for, and one at a time: clients take turns, each has a line of its own, and after each handshake that is begun
the loop has a few turns for everybody else. Left to themselves, the handshakes of a hundred clients whose messages
arrive in one moment would be one turn of the loop.

A client is what it is in `door.turns`: an address (of IPv6 a network), or one connection of a trusted peer. It has so
many handshakes under way, because their second halves come when it likes, and so many sockets in line; what comes
above is closed. Sockets whose first message never comes are bounded together with the handshakes under way
(`limits.handshakes`); one more ends the oldest of the client that has most of them.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway import telemetry
from gateway.counters import ARRIVALS_WAITING, DOWNSTREAM_REFUSED, TLS_HANDSHAKES_FAILED
from gateway.door.hello import FIRST_LOOK, HELLO_BYTES, hello_wanted
from gateway.door.introductions import Introductions

if TYPE_CHECKING:
    from gateway.door.listener import Listening
    from gateway.door.peer import Peer
    from gateway.door.turns import Share
    from gateway.door.worker import Door

REST_TURNS: Final = 3  # of the loop after a handshake is begun beside other clients: until its signature is made
UNDER_WAY: Final = 32  # handshakes of one client among others
GIVE_WAY_S: Final = 1.0  # one that takes longer ends, where others of the same client wait for its place
IN_LINE: Final = 4096  # of one client: about what a core can serve before their clients give up
SAID_AGAIN_S: Final = 10.0
PEEK: Final = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
GONE: Final = -1


class Arrival:
    """An accepted socket, which the worker has admitted, on its way to be a connection."""

    __slots__ = ("begun_s", "give_up", "line", "listening", "peer", "share", "since_s", "sock", "wanted")

    def __init__(self, listening: Listening, sock: socket.socket, peer: Peer, share: Share, since_s: float) -> None:
        self.listening = listening
        self.sock = sock
        self.peer = peer
        self.share = share
        self.since_s = since_s  # when it was accepted
        self.begun_s = since_s
        self.wanted = 1  # bytes, before it is looked at again
        self.line: Line | None = None
        self.give_up: Callable[[], object] | None = None  # ends it, while its handshake is under way


class Line:
    """The arrivals of one client."""

    __slots__ = ("begun", "called", "silent", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Arrival] = deque()
        self.silent = 0  # how many are to send their first message
        self.begun = 0  # how many handshakes are under way
        self.called = False  # it has its place in the ring


class Arrivals:
    """All of one worker."""

    __slots__ = ("begun", "door", "introductions", "lines", "rest", "ring", "said_s", "silent", "turning", "waiting")

    def __init__(self, door: Door) -> None:
        self.door = door
        self.introductions = Introductions(door)
        self.lines: dict[Share, Line] = {}
        self.ring: deque[Line] = deque()  # those that have somebody waiting and may begin another one
        self.waiting = 0  # in all lines
        self.silent: dict[Arrival, None] = {}  # oldest first
        self.begun: dict[Arrival, None] = {}  # oldest first
        self.turning = False  # the loop has `_turn` to call
        self.rest = 0  # turns of the loop
        self.said_s = float("-inf")

    # === before the line ===

    def add(self, arrival: Arrival) -> None:
        """Take an accepted socket: it is a connection, ended, or in line, in which order `Listening` need not know."""
        line = self.lines.get(arrival.share)
        if line is None:
            line = self.lines[arrival.share] = Line()
        arrival.line = line
        wanted = _missing(arrival) if arrival.listening.secure else 0
        if wanted == GONE:
            self._end(arrival)
        elif wanted:
            self._make_room(arrival.listening.limits.handshakes)
            line.silent += 1
            self.silent[arrival] = None
            _await(arrival, wanted)
            self.door.loop.add_reader(arrival.sock.fileno(), self._look, arrival)
        else:
            self._line_up(arrival)

    def _look(self, arrival: Arrival) -> None:
        """So many bytes are there as were waited for, or no more will come."""
        wanted = _missing(arrival)
        if wanted > 0:
            _await(arrival, wanted)
            return
        self._heard(arrival)
        if wanted == GONE:
            self._end(arrival)
        else:
            _await(arrival, 1)
            self._line_up(arrival)

    def _heard(self, arrival: Arrival) -> None:
        self.door.loop.remove_reader(arrival.sock.fileno())
        del self.silent[arrival]
        if arrival.line is not None:
            arrival.line.silent -= 1

    def _make_room(self, most: int) -> None:
        """For one more that is silent or under way: most likely the oldest is never to end."""
        if len(self.silent) + len(self.begun) >= most:
            self._give_up(max((*self.silent, *self.begun), key=_held_by_its_client))

    # === the line ===

    def _line_up(self, arrival: Arrival) -> None:
        line = arrival.line
        assert line is not None
        if not self.turning and self._may_begin(line):
            self._begin(arrival, line)
            return
        if len(line.waiting) >= IN_LINE:
            self._turn_away(arrival)
            return
        line.waiting.append(arrival)
        self._count(1)
        self._call(line)

    def _may_begin(self, line: Line) -> bool:
        return line.begun < UNDER_WAY or not self.door.turns.crowded

    def _call(self, line: Line) -> None:
        """Let a line have its turn, if it can use one."""
        if line.waiting and not line.called and self._may_begin(line):
            line.called = True
            self.ring.append(line)
            self._go_on()

    def _go_on(self) -> None:
        if not self.turning:
            self.turning = True
            self.door.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Called in each turn of the loop while somebody waits, and once after each that was begun."""
        self.turning = False
        if self.rest:
            self.rest -= 1
            self._go_on()
            return
        if not self.ring:
            return
        line = self.ring.popleft()
        line.called = False
        arrival = line.waiting.popleft()
        self._count(-1)
        if self._is_late(arrival):
            self._end(arrival)
            self._go_on()
        else:
            self._begin(arrival, line)
        self._call(line)

    def _is_late(self, arrival: Arrival) -> bool:
        door = self.door
        return arrival.listening.secure and door.tick_s - arrival.since_s >= door.timeouts.handshake_s

    def _begin(self, arrival: Arrival, line: Line) -> None:
        if arrival.listening.secure:
            self._make_room(arrival.listening.limits.handshakes)
            self.rest = REST_TURNS if self.door.turns.crowded else 0
        line.begun += 1
        arrival.begun_s = self.door.tick_s
        self.begun[arrival] = None
        self._go_on()
        arrival.listening.begin(arrival)

    def ended(self, arrival: Arrival) -> None:
        """What `Listening.begin` began has come to its end, whichever."""
        self.begun.pop(arrival, None)
        line, arrival.line = arrival.line, None
        arrival.give_up = None
        if line is not None:
            line.begun -= 1
            self._call(line)
            self._forget(arrival.share, line)

    # === those that are not to be ===

    def sweep(self, tick_s: float) -> None:
        """End what is silent for too long, and what takes too long while others of its client wait for its place."""
        latest_s = tick_s - self.door.timeouts.handshake_s
        self.introductions.sweep(latest_s)
        while self.silent:
            oldest = next(iter(self.silent))
            if oldest.since_s > latest_s:
                break
            self._give_up(oldest)
        if self.waiting:
            stale = [each for each in self.begun if each.begun_s <= tick_s - GIVE_WAY_S]
            for each in stale:
                if each.line is not None and each.line.waiting and not each.line.called:
                    self._give_up(each)

    def end_all(self) -> None:
        """End all that is still arriving."""
        self.introductions.end_all()
        for arrival in (*self.silent, *self.begun):
            self._give_up(arrival)
        for line in tuple(self.lines.values()):
            while line.waiting:
                self._count(-1)
                self._end(line.waiting.popleft())
        self.ring.clear()

    def _give_up(self, arrival: Arrival) -> None:
        if arrival in self.silent:
            self._heard(arrival)
            self._end(arrival)
        elif arrival.give_up is not None:
            self.begun.pop(arrival, None)  # it makes room now; its end is on the way
            arrival.give_up()

    def _end(self, arrival: Arrival) -> None:
        """It never came to be a connection, nor to begin to be one."""
        arrival.sock.close()
        door = self.door
        if arrival.listening.secure:
            door.values[TLS_HANDSHAKES_FAILED] += 1
        line, arrival.line = arrival.line, None
        door.depart(arrival.peer)
        if line is not None:
            self._forget(arrival.share, line)

    def _turn_away(self, arrival: Arrival) -> None:
        door = self.door
        door.values[DOWNSTREAM_REFUSED] += 1
        if door.tick_s - self.said_s >= SAID_AGAIN_S:
            self.said_s = door.tick_s
            telemetry.log("arrivals_shed", level="warning", peer=arrival.peer.network, waiting=self.waiting)
        arrival.sock.close()
        door.depart(arrival.peer)

    def _forget(self, share: Share, line: Line) -> None:
        if not line.waiting and not line.begun and not line.silent:
            self.lines.pop(share, None)

    def _count(self, more: int) -> None:
        self.waiting += more
        self.door.values[ARRIVALS_WAITING] = self.waiting


def _held_by_its_client(arrival: Arrival) -> int:
    line = arrival.line
    return line.silent + line.begun if line is not None else 0


def _await(arrival: Arrival, size: int) -> None:
    """Have the socket be ready once ``size`` bytes are there, or no more will come (socket(7))."""
    if arrival.wanted != size:
        arrival.wanted = size
        arrival.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


def _missing(arrival: Arrival) -> int:
    """How many bytes there must be before it is worth another look: 0 = the first message is whole, or is none and
    will be refused; `GONE` = nobody is there, or it is larger than any client's."""
    try:
        data = arrival.sock.recv(HELLO_BYTES, PEEK)
    except BlockingIOError:
        return FIRST_LOOK
    except OSError:
        return GONE
    if not data:
        return GONE
    if len(data) < arrival.wanted:
        return 0  # the client has ended its side: the handshake finds that out
    wanted = hello_wanted(data)
    return wanted if wanted <= HELLO_BYTES else GONE
