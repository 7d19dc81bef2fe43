"""The HTTPS side of a device: parameters out of a request, which knob strikes, what is written down, the answer out.

Whoever serves it listens on loopback alone. `/_lab` takes the knobs, without a log-in; a page in a browser cannot reach
it, because whatever carries an `Origin` is turned away. Everything but `/api/` is the web interface, in HTML with
200, which is what a client with a wrong path or content type gets to see.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from email import message_from_bytes
from email.policy import HTTP
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from gateway.lab.panos import on_view, requests
from gateway.lab.panos.answers import Answer, Declined, WebDeclined
from gateway.lab.panos.device import Device
from gateway.lab.panos.faults import BadKnob
from gateway.lab.panos.files import Upload
from gateway.lab.panos.oracle import Packet

LARGEST: Final = 5 * 1024 * 1024  # of a request's body, and of a query
MOST_CALLS: Final = 10_000
BEAT_S: Final = 1.0
UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # what XML cannot say back
FORM: Final = "application/x-www-form-urlencoded"
UPLOAD: Final = "multipart/form-data"
WEB_INTERFACE: Final = "<!DOCTYPE html><html><head><title>Login</title></head><body>Web interface</body></html>"
KNOBS: Final = "faults, calls, view, failover, reboot, revoke, packet, lists, pair"


@dataclass(frozen=True)
class Call:
    """One line of the request log: no value that could be a secret."""

    type: str
    action: str
    admin_known_by: str  # header, parameter, basic, or nothing
    target: str
    size: int
    status: int


class Front:
    """A device behind HTTP."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.calls: list[Call] = []
        self.most_at_once = 0
        self._at_once = 0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST)
        app.router.add_route("*", "/_lab/{name}", self._lab)
        app.router.add_route("*", "/{path:.*}", self._serve)
        app.cleanup_ctx.append(self._beating)
        return app

    async def _beating(self, _: web.Application) -> AsyncIterator[None]:
        """Lists are fetched when they are due."""

        async def beat() -> None:
            while True:
                await self.device.lists.refresh_due()
                await asyncio.sleep(BEAT_S)

        beating = asyncio.get_running_loop().create_task(beat())
        yield
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        form = request.method == "POST" and request.content_type in (FORM, UPLOAD)
        if request.path not in ("/api", "/api/") or not (form or request.method == "GET"):
            return web.Response(text=WEB_INTERFACE, content_type="text/html")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._api(request)
        finally:
            self._at_once -= 1

    async def _api(self, request: web.Request) -> web.StreamResponse:
        upload: Upload | None = None
        try:
            body = await request.read()
            is_file = request.content_type == UPLOAD
            parameters = _parameters(request.rel_url.raw_query_string, b"" if is_file else body)
            if is_file:
                upload = _uploaded(request.headers["Content-Type"], body)
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text=WEB_INTERFACE, content_type="text/html")
        except WebDeclined as refused:
            return self._written(refused.answer())
        knobs, kind = self.device.knobs, parameters.get("type", "")
        upset = knobs.upset_for(
            kind, "&".join(f"{name}={value}" for name, value in parameters.items() if name != "key")
        )
        if knobs.slow_s:
            await asyncio.sleep(knobs.slow_s)
        if upset is not None and upset.reset == "before":
            return _cut(request)
        answer = upset.answer() if upset is not None else None
        if answer is None:
            answer = requests.answer(self.device, request.headers, parameters, upload)
        self._note(request, parameters, len(body), answer.status)
        if upset is None:
            return self._written(answer)
        if upset.reset == "after":
            return _cut(request)
        if upset.reset == "body":
            return await _cut_body(request, answer)
        return self._written(_halved(answer) if upset.truncated else answer)

    def _note(self, request: web.Request, parameters: dict[str, str], size: int, status: int) -> None:
        by = "header" if "X-PAN-KEY" in request.headers else "parameter" if parameters.get("key") else ""
        by = by or ("basic" if "Authorization" in request.headers else "nothing")
        action = parameters.get("action", "")
        call = Call(parameters.get("type", ""), action, by, parameters.get("target", ""), size, status)
        self.calls.append(call)
        del self.calls[:-MOST_CALLS]

    def _written(self, answer: Answer) -> web.Response:
        if not answer.file:
            return web.Response(status=answer.status, body=answer.body, content_type=answer.kind, charset="UTF-8")
        named = {"Content-Disposition": f"attachment; filename={answer.file}"}
        return web.Response(status=answer.status, body=answer.body, content_type=answer.kind, headers=named)

    # === knobs ===

    async def _lab(self, request: web.Request) -> web.Response:
        if "Origin" in request.headers:
            return web.json_response({"message": "the knobs are not for pages"}, status=403)
        try:
            body = orjson.loads(await request.read() or b"{}")
            if not isinstance(body, dict):
                raise BadKnob("the body is a JSON object")
            return web.json_response(await self._turned(request.method, request.match_info["name"], body))
        except (BadKnob, Declined, orjson.JSONDecodeError) as error:
            return web.json_response({"message": str(error)}, status=400)

    async def _turned(self, method: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        device = self.device
        if name == "faults":
            if method == "DELETE":
                device.knobs.reset()
            elif method in ("PATCH", "POST", "PUT"):
                device.knobs.set(body)
            return device.knobs.shown()
        if name == "calls" and method == "GET":
            calls = [{one.name: getattr(call, one.name) for one in fields(Call)} for call in self.calls]
            return {"calls": calls, "most_at_once": self.most_at_once, "keygens": device.admins.logins}
        if name == "view" and method == "GET":
            return on_view.seen(device)
        if method != "POST":
            raise BadKnob(f"{name} is for POST; there are {KNOBS}")
        if name == "packet":
            return self._packet(body)
        if name == "lists":
            await device.lists.refresh_due()
            held = device.lists.held.values()
            states = {one.name: {"state": one.state, "enforced": one.enforced, "entries": one.entries} for one in held}
            return {"lists": states, "log": device.lists.log}
        return self._acted(name, body)

    def _packet(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the oracle says. It counts a hit, unless ``count`` is false."""
        vsys, count = body.pop("vsys", ""), body.pop("count", True)
        types = {one.name: int if one.name == "port" else str for one in fields(Packet)}
        for name, value in body.items():
            if name not in types or not isinstance(value, types[name]):
                raise BadKnob(f"a packet has {', '.join(types)}; {name} does not take {value!r}")
        if not {"source", "destination"} <= set(body) or not isinstance(vsys, str):
            raise BadKnob("a packet needs source and destination")
        return dict(vars(self.device.evaluate(Packet(**body), vsys, count=count is not False)))

    def _acted(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        device, pair = self.device, self.device.pair
        if name == "reboot":
            device.reboot()
        elif name == "revoke":
            device.admins.expire()
        elif name in ("failover", "pair") and pair is None:
            raise BadKnob("this device is in no pair")
        elif name == "failover" and pair is not None:
            pair.fail_over()
        elif name == "pair" and pair is not None:
            lag = body.get("lag_s", pair.lag_s)
            if not isinstance(lag, int | float) or isinstance(lag, bool):
                raise BadKnob(f"lag_s takes seconds, not {lag!r}")
            pair.lag_s, pair.tags_cross = float(lag), bool(body.get("tags_cross", pair.tags_cross))
            pair.divided = bool(body.get("divided", pair.divided))
        else:
            raise BadKnob(f"no knob {name}; there are {KNOBS}")
        return {"active": device.hostname if pair is None else pair.devices[pair.active].hostname}


def _parameters(query: str, body: bytes) -> dict[str, str]:
    """Of the query and the form; the form wins. Raises `WebDeclined` (400) for what is no form."""
    try:
        found = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=64)
        found += parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError:
        raise WebDeclined(400, "Bad request") from None
    if any(UNPRINTABLE.search(value) for _, value in found):
        raise WebDeclined(400, "Bad request")
    return dict(found)


def _uploaded(kind: str, body: bytes) -> Upload:
    """The file of a form, whose boundary clients write without quotes, at any length. Raises `WebDeclined` (400)."""
    boundary = kind.rpartition("boundary=")[2].strip('"')
    head = f'Content-Type: {UPLOAD}; boundary="{boundary}"\r\n\r\n'
    form = message_from_bytes(head.encode() + body, policy=HTTP)
    files = [part for part in form.iter_parts() if part.get_filename()] if form.is_multipart() else []
    content = files[0].get_payload(decode=True) if len(files) == 1 else None
    if not isinstance(content, bytes):
        raise WebDeclined(400, "Bad request")
    return Upload(str(files[0].get_filename()), content)


def _halved(answer: Answer) -> Answer:
    return Answer(answer.body[: len(answer.body) // 2], answer.status, answer.kind)


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut_body(request: web.Request, answer: Answer) -> web.StreamResponse:
    """The whole length is promised, half of it is sent, and the connection ends."""
    headers = {"Content-Type": f"{answer.kind}; charset=UTF-8", "Content-Length": str(len(answer.body))}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
