"""All tunnels of one worker: which may begin, and which may go on when anything changed that could end them.

There is no index of who might be concerned by a change. Each new base, each overlay (denied subjects, keys, later
sessions and grants) and each reload has every open tunnel asked the whole question again, in slices between which
the loop turns: that takes a few microseconds each, nothing can be forgotten in an index, and what ends a permit in
future has to be known in one place alone (`door.standing`). What only time ends is found by the same look that finds
idle tunnels.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final

from gateway.counters import TUNNELS_ENDED, TUNNELS_OPEN, TUNNELS_OPENED
from gateway.errors import Refused
from gateway.http1.origin import is_own_origin

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.pool import Route
    from gateway.door.tunnel import Tunnel
    from gateway.door.worker import Door

TURNS: Final = 64  # ticks in which every tunnel is looked at once: 1.3 s
SLICE_S: Final = 0.0005  # of deciding again, in one turn of the loop


def offered_upgrade(exchange: Exchange, route: Route) -> bytes | Refused:
    """The protocol that the service is asked to switch to; b"" if the request goes on without (RFC 9110, 7.8).

    What a browser sends along by itself (a cookie, a certificate, its place in the network) says nothing about the
    page that asks: without a bearer token, an Origin must be this host's or one that the service's owner listed.
    """
    head = exchange.head
    if head.tunnel not in route.upgrades:
        return b""
    if head.origin and not head.bearer and not exchange.allow:
        scheme = head.forwarded_proto or exchange.client.listening.proto.encode("ascii")
        if not is_own_origin(head.origin, head.authority, scheme):
            return Refused("origin_refused")
    if exchange.door.tunnels.is_full:
        return Refused("overloaded", "too many tunnels are open")
    return head.tunnel


class Tunnels:
    """The registry. A tunnel is in it until both its connections are lost, and open until it was ended."""

    __slots__ = ("_due", "_slices", "_turn", "_walking", "door", "open")

    def __init__(self, door: Door) -> None:
        self.door = door
        self.open = 0
        self._slices: list[set[Tunnel]] = [set() for _ in range(TURNS)]
        self._turn = 0
        self._due: deque[Tunnel] = deque()
        self._walking = False

    @property
    def is_full(self) -> bool:
        return self.open >= self.door.limits.tunnels

    def add(self, tunnel: Tunnel) -> None:
        self._slice_of(tunnel).add(tunnel)
        self.open += 1
        self.door.values[TUNNELS_OPENED] += 1
        self.door.values[TUNNELS_OPEN] = self.open

    def ended(self, by: int) -> None:
        self.open -= 1
        self.door.values[TUNNELS_ENDED + by] += 1
        self.door.values[TUNNELS_OPEN] = self.open

    def forget(self, tunnel: Tunnel) -> None:
        self._slice_of(tunnel).discard(tunnel)

    def _slice_of(self, tunnel: Tunnel) -> set[Tunnel]:
        return self._slices[id(tunnel) >> 6 & TURNS - 1]

    def sweep(self, tick_s: float) -> None:
        """Called each tick."""
        self._turn = (self._turn + 1) % TURNS
        now = self.door.now
        for tunnel in tuple(self._slices[self._turn]):
            tunnel.look(tick_s, now)

    def look_again(self) -> None:
        """The snapshot or the settings have changed: whoever would not come through any more is ended soon."""
        self._due = deque([tunnel for each in self._slices for tunnel in each])
        if self._due and not self._walking:
            self._walking = True
            self.door.loop.call_soon(self._walk)

    def _walk(self) -> None:
        due, snapshot = self._due, self.door.snapshot
        until = perf_counter() + SLICE_S
        while due and perf_counter() < until:
            due.popleft().decide_again(snapshot)
        if due:
            self.door.loop.call_soon(self._walk)
        else:
            self._walking = False

    def end_all(self) -> None:
        """The worker ends."""
        for each in self._slices:
            for tunnel in tuple(each):
                tunnel.end_with_worker()
