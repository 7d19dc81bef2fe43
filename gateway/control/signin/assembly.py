"""Puts sign-in together: the providers of the settings, the sessions, the pages, and what doors ask.

`Context` is what its parts share. `SignIn` is what control's role holds: it follows the settings, adds its routes to
the web application, and answers the doors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from gateway import telemetry
from gateway.config import Settings
from gateway.control.pages import Pages
from gateway.control.sessions.keys import KeyRing
from gateway.control.sessions.live import Facts, LiveSessions
from gateway.control.sessions.renewal import Renewal
from gateway.control.signin.exchange import Exchange
from gateway.control.signin.failures import FAILURES, SignInFailed
from gateway.control.signin.flow import CALLBACK, SIGN_IN, Flow, Vouched
from gateway.control.signin.handover import HandOver
from gateway.control.signin.logout import BACKCHANNEL, SIGNED_OUT, Logout
from gateway.control.signin.people import Keys
from gateway.control.signin.pins import Pins
from gateway.control.signin.provider import Provider
from gateway.control.store import Store, StoreUnavailable
from gateway.identity.issuers import IssuerTable
from gateway.link import Message
from policy.table import Table

Handler = Callable[[web.Request], Awaitable[web.Response]]
CALENDAR_S: Final = 3600.0
FINISH_S: Final = 3.0


class Context:
    """What the parts of sign-in share. ``now``: epoch seconds, never backwards."""

    def __init__(self, settings: Settings, folder: Path, store: Store, keys: Keys, now: Callable[[], int]) -> None:
        self.settings = settings
        self.store = store
        self.keys = keys
        self.now = now
        self.ring = KeyRing(folder, now)
        self.table = IssuerTable.from_settings(settings.issuers)
        self.exchanges: dict[str, Exchange] = {}
        self.live: LiveSessions
        self.pins: Pins

    def exchange_of(self, issuer: str) -> Exchange | None:
        return self.exchanges.get(issuer)

    def adopt(self, settings: Settings, session: aiohttp.ClientSession) -> bool:
        """Whether the keys of sessions are others than before. Providers that did not change keep what is known."""
        self.settings = settings
        self.table = IssuerTable.from_settings(settings.issuers)
        before, self.exchanges = self.exchanges, {}
        for issuer in settings.issuers:
            if issuer.client is None:
                continue
            kept = before.get(issuer.name)
            if kept is None or kept.issuer != issuer:
                kept = Exchange(Provider(issuer, session, time.monotonic), issuer.client, session, time.time)
            self.exchanges[issuer.name] = kept
        self.live.adopt(settings)
        self.pins.adopt(settings)
        return self.ring.settle(settings)


class SignIn:
    """``tell``, ``on_ended`` and ``on_keys`` reach all doors; ``vouched`` says by whose session a request came;
    ``table``: the base that is served."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        store: Store,
        session: aiohttp.ClientSession,
        keys: Keys,
        vouched: Vouched,
        tell: Callable[[list[Facts]], None],
        on_ended: Callable[[Iterable[str]], None],
        on_keys: Callable[[Message], None],
        now: Callable[[], int],
        table: Callable[[], Table] = Table.allow_none,
    ) -> None:
        self._session = session
        self._on_keys = on_keys
        self._calendar: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[web.Response]] = set()
        self._pages = Pages()
        self.context = context = Context(settings, folder, store, keys, now)
        renewal = Renewal(
            store, lambda: context.ring.sealer, context.exchange_of, lambda: context.table, keys, now
        )  # fmt: skip
        context.pins = Pins(store, table, lambda sids, why: context.live.end(sids, why), now)
        context.live = LiveSessions(store, renewal, context.pins, lambda: context.ring.sealer, tell, on_ended, now)
        self.hand_over = HandOver(store, lambda: context.ring.sessions, now)
        self.logout = Logout(context, self._pages)
        self._flow = Flow(context, self.hand_over, vouched, self._pages)

    def adopt(self, settings: Settings) -> None:
        """Raises `StateError` where no key of sessions can be kept."""
        if self.context.adopt(settings, self._session):
            self._on_keys(self.context.ring.message())

    def start(self) -> None:
        self.context.live.start()
        self._calendar = asyncio.get_running_loop().create_task(self._follow_calendar())

    async def close(self) -> None:
        if self._calendar is not None:
            self._calendar.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=FINISH_S)
        await self.context.live.close()

    async def _follow_calendar(self) -> None:
        """A new key when the newest is a month old."""
        while True:
            await asyncio.sleep(CALENDAR_S)
            self.adopt(self.context.settings)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(SIGN_IN, self._whole(self._page(self._flow.begin)))
        app.router.add_post(SIGN_IN, self._whole(self._page(self._flow.chosen)))
        app.router.add_get(CALLBACK, self._whole(self._page(self._flow.finish)))
        app.router.add_get(SIGNED_OUT, self._whole(self._page(self.logout.page)))
        app.router.add_post(BACKCHANNEL, self._whole(self.logout.by_provider))

    def _whole(self, handler: Handler) -> Handler:
        """A browser that goes away stops nothing half way: what a code or a logout token began is finished."""

        async def answer(request: web.Request) -> web.Response:
            task = asyncio.get_running_loop().create_task(_run(handler, request))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            return await asyncio.shield(task)

        return answer

    def _page(self, handler: Handler) -> Handler:
        """Whatever goes wrong becomes a page with a reason; the log has the detail."""

        async def answer(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except SignInFailed as failed:
                return self._failed(request, failed)
            except StoreUnavailable as fault:
                return self._failed(request, SignInFailed("memory_away", str(fault)))
            except web.HTTPException:
                raise
            except Exception as error:  # a fault of ours; its words might hold what somebody sent
                return self._failed(request, SignInFailed("failed", type(error).__name__))

        return answer

    def _failed(self, request: web.Request, failed: SignInFailed) -> web.Response:
        failure = FAILURES[failed.code]
        telemetry.log(
            "sign_in_failed", level="warning" if failure.status >= 500 else "info", code=failed.code, why=failed.detail,
            request_id=request.headers.get("X-Request-Id", "-"),
        )  # fmt: skip
        is_done = failed.code == "callback_used"
        values: dict[str, Any] = {
            "sentence": failure.sentence, "todo": failure.todo, "code": failed.code,
            "again": (failed.back or ("/" if is_done else SIGN_IN)) if failure.again else "",
            "called": "Go on" if is_done else "Try again" if failure.status == 503 else "Sign in again",
        }  # fmt: skip
        answer = self._pages.page(request, "failed.html", values, status=failure.status)
        if failed.cookie:
            answer.headers.add("Set-Cookie", failed.cookie)
        if failure.status == 503:
            answer.headers["Retry-After"] = "5"
        return answer


async def _run(handler: Handler, request: web.Request) -> web.Response:
    return await handler(request)
