"""What a worker has left of descriptors and memory, so that neither runs out: what cannot be served is refused while
what is open stays well.

Descriptors are counted, not listed: what the worker holds by itself was looked up before its first client, and every
connection since then is known. A quarter is kept for the way upstream, because idle clients must not be able to take
it; a few more are for neither, because a worker that cannot open its next audit segment refuses everything.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway import telemetry
from gateway.config import Limits
from gateway.counters import RESIDENT_BYTES, SHEDDING

if TYPE_CHECKING:
    from gateway.door.worker import Door

RESERVED: Final = 64  # descriptors that neither clients nor upstreams get: audit segments, links, files of settings
CLIENTS_PART: Final = 0.75  # of the descriptors; the rest is for the way upstream
RECOVERED_PART: Final = 0.9  # of `limits.memory`: below it, requests are served again
DESCRIPTORS: Final = Path("/proc/self/fd")
STATM: Final = Path("/proc/self/statm")
PAGE_BYTES: Final = resource.getpagesize()
SHEDDING_SAID: Final[dict[bool, tuple[str, telemetry.Level]]] = {
    True: ("memory_short", "error"), False: ("memory_recovered", "info")
}  # fmt: skip


class Room:
    """What a worker has left of descriptors and memory. ``own`` is how many descriptors it holds by itself."""

    __slots__ = ("clients_most", "descriptors", "limit", "memory", "own", "resident", "shedding")

    def __init__(self, limits: Limits, own: int, limit: int) -> None:
        self.own = own
        self.limit = limit  # of the process: RLIMIT_NOFILE
        self.resident = 0  # bytes
        self.shedding = False  # too much memory is in use: what comes new is refused
        self.configure(limits)

    def configure(self, limits: Limits) -> None:
        self.memory = limits.memory_bytes
        self.descriptors = max(2, self.limit - self.own - RESERVED)  # for clients and upstreams
        self.clients_most = min(limits.connections, max(1, int(self.descriptors * CLIENTS_PART)))
        if not self.memory:
            self.shedding = False

    def say_if_short(self, limits: Limits) -> None:
        """Where clients get fewer connections than they were promised, the operator should know why."""
        if self.clients_most < limits.connections:
            said = {"connections": self.clients_most, "wanted": limits.connections}
            telemetry.log("descriptors_short", level="warning", descriptors=self.limit, **said)

    def has_for_client(self, clients: int, upstreams: int) -> bool:
        """Whether one more client fits beside ``clients`` and ``upstreams`` open connections."""
        return clients < self.clients_most and clients + upstreams < self.descriptors

    def has_for_upstream(self, clients: int, upstreams: int) -> bool:
        """Whether ``upstreams`` connections, one that is being made included, fit beside those of clients."""
        return clients + upstreams <= self.descriptors

    def measure(self, resident: int) -> bool:
        """Take the memory in use, bytes. True when shedding has begun or ended."""
        self.resident = resident
        before = self.shedding
        if self.memory:
            self.shedding = resident >= self.memory * (RECOVERED_PART if before else 1.0)
        return self.shedding != before


def room_of_process(limits: Limits) -> Room:
    """Called once what the worker itself needs is open, and no client is."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Room(limits, len(os.listdir(DESCRIPTORS)), soft if soft > 0 else 1 << 30)


def resident_bytes() -> int:
    """The physical memory of this process (Linux: the second number of `/proc/self/statm`, in pages)."""
    return int(STATM.read_bytes().split()[1]) * PAGE_BYTES


def look_at_room(door: Door) -> None:
    """Measure the memory in use, and say so when the worker begins to refuse what comes new, or ends it."""
    room = door.room
    changed = room.measure(resident_bytes())
    door.values[RESIDENT_BYTES] = room.resident
    door.values[SHEDDING] = int(room.shedding)
    if changed:
        event, level = SHEDDING_SAID[room.shedding]
        telemetry.log(event, level=level, resident_bytes=room.resident, limit_bytes=room.memory)
