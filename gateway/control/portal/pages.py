"""The pages of the portal: what I can reach, my services, my sessions.

Each page is for who is signed in, and shows nothing that the API would not tell them: a service that is not theirs
looks like one that does not exist. Drawing needs no script; a search is a form, and what changes something is a POST
from a page of this host.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, Protocol

from aiohttp import web

from gateway.control.api.callers import Caller, Callers
from gateway.control.api.devices import Devices
from gateway.control.api.engine import Engine
from gateway.control.api.problems import PROBLEMS, Problem
from gateway.control.api.ways import Ways
from gateway.control.pages import Pages
from gateway.control.portal.cards import Cards
from gateway.control.portal.devices import DevicePages, who
from gateway.control.portal.filters import FILTERS
from gateway.control.portal.inventory import InventoryPages
from gateway.control.portal.reach import by_domain, environments_of, found, offers_of, shown
from gateway.control.portal.ways import WayPages
from gateway.control.signin.asking import Forms, is_own_page
from gateway.control.signin.failures import SignInFailed
from gateway.questions.rights import why_of
from policy.offers import Offer
from policy.probe import Asker

SERVICES_SHOWN: Final = 40  # of one page
PEOPLE_KEPT: Final = 16  # whose reach is kept worked out
ENTITIES_SHOWN: Final = 100
WORDS_LIMIT: Final = 200
REF_LIMIT: Final = 512
STATES: Final = ("published", "held", "refused", "not_seen")  # of an entity, as the engine says them
# In the order in which they are looked for: nearly every browser calls itself several.
_BROWSERS: Final = (
    ("Firefox/", "Firefox"), ("Edg", "Edge"), ("OPR/", "Opera"), ("Chrome/", "Chrome"), ("CriOS/", "Chrome"),
    ("Safari/", "Safari"), ("curl/", "curl"),
)  # fmt: skip
_SYSTEMS: Final = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
# What a page says where the API tells programs something else: sentence, what to do.
_FOR_PEOPLE: Final = {
    "not_yours": (
        "No service of yours has this name.", "Look for it among your services; another team's are shown to that team.",
    ),
    "engine_away": ("Your services cannot be looked up now.", "Reload this page in a moment."),
    "sessions_away": ("Your sessions cannot be looked up now.", "Reload this page in a moment."),
    "policy_unavailable": ("The access policy is not loaded yet.", "Reload this page in a moment."),
    "control_starting": ("The portal has just been started.", "Reload this page in a moment."),
    "busy": ("Too much is being looked up now.", "Reload this page in a moment."),
}  # fmt: skip
Handler = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]


class OneSession(Protocol):
    """A session as the page shows it; `gateway.control.store.rows.Session` is one."""

    @property
    def sid(self) -> str: ...
    @property
    def signed_in(self) -> int: ...
    @property
    def seen(self) -> int: ...
    @property
    def until(self) -> int: ...
    @property
    def address(self) -> str: ...
    @property
    def agent(self) -> str: ...


class Sessions(Protocol):
    """Where somebody is signed in. Raises `Problem` where that cannot be told or done now."""

    async def of(self, caller: Caller) -> Sequence[OneSession]: ...

    async def end(self, caller: Caller, sids: Sequence[str]) -> None: ...


class Portal:
    def __init__(
        self, callers: Callers, engine: Engine, sessions: Sessions | None, devices: Devices | None, ways: Ways
    ) -> None:
        self._callers = callers
        self._engine = engine
        self._sessions = sessions
        self._devices = devices
        self._ways = ways
        self._pages = Pages("gateway.control.portal", FILTERS)
        self._forms = Forms()
        self._cards = Cards(engine)
        self._thread = ThreadPoolExecutor(1, "portal")
        self._offers: OrderedDict[tuple[str, str, frozenset[str]], asyncio.Future[tuple[Offer, ...]]] = OrderedDict()

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/portal", self._for_people(self._reach))
        app.router.add_get("/portal/services", self._for_people(self._services))
        app.router.add_get("/portal/services/{scope}/{name}", self._for_people(self._service))
        made = InventoryPages(self._ways, self._pages, self._who, _port)
        app.router.add_get("/portal/services/{scope}/{name}/inventory", self._for_people(made.one))
        if self._devices is not None:
            pages = DevicePages(self._devices, self._pages)
            app.router.add_get("/portal/devices", self._for_people(pages.all))
            app.router.add_get("/portal/devices/{device}/{environment}", self._for_people(pages.one))
        app.router.add_get("/portal/path", self._for_people(WayPages(self._ways, self._pages, self._who).one))
        app.router.add_get("/portal/sessions", self._for_people(self._my_sessions))
        app.router.add_post("/portal/sessions/end", self._for_people(self._end))

    def close(self) -> None:
        self._cards.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _for_people(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle_request(request: web.Request) -> web.StreamResponse:
            known: dict[str, Any] = {}
            try:
                caller = self._callers.of(request)
                if caller.principal.kind != "person":
                    return self._problem(request, "Pages are for people.", "Programs ask the API.", 403)
                if not caller.session and not caller.has_token:  # one for a service, which could send it here itself
                    raise Problem("token_audience")
                known = self._who(caller, "")
                return await handler(request, caller)
            except Problem as problem:
                kind = PROBLEMS[problem.code]
                title, todo = _FOR_PEOPLE.get(problem.code, (kind.title, kind.todo))
                return self._problem(request, title, todo, kind.status, {**known, "code": problem.code})

        return handle_request

    def _problem(
        self,
        request: web.Request,
        sentence: str,
        todo: str,
        status: int,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> web.Response:
        values = {"sentence": sentence, "todo": todo, **more}
        return self._pages.page(request, "problem.html", values, status=status)

    def _who(self, caller: Caller, here: str) -> dict[str, Any]:
        """For the head of a page."""
        return who(caller, here, has_devices=self._devices is not None and self._devices.are_any)

    # === what I can reach ===

    async def _reach(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        words, environment = request.query.get("q", "")[:WORDS_LIMIT], request.query.get("in", "")
        begin = int(number) if (number := request.query.get("from", "")).isdecimal() and len(number) < 7 else 0
        table = self._engine.table
        if not table.ready:
            raise Problem("policy_unavailable")
        cards, offers = await self._cards.all(), await self._offers_of(caller)
        services = list(found(offers, cards, words, environment))
        frames, port = self._engine.why, _port(request)
        page = [shown(each, cards, frames, port) for each in islice(services, begin, begin + SERVICES_SHOWN)]
        values = {
            "domains": by_domain(page), "total": len(services), "any": bool(offers), "q": words, "in_": environment,
            "environments": environments_of(table), "begin": begin, "end": begin + len(page),
            "step": SERVICES_SHOWN, **self._who(caller, "reach"),
        }  # fmt: skip
        return self._pages.page(request, "reach.html", values)

    async def _offers_of(self, caller: Caller) -> tuple[Offer, ...]:
        """Worked out once for what somebody is in one base; who asks meanwhile waits for the same."""
        key = (self._engine.base, caller.ref, caller.principal.subjects)
        wanted = self._offers.get(key)
        if wanted is None:
            me, table = caller.principal, self._engine.table
            asker = Asker(me.kind, me.ref, me.subjects)
            loop = asyncio.get_running_loop()
            wanted = loop.run_in_executor(self._thread, offers_of, table, asker, int(time.time()))
            self._offers[key] = wanted
            wanted.add_done_callback(lambda done: self._forget_failed(key, done))
            while len(self._offers) > PEOPLE_KEPT:
                self._offers.popitem(last=False)
        self._offers.move_to_end(key)
        return await asyncio.shield(wanted)

    def _forget_failed(self, key: tuple[str, str, frozenset[str]], done: asyncio.Future[tuple[Offer, ...]]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._offers.pop(key, None)

    # === my services ===

    async def _services(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        after, words = request.query.get("after", "")[:REF_LIMIT], request.query.get("q", "")[:WORDS_LIMIT]
        state = request.query.get("state", "") if request.query.get("state", "") in STATES else ""
        wanted = {"after": after, "state": state, "words": words, "limit": ENTITIES_SHOWN}
        answer = await self._asked({"t": "entities", **wanted}, caller)
        values = {
            "q": words, "state": state, "any": any(answer["counts"].values()), "after": after,
            "counts": answer["counts"], "entities": answer["entities"], "next": answer["next"],
            "notices": answer["notices"], "administrator": caller.is_administrator, "port": _port(request),
            **self._who(caller, "services"),
        }  # fmt: skip
        return self._pages.page(request, "services.html", values)

    async def _service(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        ref = f"{request.match_info['scope']}/{request.match_info['name']}"
        entity = (await self._asked({"t": "entity", "ref": ref}, caller)).get("entity")
        if entity is None:
            raise Problem("not_yours")
        environments = [each["environment"] for each in entity["exposures"]]
        reached = {each: self._sentences(f"{entity['ref']}@{each}") for each in environments}
        values = {
            "entity": entity, "reached": reached, "port": _port(request), "administrator": caller.is_administrator,
            "fronts": await self._devices.fronts_of(entity["ref"]) if self._devices is not None else {},
            **self._who(caller, "services"),
        }  # fmt: skip
        return self._pages.page(request, "service.html", values)

    def _sentences(self, exposure: str) -> dict[str, list[tuple[str, str]]]:
        """Everybody who can reach it and who never may, a sentence each, with what somebody wrote beside it."""
        frame = self._engine.why.get(f"why/{exposure}", {})
        told = sorted(
            {(why.sentence, why.because) for why in (why_of(self._engine.why, exposure, rule) for rule in frame)}
        )
        never = [each for each in told if " must never " in each[0]]
        return {"may": [each for each in told if each not in never], "never": never}

    async def _asked(self, question: dict[str, Any], caller: Caller) -> Mapping[str, Any]:
        whose = {} if caller.is_administrator else {"subjects": sorted(caller.principal.subjects)}
        answer = await self._engine.ask({**question, **whose})
        if answer.get("unread"):
            raise Problem("policy_unavailable")
        return answer

    # === my sessions ===

    async def _my_sessions(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        listed = await self._sessions.of(caller) if self._sessions is not None else ()
        values = {"sessions": list(_told(listed, caller)), **self._who(caller, "sessions")}
        return self._pages.page(request, "sessions.html", values)

    async def _end(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        if not is_own_page(request):
            raise Problem("origin_refused")
        try:
            form = await self._forms.read(request, ("session",), "body_invalid")
        except SignInFailed as failed:
            raise Problem(failed.code, failed.detail) from None
        wanted = form.get("session", "")
        if self._sessions is not None:
            theirs = [each.sid for each in await self._sessions.of(caller)]
            ended = [each for each in theirs if wanted in (each, "all") and (each != caller.session or wanted == each)]
            await self._sessions.end(caller, ended)
        raise web.HTTPSeeOther("/portal/sessions")


def _told(sessions: Iterable[OneSession], caller: Caller) -> Iterable[dict[str, Any]]:
    for each in sorted(sessions, key=lambda each: -each.seen):
        yield {
            "sid": each.sid, "here": each.sid == caller.session, "agent": browser_of(each.agent),
            "address": each.address,
            "signed_in": _instant(each.signed_in), "seen": _instant(each.seen), "until": _instant(each.until),
        }  # fmt: skip


def browser_of(agent: str) -> str:
    """What the browser is called, out of what it called itself; "" where nothing in it is known."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if browser and system else browser or system


def _instant(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def _port(request: web.Request) -> str:
    """The port in the address that people use, "" where it is that of https."""
    _, colon, port = request.headers.get("Host", "").rpartition(":")
    return f":{port}" if colon and port.isdecimal() else ""
