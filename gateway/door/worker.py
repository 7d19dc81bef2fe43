"""The door role: one worker process, its event loop, and what all its connections share.

Start: read the last good base from disk, hear control's keys, then accept. Serve: follow the engine's bases and
control's overlays, swap one reference. End: once the node announces it, answer with `Connection: close`; then stop
accepting, let running exchanges finish, leave. Nothing here is on a request's way but the values it reads (`snapshot`,
`tick_s`, `now`, `values`).

One timer, the tick, does everything periodic: the clock that requests read, the sweep over deadlines (a sixteenth of
the connections each time), pool and cache upkeep, counters to control, and the lag gauge: how late it came itself.

The clock: ``now`` is ``max(last, wall)``, so a step back revives nothing; deadlines run on the loop's monotonic
clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final

import uvloop

from gateway import counters, telemetry
from gateway.audit.writer import AuditWriter
from gateway.child import DRAINING
from gateway.config import Settings
from gateway.door.arrivals import Arrivals
from gateway.door.callers import Callers
from gateway.door.downstream import Downstream
from gateway.door.errands import Errands
from gateway.door.following import Following
from gateway.door.limits import Guard, Paced
from gateway.door.listener import Listening
from gateway.door.peer import Peer
from gateway.door.pool import Pool
from gateway.door.room import look_at_room, room_of_process
from gateway.door.sessions import Sessions
from gateway.door.tuning import settle
from gateway.door.tunnels import Tunnels
from gateway.door.turns import Turns
from gateway.identity.jwks import KeyRing
from gateway.link import RoleContext
from gateway.snapshot import Snapshot

TICK_S: Final = 0.02
SWEEP_SLICES: Final = 16  # every connection is looked at each 320 ms
MEMORY_TICKS: Final = 12  # every 240 ms the memory in use is looked at
FIRST_S: Final = 3.0  # an accept queue waits this long for the first base and overlay
NEVER: Final = float("inf")
LAST_TURNS: Final = 100  # of the loop, in which cut connections say that they are lost


def run(ctx: RoleContext) -> None:
    """Serve until told to stop. Blocks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(ctx))


async def _serve(ctx: RoleContext) -> None:
    await Door(ctx).serve()


class Door:
    """What the connections of one worker share. Made inside the running loop."""

    def __init__(self, ctx: RoleContext) -> None:
        self.ctx = ctx
        self.settings: Settings = ctx.settings
        self.limits, self.timeouts = ctx.settings.limits, ctx.settings.timeouts
        self.node = ctx.node
        self.loop = asyncio.get_running_loop()
        self.counters = counters.Counters()
        self.values = self.counters.values
        self.draining = False
        # the clocks, set by the tick
        self.tick_s = time.monotonic()
        self.now = int(time.time())
        self.wall_offset_ns = time.time_ns() - time.perf_counter_ns()
        # what requests read
        self.snapshot = Snapshot.allow_none(KeyRing())
        folder = Path(ctx.settings.audit.folder) if ctx.settings.audit.folder else ctx.state_folder / "audit"
        self.audit = AuditWriter(folder, f"door-{ctx.slot}", ctx.settings.audit.sync)
        self.append_record = self.audit.append
        self.callers = Callers(
            ctx.settings.issuers, self.limits.cached_tokens, self.counters, lambda: self.now, self._ask_control
        )
        self.sessions = Sessions(self)
        self.errands = Errands(self)
        self.pool = Pool(self)
        self.tunnels = Tunnels(self)
        self.turns = Turns(self.loop)
        self.arrivals = Arrivals(self)
        self.guard = Guard(self.limits, self.settings.workers)
        self.room = room_of_process(self.limits)
        self.paced = Paced()
        self._listening = [
            Listening(self, each, self.limits) for each in ctx.settings.listeners if each.name in ctx.sockets
        ]
        self._slices: list[set[Downstream]] = [set() for _ in range(SWEEP_SLICES)]  # connections, for the sweep
        self._connections = 0
        self._clients = 0  # these, and those that are arriving
        self._ticks = 0
        # request ids: a prefix nobody else has, and a counter
        self._id_prefix = b"%x-%x-" % (time.time_ns() // 1_000_000, os.getpid())
        self._ids = 0
        self.following = Following(self)
        self._stopped = asyncio.Event()
        self._finish_by_s = NEVER

    # === life ===

    async def serve(self) -> None:
        self.audit.start()
        self.following.load_from_disk()
        self.following.start()
        parent = self.ctx.parent
        parent.on_line = self._told
        parent.start()
        self._tick()
        # Accepting before a policy and the issuers' keys are here would make the first callers pay for it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                await self.following.base_taken.wait()
                if self.settings.issuers:
                    await self.following.overlay_heard.wait()
        self.room = room_of_process(self.limits)
        self.room.say_if_short(self.limits)
        for listening in self._listening:
            listening.start(self.ctx.sockets[listening.listener.name])
        settle()
        parent.recorded(not self.audit.failed)
        parent.ready()
        telemetry.log("door_ready", slot=self.ctx.slot, base=self.snapshot.base, pid=os.getpid())
        await self._stopped.wait()
        await self._cut_all()
        self.following.close()
        self.pool.close()
        self.audit.close()

    def _told(self, word: str, rest: list[str]) -> None:
        """A line from the supervisor."""
        if word == "drain":
            self._drain()
        elif word == "stop":
            self._drain()
            self._stopped.set()
        elif word == "settings":
            self._configure(rest[0])

    def _configure(self, name: str) -> None:
        """Take validated settings. Addresses, worker count and state folder stay as they were started."""
        try:
            settings = self.ctx.read_settings(name)
            by_name = {listener.name: listener for listener in settings.listeners}
            renewed = [(listening, by_name[listening.listener.name]) for listening in self._listening]
            for listening, listener in renewed:
                listening.check(listener)
            self.pool.configure(settings)
        except (OSError, ValueError, KeyError) as error:  # ssl.SSLError is an OSError
            telemetry.log("settings_refused", level="error", name=name, why=str(error))
            return
        for listening, listener in renewed:
            listening.configure(listener, settings.limits)
        self.settings = settings
        self.limits = settings.limits
        self.timeouts = settings.timeouts
        self.guard.configure(settings.limits, settings.workers)
        self.room.configure(settings.limits)
        self.callers.configure(settings.issuers)
        self.sessions.configure(settings)
        self.tunnels.look_again()
        telemetry.log("settings_taken", name=name)

    def _drain(self) -> None:
        """Stop accepting, and finish what runs."""
        if self._finish_by_s == NEVER:
            self._finish_by_s = self.tick_s + self.timeouts.drain_finish_s
            for listening in self._listening:
                listening.stop()
            self._wind_down()

    def _wind_down(self) -> None:
        """Every answer is the last of its connection from here on, and what idles ends: a load balancer that keeps
        connections would go on sending requests over them."""
        self.draining = True
        for connection in self.connections():
            connection.drain()

    async def _cut_all(self) -> None:
        """End what is still open. Each exchange leaves its record while the trail is open."""
        for listening in self._listening:
            listening.stop()
        self.arrivals.end_all()
        for connection in self.connections():
            connection.cut()
        self.tunnels.end_all()
        for _ in range(LAST_TURNS):
            if not self._clients:
                break
            await asyncio.sleep(0)

    # === connections ===

    def admit(self, peer: Peer) -> bool:
        """False when there is no room for one connection more: those that are open stay well. A load balancer in
        front is let in while memory is short, so that its monitors and its clients hear of it."""
        if (
            self.room.has_for_client(self._clients, self.values[counters.UPSTREAM_OPEN])
            and (peer.trusted or not self.room.shedding)
            and self.guard.connect(peer.network, peer.trusted, self.tick_s)
        ):
            self._clients += 1
            return True
        self.values[counters.DOWNSTREAM_REFUSED] += 1
        return False

    def depart(self, peer: Peer) -> None:
        """A connection that was admitted came to nothing, or has ended."""
        self._clients -= 1
        self.guard.disconnect(peer.network)
        self.turns.leave(peer.network, peer.trusted)

    def keep(self, connection: Downstream) -> None:
        self._slices[id(connection) >> 6 & SWEEP_SLICES - 1].add(connection)
        self._connections += 1
        self.values[counters.DOWNSTREAM_OPENED] += 1
        self.values[counters.DOWNSTREAM_OPEN] = self._connections

    def dismiss(self, connection: Downstream) -> None:
        self.hand_over(connection)
        self.depart(connection.peer)

    def hand_over(self, connection: Downstream) -> None:
        """It ended, or is a tunnel's from now on, whose end is its departure."""
        self._slices[id(connection) >> 6 & SWEEP_SLICES - 1].discard(connection)
        self._connections -= 1
        self.values[counters.DOWNSTREAM_OPEN] = self._connections

    def connections(self) -> list[Downstream]:
        return [each for connections in self._slices for each in connections]

    def has_for_upstream(self) -> bool:
        """Whether there is a descriptor for the upstream connection that is being made."""
        return self.room.has_for_upstream(self._clients, self.values[counters.UPSTREAM_OPEN])

    def next_request_id(self) -> bytes:
        self._ids += 1
        return b"%b%x" % (self._id_prefix, self._ids)

    # === the tick ===

    def _tick(self) -> None:
        tick_s = time.monotonic()
        late_s = tick_s - self.tick_s - TICK_S
        if late_s > 0:
            self.counters.lagged(int(late_s * 1_000_000))
        self.tick_s = tick_s
        wall_ns = time.time_ns()
        self.wall_offset_ns = wall_ns - time.perf_counter_ns()
        self.now = max(self.now, wall_ns // 1_000_000_000)
        self._ticks += 1
        for connection in tuple(self._slices[self._ticks % SWEEP_SLICES]):
            if connection.deadline_s <= tick_s:
                connection.on_deadline()
            if connection.retire_s <= tick_s:
                connection.retire()
        self.arrivals.sweep(tick_s)
        self.tunnels.sweep(tick_s)
        self.pool.sweep(tick_s)
        self.paced.release(tick_s)
        if self._ticks % MEMORY_TICKS == 0:
            look_at_room(self)
        if self._ticks % 50 == 0:
            self._each_second()
        if self.draining:
            if self._finish_by_s < NEVER and (not self._clients or tick_s >= self._finish_by_s):
                self._stopped.set()
                return
        elif self.node.value == DRAINING:
            self._wind_down()  # the node has announced its end, and still accepts
        self.loop.call_later(TICK_S, self._tick)

    def _each_second(self) -> None:
        self.callers.sweep()
        self.sessions.facts.sweep()
        values = self.values
        values[counters.DESCRIPTORS_OPEN] = self.room.own + self._clients + values[counters.UPSTREAM_OPEN]
        values[counters.AUDIT_QUEUED] = self.audit.queued
        values[counters.AUDIT_FAILED] = int(self.audit.failed)
        self.ctx.parent.recorded(not self.audit.failed)
        self.following.each_second()

    def _ask_control(self, message: dict[str, object]) -> bool:
        return self.following.ask_control(message)
