"""The engine role: follows catalog and access policy, publishes bases, tells the doors.

The event loop only carries messages and hints; each round runs in the one worker thread, so a compile of fifteen
seconds delays no hello. Hints that arrive during a round start one more after it. A fault is logged once when it
appears and once when it is gone.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import uvloop

from gateway import config, telemetry
from gateway.engine.catalogs import Catalogs, Reports
from gateway.engine.checks import Checks
from gateway.engine.desk import Desk
from gateway.engine.journal import Journal
from gateway.engine.network.answers.readers import ASKED as OF_PAGES
from gateway.engine.network.answers.readers import Readers
from gateway.engine.network.answers.requests import TAKEN as OF_DEVICES
from gateway.engine.network.answers.requests import Requests
from gateway.engine.network.controller import Controller
from gateway.engine.network.feeds import Feeds, stale_of
from gateway.engine.network.news import news_of, trouble_of
from gateway.engine.network.role import controller_of
from gateway.engine.overheard import Overheard
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Outcome, Rounds
from gateway.engine.sources.sharing import Held
from gateway.engine.watch import Watch
from gateway.link import Link, LinkServer, RoleContext
from policy.reading import Fault

CONFIRM_S = 0.3  # between two readings that must agree on a loss
RETRY_S = 2.0  # after a round that failed
UNLED_S = 10.0  # without who says whether this node leads, it does not


def run(ctx: RoleContext) -> None:
    """Blocks until the supervisor says `stop`."""
    gc.set_threshold(100_000, 50, 1000)  # millions of facts without cycles: looking for some costs a quarter of a round
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Sync(ctx).serve())


class Sync:
    def __init__(self, ctx: RoleContext) -> None:
        self._ctx = ctx
        self._settings = ctx.settings
        self._hint = asyncio.Event()
        self._stop = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, "engine")
        self._server = LinkServer(ctx.state_folder / "engine.sock", self._on_message, self._on_close)
        self._loop: asyncio.AbstractEventLoop
        self._publisher: Publisher
        self._journal: Journal
        self._rounds: Rounds
        self._desk = Desk(self._worker, self._hint, ctx.state_folder, lambda: self._publisher.base)
        self._watch: Watch | None = None
        self._checks: Checks
        self._catalogs: Catalogs
        self._network: Controller
        self._leader: Link | None = None  # who told last whether this node leads
        self._known_faults: set[Fault] = set()
        self._errands: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._publisher = await loop.run_in_executor(self._worker, Publisher, self._ctx.state_folder)
        self._journal = await loop.run_in_executor(self._worker, Journal, self._ctx.state_folder)
        for why in filter(None, (self._publisher.fault, self._journal.fault)):
            telemetry.log("state_fault", level="error", why=why)
        self._checks = Checks(self._server.broadcast)
        self._catalogs = self._desk.catalogs = Catalogs(self._hint.set)
        self._network = controller_of(self._settings, self._ctx.state_folder, self._trouble)
        self._desk.devices = self._network.standings
        self._desk.feeds = Feeds(
            self._network, self._ctx.state_folder, lambda: stale_of(self._catalogs.status())
        )  # fmt: skip
        self._adopt(self._settings)
        overheard = Overheard(self._ctx.state_folder, self._network.hear)
        if overheard.overlay is not None:
            self._network.hear(overheard.overlay)
        reports = Reports(
            self._ctx.state_folder, self._catalogs.status, self._network.standings, overheard.take, overheard.linked
        )  # fmt: skip
        self._ctx.parent.on_line = self._on_line
        self._ctx.parent.start()
        await self._server.start()
        reports.start()
        self._ctx.parent.ready()
        try:
            await self._follow()
        finally:
            if self._watch is not None:
                self._watch.close()
            reports.close()
            await self._checks.close()
            await self._catalogs.close()
            await self._network.close()
            self._desk.close()
            self._server.close()
            self._ctx.parent.close()
            self._worker.shutdown(wait=False, cancel_futures=True)

    async def _follow(self) -> None:
        pause_s: float | None = None
        self._hint.set()
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(pause_s):
                    await self._hint.wait()
            except TimeoutError:
                pass
            self._hint.clear()
            if not self._stop.is_set():
                pause_s = await self._one_round()

    async def _one_round(self) -> float | None:
        """Returns how long to wait for a hint before the next, None for as long as it takes."""
        self._desk.round_begins()
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(self._worker, self._round)
        except Exception as failure:  # one bad round must not end the role: what is published stays
            why = f"{type(failure).__name__}: {failure}"
            telemetry.log("round_failed", level="error", why=why)
            self._desk.round_failed(why)
            await self._pause()
            return 0.0
        self._report(outcome)
        self._desk.round_ended(outcome)
        self._checks.follow(self._rounds.routes)
        if (news := news_of(self._rounds, self._publisher.base, outcome.services)) is not None:
            self._network.follow(news)
        await self._desk.chronicle()
        return CONFIRM_S if outcome.confirm else None

    async def _pause(self) -> None:
        """What failed would fail again at once; a log that lies in a folder we watch is a hint by itself."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await self._stop.wait()

    def _trouble(self) -> str:
        """Why what is missing from the catalog may be there."""
        return trouble_of(self._rounds, self._desk.held, self._desk.failure, self._catalogs.status())

    def _round(self) -> Outcome:
        with self._desk.precedence.claimed():
            return self._rounds.round()

    def _report(self, outcome: Outcome) -> None:
        faults = set(outcome.faults)
        for fault in outcome.faults:
            if fault not in self._known_faults:
                place = f"{fault.source.file}:{fault.source.line}" if fault.source.line else fault.source.file
                telemetry.log(
                    "catalog_fault", level=fault.severity, source=place, entity=fault.source.entity, why=fault.message,
                    todo=fault.suggestion,
                )  # fmt: skip
        for fault in self._known_faults - faults:
            telemetry.log("catalog_fault_gone", entity=fault.source.entity, why=fault.message)
        self._known_faults = faults
        if outcome.message is not None:
            telemetry.log(
                "base_published", base=outcome.message["base"], services=outcome.services, took_ms=outcome.took_ms,
                links=len(self._server.links),
            )  # fmt: skip

    # ---- settings, parent, doors ----

    def _adopt(self, settings: config.Settings) -> None:
        self._settings = settings
        sources = self._catalogs.adopt(settings.catalog, Held(self._journal.sections["entities"]))
        self._rounds = self._desk.rounds = Rounds(settings, self._publisher, self._journal, sources, self._tell_doors)
        self._checks.configure(settings)
        self._network.adopt(settings)
        if self._watch is not None:
            self._watch.close()

        def look(touched: frozenset[str] | None) -> None:
            sources.touched(touched)
            _call(self._loop, self._hint.set)

        def look_again() -> None:
            sources.look()
            _call(self._loop, self._hint.set)

        self._watch = Watch(look, look_again)
        self._watch.start(*self._rounds.watched())
        self._hint.set()

    def _tell_doors(self, message: dict[str, Any]) -> None:
        """Called in the worker thread: what is published is told before anything of it is remembered."""
        _call(self._loop, lambda: self._server.broadcast(message))

    def _on_line(self, word: str, rest: list[str]) -> None:
        match word:
            case "settings":
                try:
                    settings = self._ctx.read_settings(rest[0])
                except (OSError, ValueError, IndexError) as fault:
                    telemetry.log("settings_unreadable", level="error", why=str(fault))
                    return
                self._adopt(settings)
            case "stop" | "drain":
                self._stop.set()
                self._hint.set()
            case _:
                telemetry.log("line_unknown", level="warning", word=word)

    def _on_message(self, link: Link, message: dict[str, Any]) -> None:
        match message.get("t"):
            case "hello":
                link.name = f"{message.get('role')}/{message.get('slot')}"
                if self._publisher.base and message.get("base") != self._publisher.base:
                    self._send_whole(link, mend=not message.get("base"))
                if message.get("role") == "door" and (news := self._checks.news_for(message.get("endpoints"))):
                    link.send(news)
            case "ack":
                telemetry.log("base_live", level="debug", door=link.name, base=message.get("base"))
            case "status" | "entity" | "entities" | "accept_losses" | "read_catalogs" | "feeds" | "accept_feed":
                self._desk.take(link, message)
            case "question":
                self._question(link, message)
            case "lead":
                self._leader = link
                fence = message.get("fence")
                self._network.lead(fence if type(fence) is int else None)
            case asked if asked in OF_DEVICES:
                self._errand(self._about_devices(link, message))

    def _on_close(self, link: Link) -> None:
        """Without control nobody knows for long whether this node still leads."""
        if link is self._leader:
            self._leader = None
            self._loop.call_later(UNLED_S, lambda: self._network.lead(None) if self._leader is None else None)

    async def _about_devices(self, link: Link, message: dict[str, Any]) -> None:
        link.send(await Requests(self._network).answer(message, link.peer))

    def _question(self, link: Link, message: dict[str, Any]) -> None:
        """One of several on a link, under a number: about devices, or for the desk."""
        asked = message.get("asked")
        if isinstance(asked, dict) and str(asked.get("t")) in OF_PAGES:
            self._errand(self._view_devices(link, message.get("id"), asked))
        else:
            self._desk.question(link, message)

    async def _view_devices(self, link: Link, number: object, asked: dict[str, Any]) -> None:
        """For pages: what was seen of devices, changing nothing."""
        try:
            answer = await Readers(self._network, self._checks.endpoints).answer(asked)
        except Exception as failure:  # one question that cannot be answered must not end the role
            why = f"{type(failure).__name__}: {failure}"
            telemetry.log("question_failed", level="error", about=asked["t"], why=why)
            answer = {"fault": "failed"}
        link.send({"t": "answer", "id": number, "answer": answer})

    def _send_whole(self, link: Link, *, mend: bool) -> None:
        """``mend``: a door that has nothing while there is a base is new, or could not read it."""
        link.send(self._publisher.whole())
        if not mend:
            return
        self._errand(self._mend_and_send(link))

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        errand = asyncio.get_running_loop().create_task(work)
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _mend_and_send(self, link: Link) -> None:
        try:
            mended = await asyncio.get_running_loop().run_in_executor(self._worker, self._publisher.mend)
        except OSError as fault:
            telemetry.log("base_not_mended", level="error", why=str(fault))
        else:
            if mended:
                telemetry.log("base_mended", level="warning", files=mended, base=self._publisher.base)
                link.send(self._publisher.whole())


def _call(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        return  # the loop is closed: nobody listens any more
