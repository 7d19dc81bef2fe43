"""A virtual server that passes traffic: client → emulated virtual server → member, as its profiles say at that moment.

With a OneConnect profile a connection to a member is let go of after each answer and carries the next request of
whoever comes; without one each client's connection has its own. `X-Forwarded-For` is inserted as a further line, what
the client sent stays. TLS ends here and begins anew. Who gets nothing — no such virtual server, none of its members
well, an answer that is too large, a member whose certificate does not hold — is reset, as by a device.

Not here: WebSockets, HTTP/2, cookie persistence, PROXY protocol, client certificates. Only loopback members are asked.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web

from gateway.lab.bigip.collections import CERTIFICATE, POOL, VIRTUAL
from gateway.lab.bigip.prober import Prober, is_loopback
from gateway.lab.bigip.properties import address_of
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.unit import Unit
from gateway.lab.child import LOOPBACK

LOG: Final = logging.getLogger(__name__)
REDIRECT: Final = "/Common/_sys_https_redirect"
HOP_BY_HOP: Final = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "upgrade")
SET_BY_NOBODY: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
IDLE_S: Final = 300.0
Headers = list[tuple[str, str]]


class Unanswered(Exception):
    """The client is reset; the text is for the log."""


class VirtualServer:
    """``path``: of the virtual server on the unit, which may come and go."""

    def __init__(self, unit: Unit, path: str, prober: Prober | None = None) -> None:
        self._unit = unit
        self._path = path
        self._prober = prober
        self._turn = 0
        self._shared: aiohttp.ClientSession | None = None
        self._own: dict[asyncio.Transport, aiohttp.ClientSession] = {}
        self._contexts: dict[tuple[object, ...], ssl.SSLContext] = {}

    def app(self) -> web.Application:
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._serve)
        app.on_cleanup.append(self._close)
        return app

    async def _close(self, _app: web.Application) -> None:
        for session in (*self._own.values(), *([self._shared] if self._shared else [])):
            await session.close()

    # === one request ===

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._passed_on(request)
        except (Unanswered, OSError, ValueError, aiohttp.ClientError) as error:
            LOG.info("%s resets a client: %s", self._path, error)
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def _passed_on(self, request: web.Request) -> web.StreamResponse:
        virtual = self._unit.tree.find(VIRTUAL, self._path)
        if virtual is None or virtual.get("disabled"):
            raise Unanswered("there is no such virtual server, or it is disabled")
        if REDIRECT in virtual.get("rules", []):
            return web.Response(status=302, headers={"Location": f"https://{request.host}{request.raw_path}"})
        if "Upgrade" in request.headers:
            raise Unanswered("no connection is upgraded here")
        profiles = self._profiles(virtual)
        host, port = self._member(virtual)
        http = profiles.get("http", {})
        secure = profiles.get("server-ssl")
        path, _, query = request.raw_path.partition("?")
        where = request.rel_url.build(
            scheme="https" if secure else "http", host=host, port=port, path=path, query_string=query, encoded=True
        )
        session = await self._session(request, shared="one-connect" in profiles)
        async with session.request(
            request.method,
            where,
            headers=_sent(request, http, shared="one-connect" in profiles),
            data=request.content if request.body_exists else None,
            skip_auto_headers=SET_BY_NOBODY,
            allow_redirects=False,
            ssl=self._trust(secure) if secure else False,
            server_hostname=_name(secure) if secure else None,
        ) as answer:
            return await _handed_back(request, answer, http)

    def _profiles(self, virtual: Json) -> dict[str, Json]:
        """By kind: http, one-connect, server-ssl …"""
        found: dict[str, Json] = {}
        for named in virtual.get("profiles", []):
            for collection in self._unit.tree.collections():
                values = self._unit.tree.find(collection, named["fullPath"])
                if collection.startswith("ltm/profile/") and values is not None:
                    found[collection.rpartition("/")[2]] = values
        return found

    def _member(self, virtual: Json) -> tuple[str, int]:
        """In turn, of those that take new clients."""
        pool = self._unit.tree.find(POOL, str(virtual.get("pool", "")))
        if pool is None:
            raise Unanswered("it has no pool")
        shown = self._unit.presenter.parts(POOL, pool, "members")
        ready = [one for one in shown if self._takes_clients(pool["fullPath"], one)]
        if not ready:
            raise Unanswered("no member of its pool takes clients")
        self._turn += 1
        name = ready[self._turn % len(ready)]["name"]
        host = address_of(name)
        return host, int(name[len(host) + 1 :])

    def _takes_clients(self, pool: str, member: Json) -> bool:
        found = self._prober.states.get((pool, member["fullPath"]), "up") if self._prober else "up"
        well = member["state"] in ("up", "unchecked") and member["session"] != "user-disabled"
        return well and found != "draining" and is_loopback(member["address"])

    async def _session(self, request: web.Request, *, shared: bool) -> aiohttp.ClientSession:
        if shared:
            if self._shared is None:
                self._shared = _new_session(0)
            return self._shared
        for gone in [one for one in self._own if one.is_closing()]:
            await self._own.pop(gone).close()
        if request.transport is None:
            raise Unanswered("the client is gone")
        return self._own.setdefault(request.transport, _new_session(1))

    def _trust(self, profile: Json) -> ssl.SSLContext:
        """Towards the member. One object as long as nothing changes: connections are kept by it."""
        held = self._unit.tree.find(CERTIFICATE, str(profile.get("caFile", ""))) or {}
        key = (profile["fullPath"], profile["generation"], held.get("generation"))
        if key not in self._contexts:
            self._contexts = {key: self._new_trust(profile, held)}
        return self._contexts[key]

    def _new_trust(self, profile: Json, held: Json) -> ssl.SSLContext:
        """`ca-file` is a certificate that was made of an uploaded file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        if profile.get("peerCertMode") != "require":
            context.verify_mode = ssl.CERT_NONE
            return context
        uploaded = self._unit.uploads.get(str(held.get("sourcePath", "")).rpartition("/")[2])
        if uploaded is None:
            raise Unanswered(f"{profile.get('caFile')} has no uploaded file as its sourcePath")
        context.load_verify_locations(cadata=uploaded.decode())
        context.check_hostname = "authenticateName" in profile
        return context


def _new_session(limit: int) -> aiohttp.ClientSession:
    """``limit``: connections at a time, 0 for any. Keeps no cookies: they are the clients', not the device's."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=IDLE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=IDLE_S),
    )


def _name(profile: Json) -> str | None:
    """Sent to the member, and looked for in its certificate where the profile wants one."""
    said = profile.get("authenticateName") or profile.get("serverName")
    return str(said) if said else None


def _sent(request: web.Request, http: Json, *, shared: bool) -> Headers:
    """What the member gets: the client's fields, those of the profile after them."""
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    sent = [(name, value) for name, value in fields if name.lower() not in HOP_BY_HOP]
    if shared and request.headers.get("Connection", "").lower() == "close":
        sent.append(("Xonnection", "close"))
    if http.get("insertXforwardedFor") == "enabled" and request.remote:
        sent.append(("X-Forwarded-For", request.remote))
    if http.get("headerInsert"):
        name, _, value = str(http["headerInsert"]).partition(":")
        sent.append((name, value.strip()))
    return sent


async def _handed_back(request: web.Request, answer: aiohttp.ClientResponse, http: Json) -> web.StreamResponse:
    limits = http.get("enforcement", {})
    size = sum(len(name) + len(value) + 4 for name, value in answer.raw_headers)
    if len(answer.raw_headers) > limits.get("maxHeaderCount", 64) or size > limits.get("maxHeaderSize", 32768):
        raise Unanswered(f"the answer has {len(answer.raw_headers)} fields of {size} bytes")
    given = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.raw_headers:
        if name.decode("latin-1").lower() not in HOP_BY_HOP:
            given.headers.add(name.decode("latin-1"), value.decode("latin-1"))
    await given.prepare(request)
    async for piece in answer.content.iter_any():
        await given.write(piece)
    await given.write_eof()
    return given


@asynccontextmanager
async def passing_traffic(
    unit: Unit, path: str, port: int = 0, tls: ssl.SSLContext | None = None, prober: Prober | None = None
) -> AsyncIterator[int]:
    """Listens for the virtual server on a loopback port, which it yields."""
    runner = web.AppRunner(VirtualServer(unit, path, prober).app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port, ssl_context=tls).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
