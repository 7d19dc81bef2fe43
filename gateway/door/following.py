"""What a worker hears: bases from the engine, overlays and answers from control. What it says: counters, questions.

Both links may be away at any time. Without the engine the last base stays, from disk at the start; without control
the keys that are known stay within their limits, and whoever waits for a new one is told so at once. Hearing either
ends in the same act: one `Snapshot` replaces another.

A new base is taken in slices, one per turn of the loop, so that a request waits for a slice at the most.
"""

from __future__ import annotations

import asyncio
import os
import time
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from gateway import counters, telemetry
from gateway.door.assertions import Assertions
from gateway.door.under_way import UnderWay
from gateway.door.vouching import key_in
from gateway.identity.assertion import SharedKey
from gateway.identity.jwks import KeyRing, read_keys
from gateway.identity.session import read_keys as read_keys_of_sessions
from gateway.link import LinkClient
from gateway.snapshot import BaseLoader, SnapshotFault

if TYPE_CHECKING:
    from gateway.door.worker import Door

ASK_AGAIN_S = 1.0
AHEAD_S = 5  # of the clock: corrections are smaller


class Following:
    """The two links of one worker."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.overlay_heard = asyncio.Event()
        self.base_taken = asyncio.Event()
        folder = door.ctx.state_folder
        self._loader = BaseLoader(folder)
        self._loading = False
        self.assertion_key: SharedKey | None = None  # control's, by which it knows what this door says of callers
        self.assertions = Assertions(lambda: door.settings.central_host)
        self._under_way = UnderWay(door)
        self._is_ahead = False
        self._base_s = door.tick_s
        self._overlay_s = door.tick_s
        self._engine = LinkClient(folder / "engine.sock", self._hello, self.from_engine)
        self._control = LinkClient(folder / "control.sock", self._hello, self._from_control, self._control_state)

    def start(self) -> None:
        self._engine.start()
        self._control.start()

    def close(self) -> None:
        self.send_counters()
        self._engine.close()
        self._control.close()

    def ask_control(self, message: dict[str, object]) -> bool:
        return self._control.send(message)

    def each_second(self) -> None:
        self._look_at_clock()
        self._under_way.look_again()
        self.door.sessions.people.tell()
        self.send_counters()

    def _look_at_clock(self) -> None:
        """What has ended does not begin again when the clock is set back (`Door.now`): tokens that are good elsewhere
        are refused here until it has caught up, and nobody would guess why."""
        door = self.door
        ahead_s = max(0, door.now - int(time.time()))
        door.values[counters.CLOCK_AHEAD_S] = ahead_s
        if (ahead_s > AHEAD_S) != self._is_ahead:
            self._is_ahead = not self._is_ahead
            if self._is_ahead:
                telemetry.log("clock_set_back", level="error", seconds=ahead_s)
            else:
                telemetry.log("clock_caught_up")

    def send_counters(self) -> None:
        """The ages say how long each side has been away."""
        door = self.door
        if self._engine.connected:
            self._base_s = door.tick_s
        if self._control.connected:
            self._overlay_s = door.tick_s
        door.values[counters.SNAPSHOT_AGE_S] = int(door.tick_s - self._base_s)
        door.values[counters.OVERLAY_AGE_S] = int(door.tick_s - self._overlay_s)
        if self._control.connected:
            told = {"t": "stats", "slot": door.ctx.slot, "base": door.snapshot.base, "counters": door.counters.take()}
            self._control.send(told)
            self._tell_sightings()

    def _tell_sightings(self) -> None:
        sightings = self.door.callers.sightings
        if not self.door.settings.sightings_s:  # nobody is to remember them
            sightings.forget()
        elif (message := sightings.take()) is not None:
            self._control.send(message)

    def _hello(self) -> dict[str, Any]:
        door = self.door
        return {
            "t": "hello",
            "role": "door",
            "slot": door.ctx.slot,
            "pid": os.getpid(),
            "base": door.snapshot.base,
            "seq": door.snapshot.seq,
            "endpoints": door.pool.states,
        }

    # === the base ===

    def load_from_disk(self) -> None:
        """The last good base serves at once, with the engine away too."""
        try:
            table = self._loader.load()
        except SnapshotFault as fault:
            telemetry.log("base_unreadable", level="error", why=str(fault))
            return
        if self._loader.fault:
            telemetry.log("base_unreadable", level="error", why=self._loader.fault)
        self.door.snapshot = self.door.snapshot.replaced(table=table, base=self._loader.base)
        if table.ready:
            self.base_taken.set()

    def from_engine(self, message: dict[str, Any]) -> None:
        if message["t"] == "base":
            self._loader.begin(message)
            if not self._loading:
                self._loading = True
                self.door.loop.call_soon(self._load_slice)
        elif message["t"] == "endpoints":
            down = [(str(key), str(url), float(for_s)) for key, url, for_s in message["down"]]
            self.door.pool.take_states(int(message["n"]), down)

    def _load_slice(self) -> None:
        door = self.door
        table = self._loader.step()
        if table is not None:
            door.snapshot = door.snapshot.replaced(table=table, base=self._loader.base)
            door.pool.table_changed()
            door.tunnels.look_again()
            self.base_taken.set()
            self._engine.send({"t": "ack", "base": self._loader.base})
            self.send_counters()  # with them control hears which base is served
        if self._loader.busy:
            door.loop.call_soon(self._load_slice)
            return
        self._loading = False
        if self._loader.fault:
            telemetry.log("base_unreadable", level="error", why=self._loader.fault)
            door.loop.call_later(ASK_AGAIN_S, self._ask_for_whole)

    def _ask_for_whole(self) -> None:
        """Say that there is no base here: the engine mends what is on disk and sends all of it."""
        self._engine.send(self._hello() | {"base": ""})

    # === the overlay ===

    def _control_state(self, connected: bool) -> None:
        if connected:
            self.door.errands.control_found()
        else:
            self.door.callers.control_lost()
            self.door.sessions.facts.control_lost()
            self.door.errands.control_lost()

    def _from_control(self, message: dict[str, Any]) -> None:
        if message["t"] == "overlay":
            self.take_overlay(message)
        elif message["t"] == "assertion_key":
            self.assertion_key = key_in(message)
        elif message["t"] == "session_keys":
            self._take_session_keys(message)
        elif message["t"] == "sessions":
            if self.door.sessions.facts.take(message.get("facts", ())):
                self.door.tunnels.look_again()
                self._under_way.look_again()
        elif message["t"] in ("redeemed", "signed_out"):
            self.door.errands.answered(message)
        elif message["t"] == "key_done":
            self.door.callers.answered(int(message["id"]))
        elif message["t"] == "introspected":
            answer = str(message["answer"]).encode()
            self.door.callers.introspected(int(message["id"]), answer, int(message["until"]), self.door.snapshot)

    def _take_session_keys(self, message: dict[str, Any]) -> None:
        keys = read_keys_of_sessions(message)
        if keys is None:
            telemetry.log("session_keys_refused", level="error", why="control sent what are no keys")
        else:
            self.door.sessions.keys = keys
            self.assertions.take([(str(kid), b64decode(key)) for kid, key in message["keys"]])

    def take_overlay(self, message: dict[str, Any]) -> None:
        """The whole overlay; it is small."""
        door = self.door
        keys = KeyRing()
        algorithms = {issuer.name: issuer.algorithms for issuer in door.settings.issuers}
        for name, held in message["keys"].items():
            if name in algorithms:
                usable, _ = read_keys(held["jwks"], algorithms[name])
                keys = keys.with_issuer(name, usable, int(held["at"]))
        seq = int(message["seq"])
        door.sessions.facts.take_ended(message, door.snapshot.seq)
        not_before = {str(subject): int(since) for subject, since in message.get("not_before", {}).items()}
        denied, shut = frozenset(message.get("denied", ())), frozenset(message.get("shut", ()))
        door.snapshot = door.snapshot.replaced(keys=keys, seq=seq, denied=denied, not_before=not_before, shut=shut)
        door.tunnels.look_again()
        self._under_way.look_again()
        self.overlay_heard.set()
        self._control.send({"t": "ack", "seq": seq})
