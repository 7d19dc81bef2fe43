"""The ways upstream: which exposure leads to which endpoints, and which one takes the next request.

A :class:`Route` is what the pool knows of one exposure: its endpoints and the operator's settings for it. The
exposure has it at hand; it is remade when table or settings change. Two endpoints are compared by their load (power
of two choices); while one of them is not well, `door.balance` says which are left to choose from.

`Route.send` takes the `Permit`: it is the only door to the upstream side, and a `Permit` is only made by the
policy table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING, Final

from gateway import counters, telemetry
from gateway.audit.line import Repeated
from gateway.config import ServiceSettings, Settings
from gateway.door.assertions import OPTION
from gateway.door.balance import candidates, reinstate_surplus
from gateway.door.endpoint import REPEATABLE, Endpoint
from gateway.egress.resolve import Resolver
from gateway.egress.trust import Trust, TrustFault
from gateway.http1.forward import AnswerRules
from gateway.http1.trailers import allowed_trailers
from gateway.http1.values import NOTHING

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.upstream import Upstream
    from gateway.door.worker import Door
    from policy.exposure import Exposure
    from policy.facts import Permit

_RANDOM: Final = Random()
DEFAULT_SERVICE: Final = ServiceSettings()
WEBSOCKET: Final = b"websocket"
OWN_SERVICE: Final = "component:stagedoor/stagedoor"
SAID_AGAIN_S: Final = 10.0
SWEEP_TICKS: Final = 50  # in which every endpoint is looked at once: a second
IDEMPOTENT: Final = REPEATABLE | {"PUT", "DELETE"}  # RFC 9110 §9.2.2; the owner must say that it is true of them


def service_of(settings: Settings, exposure: Exposure) -> ServiceSettings:
    """What the operator set for the exposure's service in its environment."""
    environment = settings.environments.get(exposure.environment)
    return environment.services.get(exposure.service, DEFAULT_SERVICE) if environment else DEFAULT_SERVICE


def upgrades_of(service: ServiceSettings) -> frozenset[bytes]:
    """The protocols that the service may be asked to switch to."""
    return frozenset([WEBSOCKET, *[name.encode("ascii") for name in service.upgrades]])


def is_shut(shut: frozenset[str], exposure: Exposure) -> bool:
    """Whether nobody comes to this service, or to anything in its environment. Stagedoor's own stays open, so that it
    can be opened again."""
    if exposure.service == OWN_SERVICE:
        return False
    return exposure.service in shut or "@" + exposure.environment in shut


class Route:
    """One exposure's way upstream, with what the operator set for it."""

    __slots__ = (
        "edition", "endpoints", "only", "body_limit", "response_s", "idle_s", "tunnel_idle_s", "upgrades", "trailers",
        "repeatable", "repeated", "troubled", "own", "asserts",
    )  # fmt: skip

    def __init__(self, pool: Pool, exposure: Exposure) -> None:
        door = pool.door
        service = service_of(door.settings, exposure)
        endpoints = [pool.endpoint(url, exposure, service) for url in exposure.upstreams]
        # what every request reads, together in memory
        self.edition = pool.edition
        self.only = endpoints[0] if len(endpoints) == 1 else None
        self.body_limit = service.body_limit_bytes or door.limits.body_bytes
        self.response_s = service.response_s or door.timeouts.response_s
        self.repeated = Repeated(exposure.key, exposure.host)  # in its records
        self.own = exposure.service == OWN_SERVICE  # leads to control, which is told who asks under a signature
        self.asserts = OPTION in exposure.options and not self.own  # its service is told the same under a public key
        # what some ask for
        self.endpoints = endpoints
        self.idle_s = service.idle_s or door.timeouts.idle_s
        self.tunnel_idle_s = service.tunnel_idle_s or door.timeouts.tunnel_idle_s
        self.upgrades = upgrades_of(service)
        self.trailers = allowed_trailers(service.trailers, door.settings) if service.trailers else NOTHING
        self.repeatable = IDEMPOTENT if "retry-idempotent" in exposure.options else REPEATABLE
        reinstate_surplus(self.endpoints)
        self.troubled = False
        self.look_again(door.tick_s)

    def look_again(self, now_s: float) -> None:
        """Whether one of the endpoints is not well: only then is there more to a choice than load."""
        self.troubled = any(each.health.ejected or each.is_down(now_s) for each in self.endpoints)

    def send(self, permit: Permit, exchange: Exchange, *, fresh: bool = False) -> None:
        """Send what was permitted to the less busy of two endpoints."""
        if exchange.tried is None and self.only is not None:
            self.only.take(exchange, fresh)
            return
        endpoints = self.endpoints
        if exchange.tried is None and not self.troubled:
            _less_busy(endpoints).take(exchange, fresh)
            return
        now_s = exchange.door.tick_s
        left = candidates(endpoints, exchange.tried or (), now_s)
        if not left:
            exchange.refuse("upstream_connect", "no endpoint of this service can be reached")
            return
        endpoint = _less_busy(left)
        endpoint.health.chosen(now_s)
        endpoint.take(exchange, fresh)


def _less_busy(endpoints: list[Endpoint]) -> Endpoint:
    """Of two that chance picks."""
    count = len(endpoints)
    at = int(_RANDOM.random() * count)
    first = endpoints[at]
    if count == 1:
        return first
    second = endpoints[(at + 1 + int(_RANDOM.random() * (count - 1))) % count]
    return first if first.busy <= second.busy else second


def _close_stale(idle: deque[Upstream], now_s: float) -> None:
    """What idled longer than it may."""
    warmest = idle[-1]
    if warmest.endpoint.secure:
        warmest.endpoint.remember(warmest)
    for upstream in [each for each in idle if now_s - each.idle_since_s > each.idle_limit_s]:
        idle.remove(upstream)
        upstream.transport.close()


class Pool:
    """All routes and endpoints of one worker."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.routes: dict[str, Route] = {}  # by key of the exposure: of this edition, those that were asked for
        self.edition = object()
        self._endpoints: dict[tuple[str, str], Endpoint] = {}  # by key of the exposure and URL
        self._idle: dict[tuple[str, str, ServiceSettings], deque[Upstream]] = {}  # what equal endpoints share
        self._down: dict[tuple[str, str], float] = {}  # by the same, until when
        self.states = 0  # the engine's number of what `_down` says
        self._short_s = float("-inf")  # when it was last said
        self._left: list[Endpoint] = []  # of this round of the sweep
        self._part = 1  # of them, each tick
        self._ejected = 0  # found so far
        self._gone = False  # an endpoint is, since the round began
        try:
            trust = Trust.checked(door.settings)
        except TrustFault as fault:  # the services without that file are well, and so must the door be
            telemetry.log("tls_unusable", level="error", why=str(fault))
            trust = Trust()
        self._adopt(door.settings, trust)

    def configure(self, settings: Settings) -> None:
        """Take other settings: new requests meet new routes and endpoints, running ones end on the old.

        Raises `TrustFault`, and changes nothing, when a file they name cannot be used."""
        self._adopt(settings, Trust.checked(settings))

    def _adopt(self, settings: Settings, trust: Trust) -> None:
        for endpoint in self._endpoints.values():
            endpoint.close()
            self._forget(endpoint.exposure)
        self.table_changed()
        self._endpoints = {}
        self._idle = {}
        self._left = []
        self.trust = trust
        self.resolver = Resolver(settings, lambda: self.door.tick_s)
        self.answer_rules = AnswerRules()
        self.own_rules = AnswerRules(own=True)  # of control, which sets our cookies on the central host

    def route(self, exposure: Exposure) -> Route:
        """The exposure has it at hand: with thousands in use, looking it up by a key is a matter of cache misses."""
        route = exposure.at_hand
        if isinstance(route, Route) and route.edition is self.edition:
            return route
        route = exposure.at_hand = self.routes[exposure.key] = Route(self, exposure)
        return route

    def _forget(self, key: str) -> None:
        """The route of the exposure with this key, and what it leads to."""
        self.routes.pop(key, None)
        exposure = self.door.snapshot.table.exposures.get(key)
        if exposure is not None:
            exposure.at_hand = None

    def endpoint(self, url: str, exposure: Exposure, service: ServiceSettings) -> Endpoint:
        """Each exposure has its own, whoever else names the URL: limits, failures and trials are shared with nobody,
        idle connections with those that would make the same."""
        key = (exposure.key, url)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            environment = exposure.environment
            idle = self._idle.setdefault((url, environment, service), deque())
            endpoint = self._endpoints[key] = Endpoint(self, url, exposure.key, environment, service, idle)
            endpoint.down_until_s = self._down.get(key, 0.0)
        return endpoint

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        route = self.routes.get(endpoint.exposure)
        if route is not None:
            route.look_again(self.door.tick_s)

    def take_states(self, number: int, down: Iterable[tuple[str, str, float]]) -> None:
        """What the engine's checks found: every endpoint that is down (key of the exposure, URL), and for how many
        seconds that may be believed. Endpoints that are not named are up."""
        now_s = self.door.tick_s
        before = self._down
        self._down = {(key, url): now_s + for_s for key, url, for_s in down}
        self.states = number
        for at in before.keys() | self._down.keys():
            endpoint = self._endpoints.get(at)
            if endpoint is not None:
                endpoint.down_until_s = self._down.get(at, 0.0)
                self.endpoint_changed(endpoint)

    def ran_short(self, url: str, why: str) -> None:
        """A connection could not be made for want of our own means. It is said once in a while."""
        if self.door.tick_s - self._short_s >= SAID_AGAIN_S:
            self._short_s = self.door.tick_s
            telemetry.log("connect_shortage", level="error", endpoint=url, why=why)

    def table_changed(self) -> None:
        """Every route is made anew: some exposures are gone, and so are their routes."""
        self.routes = {}
        self.edition = object()

    def sweep(self, now_s: float) -> None:
        """Called each tick: a part of the endpoints, all of them in about a second. Thousands at once would stall
        every request."""
        left, part = self._left, self._part
        for _ in range(min(part, len(left))):
            endpoint = left.pop()
            idle = endpoint.idle
            if idle and idle[0].endpoint is endpoint:  # whose the coldest is looks after all
                _close_stale(idle, now_s)
            if endpoint.sweep(now_s):
                key = (endpoint.exposure, endpoint.url)
                if self._endpoints.get(key) is endpoint:
                    del self._endpoints[key]
                    self._forget(endpoint.exposure)  # its route may point to the endpoint, which is no longer swept
                    self._gone = True
            elif endpoint.health.ejected:
                self._ejected += 1
        if not left:
            self._end_round(now_s)

    def _end_round(self, now_s: float) -> None:
        """Every endpoint was looked at: say what was found, begin again."""
        if self._gone:
            used = {id(endpoint.idle) for endpoint in self._endpoints.values()}
            self._idle = {key: idle for key, idle in self._idle.items() if id(idle) in used}
        for route in [each for each in self.routes.values() if each.troubled]:
            route.look_again(now_s)  # what the checks said may have expired
        values = self.door.values
        values[counters.UPSTREAM_EJECTED] = self._ejected
        values[counters.UPSTREAM_DOWN] = sum(until_s > now_s for until_s in self._down.values())
        self._gone, self._ejected = False, 0
        self._left = list(self._endpoints.values())
        self._part = len(self._left) // SWEEP_TICKS + 1

    def close(self) -> None:
        for endpoint in self._endpoints.values():
            endpoint.close()
