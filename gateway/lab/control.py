"""The lab's control role: control itself, and the start page on the central host.

The page is served like all of control's pages: through the door, over a Unix socket, with headers that allow no
inline script. Only a few addresses exist beside `/`, all below `/lab/`, and all only show: nothing here changes
anything. Decisions and new policy versions reach the page as server-sent events, from one look at the state folder
that all open pages share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import jinja2
import orjson
from aiohttp import web

from gateway.control import role
from gateway.lab.board import Board
from gateway.lab.device_view import DeviceView
from gateway.lab.entries import Entries, coded
from gateway.lab.firewall_view import FirewallView
from gateway.lab.folder import LabFolder
from gateway.lab.tail import Tail
from gateway.link import RoleContext
from policy.builtin import BUILTIN_SERVICE

LOOK_S: Final = 0.25
QUIET_S: Final = 15.0  # a comment keeps the stream open through every idle timeout
HERE: Final = Path(__file__).parent
STATIC: Final = {
    "start.css": "text/css",
    "start.js": "text/javascript",
    "firewall.js": "text/javascript",
    "copy.js": "text/javascript",
    "renew.js": "text/javascript",
    "door.svg": "image/svg+xml",
}

Event = tuple[str, Any]


def run(ctx: RoleContext) -> None:
    facts = LabFolder(ctx.state_folder.parent).facts()
    audit = Path(ctx.settings.audit.folder or ctx.state_folder / "audit")
    board, tail = Board(ctx.state_folder, facts, time.time), Tail(audit, BUILTIN_SERVICE.ref)
    page = StartPage(board, tail, ctx.state_folder)
    role.run(ctx, page.add_to)


class StartPage:
    """The page, its parts, its files, its events."""

    def __init__(self, board: Board, tail: Tail, state: Path) -> None:
        self._board = board
        self._tail = tail
        self._entries = Entries(state, board.facts, lambda: self._tell(("entries", "")))
        self._listeners: set[asyncio.Queue[Event]] = set()
        self._device = DeviceView(state, board.facts, lambda: self._tell(("bigip", "")), lambda: bool(self._listeners))
        self._firewall = FirewallView(state, board.facts)
        loader = jinja2.FileSystemLoader(HERE / "templates")
        self._templates = jinja2.Environment(
            loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
        )
        self._templates.filters["coded"] = coded

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self._start)
        app.router.add_get("/lab/people", self._people)
        app.router.add_get("/lab/services", self._services)
        app.router.add_get("/lab/entries", self._became)
        app.router.add_get("/lab/bigip", self._bigip)
        app.router.add_get("/lab/firewall", self._firewall_page)
        app.router.add_get("/lab/firewall-state", self._firewall_state)
        app.router.add_get("/lab/events", self._events)
        app.router.add_get("/lab/{name}", self._static)
        app.cleanup_ctx.append(self._looking)

    # === pages ===

    async def _start(self, _request: web.Request) -> web.Response:
        await self._device.look()
        values = {**self._board.page(), **self._entries.cards(), "entity_command": self._entries.command}
        values |= {**self._device.cards(), "firewall": self._board.facts.firewall}
        return self._rendered("start.html", values)

    async def _people(self, _request: web.Request) -> web.Response:
        return self._rendered("people.html", self._board.people())

    async def _services(self, _request: web.Request) -> web.Response:
        return self._rendered("services.html", self._board.services())

    async def _became(self, _request: web.Request) -> web.Response:
        return self._rendered("entries.html", self._entries.cards())

    async def _bigip(self, _request: web.Request) -> web.Response:
        await self._device.look()
        return self._rendered("bigip.html", self._device.cards())

    async def _firewall_page(self, request: web.Request) -> web.Response:
        return self._rendered("firewall.html", await self._firewall.cards(request.query))

    async def _firewall_state(self, request: web.Request) -> web.Response:
        return self._rendered("firewall-state.html", await self._firewall.cards(request.query))

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        kind = STATIC.get(name)
        if kind is None:
            raise web.HTTPNotFound
        return web.Response(body=(HERE / "static" / name).read_bytes(), content_type=kind, charset="utf-8")

    def _rendered(self, template: str, values: dict[str, Any]) -> web.Response:
        return web.Response(text=self._templates.get_template(template).render(values), content_type="text/html")

    # === events ===

    async def _events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await answer.prepare(request)
        news: asyncio.Queue[Event] = asyncio.Queue()
        news.put_nowait(("base", self._board.base))
        news.put_nowait(("entries", ""))
        news.put_nowait(("bigip", ""))
        news.put_nowait(("past", self._board.decisions(list(self._tail.newest))))
        self._listeners.add(news)
        try:
            await answer.write(b"retry: 1000\n\n")
            while True:
                await answer.write(await _next(news))
        finally:
            self._listeners.discard(news)

    async def _looking(self, _app: web.Application) -> AsyncIterator[None]:
        look = asyncio.get_running_loop().create_task(self._look())
        self._entries.start()
        self._device.start()
        yield
        self._device.close()
        self._entries.close()
        look.cancel()

    async def _look(self) -> None:
        while True:
            if self._board.renew():
                self._tell(("base", self._board.base))
            self._entries.ask()
            decided = self._tail.read()
            if decided:
                self._tell(("decisions", self._board.decisions(decided)))
            await asyncio.sleep(LOOK_S)

    def _tell(self, event: Event) -> None:
        for news in self._listeners:
            news.put_nowait(event)


async def _next(news: asyncio.Queue[Event]) -> bytes:
    """The next event in the form of the HTML standard's section on server-sent events, or a comment."""
    try:
        async with asyncio.timeout(QUIET_S):
            name, value = await news.get()
    except TimeoutError:
        return b":\n\n"
    body = value.encode() if isinstance(value, str) else orjson.dumps(value)
    return b"event: " + name.encode() + b"\ndata: " + body + b"\n\n"
