"""What administrators do over the control socket: cut off, lift a cut, list the cuts; list, confirm and remove pins.
The kernel says who asks.

A cut is answered when it is remembered and every door of the node has acknowledged it, or after a moment without that:
what is not live yet is said, never assumed.
"""

from __future__ import annotations

import asyncio
import pwd
import time
from typing import Any, Final

from gateway.control.cuts import CutRefused, Cuts
from gateway.control.doors import Doors
from gateway.control.signin.pins import PinRefused, Pins
from gateway.control.store import Cut
from gateway.link import Message, PeerCredentials

LIVE_S: Final = 3.0
LOOK_S: Final = 0.005
OF_PINS: Final = frozenset(("pins", "confirm_pin", "unpin"))
TAKEN: Final = frozenset(("cut", "lift_cut", "cuts", *OF_PINS))


class Acts:
    """``workers``: how many doors the node has. One that has not met this control yet has acknowledged nothing."""

    def __init__(self, cuts: Cuts, pins: Pins, doors: Doors, workers: int) -> None:
        self._cuts = cuts
        self._pins = pins
        self._doors = doors
        self._workers = workers

    async def answer(self, message: Message, peer: PeerCredentials) -> Message:
        """The answer to one of `TAKEN`."""
        if message["t"] in OF_PINS:
            return await self._about_pins(message, _named(peer))
        if message["t"] == "cuts":
            return {"t": "cuts_are", "cuts": [as_json(each) for each in self._cuts.listed]}
        began = time.monotonic()
        act = self._cuts.cut if message["t"] == "cut" else self._cuts.lift
        said = [str(message.get(name, "")) for name in ("kind", "ref", "because")]
        try:
            cut = act(said[0], said[1], said[2], _named(peer))
        except CutRefused as refused:
            return {"t": "cut_refused", "why": str(refused)}
        live = await self._live(self._doors.overlay.seq, began + LIVE_S)
        return {
            "t": "cut_done", "cut": as_json(cut), "live": live, "doors": self._workers,
            "took_ms": int((time.monotonic() - began) * 1000),
        }  # fmt: skip

    async def _about_pins(self, message: Message, by: str) -> Message:
        said = {name: str(message.get(name, "")) for name in ("issuer", "user", "subject", "because")}
        try:
            if message["t"] == "pins":
                return {"t": "pins_are", **await self._pins.listed(said["user"])}
            if message["t"] == "unpin":
                done = await self._pins.remove(said["issuer"], said["user"], said["because"], by)
            else:
                done = await self._pins.confirm(said["issuer"], said["user"], said["subject"], said["because"], by)
        except (CutRefused, PinRefused) as refused:
            return {"t": "pin_refused", "why": str(refused)}
        return {"t": "pin_done", **done}

    async def _live(self, seq: int, until: float) -> bool:
        while self._doors.connected < self._workers or self._doors.live_seq < seq:
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(LOOK_S)
        return True


def as_json(cut: Cut) -> dict[str, Any]:
    """Times are epoch seconds."""
    return {
        "kind": cut.kind, "ref": cut.ref, "because": cut.because, "by": cut.by, "since": cut.not_before - 1,
        "lifted": cut.lifted,
    }  # fmt: skip


def _named(peer: PeerCredentials) -> str:
    try:
        return pwd.getpwuid(peer.uid).pw_name
    except KeyError:
        return f"uid {peer.uid}"
