"""The example company's applications: small servers that answer anything and show what reached them.

Every answer names the service, the environment (by port) and the request as it arrived after the door: method,
path and header fields, which is the simplest way to see what Stagedoor adds, rewrites and removes. Four paths
behave like difficult applications: `/figures/slow` waits, `/events/stream` sends a line at a time,
`/exports/large` sends megabytes, and the handbook is a web page. They listen on 127.0.0.1 alone.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from gateway.lab.child import serve_until_parent_ends

ENDPOINTS = ("prod, endpoint 1", "prod, endpoint 2", "staging and dev")  # one port each, in this order
ENDPOINT: web.AppKey[str] = web.AppKey("endpoint", str)
LONGEST_WAIT_S = 30.0
MOST_LINES = 1000
MOST_MEBIBYTES = 1024
MEBIBYTE = bytes(range(256)) * 4096

SAMPLES: dict[str, Any] = {
    "payments": {"id": "pay-2041", "amount": "84.50", "currency": "EUR", "state": "captured"},
    "fees": {"visa": "1.2 %", "mastercard": "1.3 %", "ideal": "0.29 EUR"},
    "refunds": {"id": "ref-77", "amount": "12.00", "currency": "EUR", "state": "paid"},
    "accounts": {"1200": "bank", "4000": "sales", "4900": "refunds"},
    "entries": {"entry": "e-90112", "debit": "1200", "credit": "4000", "amount": "84.50"},
    "products": {"sku": "tent-2p-fell", "name": "Fell, tent for two", "price": "249.00"},
    "orders": {"id": "ord-5518", "lines": 3, "state": "packed"},
    "parcels": {"id": "3S-884120", "place": "Utrecht", "state": "on its way"},
    "labels": {"label": "3S-884121", "state": "printed"},
    "reports": {"name": "returns", "period": "last week", "share": "4.1 %"},
}


def application(endpoint: str) -> web.Application:
    app = web.Application()
    app[ENDPOINT] = endpoint
    app.router.add_get("/figures/slow", _slow)
    app.router.add_get("/events/stream", _stream)
    app.router.add_get("/exports/large", _large)
    app.router.add_route("*", "/{path:.*}", _echo)
    return app


async def _echo(request: web.Request) -> web.Response:
    received = 0
    async for piece in request.content.iter_any():
        received += len(piece)
    shown = _received(request, received)
    if request.host.startswith("handbook."):
        return web.Response(text=_page(shown), content_type="text/html")
    words = [word for word in request.path.split("/") if word in SAMPLES]
    answer = {"answer": SAMPLES[words[-1]] if words else "hello", **shown}
    status = 201 if request.method == "POST" else 200
    return web.json_response(answer, status=status, dumps=_for_people)


def _for_people(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _received(request: web.Request, body_bytes: int) -> dict[str, Any]:
    return {
        "service": request.host.partition(".")[0],
        "endpoint": request.app[ENDPOINT],
        "received": {
            "method": request.method,
            "path": request.raw_path,
            "headers": {name: _shortened(name, value) for name, value in request.headers.items()},
            "body_bytes": body_bytes,
        },
    }


def _shortened(name: str, value: str) -> str:
    """A bearer token is shown by its beginning: these answers end up in terminals and screenshots."""
    return f"{value[:18]}…" if name.lower() == "authorization" else value


def _page(shown: dict[str, Any]) -> str:
    received = html.escape(json.dumps(shown["received"], indent=2))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Marlow handbook</title>"
        "<meta name=viewport content='width=device-width'>"
        "<style>pre{white-space:pre-wrap;overflow-wrap:anywhere}</style>"
        "<h1>How things are done at Marlow</h1><p>Be kind, write it down, close the ticket.</p>"
        f"<h2>What reached this page</h2><pre>{received}</pre></html>\n"
    )


async def _slow(request: web.Request) -> web.Response:
    wait_s = min(_number(request, "seconds", 2.0), LONGEST_WAIT_S)
    await asyncio.sleep(wait_s)
    return web.json_response({"figure": 42, "waited_s": wait_s})


async def _stream(request: web.Request) -> web.StreamResponse:
    lines = int(min(_number(request, "lines", 10), MOST_LINES))
    return await _sent(request, "application/x-ndjson", _sales(lines))


async def _large(request: web.Request) -> web.StreamResponse:
    mebibytes = int(min(_number(request, "mebibytes", 16), MOST_MEBIBYTES))
    return await _sent(request, "application/octet-stream", _mebibytes(mebibytes), mebibytes * len(MEBIBYTE))


async def _sales(lines: int) -> AsyncIterator[bytes]:
    for number in range(1, lines + 1):
        yield json.dumps({"sale": number, "sku": "tent-2p-fell"}).encode() + b"\n"
        await asyncio.sleep(0.2)


async def _mebibytes(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield MEBIBYTE


async def _sent(
    request: web.Request, kind: str, pieces: AsyncIterator[bytes], length: int | None = None
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": kind})
    answer.content_length = length
    await answer.prepare(request)
    async for piece in pieces:
        await answer.write(piece)
    await answer.write_eof()
    return answer


def _number(request: web.Request, name: str, default: float) -> float:
    try:
        return max(0.0, float(request.query.get(name, default)))
    except ValueError:
        return default


def main() -> None:
    parser = argparse.ArgumentParser(prog="gateway.lab.upstreams")
    parser.add_argument("--port", type=int, required=True, help="the first of three ports in a row")
    first: int = parser.parse_args().port
    apps = {first + offset: application(name) for offset, name in enumerate(ENDPOINTS)}
    asyncio.run(serve_until_parent_ends(apps))


if __name__ == "__main__":
    main()
