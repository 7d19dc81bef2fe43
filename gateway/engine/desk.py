"""What is asked of the engine: how it is, what became of an entry, to look at the catalogs now, to let go of losses.

A loss is accepted as it was shown: whoever asks gives the mark of what they saw, and if more is held by now, nothing
happens and they are told. The answer comes when the round after the acceptance is over, so it says what is published.
Questions are answered from the last round's outcome, the long ones in threads of their own, so that no compile keeps
anybody waiting but who asks for all that there is: those answers give way to rounds. Acceptance runs in the engine's
worker thread, between two rounds. Who has several questions under way on one link numbers them (`question`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol

from gateway import telemetry
from gateway.engine.answers import ANSWERED, Answers
from gateway.engine.catalogs import Catalogs
from gateway.engine.entries.enquiries import Enquiries, Known
from gateway.engine.network.feeds import TAKEN as OF_FEEDS
from gateway.engine.network.feeds import Feeds
from gateway.engine.precedence import Precedence
from gateway.engine.rounds import Outcome, Rounds
from gateway.frames import MANIFEST
from gateway.link import Link, Message, PeerCredentials

NAMED: Final = 20  # faults, and lost entities of a kind, that an answer names before it counts

TAKEN: Final = frozenset(("status", "entity", "entities", "read_catalogs", "accept_losses", *ANSWERED, *OF_FEEDS))

Held = Mapping[str, frozenset[str]]


class Asking(Protocol):
    """Who asks: a link, or one question on it."""

    @property
    def peer(self) -> PeerCredentials: ...

    def send(self, message: Message) -> bool: ...


class _Numbered:
    """One of several questions on a link."""

    def __init__(self, link: Link, number: object) -> None:
        self._link = link
        self._number = number
        self.peer = link.peer

    def send(self, message: Message) -> bool:
        return self._link.send({"t": "answer", "id": self._number, "answer": message})


class Desk:
    """``rounds``, ``catalogs``, ``devices`` (how they stand) and ``feeds`` are set before the first question; ``hint``
    starts a round."""

    rounds: Rounds
    catalogs: Catalogs
    devices: Callable[[], list[dict[str, Any]]]
    feeds: Feeds

    def __init__(self, worker: Executor, hint: asyncio.Event, folder: Path, base: Callable[[], str]) -> None:
        self._worker = worker
        self._hint = hint
        self._manifest = folder / MANIFEST
        self._base = base
        # of the rounds so far
        self._outcome = Outcome(None, False, ())
        self._read_s: float | None = None
        self._failure = ""
        # who waits for a round that begins after now, and for the one that runs
        self._waiting: list[tuple[Asking, Held]] = []
        self._served: list[tuple[Asking, Held]] = []
        self._errands: set[asyncio.Task[None]] = set()
        self.precedence = Precedence()
        self._enquiries = Enquiries(self.precedence.give_way)
        self._answers = Answers(self.precedence.give_way)
        self._answering = ThreadPoolExecutor(1, "answers")
        self._linting = ThreadPoolExecutor(1, "lint")  # for seconds: nobody else waits for it

    def question(self, link: Link, message: Message) -> None:
        """A question under a number: its answer comes as `answer` under the same."""
        asked = message.get("asked")
        if isinstance(asked, dict) and asked.get("t") in TAKEN:
            self.take(_Numbered(link, message.get("id")), asked)

    def take(self, link: Asking, message: Message) -> None:
        """One of `TAKEN`."""
        if message["t"] == "status":
            link.send(self._status())
            return
        if message["t"] in ("entity", "entities"):
            self._errand(self._enquire(link, message))
            return
        if message["t"] in ANSWERED:
            self._errand(self._answer_question(link, message))
            return
        if message["t"] in OF_FEEDS:
            self._errand(self._about_feeds(link, message))
            return
        if message["t"] == "read_catalogs":
            names = self.catalogs.hurry(str(message.get("name", "")))
            telemetry.log("catalogs_hurried", peer_pid=link.peer.pid, peer_uid=link.peer.uid, catalogs=names)
            link.send({"t": "catalogs_hurried", "catalogs": names})
            return
        self._errand(self._accept(link, str(message.get("mark", ""))))

    @property
    def held(self) -> Held:
        """What the last round holds."""
        return self._outcome.held

    @property
    def failure(self) -> str:
        """Why the last round failed; "" when it did not."""
        return self._failure

    # === told by the role ===

    def round_begins(self) -> None:
        self._served, self._waiting = self._waiting, []

    def round_ended(self, outcome: Outcome) -> None:
        self._outcome, self._failure, self._read_s = outcome, "", time.monotonic()
        self._answer()

    def round_failed(self, why: str) -> None:
        self._failure = why
        self._answer()

    async def chronicle(self) -> None:
        """After a round was told: remember since when each entity is what it is. A change that waits comes first; what
        this round changed is then noted with the next."""
        if self._hint.is_set():
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._worker, self.rounds.chronicle)
        except OSError as fault:
            telemetry.log("states_not_remembered", level="warning", why=str(fault))

    def close(self) -> None:
        self._enquiries.close()
        self._answering.shutdown(wait=False, cancel_futures=True)
        self._linting.shutdown(wait=False, cancel_futures=True)

    # === inside ===

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        errand = asyncio.get_running_loop().create_task(work)
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _answer_question(self, link: Asking, message: Message) -> None:
        loop, live = asyncio.get_running_loop(), self.rounds.live
        thread = self._linting if message["t"] == "lint" else self._answering
        try:
            found = await loop.run_in_executor(thread, self._answers.answer, live, message, int(time.time()))
        except Exception as failure:  # one question that cannot be answered must not end the role
            why = f"{type(failure).__name__}: {failure}"
            telemetry.log("question_failed", level="error", about=message["t"], why=why)
            found = {"fault": "failed"}
        link.send({"t": message["t"], **found})

    async def _about_feeds(self, link: Asking, message: Message) -> None:
        try:
            answer = await self.feeds.answer(message, link.peer)
        except Exception as failure:  # one question that cannot be answered must not end the role
            why = f"{type(failure).__name__}: {failure}"
            telemetry.log("question_failed", level="error", about=message["t"], why=why)
            answer = {"t": message["t"], "code": "unmade", "why": why, "feeds": []}
        link.send(answer)

    async def _enquire(self, link: Asking, message: Message) -> None:
        """What became of an entry, or of many."""
        now_s = time.time()
        read_at_s = None if self._read_s is None else now_s - (time.monotonic() - self._read_s)
        known = Known(self.rounds.ground, self.rounds.since, self.catalogs.status(), read_at_s, self._failure, now_s)
        try:
            answer = await self._enquiries.answer(known, message)
        except Exception as failure:  # one question that cannot be answered must not end the role
            why = f"{type(failure).__name__}: {failure}"
            telemetry.log("question_failed", level="error", about=message["t"], why=why)
            answer = {"t": message["t"], "fault": "failed"}
        link.send(answer)

    def _status(self) -> Message:
        outcome = self._outcome
        worst_first = sorted(outcome.faults, key=lambda fault: fault.severity != "error")
        errors = sum(fault.severity == "error" for fault in outcome.faults)
        return {
            "t": "status",
            "pid": os.getpid(),
            "base": self._base(),
            "published_age_s": self._published_age_s(),
            "read_age_s": None if self._read_s is None else int(time.monotonic() - self._read_s),
            "failure": self._failure,
            "services": outcome.services,
            "errors": errors,
            "warnings": len(outcome.faults) - errors,
            "faults": [str(fault) for fault in worst_first[:NAMED]],
            "held": {kind: {"count": len(refs), "first": sorted(refs)[:NAMED]} for kind, refs in outcome.held.items()},
            "mark": mark_of(outcome.held),
            "catalogs": self.catalogs.status(),
            "devices": self.devices(),
            "feeds": self.feeds.withheld(),
        }

    def _published_age_s(self) -> int | None:
        try:
            return max(0, int(time.time() - self._manifest.stat().st_mtime))
        except OSError:
            return None

    async def _accept(self, link: Asking, mark: str) -> None:
        held, accepted = await asyncio.get_running_loop().run_in_executor(self._worker, self._accept_marked, mark)
        counts = {kind: len(refs) for kind, refs in held.items()}
        if not accepted:
            link.send({"t": "losses_changed", "held": counts})
            return
        telemetry.log("losses_accepted", peer_pid=link.peer.pid, peer_uid=link.peer.uid, held=counts)
        self._waiting.append((link, held))
        self._hint.set()

    def _accept_marked(self, mark: str) -> tuple[Held, bool]:
        """In the worker thread, where rounds run: nothing changes between the look and the act."""
        held = self.rounds.held
        if not held or mark_of(held) != mark:
            return held, False
        self.rounds.accept_losses()
        return held, True

    def _answer(self) -> None:
        for link, held in self._served:
            accepted = {kind: len(refs) for kind, refs in held.items()}
            left = {kind: len(refs) for kind, refs in self._outcome.held.items()}
            message = {"t": "losses_accepted", "accepted": accepted, "held": left, "failure": self._failure}
            link.send({**message, "base": self._base()})
        self._served = []


def mark_of(held: Held) -> str:
    """Of exactly these losses; "" of none."""
    refs = sorted(ref for each in held.values() for ref in each)
    return blake2b("\n".join(refs).encode(), digest_size=16).hexdigest() if refs else ""
