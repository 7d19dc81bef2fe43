"""Puts the central host together: the API, the portal and the feeds, over one link to the engine.

A part has `routes()`; an operation is declared in `policy.builtin` first. `Central` is what control's role holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.config import Settings
from gateway.control.api.callers import Callers
from gateway.control.api.catalogs import Catalogs
from gateway.control.api.command_line import COMMAND_LINE_PATH, command_line_document
from gateway.control.api.devices import Devices
from gateway.control.api.engine import Engine
from gateway.control.api.entities import Entities
from gateway.control.api.openapi import document_of
from gateway.control.api.pins import PeoplePins
from gateway.control.api.problems import Problem
from gateway.control.api.questions import Questions
from gateway.control.api.routes import Api, Asked, Route, own_origin
from gateway.control.api.rules import Rules
from gateway.control.api.sessions import PeopleSessions
from gateway.control.api.ways import Followed, Ways
from gateway.control.feeds.answering import Feeds
from gateway.control.feeds.memory import Memory
from gateway.control.heard import NOTHING_HEARD, Heard
from gateway.control.pages import add_static
from gateway.control.portal.pages import Portal
from gateway.link import Message
from policy.table import Table


class Central:
    """The API with what it asks. The first `adopt` of settings with a central host begins to follow the engine.
    ``heard``: what the engine says of devices, unasked. ``doors``: what each door of this node has."""

    def __init__(
        self, settings: Settings, folder: Path, version: str, heard: Callable[[], Heard] = lambda: NOTHING_HEARD,
        doors: Followed = list,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._version = version
        self._document: dict[str, Any] = {}
        self._now = 0
        self._callers = Callers(settings.administrators, settings.issuers, self._clock)
        self._engine = Engine(folder)
        self._questions = Questions(self._engine, lambda: frozenset(each.name for each in self._settings.issuers))
        self._catalogs = Catalogs(
            self._engine, lambda: self._settings.catalog.sync_secret_file, self._clock, time.monotonic
        )
        self.sessions = PeopleSessions(self._clock)
        self.pins = PeoplePins()
        self._devices = Devices(self._engine, heard)
        self._ways = Ways(self._engine, doors)
        self._memory = Memory(self._asked_within, time.monotonic)
        self.feeds = Feeds(self._callers, self._memory)
        self._portal = Portal(self._callers, self._engine, self.sessions, self._devices, self._ways)
        self.api = Api(self._callers, self.routes())

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("describe", "This description.", self._describe, None),
            *self._questions.routes(),
            *Rules(self._engine).routes(),
            *Entities(self._engine).routes(),
            *self._catalogs.routes(),
            *self.sessions.routes(),
            *self.pins.routes(),
            *self._devices.routes(),
            *self._ways.routes(),
        )

    def add_to(self, app: web.Application, *, begins: bool) -> None:
        """``begins``: people who come to `/` find the portal; else somebody else answers there."""
        self.api.add_to(app)
        self._portal.add_to(app)
        self.feeds.add_to(app)
        add_static(app)
        app.router.add_get(COMMAND_LINE_PATH, self._command_line)
        if begins:
            app.router.add_get("/", _to_portal)

    def close(self) -> None:
        self._memory.close()
        self._engine.close()
        self._questions.close()
        self._portal.close()

    def adopt(self, settings: Settings) -> None:
        """Called inside the running loop. Who has no central host is spared the table."""
        self._settings = settings
        self._callers.configure(settings.administrators, settings.issuers)
        self.feeds.adopt(settings)
        if settings.central_host:
            self._engine.start()

    def session_of(self, request: web.Request) -> str:
        """By whose session the request came, as its door says; "" = none."""
        try:
            return self._callers.of(request).session
        except Problem:
            return ""

    @property
    def table(self) -> Table:
        """The base that is served, as far as it was read."""
        return self._engine.table

    @property
    def clock(self) -> Callable[[], int]:
        return self._clock

    def greeting(self) -> Message:
        """What a door hears first: the key by which it vouches for callers."""
        return self._callers.message()

    async def _describe(self, asked: Asked) -> dict[str, Any]:
        if not self._document:
            self._document = document_of(self.api.routes, self._version)
        return {**self._document, "servers": [{"url": own_origin(asked.headers)}]}

    async def _asked_within(self, question: Message, within_s: float) -> dict[str, Any]:
        return await self._engine.ask(question, within_s=within_s)

    async def _command_line(self, _request: web.Request) -> web.Response:
        return web.json_response(command_line_document(self._settings))

    def _clock(self) -> int:
        """Epoch seconds; a step back revives nothing."""
        self._now = max(self._now, int(time.time()))
        return self._now


async def _to_portal(_request: web.Request) -> web.Response:
    return web.Response(status=303, headers={"Location": "/portal"})
