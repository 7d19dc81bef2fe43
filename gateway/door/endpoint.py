"""One upstream URL: its idle connections, who waits for one, and the making of new ones.

Idle connections are used last in, first out: the warmest one is taken, the rest can age out. Making a connection
is the one asynchronous thing on a request's way; it runs as a task of the endpoint, never of the exchange, so a
client that leaves does not waste a handshake somebody else waits for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from gateway import counters
from gateway.config import ServiceSettings
from gateway.counters import UPSTREAM_REUSED
from gateway.door.resolve import NotAllowed
from gateway.door.upstream import Upstream

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.pool import Pool

REPEATABLE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
UNREPEATABLE_IDLE_S: Final = 1.0  # other methods use no connection that the upstream may be closing right now
FAILED_S: Final = 2.0  # an endpoint that could not be reached is passed over this long
UNUSED_S: Final = 60.0
WAITING_PER_CONNECTION: Final = 4
PORTS: Final = {"http": 80, "https": 443}


class Endpoint:
    """One upstream URL in one environment, with one TLS setting."""

    __slots__ = (
        "pool", "url", "environment", "host", "port", "path", "tls", "server_name", "limit", "connect_s",
        "idle", "open", "busy", "waiting", "failed_s", "used_s", "tasks", "retired",
    )  # fmt: skip

    def __init__(self, pool: Pool, url: str, environment: str, service: ServiceSettings) -> None:
        self.pool = pool
        self.url = url
        self.environment = environment
        parts = urlsplit(url)
        self.path = str(pool.door.settings.state_folder) + "/http.sock" if parts.scheme == "unix" else ""
        self.host = parts.hostname or ""
        self.port = parts.port or PORTS.get(parts.scheme, 0)
        self.tls = pool.tls_context(service.tls) if parts.scheme == "https" else None
        self.server_name = (service.tls.server_name if service.tls else "") or self.host
        self.limit = service.connections or pool.door.limits.upstream_connections
        self.connect_s = service.connect_s or pool.door.timeouts.connect_s
        self.idle: deque[Upstream] = deque()
        self.open = 0  # being made, idle or busy
        self.busy = 0  # exchanges sent or waiting: the load that two choices compare
        self.waiting: deque[Exchange] = deque()
        self.failed_s = -FAILED_S
        self.used_s = 0.0
        self.retired = False  # other settings took its place: what runs ends here, nothing idles
        self.tasks: set[asyncio.Task[None]] = set()

    def take(self, exchange: Exchange, fresh: bool) -> None:
        """Give ``exchange`` a connection: now if one idles, else once one is made or given back."""
        door = self.pool.door
        now_s = door.tick_s
        self.used_s = now_s
        self.busy += 1
        exchange.endpoint = self
        idle = self.idle
        if idle and not fresh:
            longest_s = door.timeouts.pool_idle_s if exchange.method in REPEATABLE else UNREPEATABLE_IDLE_S
            upstream = idle[-1]
            if now_s - upstream.idle_since_s <= longest_s and not upstream.transport.is_closing():
                idle.pop()
                door.values[UPSTREAM_REUSED] += 1
                exchange.connected(upstream, True)
                return
        self.waiting.append(exchange)
        if self.open < self.limit:
            self._open_another()
        elif len(self.waiting) > self.limit * WAITING_PER_CONNECTION:
            self.waiting.pop()
            self.busy -= 1
            exchange.endpoint = None
            exchange.refuse("overloaded", "too many requests wait for this service")

    def give_back(self, upstream: Upstream) -> None:
        """The answer is whole and the connection clean."""
        self.busy -= 1
        while self.waiting:
            exchange = self.waiting.popleft()
            if not exchange.ended:
                exchange.connected(upstream, True)
                return
        self._keep(upstream)

    def _keep(self, upstream: Upstream) -> None:
        if self.retired:
            upstream.transport.close()
            return
        upstream.idle_since_s = self.pool.door.tick_s
        self.idle.append(upstream)

    def discard(self, upstream: Upstream) -> None:
        """The answer is whole, but the connection is not to be used again; its end is on the way."""
        self.busy -= 1

    def forget(self, exchange: Exchange) -> None:
        """The exchange ended before its answer was whole, or while it waited."""
        self.busy -= 1
        if exchange in self.waiting:
            self.waiting.remove(exchange)

    def lost(self, upstream: Upstream) -> None:
        """The connection is gone, for whatever reason."""
        self.open -= 1
        self.pool.door.values[counters.UPSTREAM_OPEN] -= 1
        if upstream in self.idle:
            self.idle.remove(upstream)
        if self.waiting and self.open < self.limit:
            self._open_another()

    def sweep(self, now_s: float) -> bool:
        """Close what idled too long. True when nothing is left of the endpoint."""
        longest_s = self.pool.door.timeouts.pool_idle_s
        while self.idle and now_s - self.idle[0].idle_since_s > longest_s:
            self.idle.popleft().transport.close()
        return not self.open and not self.waiting and now_s - self.used_s > UNUSED_S

    def close(self) -> None:
        self.retired = True
        while self.idle:
            self.idle.popleft().transport.close()

    # === making a connection ===

    def _open_another(self) -> None:
        self.open += 1
        self.pool.door.values[counters.UPSTREAM_OPEN] += 1
        task = self.pool.door.loop.create_task(self._connect())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect(self) -> None:
        values = self.pool.door.values
        try:
            async with asyncio.timeout(self.connect_s):
                upstream = await self._connected()
        except NotAllowed as refused:
            self._not_connected("upstream_refused", str(refused))
        except ssl.SSLError as error:
            self._not_connected("upstream_connect", f"tls: {error.reason or 'handshake failed'}")
        except TimeoutError:
            self._not_connected("upstream_timeout", "no connection in time")
        except OSError as error:
            self._not_connected("upstream_connect", type(error).__name__)
        else:
            values[counters.UPSTREAM_CONNECTS] += 1
            self.failed_s = -FAILED_S
            while self.waiting:
                exchange = self.waiting.popleft()
                if not exchange.ended:
                    exchange.connected(upstream, False)
                    return
            self._keep(upstream)

    def _protocol(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, Upstream(self, self.pool.answer_rules))

    async def _connected(self) -> Upstream:
        loop = self.pool.door.loop
        if self.path:
            _, upstream = await loop.create_unix_connection(self._protocol, self.path)
            return cast(Upstream, upstream)
        addresses = await self.pool.resolver.addresses(self.environment, self.host, self.port)
        last: OSError | None = None
        for address in addresses:
            try:
                _, upstream = await loop.create_connection(
                    self._protocol,
                    address,
                    self.port,
                    ssl=self.tls,
                    server_hostname=self.server_name if self.tls else None,
                )
                return cast(Upstream, upstream)
            except OSError as error:
                last = error
        raise last if last is not None else OSError("no address")

    def _not_connected(self, code: str, detail: str) -> None:
        door = self.pool.door
        door.values[counters.UPSTREAM_CONNECTS_FAILED] += 1
        door.values[counters.UPSTREAM_OPEN] -= 1
        self.open -= 1
        self.failed_s = door.tick_s
        while self.waiting:
            exchange = self.waiting.popleft()
            if not exchange.ended:
                self.busy -= 1
                exchange.not_connected(code, detail)
                break
        if self.waiting and not self.open:
            self._open_another()
