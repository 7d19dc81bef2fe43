"""Active checks: the engine asks endpoints whether they are up, for services whose operator wants that, and tells the
doors which are down.

A check is a GET of the operator's path at one endpoint, under the service's public host, without following a
redirect: 2xx and 3xx mean up. `FAILURES` in a row make an endpoint down, `SUCCESSES` make it up again; until then it
is what it was, and at first it is up. An address that the environment does not allow is never asked, and nothing is
said about it: the door refuses it anyway.

Doors are told the endpoints that are down, all of them each time, with how long that may be believed: three
intervals since the last check. So an engine that is gone, or hangs, is forgotten soon, and everything counts as up.
The messages have a counter of their own; they are no part of a base and of no snapshot's version.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from gateway import config, telemetry
from gateway.egress.addresses import NotAllowed
from gateway.egress.client_names import ClientNames
from gateway.egress.resolve import Resolver
from gateway.egress.trust import Trust, TrustFault, full_reason
from policy.claims import key_of
from policy.facts import Exposure

FAILURES: Final = 3
SUCCESSES: Final = 2
BELIEVED: Final = 3  # intervals
LONGEST_S: Final = 5.0  # of one check, where the interval is longer
AT_ONCE: Final = 64
NEWS_S: Final = 0.02  # changes of so long go into one message
AGENT: Final = "stagedoor-check"
_PORTS: Final = {"http": 80, "https": 443}
_RANDOM: Final = Random()  # spreads the checks over their interval

Routes = Mapping[str, tuple[Exposure, ...]]


class Target(NamedTuple):
    """One endpoint that is checked."""

    key: str  # of the exposure
    environment: str
    host: str  # public; "" where a wildcard leaves it open
    url: str
    check: config.Check
    tls: config.UpstreamTls | None


class Tally:
    """What the checks of one endpoint add up to."""

    __slots__ = ("at_s", "is_up", "streak")

    def __init__(self) -> None:
        self.is_up = True
        self.streak = 0  # checks in a row that say the opposite
        self.at_s = 0.0  # of the last check

    def took(self, up: bool, now_s: float) -> bool:
        """The outcome of a check. True when it turned the endpoint."""
        self.at_s = now_s
        if up == self.is_up:
            self.streak = 0
            return False
        self.streak += 1
        if self.streak < (SUCCESSES if up else FAILURES):
            return False
        self.is_up = up
        self.streak = 0
        return True


class Checks:
    """Made inside the running loop. ``tell`` sends a message to every door."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._settings: config.Settings
        self._asking: _Asking | None = None
        self._tallies: dict[Target, Tally] = {}
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._number = time.time_ns() // 1_000_000  # grows with each change; no other engine of this node had it
        self._news: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def configure(self, settings: config.Settings) -> None:
        """Take other settings, and read their certificates again; `follow` says what to check by them."""
        self._settings = settings
        self._drop_asking()
        self._asking = _Asking(settings, self._loop)

    def follow(self, routes: Routes) -> None:
        """Check these endpoints from now on, and no others."""
        wanted = targets(self._settings, routes)
        for target in self._tasks.keys() - wanted:
            self._tasks.pop(target).cancel()
            if not self._tallies.pop(target).is_up:
                self._changed()
        for target in wanted - self._tasks.keys():
            self._tallies[target] = Tally()
            self._tasks[target] = self._loop.create_task(self._check(target))

    def state(self) -> dict[str, Any]:
        """The message for the doors: every endpoint that is down, and for how many seconds to believe it."""
        now_s = self._loop.time()
        down = []
        for target, tally in self._tallies.items():
            left_s = tally.at_s + BELIEVED * target.check.interval_s - now_s
            if not tally.is_up and left_s > 0:
                down.append([target.key, target.url, left_s])
        return {"t": "endpoints", "n": self._number, "down": down}

    def endpoints(self, key: str) -> dict[str, bool]:
        """Those of an exposure that are checked, and whether each is up."""
        return {target.url: tally.is_up for target, tally in self._tallies.items() if target.key == key}

    def news_for(self, number: object) -> dict[str, Any] | None:
        """What a door that comes must be told; ``number`` is of the state it knows, 0 for none."""
        state = self.state()
        return state if number != self._number and (number or state["down"]) else None

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        if self._news is not None:
            self._news.cancel()
        self._drop_asking()
        await asyncio.gather(*self._tasks.values(), *self._ending, return_exceptions=True)

    def _drop_asking(self) -> None:
        if self._asking is not None:
            ending = self._loop.create_task(self._asking.close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            self._asking = None

    # === one endpoint ===

    async def _check(self, target: Target) -> None:
        interval_s = target.check.interval_s
        await asyncio.sleep(_RANDOM.uniform(0, interval_s))
        said = ""
        while True:
            began_s = self._loop.time()
            try:
                async with self._room:
                    why = await self._outcome(target)
            except NotAllowed as refused:
                if str(refused) != said:
                    said = str(refused)
                    telemetry.log(
                        "check_refused", level="warning", exposure=target.key, endpoint=target.url, why=said
                    )  # fmt: skip
            else:
                said = ""
                self._took(target, why)
            spent_s = self._loop.time() - began_s
            await asyncio.sleep(max(0.0, interval_s * _RANDOM.uniform(0.9, 1.1) - spent_s))

    async def _outcome(self, target: Target) -> str:
        """Why the endpoint is not up; "" if it is. Raises `NotAllowed`."""
        asking = self._asking
        assert asking is not None  # `configure` comes before `follow`
        try:
            async with asyncio.timeout(min(target.check.interval_s, LONGEST_S)):
                status = await asking.status(target)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return why_not(error)
        return "" if 200 <= status < 400 else f"answers {status}"

    def _took(self, target: Target, why: str) -> None:
        tally = self._tallies.get(target)
        if tally is None:
            return  # no longer wanted
        if tally.took(not why, self._loop.time()):
            if why:
                telemetry.log("endpoint_down", level="warning", exposure=target.key, endpoint=target.url, why=why)
            else:
                telemetry.log("endpoint_up", exposure=target.key, endpoint=target.url)
            self._changed()
        elif not tally.is_up:
            self._tell_within(target.check.interval_s / 2)  # so that it is believed further on

    # === telling the doors ===

    def _changed(self) -> None:
        self._number += 1
        if self._news is not None:
            self._news.cancel()
            self._news = None
        self._tell_within(NEWS_S)

    def _tell_within(self, seconds: float) -> None:
        if self._news is None:
            self._news = self._loop.call_later(seconds, self._tell_now)

    def _tell_now(self) -> None:
        self._news = None
        self._tell(self.state())


def why_not(error: Exception) -> str:
    """What came instead of an answer."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLError):
        return full_reason(cause)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno)
    return f"tls: {cause}" if isinstance(cause, TrustFault) else str(cause) or type(cause).__name__


def targets(settings: config.Settings, routes: Routes) -> set[Target]:
    """What the settings want checked, of what is published."""
    found = set()
    for name, environment in settings.environments.items():
        for ref, service in environment.services.items():
            for exposure in routes.get(ref, ()) if service.check is not None else ():
                if exposure.environment == name and service.check is not None:
                    host = "" if exposure.host.startswith("*") else exposure.host
                    found |= {
                        Target(key_of(ref, name), name, host, url, service.check, service.tls)
                        for url in exposure.upstreams
                    }
    return found


class _Asking:
    """How endpoints are asked, for one set of settings."""

    def __init__(self, settings: config.Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._resolver = Resolver(settings, loop.time)
        self._trust = Trust()
        self._sessions: dict[str, aiohttp.ClientSession] = {}  # by environment: what it allows is its own

    async def status(self, target: Target) -> int:
        """The status of one answer. Raises `NotAllowed`, `TrustFault`, `OSError`, `aiohttp.ClientError`."""
        parts = urlsplit(target.url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        # aiohttp resolves names alone, so an address in the URL is judged here.
        await self._resolver.addresses(target.environment, host, parts.port or _PORTS.get(parts.scheme, 0))
        async with self._session(target.environment).get(
            target.url + target.check.path,
            headers={"Host": target.host} if target.host else {},
            allow_redirects=False,
            ssl=await self._trust.context(target.tls) if secure else True,
            server_hostname=((target.tls.server_name if target.tls else "") or host) if secure else None,
        ) as answer:
            answer.close()  # its body is nobody's business
            return answer.status

    def _session(self, environment: str) -> aiohttp.ClientSession:
        session = self._sessions.get(environment)
        if session is None:
            connector = aiohttp.TCPConnector(
                resolver=ClientNames(partial(self._resolver.addresses, environment)),
                use_dns_cache=False,
                force_close=True,
                limit=0,
            )
            session = self._sessions[environment] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": AGENT},
                trust_env=False,
            )
        return session

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
