"""Below `/.stagedoor/feeds/` on the central host: an index, and each document that somebody may read.

Devices have no identity: the table lets everybody come this far, and here they are judged by `readers`. Whoever is none
gets the same 404, whatever the path: which devices, environments and documents exist is nobody else's business. A
document is always whole, with a strong ETag, or it is a 503 that says when to come again: never an empty one.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import web

from gateway import telemetry
from gateway.config import Settings
from gateway.config.devices import Bigip, Panos, Readers
from gateway.control.api.callers import Callers
from gateway.control.api.problems import Problem
from gateway.control.feeds.memory import NAME, Given, Key, Memory, Stored, Withheld
from gateway.control.feeds.readers import Asker, Judgement, judged
from gateway.identity.assertion import FIELD
from policy.builtin import FEEDS

ALLOW: Final = "GET, HEAD"
KEPT: Final = {"Cache-Control": "private, no-cache"}  # kept by who reads it, and asked about each time
CHALLENGE: Final = 'Basic realm="stagedoor feeds", charset="UTF-8"'
_PART: Final = "([a-z0-9-]{1,32})"
_PATH: Final = re.compile(f"{re.escape(FEEDS)}/{_PART}/{_PART}/{_PART}/(.{{1,260}})")
_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')
SECRET: Final = "secret"
#: What a reader is told; `stagedoor feeds` says the whole of it.
WHY: Final[Mapping[str, tuple[str, int]]] = {
    "away": ("the engine does not answer", 5),
    "starting": ("this node is starting", 2),
    "standby": ("another node leads", 5),
    "stale": ("the catalog was not read for too long", 60),
    "empty": ("the catalog publishes nothing here", 60),
    "doubtful": ("hosts may be missing from the catalog", 60),
    "held": ("it would take away more than may go unapproved", 60),
    "forgotten": ("what readers have is not known any more", 60),
    "unsound": ("the document has a fault", 60),
    "unmade": ("the document could not be made", 60),
    "unkept": ("what is given could not be remembered", 60),
    SECRET: ("the password cannot be looked at", 60),
}


class Feeds:
    """``settings`` as they are at the first `adopt`. ``reads``: by vendor, device, environment, document, outcome."""

    def __init__(self, callers: Callers, memory: Memory) -> None:
        self._callers = callers
        self._memory = memory
        self._readers: dict[Key, Readers] = {}
        self.reads: Counter[tuple[str, str, str, str, str]] = Counter()

    def adopt(self, settings: Settings) -> None:
        listed: list[tuple[str, Bigip | Panos]] = [
            *(("bigip", device) for device in settings.devices.bigip),
            *(("panos", device) for device in settings.devices.panos),
        ]
        self._readers = {
            (vendor, device.name, environment.environment): device.readers
            for vendor, device in listed
            if device.readers.networks
            for environment in device.environments
        }
        self._memory.keep_only(frozenset(self._readers))

    def add_to(self, app: web.Application) -> None:
        for path in (FEEDS, FEEDS + "/{rest:.*}"):
            app.router.add_route("*", path, self._answer)

    def ages(self) -> dict[Key, float]:
        return self._memory.ages()

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            asker = self._asker(request)
        except Problem as problem:
            if problem.code == "control_starting" or FIELD not in request.headers:  # a door that has no key yet
                return _withheld("starting")
            raise web.HTTPNotFound from None
        path = request.raw_path.partition("?")[0]
        if path.rstrip("/") == FEEDS:
            return await self._index(request, asker)
        found = _PATH.fullmatch(path)
        key: Key = (found[1], found[2], found[3]) if found else ("", "", "")
        refusal = self._refusal(key, asker) or _of_method(request)
        if refusal is not None:
            return self._counted(key, "", refusal)
        assert found is not None  # INVARIANT: who is no reader of it was refused
        if not NAME.fullmatch(found[4]):
            return self._counted(key, "", _unknown())
        given = await self._memory.look(key)
        if isinstance(given, Withheld):
            return self._counted(key, "", _withheld(given.code))
        document = given.documents.get(found[4])
        if document is None:
            return self._counted(key, "", _unknown())
        return self._counted(key, found[4], _given(request, document, given.age_s))

    def _asker(self, request: web.Request) -> Asker:
        """Raises `Problem` where no door vouches for the request."""
        caller = self._callers.of(request)
        is_https = request.headers.get("X-Forwarded-Proto") == "https"
        return Asker(caller.client, caller.certificate, is_https, request.headers.getall("Authorization", ()))

    def _refusal(self, key: Key, asker: Asker) -> web.Response | None:
        """None for a reader of this environment."""
        readers = self._readers.get(key)
        if readers is None:
            return _unknown()
        try:
            found = judged(readers, asker)
        except (OSError, ValueError) as fault:
            telemetry.log("feed_password_unusable", level="error", device=key[1], why=str(fault))
            return _withheld(SECRET)
        if found is Judgement.CHALLENGED:
            return _refused(401, {"WWW-Authenticate": CHALLENGE})
        return None if found is Judgement.WELCOME else _unknown()

    def _counted(self, key: Key, name: str, response: web.Response) -> web.Response:
        outcome = {200: "given", 304: "same", 503: "withheld"}.get(response.status, "refused")
        known = key if key in self._readers else ("", "", "")
        self.reads[(*known, name, outcome)] += 1
        return response

    # === what there is ===

    async def _index(self, request: web.Request, asker: Asker) -> web.Response:
        """What the asker may read; the same 404 as elsewhere for who may read nothing."""
        refusals = {key: self._refusal(key, asker) for key in sorted(self._readers)}
        mine = [key for key, refusal in refusals.items() if refusal is None]
        if not mine:
            worst = min((each for each in refusals.values() if each is not None), key=_kind, default=_unknown())
            return self._counted(("", "", ""), "", worst)
        if (refusal := _of_method(request)) is not None:
            return self._counted(("", "", ""), "", refusal)
        listed: list[dict[str, Any]] = []
        withheld: list[dict[str, Any]] = []
        # At once: an engine that does not answer is waited for but once.
        for key, given in zip(mine, await asyncio.gather(*map(self._memory.look, mine)), strict=True):
            if isinstance(given, Withheld):
                withheld.append({**_named(key), "code": given.code, "why": _why(given.code)[0]})
            else:
                listed += _entries(key, given)
        body = orjson.dumps({"feeds": listed, "withheld": withheld}, option=orjson.OPT_INDENT_2) + b"\n"
        found = web.Response(body=body, headers={"Content-Type": "application/json"})
        return self._counted(("", "", ""), "index", found)


class _Answered(NamedTuple):
    """A conditional request: which tags its sender has."""

    tags: frozenset[str]
    any: bool

    def has(self, etag: str) -> bool:
        return self.any or etag in self.tags


def _condition(request: web.Request) -> _Answered:
    """Of If-None-Match (RFC 9110, 13.1.2), which compares weakly."""
    said = ",".join(request.headers.getall("If-None-Match", ()))
    return _Answered(frozenset(_TAG.findall(said)), said.strip() == "*")


def _given(request: web.Request, document: Stored, age_s: float) -> web.Response:
    headers = {**KEPT, "ETag": document.etag}
    if age_s:
        headers["Age"] = str(int(age_s))
    if _condition(request).has(document.etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=document.body, headers={**headers, "Content-Type": document.media_type})


def _of_method(request: web.Request) -> web.Response | None:
    return None if request.method in ("GET", "HEAD") else _refused(405, {"Allow": ALLOW})


def _unknown() -> web.Response:
    return _refused(404, {})


def _refused(status: int, headers: Mapping[str, str]) -> web.Response:
    words = {401: "unauthorized", 404: "not found", 405: "method not allowed"}
    return web.Response(status=status, text=f"{status} {words[status]}\n", headers=headers)


def _withheld(code: str) -> web.Response:
    why, retry_s = _why(code)
    text = f"503 withheld ({code}): {why}\n"
    return web.Response(status=503, text=text, headers={"Retry-After": str(retry_s)})


def _why(code: str) -> tuple[str, int]:
    return WHY.get(code, ("it is not given now", 60))


def _kind(response: web.Response) -> int:
    """A challenge first, then a fault of ours, then nothing at all."""
    return (401, 503, 404).index(response.status)


def _named(key: Key) -> dict[str, Any]:
    return {"vendor": key[0], "device": key[1], "environment": key[2]}


def _entries(key: Key, given: Given) -> Iterator[dict[str, Any]]:
    for name, document in sorted(given.documents.items()):
        yield {
            **_named(key), "path": f"{FEEDS}/{'/'.join(key)}/{name}", "type": document.media_type,
            "length": len(document.body), "etag": document.etag, "age_s": int(given.age_s),
        }  # fmt: skip
