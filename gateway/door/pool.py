"""The ways upstream: which exposure leads to which endpoints, and which one takes the next request.

A :class:`Route` is what the pool knows of one exposure: its endpoints and the operator's settings for it. It is
looked up once per request and remade when the exposure changes. Two endpoints are compared by their load (power
of two choices), one that just failed is passed over.

`Route.send` takes the `Permit`: it is the only door to the upstream side, and a `Permit` is only made by the
policy table.
"""

from __future__ import annotations

import ssl
from random import Random
from typing import TYPE_CHECKING, Final

from gateway.config import ServiceSettings, Settings, UpstreamTls
from gateway.door.endpoint import FAILED_S, Endpoint
from gateway.door.resolve import Resolver
from gateway.http1.forward import AnswerRules

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.worker import Door
    from policy.facts import Permit
    from policy.table import Exposure

_RANDOM: Final = Random()
DEFAULT_SERVICE: Final = ServiceSettings()


class Route:
    """One exposure's way upstream, with what the operator set for it."""

    __slots__ = ("exposure", "endpoints", "body_limit", "response_s", "idle_s")

    def __init__(self, pool: Pool, exposure: Exposure) -> None:
        environment = pool.door.settings.environments.get(exposure.environment)
        service = environment.services.get(exposure.service, DEFAULT_SERVICE) if environment else DEFAULT_SERVICE
        door = pool.door
        self.exposure = exposure
        self.endpoints = [pool.endpoint(url, exposure.environment, service) for url in exposure.upstreams]
        self.body_limit = service.body_limit_bytes or door.limits.body_bytes
        self.response_s = service.response_s or door.timeouts.response_s
        self.idle_s = service.idle_s or door.timeouts.idle_s

    def send(self, permit: Permit, exchange: Exchange, *, fresh: bool = False) -> None:
        """Send what was permitted to the less busy of two endpoints."""
        endpoints = self.endpoints
        if len(endpoints) == 1 and exchange.tried is None:
            endpoints[0].take(exchange, fresh)
            return
        endpoint = self._choose(exchange)
        if endpoint is None:
            exchange.refuse("upstream_connect", "no endpoint of this service can be reached")
            return
        endpoint.take(exchange, fresh)

    def _choose(self, exchange: Exchange) -> Endpoint | None:
        tried = exchange.tried or ()
        left = [endpoint for endpoint in self.endpoints if endpoint not in tried]
        if not left:
            return None
        now_s = left[0].pool.door.tick_s
        sound = [endpoint for endpoint in left if now_s - endpoint.failed_s >= FAILED_S] or left
        first = _RANDOM.choice(sound)
        second = _RANDOM.choice(sound)
        return first if first.busy <= second.busy else second


class Pool:
    """All routes and endpoints of one worker."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.routes: dict[str, Route] = {}
        self._endpoints: dict[tuple[str, str, ServiceSettings], Endpoint] = {}
        self._contexts: dict[UpstreamTls | None, ssl.SSLContext] = {}
        self.configure(door.settings)

    def configure(self, settings: Settings) -> None:
        """Take other settings: new requests meet new routes and endpoints, running ones end on the old."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        self.routes = {}
        self._endpoints = {}
        self._contexts = {}
        self.resolver = Resolver(settings.environments, settings.listeners, lambda: self.door.tick_s)
        self.answer_rules = AnswerRules()

    def route(self, exposure: Exposure) -> Route:
        route = self.routes.get(exposure.key)
        if route is None or route.exposure is not exposure:
            route = self.routes[exposure.key] = Route(self, exposure)
        return route

    def endpoint(self, url: str, environment: str, service: ServiceSettings) -> Endpoint:
        key = (url, environment, service)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            endpoint = self._endpoints[key] = Endpoint(self, url, environment, service)
        return endpoint

    def tls_context(self, tls: UpstreamTls | None) -> ssl.SSLContext:
        """Verification is never off: the system's roots, or the operator's own."""
        context = self._contexts.get(tls)
        if context is None:
            context = ssl.create_default_context(cafile=tls.ca if tls and tls.ca else None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if tls and tls.certificate:
                context.load_cert_chain(tls.certificate, tls.key or None)
            self._contexts[tls] = context
        return context

    def table_changed(self) -> None:
        """Routes of exposures that are gone must not hold on to them."""
        self.routes = {}

    def sweep(self, now_s: float) -> None:
        gone = [key for key, endpoint in self._endpoints.items() if endpoint.sweep(now_s)]
        for key in gone:
            del self._endpoints[key]
        if gone:
            self.routes = {}  # some may point to an endpoint that is no longer swept

    def close(self) -> None:
        for endpoint in self._endpoints.values():
            endpoint.close()
