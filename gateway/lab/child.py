"""What the lab's own child processes share: they listen on 127.0.0.1 alone and end with their parent.

The parent holds the writing end of each child's standard input and never writes. When the parent ends, however it
ends, the child reads the end of the file and stops: nothing is left behind, not even after a kill.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping

from aiohttp import web

LOOPBACK = "127.0.0.1"
READY = "ready"


async def serve_until_parent_ends(apps: Mapping[int, web.Application]) -> None:
    """Serve each application on its port, say so on standard output, stop at a signal or the parent's end."""
    ended = asyncio.Event()
    await _watch_parent(ended)
    runners = []
    for port, app in apps.items():
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, port).start()
        runners.append(runner)
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    await ended.wait()
    for runner in runners:
        await runner.cleanup()


async def _watch_parent(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the parent decides
    await end_with_input(ended)


async def end_with_input(ended: asyncio.Event) -> None:
    """Set ``ended`` when standard input, which has to be a pipe, comes to its end."""
    await asyncio.get_running_loop().connect_read_pipe(lambda: _EndOfInput(ended), sys.stdin)


class _EndOfInput(asyncio.Protocol):
    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()
