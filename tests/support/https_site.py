"""One HTTPS address on loopback that a function answers: what scripted devices stand on."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.support.certificates import make

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def https_site(folder: Path, names: tuple[str, ...], answer: Answer) -> AsyncIterator[tuple[str, Path]]:
    """Its URL and its certificate, which carries ``names``; the authority is `ca.pem` in ``folder``."""
    leaf = "site-" + hashlib.sha256("".join(names).encode()).hexdigest()[:8]
    certificate, key = folder / f"{leaf}.pem", folder / f"{leaf}.key"
    if not certificate.exists():
        make(folder, leaf, *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    application = web.Application(client_max_size=64 << 20)
    application.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", certificate
    finally:
        await runner.cleanup()
