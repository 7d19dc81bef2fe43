"""The keys `limits` and `timeouts` of `stagedoor.yaml`: what one client or service may use up, how long steps may take.

What is left out comes from the dataclasses of `gateway.config`.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field

from gateway import config
from gateway.config_load.values import MAPPING, Count, Duration, Limit, Size

BIGIP_ANNOUNCE_S: Final = 21.0  # three monitor intervals of 5 s, a timeout of 16 s: the pool has seen the member leave


class Keys(BaseModel):
    model_config = MAPPING


class RateModel(Keys):
    """Of the whole node; each worker enforces its share. 0 is no limit."""

    requests_per_second: Annotated[float, Field(ge=0, le=10_000_000)] = 0.0
    """In the long run."""
    burst: Limit = 0
    """At once, after a pause. 0: as many as in a second."""
    concurrent: Limit = 0
    """Under way at the same time."""


class LimitsModel(Keys):
    head: Size | None = None
    """Of a request's head."""
    fields: Count | None = None
    """Fields of a request's head."""
    target: Size | None = None
    """Of path and query."""
    body: Size | None = None
    """Of a request's body. Default: none."""
    connections: Count | None = None
    """Client connections per worker; a descriptor each, and one more for an upstream's."""
    handshakes: Count | None = None
    """TLS handshakes under way, per worker."""
    upstream_connections: Count | None = None
    """Connections to one endpoint of a service, per worker."""
    cached_tokens: Count | None = None
    """Verified tokens remembered, per worker."""
    tunnels: Count | None = None
    """Tunnels per worker, after an upgrade; they are some of its `connections`."""
    peer_connections: Limit | None = None
    """Connections of one peer that is not trusted, per worker; of IPv6, of one /64. 0: any number."""
    peer_connects: Limit | None = None
    """New connections per second of one peer that is not trusted, and five seconds' worth at once. 0: any number."""
    trusted_peer_connections: Limit | None = None
    """Connections of one trusted peer, per worker. 0: any number."""
    memory: Size | None = None
    """What a worker may take before it refuses what comes new. Default: any amount."""
    upload_rate: Size | None = None
    """Per second, of a request's body that is waited for; slower ones are ended. `0B`: any rate."""
    principals: RateModel = RateModel()
    """Requests of one person or program."""
    addresses: RateModel = RateModel()
    """Requests without an identity, of one client address; of IPv6, of one /64."""
    hosts: RateModel = RateModel()
    """Requests for one host, of all that are allowed."""
    refusals: RateModel | None = None
    """Refused requests without an identity, of one client address. Default: 100 per second, 1000 at once."""


class DrainModel(Keys):
    announce: Duration | None = None
    """Health says draining and listeners still accept. Default: 0s, with a `bigip` listener 21s."""
    finish: Duration | None = None
    """Then what runs may finish."""


class TimeoutsModel(Keys):
    handshake: Duration | None = None
    """For a TLS handshake."""
    head: Duration | None = None
    """From the first byte of a head to its end."""
    body: Duration | None = None
    """Between two pieces of a request's body."""
    keepalive: Duration | None = None
    """Until the next request on a connection; a BIG-IP lets go after 300s."""
    connect: Duration | None = None
    """For a connection to a service."""
    response: Duration | None = None
    """From the request sent to the answer's first byte."""
    idle: Duration | None = None
    """Between two pieces of an answer."""
    tunnel_idle: Duration | None = None
    """Without a byte either way in a tunnel, after an upgrade such as WebSocket's."""
    pool_idle: Duration | None = None
    """How long a connection to a service may idle."""
    drain: DrainModel = DrainModel()
    """What SIGTERM leaves time for."""


# ---- settings ----


def limits_settings(model: LimitsModel) -> config.Limits:
    default = config.Limits()
    return config.Limits(
        head_bytes=model.head or default.head_bytes,
        fields=model.fields or default.fields,
        target_bytes=model.target or default.target_bytes,
        body_bytes=model.body or default.body_bytes,
        connections=model.connections or default.connections,
        handshakes=model.handshakes or default.handshakes,
        upstream_connections=model.upstream_connections or default.upstream_connections,
        cached_tokens=model.cached_tokens or default.cached_tokens,
        tunnels=model.tunnels or default.tunnels,
        peer_connections=default.peer_connections if model.peer_connections is None else model.peer_connections,
        peer_connects=default.peer_connects if model.peer_connects is None else model.peer_connects,
        trusted_peer_connections=model.trusted_peer_connections or default.trusted_peer_connections,
        memory_bytes=model.memory or default.memory_bytes,
        upload_rate_bytes=default.upload_rate_bytes if model.upload_rate is None else model.upload_rate,
        principals=_rate(model.principals),
        addresses=_rate(model.addresses),
        hosts=_rate(model.hosts),
        refusals=default.refusals if model.refusals is None else _rate(model.refusals),
    )


def _rate(model: RateModel) -> config.Rate:
    return config.Rate(model.requests_per_second, model.burst, model.concurrent)


def timeouts_settings(model: TimeoutsModel, *, bigip: bool) -> config.Timeouts:
    default = config.Timeouts()
    announce = model.drain.announce
    if announce is None:
        announce = BIGIP_ANNOUNCE_S if bigip else default.drain_announce_s
    return config.Timeouts(
        handshake_s=model.handshake or default.handshake_s,
        head_s=model.head or default.head_s,
        body_s=model.body or default.body_s,
        keepalive_s=model.keepalive or default.keepalive_s,
        connect_s=model.connect or default.connect_s,
        response_s=model.response or default.response_s,
        idle_s=model.idle or default.idle_s,
        tunnel_idle_s=model.tunnel_idle or default.tunnel_idle_s,
        pool_idle_s=model.pool_idle or default.pool_idle_s,
        drain_announce_s=announce,
        drain_finish_s=default.drain_finish_s if model.drain.finish is None else model.drain.finish,
    )
