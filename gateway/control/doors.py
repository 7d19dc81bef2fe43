"""Control's end of the control socket: doors and the engine follow the overlay here, the command line asks here.

A door says hello with the number it has and gets the overlay when that is another one; it acknowledges each, asks
for keys it does not know, and sends its counters each second. Whoever sends nonsense is answered with nothing:
every field is checked before it is used, because a door of another version may be at the other end of a reload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway import telemetry
from gateway.control.overlay import LARGEST, Overlay
from gateway.counters import Merged
from gateway.link import Link, LinkServer, Message

SOCKET: Final = "control.sock"
WANTS_LIMIT: Final = 256  # questions for keys under way, per connection


@dataclass(slots=True)
class Follower:
    """A connected role: what it said in its hello and has acknowledged since."""

    role: str
    slot: int
    pid: int
    base: str
    seq: int
    wants: int = 0


class Doors:
    """The control socket. ``want_key`` fetches a key for an issuer by name; ``status`` answers the command line."""

    def __init__(
        self,
        folder: Path,
        merged: Merged,
        want_key: Callable[[str, str], Awaitable[None]],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._server = LinkServer(folder / SOCKET, self._on_message, self._on_close)
        self._merged = merged
        self._want_key = want_key
        self._status = status
        self._followers: dict[Link, Follower] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self.overlay = Overlay(folder, self._announce)

    async def start(self) -> None:
        await self._server.start()

    def close(self) -> None:
        for errand in self._errands:
            errand.cancel()
        self._server.close()

    @property
    def followers(self) -> list[Follower]:
        return sorted(self._followers.values(), key=lambda each: (each.role, each.slot, each.pid))

    @property
    def connected(self) -> int:
        """How many doors follow."""
        return sum(each.role == "door" for each in self._followers.values())

    @property
    def live_seq(self) -> int:
        """The number every connected door has acknowledged: what is live."""
        seqs = [each.seq for each in self._followers.values() if each.role == "door"]
        return min(seqs, default=self.overlay.seq)

    def _announce(self, message: Message) -> None:
        for link in tuple(self._followers):
            link.send(message)

    def _on_message(self, link: Link, message: Message) -> None:
        follower = self._followers.get(link)
        match message["t"]:
            case "hello":
                self._greet(link, message)
            case "status":
                link.send({"t": "status", **self._status()})
            case "ack" if follower is not None:
                follower.seq = _number(message, "seq")
            case "want_key" if follower is not None:
                self._fetch_for(link, follower, message)
            case "stats" if follower is not None and follower.role == "door":
                self._count(follower, message)
            case unknown:
                telemetry.log("message_ignored", level="warning", type=unknown, peer_pid=link.peer.pid)

    def _on_close(self, link: Link) -> None:
        follower = self._followers.pop(link, None)
        if follower is not None:
            self._merged.retire(follower.pid)

    def _greet(self, link: Link, message: Message) -> None:
        seq = _number(message, "seq")
        follower = Follower(
            str(message.get("role", "")), _number(message, "slot"), link.peer.pid, str(message.get("base", "")), seq
        )
        self.overlay.lift(seq)
        self._followers[link] = follower
        if seq == 0 or (seq != self.overlay.seq and not self.overlay.blank):
            link.send(self.overlay.message())

    def _fetch_for(self, link: Link, follower: Follower, message: Message) -> None:
        """Answer `key_done` when the overlay that may hold the key is on its way on this same connection."""
        if follower.wants >= WANTS_LIMIT:
            link.send({"t": "key_done", "id": message.get("id")})
            return
        follower.wants += 1
        errand = asyncio.get_running_loop().create_task(self._run_errand(link, follower, message))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _run_errand(self, link: Link, follower: Follower, message: Message) -> None:
        try:
            await self._want_key(str(message.get("issuer", "")), str(message.get("kid") or ""))
        finally:
            follower.wants -= 1
            link.send({"t": "key_done", "id": message.get("id")})

    def _count(self, follower: Follower, message: Message) -> None:
        values = message.get("counters")
        if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
            return
        if not self._merged.put(follower.pid, values):
            telemetry.log("counters_ignored", level="warning", slot=follower.slot, why="of another version")


def _number(message: Message, name: str) -> int:
    value = message.get(name)
    return value if type(value) is int and 0 <= value <= LARGEST else 0
