"""One upstream URL of one exposure: who waits for a connection to it, and how it fares.

Idle connections are shared by the exposures that lead to one URL with equal settings, thousands behind one ingress;
limits and failures are each one's own. The warmest is taken, the rest can age out. Making one (`door.connect`) is a
task of the endpoint, never of the exchange, so a client that leaves does not waste a handshake another waits for.

A connection is not reused after the idle time that the upstream announced, nor after its age; methods that may not
be sent twice use none that idled for more than a second. What fails is counted in `health`; whether the endpoint is
passed over depends on the others of its exposure (`door.balance`).
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from gateway import counters, telemetry
from gateway.config import ServiceSettings
from gateway.counters import UPSTREAM_REUSED
from gateway.door.balance import (
    ALL_NOTABLE,
    ANSWER_FAILURES,
    CONNECT_FAILURES,
    GATEWAY_FAILURES,
    NOTABLE,
    Health,
    RetryBudget,
    may_eject,
)
from gateway.door.connect import Unconnected, connected, why_unconnected
from gateway.door.faults import not_connected
from gateway.door.upstream import Upstream
from gateway.egress.addresses import NotAllowed

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.pool import Pool

REPEATABLE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
UNREPEATABLE_IDLE_S: Final = 1.0  # other methods use no connection that the upstream may be closing right now
OLDEST_S: Final = 600.0  # a connection's age, ± 20 %: new addresses of a name get their share
UNUSED_S: Final = 60.0
FORGOTTEN_S: Final = 300.0  # an endpoint that is not well is remembered longer, because nobody uses it
WAITING_PER_CONNECTION: Final = 4
PORTS: Final = {"http": 80, "https": 443}
_RANDOM: Final = Random()


class Endpoint:
    """One upstream URL of one exposure, with what the operator set for its service."""

    __slots__ = (
        "open", "busy", "taken", "limit", "pool", "idle", "waiting", "url", "notable", "retired", "exposure",
        "environment", "host", "port", "path", "secure", "tls", "server_name", "connect_s", "making", "seen", "used_s",
        "tasks", "health", "budget", "down_until_s",
    )  # fmt: skip

    def __init__(
        self, pool: Pool, url: str, exposure: str, environment: str, service: ServiceSettings, idle: deque[Upstream]
    ) -> None:
        self.open = 0  # being made, idle or busy. What every request reads comes first, together in memory
        self.busy = 0  # exchanges sent or waiting: the load that two choices compare
        self.taken = 0  # requests, ever
        self.limit = service.connections or pool.door.limits.upstream_connections
        self.pool = pool
        self.idle = idle  # shared by all exposures that lead to this URL with equal settings
        self.waiting: deque[Exchange] | None = None  # made when first needed
        self.url = url
        self.notable = NOTABLE  # answers with this status or above are judged
        self.retired = False  # other settings took its place: what runs ends here, nothing idles
        self.exposure = exposure
        self.environment = environment
        parts = urlsplit(url)
        self.path = str(pool.door.settings.state_folder) + "/http.sock" if parts.scheme == "unix" else ""
        self.host = parts.hostname or ""
        self.port = parts.port or PORTS.get(parts.scheme, 0)
        self.secure = parts.scheme == "https"
        self.tls = service.tls
        self.server_name = (service.tls.server_name if service.tls else "") or self.host
        self.connect_s = service.connect_s or pool.door.timeouts.connect_s
        self.making = 0  # of the open ones, those being made
        self.seen = 0  # of the requests, at the last sweep
        self.used_s = pool.door.tick_s
        self.tasks: set[asyncio.Task[None]] = set()
        self.health = Health()
        self.budget = RetryBudget()
        self.down_until_s = 0.0  # by the engine's checks

    def take(self, exchange: Exchange, fresh: bool) -> None:
        """Give ``exchange`` a connection: now if one idles, else once one is made or given back."""
        door = self.pool.door
        self.taken += 1
        self.busy += 1
        exchange.endpoint = self
        idle = self.idle
        if idle and not fresh:
            upstream = idle[-1]
            idle_s = door.tick_s - upstream.idle_since_s
            if (
                idle_s <= upstream.idle_limit_s
                and (idle_s <= UNREPEATABLE_IDLE_S or exchange.method in REPEATABLE)
                and not upstream.transport.is_closing()
                and (upstream.endpoint is self or self._takes_over(upstream))
            ):
                idle.pop()
                door.values[UPSTREAM_REUSED] += 1
                exchange.connected(upstream, True)
                return
        waiting = self.waiting = self.waiting or deque()
        waiting.append(exchange)
        if self.open < self.limit:
            self._open_enough()
        elif own := [each for each in idle if each.endpoint is self]:
            idle.remove(own[0])  # none of them will do: the coldest makes room, at once
            own[0].transport.abort()
        elif len(waiting) - self.making > self.limit * WAITING_PER_CONNECTION:
            waiting.pop()
            self.busy -= 1
            exchange.endpoint = None
            exchange.refuse("overloaded", "too many requests wait for this service")

    def _takes_over(self, upstream: Upstream) -> bool:
        """Another exposure's idle connection becomes ours, within our limit."""
        if self.open >= self.limit:
            return False
        upstream.endpoint.open -= 1
        upstream.endpoint = self
        self.open += 1
        return True

    def give_back(self, upstream: Upstream) -> None:
        """The answer is whole and the connection clean."""
        self.busy -= 1
        if self.pool.door.tick_s >= upstream.retire_s:
            upstream.transport.close()
        else:
            self._hand_on(upstream, True)

    def _hand_on(self, upstream: Upstream, reused: bool) -> None:
        """To whoever waits first, or to the idle ones."""
        while self.waiting:
            exchange = self.waiting[0]
            if reused and exchange.retried and not exchange.ended:
                upstream.transport.close()  # it wants a fresh one, and this one makes room for that
                return
            self.waiting.popleft()
            if not exchange.ended:
                exchange.connected(upstream, reused)
                return
        if self.retired:
            upstream.transport.close()
            return
        upstream.idle_since_s = self.pool.door.tick_s
        self.idle.append(upstream)

    def discard(self, upstream: Upstream) -> None:
        """The answer is whole, but the connection is not to be used again; its end is on the way."""
        self.busy -= 1
        if self.secure:
            self.remember(upstream)

    def forget(self, exchange: Exchange) -> None:
        """The exchange ended before its answer was whole, or while it waited."""
        self.busy -= 1
        if self.waiting and exchange in self.waiting:
            self.waiting.remove(exchange)

    def part_with(self, upstream: Upstream) -> None:
        """The connection became a tunnel's: its place is free for requests, its load goes on until `tunnel_ended`."""
        upstream.adopted = False
        self.open -= 1
        self._open_enough()

    def tunnel_ended(self) -> None:
        self.busy -= 1
        self.pool.door.values[counters.UPSTREAM_OPEN] -= 1

    def lost(self, upstream: Upstream) -> None:
        """The connection is gone, for whatever reason."""
        if not upstream.adopted:
            return  # it never came to be ours: `_connect` hears of that itself
        self.open -= 1
        self.pool.door.values[counters.UPSTREAM_OPEN] -= 1
        if upstream in self.idle:
            self.idle.remove(upstream)
        self._open_enough()

    def sweep(self, now_s: float) -> bool:
        """Whether nothing is left of the endpoint."""
        if self.taken != self.seen:
            self.seen, self.used_s = self.taken, now_s
        self.budget.turn(now_s, self.taken)
        unused_s = UNUSED_S if self.notable else FORGOTTEN_S
        return not self.open and not self.busy and not self.waiting and now_s - self.used_s > unused_s

    def close(self) -> None:
        self.retired = True
        while self.idle:
            self.idle.popleft().transport.close()

    def is_down(self, now_s: float) -> bool:
        return now_s < self.down_until_s

    def judge(self, status: int) -> None:
        """An answer that is notable: a gateway's failure, or the first good one after a failure."""
        if status in GATEWAY_FAILURES:
            self.failed(f"answers {status}")
        elif not self.notable:
            said = self.health.succeeded()
            self.notable = ALL_NOTABLE if self.health.failures else NOTABLE
            if said:
                telemetry.log("endpoint_recovered", exposure=self.exposure, endpoint=self.url)
            self.pool.endpoint_changed(self)

    def failed(self, why: str, enough: int = ANSWER_FAILURES) -> bool:
        """A failure to be counted; ``enough`` in a row eject the endpoint. True when this one did."""
        self.notable = ALL_NOTABLE
        health = self.health
        if self.retired or not health.failed(enough):
            return False
        now_s = self.pool.door.tick_s
        route = self.pool.routes.get(self.exposure)
        if health.ejected or (route is not None and may_eject(route.endpoints)):
            seconds = health.eject(now_s)
            self.pool.door.values[counters.UPSTREAM_EJECTIONS] += 1
            self.pool.endpoint_changed(self)
            self._say("endpoint_ejected", why=why, failures=health.failures, seconds=seconds)
            return True
        if health.keep(now_s):
            self._say("endpoint_failing", why=why, failures=health.failures)
        return False

    def _say(self, event: str, **fields: object) -> None:
        telemetry.log(event, level="warning", exposure=self.exposure, endpoint=self.url, **fields)

    def protocol(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, Upstream(self, self.pool.own_rules if self.path else self.pool.answer_rules))

    def _open_enough(self) -> None:
        """One more connection, if more wait than are being made. What becomes free first serves who waits first, so
        one that is left over idles."""
        if self.waiting and self.making < len(self.waiting) and self.open < self.limit:
            self.open_another()

    def open_another(self) -> None:
        self.open += 1
        self.making += 1
        self.pool.door.values[counters.UPSTREAM_OPEN] += 1
        task = self.pool.door.loop.create_task(self._connect(self.taken))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect(self, turn: int) -> None:
        try:
            if not self.pool.door.has_for_upstream():
                raise OSError(errno.EMFILE, "too many connections are open")
            async with asyncio.timeout(self.connect_s):
                upstream = await connected(self, turn)
            if upstream.transport.is_closing():
                raise ConnectionResetError("closed as soon as it was open")
        except (NotAllowed, OSError, ValueError) as error:
            self._not_connected(why_unconnected(error))
        else:
            self._adopt(upstream)

    def _adopt(self, upstream: Upstream) -> None:
        door = self.pool.door
        self.making -= 1
        upstream.adopted = True
        upstream.idle_limit_s = door.timeouts.pool_idle_s
        upstream.retire_s = door.tick_s + OLDEST_S * _RANDOM.uniform(0.8, 1.2)
        door.values[counters.UPSTREAM_CONNECTS] += 1
        self._hand_on(upstream, False)

    def _not_connected(self, failure: Unconnected) -> None:
        door = self.pool.door
        door.values[counters.UPSTREAM_CONNECTS_FAILED] += 1
        door.values[counters.UPSTREAM_OPEN] -= 1
        self.open -= 1
        self.making -= 1
        if failure.ours:
            self.pool.ran_short(self.url, failure.why)
        ejected = not failure.ours and self.failed(failure.why, CONNECT_FAILURES)
        told, waited = False, len(self.waiting or ())
        while self.waiting and waited and (ejected or not told):  # an ejected endpoint sends all of them elsewhere
            waited -= 1
            exchange = self.waiting.popleft()
            if not exchange.ended:
                told = True
                self.busy -= 1
                not_connected(exchange, failure.code, failure.detail)
        self._open_enough()

    def remember(self, upstream: Upstream) -> None:
        """The TLS session of a connection that was read from, for the next one."""
        self.pool.trust.remember(self.tls, self.server_name, upstream.transport.get_extra_info("ssl_object"))
