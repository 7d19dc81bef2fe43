"""A token-checking reverse proxy of aiohttp's server and client, PyJWT and uvloop.

aiohttp_proxy PORT UPSTREAM KEY ISSUER AUDIENCE LOG

Verified tokens are cached until they expire, small bodies are read whole, large ones stream, the log is buffered.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import aiohttp
import jwt
import orjson
import uvloop
from aiohttp import web

HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
SMALL = 64 * 1024


class Proxy:
    def __init__(self, upstream: str, key: str, issuer: str, audience: str, log: TextIO) -> None:
        self._upstream = upstream
        self._key, self._issuer, self._audience = key, issuer, audience
        self._log = log
        self._verified: dict[str, dict[str, Any]] = {}
        self._number = 0
        self.session: aiohttp.ClientSession

    def claims_of(self, authorization: str) -> dict[str, Any] | None:
        known = self._verified.get(authorization)
        if known and known["exp"] > time.time():
            return known
        try:
            token = authorization.removeprefix("Bearer ")
            claims: dict[str, Any] = jwt.decode(
                token, self._key, ["RS256"], audience=self._audience, issuer=self._issuer
            )
        except jwt.PyJWTError:
            return None
        if len(self._verified) > 20_000:
            self._verified.clear()
        self._verified[authorization] = claims
        return claims

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        begun = time.monotonic()
        claims = self.claims_of(request.headers.get("Authorization", ""))
        if claims is None:
            return web.Response(status=401)
        self._number += 1
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers["X-User"] = claims["sub"]
        headers["X-Request-Id"] = f"a-{self._number:x}"
        headers["X-Forwarded-For"] = f"{headers.get('X-Forwarded-For', '')}, {request.remote}"
        body = request.content if request.body_exists else None
        async with self.session.request(
            request.method, self._upstream + request.raw_path, headers=headers, data=body, allow_redirects=False
        ) as got:  # fmt: skip
            answer = await self._pass_back(request, got)
        record = {
            "time": time.time(), "id": headers["X-Request-Id"], "sub": claims["sub"], "method": request.method,
            "host": request.host, "path": request.path, "status": got.status, "bytes": answer.body_length,
            "took": time.monotonic() - begun, "client": request.remote,
        }  # fmt: skip
        self._log.write(orjson.dumps(record).decode() + "\n")
        return answer

    async def _pass_back(self, request: web.BaseRequest, got: aiohttp.ClientResponse) -> web.StreamResponse:
        kept = [(name, value) for name, value in got.headers.items() if name.lower() not in HOP_BY_HOP]
        if got.content_length is not None and got.content_length <= SMALL:
            kept = [(name, value) for name, value in kept if name.lower() != "content-length"]
            return web.Response(status=got.status, headers=dict(kept), body=await got.read())
        answer = web.StreamResponse(status=got.status, headers=dict(kept))
        await answer.prepare(request)
        async for piece in got.content.iter_any():
            await answer.write(piece)
        await answer.write_eof()
        return answer


async def serve(port: int, upstream: str, key: str, issuer: str, audience: str, log: str) -> None:
    with open(log, "w", buffering=SMALL) as out:
        proxy = Proxy(upstream, Path(key).read_text(), issuer, audience, out)
        connector = aiohttp.TCPConnector(limit=256, keepalive_timeout=60)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as proxy.session:
            runner = web.ServerRunner(web.Server(proxy.answer, access_log=None))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
            await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), *sys.argv[2:7]))
