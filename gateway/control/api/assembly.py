"""Puts the API together: its parts over one link to the engine, and the operations they answer.

A part has `routes()`; an operation is declared in `policy.builtin` first. `Central` is what control's role holds.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.config import Settings
from gateway.control.api.callers import Callers
from gateway.control.api.catalogs import Catalogs
from gateway.control.api.engine import Engine
from gateway.control.api.entities import Entities
from gateway.control.api.openapi import document_of
from gateway.control.api.questions import Questions
from gateway.control.api.routes import Api, Asked, Route, own_origin
from gateway.control.api.rules import Rules
from gateway.link import Message


class Central:
    """The API with what it asks. The first `adopt` of settings with a central host begins to follow the engine."""

    def __init__(self, settings: Settings, folder: Path, version: str) -> None:
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
        self.api = Api(self._callers, self.routes())

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("describe", "This description.", self._describe, None),
            *self._questions.routes(),
            *Rules(self._engine).routes(),
            *Entities(self._engine).routes(),
            *self._catalogs.routes(),
        )

    def add_to(self, app: web.Application) -> None:
        self.api.add_to(app)

    def close(self) -> None:
        self._engine.close()
        self._questions.close()

    def adopt(self, settings: Settings) -> None:
        """Called inside the running loop. Who has no central host is spared the table."""
        self._settings = settings
        self._callers.configure(settings.administrators, settings.issuers)
        if settings.central_host:
            self._engine.start()

    def greeting(self) -> Message:
        """What a door hears first: the key by which it vouches for callers."""
        return self._callers.message()

    async def _describe(self, asked: Asked) -> dict[str, Any]:
        if not self._document:
            self._document = document_of(self.api.routes, self._version)
        return {**self._document, "servers": [{"url": own_origin(asked.headers)}]}

    def _clock(self) -> int:
        """Epoch seconds; a step back revives nothing."""
        self._now = max(self._now, int(time.time()))
        return self._now
