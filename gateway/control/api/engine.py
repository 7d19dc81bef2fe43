"""Control's link to the engine: it follows what is published, as a door does, and asks what only the engine knows.

The published base with its sentences answers most questions here, also while the engine is away. Who owns a service,
what a rule comes from and what lint finds is known to the process that compiled. A question that gets no answer in time
is `engine_away`; nothing is guessed meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any, Final

from gateway import telemetry
from gateway.control.api.problems import Problem
from gateway.link import LinkClient, Message
from gateway.questions.explain import WhyFrames
from gateway.snapshot import BaseLoader
from policy.table import Table

SOCKET: Final = "engine.sock"
PATIENCE_S: Final = 5.0
OPEN_QUESTIONS: Final = 64
LOAD_AGAIN_S: Final = 2.0
REST_S: Final = 0.002  # between two slices of a base, so that a door on the same core never waits for more than one


class Engine:
    """`start`, called inside the running loop, begins to follow; once is enough."""

    def __init__(self, folder: Path) -> None:
        self._loader = BaseLoader(folder, with_why=True)
        self._loading = False
        self._started = False
        self._link = LinkClient(folder / SOCKET, self._hello, self._heard, self._connected)
        self._numbers = count(1)
        self._open: dict[int, asyncio.Future[Message]] = {}

    @property
    def table(self) -> Table:
        return self._loader.table

    @property
    def why(self) -> WhyFrames:
        """Sentences and sources, of the same base as the table."""
        return self._loader.why

    @property
    def base(self) -> str:
        return self._loader.base

    def start(self) -> None:
        if not self._started:
            self._started = True
            self._load()
            self._link.start()

    def close(self) -> None:
        self._link.close()
        for question in self._open.values():
            question.cancel()

    async def ask(self, question: Message, *, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """The engine's answer to a message that its desk takes. Raises `Problem` when there is none in time."""
        if len(self._open) >= OPEN_QUESTIONS:
            raise Problem("busy")
        number = next(self._numbers)
        answered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._open[number] = answered
        try:
            if not self._link.send({"t": "question", "id": number, "asked": question}):
                raise Problem("engine_away")
            async with asyncio.timeout(within_s):
                answer = (await answered)["answer"]
        except (TimeoutError, ConnectionResetError):
            raise Problem("engine_away") from None
        finally:
            del self._open[number]
        if fault := answer.get("fault"):
            raise Problem(str(fault))
        found: dict[str, Any] = answer
        return found

    async def owners(self, services: Iterable[str]) -> dict[str, str]:
        """The owning team of each of these services; "" where it has none, and for what is no published service."""
        wanted = sorted(set(services))
        answer = await self.ask({"t": "owners", "services": wanted})
        owners = answer.get("owners")
        found = owners if isinstance(owners, dict) else {}
        return {each: str(found.get(each, "")) for each in wanted}

    # === what the engine says ===

    def _hello(self) -> Message:
        # No base at all would be a cry for help: the engine would look at every file on the disk.
        return {"t": "hello", "role": "control", "slot": 0, "pid": os.getpid(), "base": self.base or "-", "seq": 0}

    def _heard(self, message: Message) -> None:
        if message["t"] == "base":
            self._load()
        elif message["t"] == "answer":
            number = message.get("id")
            question = self._open.get(number) if isinstance(number, int) else None
            if question is not None and not question.done():
                question.set_result(message)

    def _connected(self, connected: bool) -> None:
        if not connected:
            for question in self._open.values():
                if not question.done():
                    question.set_exception(ConnectionResetError("the engine is gone"))

    def _load(self) -> None:
        """The manifest on disk: a message about changes leaves the sentences out."""
        self._loader.begin()
        if not self._loading:
            self._loading = True
            asyncio.get_running_loop().call_soon(self._load_slice)

    def _load_slice(self) -> None:
        self._loader.step()
        if self._loader.busy:
            rest_s = REST_S if self.base else 0.0  # without any base, questions wait for it
            asyncio.get_running_loop().call_later(rest_s, self._load_slice)
            return
        self._loading = False
        if self._loader.fault:
            telemetry.log("base_unreadable", level="error", why=self._loader.fault)
            asyncio.get_running_loop().call_later(LOAD_AGAIN_S, self._load)
