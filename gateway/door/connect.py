"""Making one connection to an endpoint: the only thing on a request's way that waits.

Each time, the name is resolved and every address judged (`gateway.egress.resolve`). A name with several addresses is
tried address by address: one that fails is followed by the next at once, one that hangs for `STAGGER_S` is given
company, and the first that is made wins (RFC 8305, without its sorting: the resolver has sorted). Within the preferred
family the first address changes from connect to connect, so that a name with an address per instance loads them alike.

What can go wrong is told apart here: for the client in a few words that name no host, for the log in full, and
whether it was the endpoint's fault at all.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from gateway.door.buffers import bound_window
from gateway.egress.addresses import NotAllowed
from gateway.egress.trust import TrustFault, full_reason, public_reason
from gateway.socket_file import connect

if TYPE_CHECKING:
    from gateway.door.endpoint import Endpoint
    from gateway.door.upstream import Upstream

STAGGER_S: Final = 0.3
GOODBYE_S: Final = 1.0  # for the upstream's part of ending TLS; until then the connection counts
#: Ours, whatever the endpoint is like: no descriptor, no memory, no port left.
OWN_SHORTAGES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL)


class Unconnected(NamedTuple):
    """Why there is no connection."""

    code: str  # of `gateway.errors`
    detail: str  # for the client
    why: str  # for the log
    ours: bool = False  # it says nothing about the endpoint


async def connected(endpoint: Endpoint, turn: int) -> Upstream:
    """A connection, ready for a request. ``turn`` is another number each time.

    Raises `NotAllowed`, `TrustFault`, or `OSError` (TLS failures and timeouts are some)."""
    pool = endpoint.pool
    loop = pool.door.loop
    if endpoint.path:
        return _alive(cast("Upstream", await connect(Path(endpoint.path), endpoint.protocol)))
    addresses = await pool.resolver.addresses(endpoint.environment, endpoint.host, endpoint.port)
    context = await pool.trust.context(endpoint.tls) if endpoint.secure else None

    async def attempt(address: str) -> Upstream:
        _, protocol = await loop.create_connection(
            endpoint.protocol,
            address,
            endpoint.port,
            ssl=context,
            server_hostname=endpoint.server_name if context is not None else None,
            ssl_shutdown_timeout=GOODBYE_S if context is not None else None,
        )
        upstream = _alive(cast("Upstream", protocol))
        bound_window(upstream.transport)
        return upstream

    if len(addresses) == 1:
        return await attempt(addresses[0])
    return await first_of(spread(addresses, turn), attempt)


def _alive(upstream: Upstream) -> Upstream:
    if upstream.transport.is_closing():
        raise ConnectionResetError(errno.ECONNRESET, "closed as soon as it was open")
    return upstream


def spread(addresses: list[str], turn: int) -> list[str]:
    """The addresses with those of the first one's family turned, the others behind them."""
    family = ":" in addresses[0]
    preferred = [each for each in addresses if (":" in each) == family]
    at = turn % len(preferred)
    return [*preferred[at:], *preferred[:at], *(each for each in addresses if (":" in each) != family)]


async def first_of(addresses: list[str], attempt: Callable[[str], Awaitable[Upstream]]) -> Upstream:
    """The first connection that comes about. Raises the last failure when none does."""
    loop = asyncio.get_running_loop()
    left = deque(addresses)
    running: set[asyncio.Task[Upstream]] = set()
    failure: OSError | None = None
    try:
        while left or running:
            if left:
                running.add(loop.create_task(_awaited(attempt(left.popleft()))))
            done, running = await asyncio.wait(
                running, timeout=STAGGER_S if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            made = [task.result() for task in done if task.exception() is None]
            for other in made[1:]:
                other.transport.abort()
            if made:
                return made[0]
            for task in done:
                error = task.exception()
                if not isinstance(error, OSError):
                    raise error or OSError("no connection")
                failure = error
        raise failure or OSError("no address")
    finally:
        failure = None  # it holds this frame, which must not hold it: such a cycle lives for ever in a worker
        for task in running:
            task.add_done_callback(_let_go)
            task.cancel()


async def _awaited(upstream: Awaitable[Upstream]) -> Upstream:
    return await upstream


def _let_go(late: asyncio.Task[Upstream]) -> None:
    """An attempt that nobody needs any more."""
    if not late.cancelled() and late.exception() is None:
        late.result().transport.abort()


def why_unconnected(error: Exception) -> Unconnected:
    """What an exception of `connected` means."""
    if isinstance(error, NotAllowed):
        return Unconnected("upstream_refused", "", str(error))
    if isinstance(error, TrustFault):
        return Unconnected("upstream_connect", "tls: not set up", f"tls: {error}")
    if isinstance(error, ssl.SSLError):
        return Unconnected("upstream_connect", public_reason(error), full_reason(error))
    if isinstance(error, TimeoutError):
        return Unconnected("upstream_timeout", "no connection in time", "no connection in time")
    if isinstance(error, OSError) and error.errno in OWN_SHORTAGES:
        return Unconnected("overloaded", "no connection to spare", f"{error.strerror}", ours=True)
    number = error.errno if isinstance(error, OSError) else None
    detail = os.strerror(number).lower() if number is not None and number > 0 else ""
    why = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    return Unconnected("upstream_connect", detail, why)
