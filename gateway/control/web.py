"""Control's web server: an aiohttp application on a Unix socket that only the doors of this node reach.

People come through a door like to any other upstream, so a request here has been decided already; nothing about
the caller is believed because of the socket, though. Every answer, errors included, leaves with headers that keep
a page from being framed, sniffed, cached or made to run a script that is not its own file: the policy allows no
inline script and no other origin.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway.identity.assertion import LARGEST_BYTES
from gateway.socket_file import SocketFile

SOCKET: Final = "http.sock"
LARGEST_BODY_BYTES: Final = 256 * 1024
LARGEST_FIELD_BYTES: Final = LARGEST_BYTES  # what a door says of a caller; what clients send, it has bounded itself
FINISH_S: Final = 1.0

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def make_app() -> web.Application:
    """The application without pages: each feature adds its own routes."""
    app = web.Application(client_max_size=LARGEST_BODY_BYTES, middlewares=[_plain_errors])
    app.on_response_prepare.append(_secure)
    return app


async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.popall("Server", None)


@web.middleware
async def _plain_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """aiohttp's own error answers, without its words: a status and a short text."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.Response(status=error.status, text=f"{error.status} {error.reason.lower()}\n", headers=allow)


class WebServer:
    """The application on its socket. A successor's socket file takes the place of ours while both serve."""

    def __init__(self, app: web.Application, folder: Path) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=FINISH_S, handler_cancellation=True,
            max_line_size=LARGEST_FIELD_BYTES, max_field_size=LARGEST_FIELD_BYTES, auto_decompress=False,
        )  # fmt: skip
        self._file = SocketFile(folder / SOCKET, self._listen)
        self._site: web.SockSite | None = None

    async def start(self) -> None:
        await self._runner.setup()
        await self._file.start()

    async def close(self) -> None:
        self._file.close()
        await self._runner.cleanup()

    async def _listen(self, sock: socket.socket) -> None:
        if self._site is not None:
            await self._site.stop()
        self._site = web.SockSite(self._runner, sock)
        await self._site.start()
