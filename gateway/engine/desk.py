"""What the command line asks of the engine: how it is, to look at the catalogs now, and to let go of losses.

A loss is accepted as it was shown: whoever asks gives the mark of what they saw, and if more is held by now, nothing
happens and they are told. The answer comes when the round after the acceptance is over, so it says what is published.
Questions are answered on the event loop from the last round's outcome; acceptance runs in the engine's worker thread,
between two rounds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from hashlib import blake2b
from pathlib import Path
from typing import Final

from gateway import telemetry
from gateway.engine.catalogs import Catalogs
from gateway.engine.rounds import Outcome, Rounds
from gateway.frames import MANIFEST
from gateway.link import Link, Message

NAMED: Final = 20  # faults, and lost entities of a kind, that an answer names before it counts

Held = Mapping[str, frozenset[str]]


class Desk:
    """``rounds`` and ``catalogs`` are set before the first question; ``hint`` starts a round."""

    rounds: Rounds
    catalogs: Catalogs

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
        self._waiting: list[tuple[Link, Held]] = []
        self._served: list[tuple[Link, Held]] = []
        self._errands: set[asyncio.Task[None]] = set()

    def take(self, link: Link, message: Message) -> None:
        """`status`, `read_catalogs` or `accept_losses`."""
        if message["t"] == "status":
            link.send(self._status())
            return
        if message["t"] == "read_catalogs":
            names = self.catalogs.hurry(str(message.get("name", "")))
            telemetry.log("catalogs_hurried", peer_pid=link.peer.pid, peer_uid=link.peer.uid, catalogs=names)
            link.send({"t": "catalogs_hurried", "catalogs": names})
            return
        errand = asyncio.get_running_loop().create_task(self._accept(link, str(message.get("mark", ""))))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    # === told by the role ===

    def round_begins(self) -> None:
        self._served, self._waiting = self._waiting, []

    def round_ended(self, outcome: Outcome) -> None:
        self._outcome, self._failure, self._read_s = outcome, "", time.monotonic()
        self._answer()

    def round_failed(self, why: str) -> None:
        self._failure = why
        self._answer()

    # === inside ===

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
        }

    def _published_age_s(self) -> int | None:
        try:
            return max(0, int(time.time() - self._manifest.stat().st_mtime))
        except OSError:
            return None

    async def _accept(self, link: Link, mark: str) -> None:
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
