"""The HTTPS side of a device: who may come in, which knob strikes, which part answers, how errors are written.

Whoever serves it listens on loopback alone. `/_lab` takes the knobs, without a log-in; a page in a browser cannot
reach it, because whatever carries an `Origin` is turned away.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web

from gateway.lab.bigip.faults import RESTARTING, Upset
from gateway.lab.bigip.icontrol import IControl, segments_of
from gateway.lab.bigip.on_view import Watched, nothing_watched, on_view
from gateway.lab.bigip.presenting import HOST
from gateway.lab.bigip.refusals import Json, Refusal, legible, not_registered, refused
from gateway.lab.bigip.singletons import DEVICE_INFO, device_info
from gateway.lab.bigip.tokens import PATH as TOKENS
from gateway.lab.bigip.unit import Unit
from gateway.lab.bigip.worker import Worker

LARGEST: Final = 32 * 1024 * 1024
LOGIN: Final = "/mgmt/shared/authn/login"
MOST_CALLS: Final = 10_000
KNOBS: Final = "faults, calls, traffic, failover, reboot, revoke, empty, group"
Answer = tuple[int, Any]


class Device:
    """A unit behind HTTP. ``watched``: what its virtual servers let through."""

    def __init__(self, unit: Unit, watched: Watched = nothing_watched) -> None:
        self.unit = unit
        self._watched = watched
        self._icontrol = IControl(unit)
        self._as3 = Worker(unit)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if path.startswith("/_lab/"):
            return await self._lab(request, path.removeprefix("/_lab/"))
        self.unit.calls.append(f"{request.method} {request.raw_path}")
        del self.unit.calls[:-MOST_CALLS]
        upset = self.unit.knobs.upset_for(request.method, path)
        if upset is not None and upset.reset == "before":
            return _cut(request)
        try:
            if upset is not None and upset.status:
                raise upset.refusal()
            with legible(400):
                status, body = await self._answer(request, path)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        return await self._written(request, status, body, upset)

    async def _answer(self, request: web.Request, path: str) -> Answer:
        knobs = self.unit.knobs
        if knobs.restarting:
            raise Refusal(503, RESTARTING)
        body = await request.read()
        if path == LOGIN and request.method == "POST":
            return 200, self.unit.tokens.log_in(_json(body))
        self.unit.tokens.admit(request.headers, path)
        if path.startswith("/mgmt/tm/"):
            if knobs.mcpd_lost:
                raise refused(500, "The connection to mcpd has been lost, try again.", 32768001)
            tm = path.removeprefix("/mgmt/tm/")
            return self._icontrol.answer(request.method, tm, request.query, request.headers, body)
        steps = segments_of(path)
        if steps[:3] == ["mgmt", "shared", "appsvcs"]:
            return await self._as3.answer(request.method, steps[3:], request.query, body)
        return self._shared(request, path, steps, body)

    def _shared(self, request: web.Request, path: str, steps: list[str], body: bytes) -> Answer:
        method, headers = request.method, request.headers
        if path.startswith(TOKENS):
            return self._tokens(method, steps[4:], body)
        if path == DEVICE_INFO and method == "GET":
            return 200, device_info(self.unit)
        if path == "/mgmt/shared/echo-query" and method == "GET":
            return 200, {"stage": "STARTED", "kind": "shared:echo-query:state", "selfLink": HOST + path}
        if steps[:4] == ["mgmt", "shared", "file-transfer", "uploads"] and len(steps) == 5 and method == "POST":
            return 200, self._uploaded(steps[4], headers.get("Content-Range", ""), body)
        raise not_registered(path.removeprefix("/mgmt"))

    def _uploaded(self, name: str, piece: str, body: bytes) -> Json:
        """A file, whole or the next piece of it: ``0-99/250``."""
        begins, _, whole = piece.partition("/")
        held = self.unit.uploads.get(name, b"") if begins and not begins.startswith("0-") else b""
        self.unit.uploads[name] = held + body
        total = int(whole) if whole.isdigit() else len(held + body)
        return {
            "remainingByteCount": total - len(held + body),
            "totalByteCount": total,
            "localFilePath": f"/var/config/rest/downloads/{name}",
        }

    def _tokens(self, method: str, names: list[str], body: bytes) -> Answer:
        tokens = self.unit.tokens
        if not names:
            return 200, {"items": tokens.live(), "kind": "shared:authz:tokens:authtokencollectionstate"}
        if method == "PATCH":
            return 200, tokens.extend(names[0], _json(body))
        if method == "DELETE":
            return 200, tokens.end(names[0])
        return 200, tokens.one(names[0])

    async def _written(self, request: web.Request, status: int, body: Any, upset: Upset | None) -> web.StreamResponse:
        if upset is not None and upset.reset == "after":
            return _cut(request)
        html = isinstance(body, str)
        data = b"" if body is None else body.encode() if html else orjson.dumps(body)
        if self.unit.knobs.truncated_errors and status >= 400:
            data = data[: len(data) // 2]
        kind = "text/html" if html else "application/json"
        if upset is not None and upset.reset == "body":
            return await _cut_body(request, status, data, kind)
        return web.Response(status=status, body=data, content_type=kind, charset="utf-8")

    # === knobs ===

    async def _lab(self, request: web.Request, name: str) -> web.Response:
        if "Origin" in request.headers:
            return web.json_response({"code": 403, "message": "the knobs are not for pages"}, status=403)
        try:
            body = _json(await request.read())
            with legible(400):
                return web.json_response(self._turned(request.method, name, body if isinstance(body, dict) else {}))
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)

    def _turned(self, method: str, name: str, body: Json) -> Json:
        unit = self.unit
        if name == "faults":
            if method == "DELETE":
                unit.knobs.reset()
            elif method in ("PATCH", "POST", "PUT"):
                unit.knobs.set(body)
            return unit.knobs.shown()
        if name == "calls" and method == "GET":
            return {"calls": unit.calls, "logins": unit.tokens.logins}
        if name == "traffic" and method == "GET":
            return on_view(unit, self._watched)
        if method != "POST":
            raise refused(405, f"{name} is for POST; there are {KNOBS}")
        if name == "failover":
            unit.group.fail_over()
        elif name == "reboot":
            unit.reboot(float(body.get("seconds", 0)))
        elif name == "revoke":
            unit.tokens.revoke()
        elif name == "empty":
            unit.empty()
        elif name == "group":
            unit.group.automatic = bool(body.get("automatic", unit.group.automatic))
        else:
            raise refused(404, f"no knob {name}; there are {KNOBS}")
        active = next(member.hostname for member in unit.group.members if unit.group.is_active(member))
        return {"active": active, "pending": unit.group.pending, "automatic": unit.group.automatic}


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise refused(400, "Found invalid JSON body in the request.") from None


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut_body(request: web.Request, status: int, data: bytes, kind: str) -> web.StreamResponse:
    """The whole length is promised, half of it is sent, and the connection ends."""
    answer = web.StreamResponse(status=status, headers={"Content-Type": kind, "Content-Length": str(len(data))})
    await answer.prepare(request)
    await answer.write(data[: len(data) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer
