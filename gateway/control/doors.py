"""Control's end of the control socket: doors and the engine follow the overlay here, the command line asks here.

A door says hello with the number it has and gets the overlay when that is another one; it acknowledges each, asks
for keys it does not know and for issuers' words about tokens, and sends its counters each second. Whoever sends
nonsense is answered with nothing: every field is checked before it is used, because a door of another version may be
at the other end of a reload.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway import telemetry
from gateway.control.heard import NOTHING_HEARD, Heard
from gateway.control.introspection import NONE, Answer
from gateway.control.overlay import LARGEST, Overlay
from gateway.control.sightings import Sightings
from gateway.counters import LOOP_LAG_MAX_US, Merged
from gateway.identity.tokens import TOKEN_LIMIT_BYTES
from gateway.link import Link, LinkServer, Message, PeerCredentials

SOCKET: Final = "control.sock"
WANTS_LIMIT: Final = 256  # questions for keys under way, per connection
TOKENS_LIMIT: Final = 1024  # questions about tokens
STALLS_KEPT: Final = 60  # a worker sends one peak a second: its longest stall is that of the last minute


@dataclass(slots=True)
class Follower:
    """A connected role: what it said in its hello, has acknowledged and, of a door, has counted since."""

    role: str
    slot: int
    pid: int
    base: str
    seq: int
    wants: int = 0
    tokens: int = 0
    values: list[int] = field(default_factory=list)  # its newest counters; none before the first
    stalls_us: deque[int] = field(default_factory=lambda: deque(maxlen=STALLS_KEPT))
    catalogs: list[dict[str, Any]] = field(default_factory=list)  # of the engine: how its catalogs are
    devices: list[dict[str, Any]] = field(default_factory=list)  # of the engine: how its network devices stand
    heard_s: float = 0.0  # when the newest counters came, on the monotonic clock


class Doors:
    """The control socket. ``want_key`` fetches a key for an issuer by name, ``introspect`` asks one about a token;
    ``status`` answers the command line."""

    def __init__(
        self,
        folder: Path,
        merged: Merged,
        want_key: Callable[[str, str], Awaitable[None]],
        introspect: Callable[[str, str], Awaitable[Answer]],
        status: Callable[[], dict[str, Any]],
        greeting: Callable[[], list[Message]] | None = None,
        about_sessions: Callable[[Callable[[Message], object], Message], None] | None = None,
    ) -> None:
        self._server = LinkServer(folder / SOCKET, self._on_message, self._on_close)
        self._merged = merged
        self._want_key = want_key
        self._introspect = introspect
        self._status = status
        self._greeting = greeting  # what a door is told before anything else
        self._about_sessions = about_sessions  # answers what doors ask about people's sessions
        self.acts: Callable[[Message, PeerCredentials], Awaitable[Message]] | None = None  # of administrators
        self._followers: dict[Link, Follower] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self.overlay = Overlay(folder, self._announce)
        self.sightings = Sightings(folder, time.time)
        self.heard_of_devices = NOTHING_HEARD  # kept while the engine is away

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
    def bases(self) -> list[dict[str, Any]]:
        """What each door has acknowledged."""
        return [{"slot": each.slot, "base": each.base} for each in self.followers if each.role == "door"]

    @property
    def catalogs(self) -> list[dict[str, Any]]:
        """What the engine that is connected says of its catalogs."""
        return [each for follower in self._followers.values() for each in follower.catalogs]

    @property
    def devices(self) -> list[dict[str, Any]]:
        """What the engine that is connected says of its network devices."""
        return [each for follower in self._followers.values() for each in follower.devices]

    @property
    def connected(self) -> int:
        """How many doors follow."""
        return sum(each.role == "door" for each in self._followers.values())

    @property
    def serving(self) -> int:
        """How many of them decide by a published base; the others refuse everything as `policy_unavailable`."""
        return sum(each.role == "door" and bool(each.base) for each in self._followers.values())

    @property
    def live_seq(self) -> int:
        """The number every connected door has acknowledged: what is live."""
        seqs = [each.seq for each in self._followers.values() if each.role == "door"]
        return min(seqs, default=self.overlay.seq)

    def tell(self, message: Message) -> None:
        """All doors, and nobody else: of what they do not know already."""
        for link, follower in tuple(self._followers.items()):
            if follower.role == "door":
                link.send(message)

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
            case "introspect" if follower is not None:
                self._ask_about(link, follower, message)
            case "stats" if follower is not None and follower.role == "door":
                self._count(follower, message)
            case "sessions" | "found" | "redeem" | "sign_out" if follower is not None and follower.role == "door":
                if self._about_sessions is not None:
                    self._about_sessions(link.send, message)
            case "sightings" if follower is not None and follower.role == "door":
                self.sightings.take(message)
            case "cut" | "lift_cut" | "cuts" | "pins" | "confirm_pin" | "unpin" if self.acts is not None:
                self._start(self._act(self.acts, link, message))
            case "save_sightings":
                self._start(self._save_sightings(link))
            case "catalogs" if follower is not None and follower.role == "engine":
                follower.catalogs = _objects(message, "catalogs")
                follower.devices = _objects(message, "devices")
                self.heard_of_devices = Heard(follower.devices, time.time())
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
        if self._greeting is not None and follower.role == "door":
            for said in self._greeting():
                link.send(said)
        if seq == 0 or (seq != self.overlay.seq and not self.overlay.blank):
            link.send(self.overlay.message())

    def _fetch_for(self, link: Link, follower: Follower, message: Message) -> None:
        """Answer `key_done` when the overlay that may hold the key is on its way on this same connection."""
        if follower.wants >= WANTS_LIMIT:
            link.send({"t": "key_done", "id": message.get("id")})
            return
        follower.wants += 1
        self._start(self._run_errand(link, follower, message))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        errand = asyncio.get_running_loop().create_task(coroutine)
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _run_errand(self, link: Link, follower: Follower, message: Message) -> None:
        try:
            await self._want_key(str(message.get("issuer", "")), str(message.get("kid") or ""))
        finally:
            follower.wants -= 1
            link.send({"t": "key_done", "id": message.get("id")})

    def _ask_about(self, link: Link, follower: Follower, message: Message) -> None:
        """Answer `introspected`. The token is in this message and nowhere else."""
        issuer, token = message.get("issuer"), message.get("token")
        if not isinstance(issuer, str) or not isinstance(token, str) or not 0 < len(token) <= TOKEN_LIMIT_BYTES:
            return
        if follower.tokens >= TOKENS_LIMIT:
            link.send(_introspected(message, NONE))
            return
        follower.tokens += 1
        self._start(self._run_question(link, follower, message, issuer, token))

    async def _run_question(self, link: Link, follower: Follower, message: Message, issuer: str, token: str) -> None:
        answer = NONE
        try:
            answer = await self._introspect(issuer, token)
        finally:
            follower.tokens -= 1
            link.send(_introspected(message, answer))

    async def _act(
        self, acts: Callable[[Message, PeerCredentials], Awaitable[Message]], link: Link, message: Message
    ) -> None:
        link.send(await acts(message, link.peer))

    async def _save_sightings(self, link: Link) -> None:
        """Answer `sightings_saved` once the file holds all that is known."""
        fault = await self.sightings.save()
        link.send({"t": "sightings_saved", "fault": fault})

    def _count(self, follower: Follower, message: Message) -> None:
        values = message.get("counters")
        if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
            return
        if not self._merged.put(follower.pid, values):
            telemetry.log("counters_ignored", level="warning", slot=follower.slot, why="of another version")
            return
        follower.values, follower.heard_s = values, time.monotonic()
        follower.stalls_us.append(values[LOOP_LAG_MAX_US])
        if isinstance(base := message.get("base"), str):
            follower.base = base


def _introspected(message: Message, answer: Answer) -> Message:
    text = answer.text.decode()  # what `read_answer` took is UTF-8
    return {"t": "introspected", "id": message.get("id"), "answer": text, "until": answer.until}


def _number(message: Message, name: str) -> int:
    value = message.get(name)
    return value if type(value) is int and 0 <= value <= LARGEST else 0


def _objects(message: Message, name: str) -> list[dict[str, Any]]:
    value = message.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
