"""The keys of `stagedoor.yaml`, one pydantic model per mapping; field names are the keys, nothing else is accepted.

A model checks its values one by one; what they mean together is `settings`' business. The text under a key is
what `stagedoor config schema` tells an editor about it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from gateway.config_load.catalog import CatalogModel
from gateway.config_load.database import DatabaseUrl
from gateway.config_load.devices.bigip import DevicesModel
from gateway.config_load.issuers import IssuerModel
from gateway.config_load.limits import LimitsModel, TimeoutsModel
from gateway.config_load.values import (
    MAPPING,
    Address,
    CheckInterval,
    Count,
    Duration,
    Host,
    HostPattern,
    Name,
    Network,
    Ref,
    Size,
    Some,
    Text,
    Token,
    UpgradeToken,
    UpstreamPath,
    UpstreamPattern,
    named_once,
    not_empty,
)


class Keys(BaseModel):
    model_config = MAPPING


class ListenerTlsModel(Keys):
    certificate: Text
    """PEM file with the whole chain, leaf first."""
    key: Text
    """PEM file with the private key, readable by Stagedoor's user alone, without a password."""
    client_ca: Text | None = None
    """PEM file with the authorities of client certificates; with it, every client must show one."""


class ListenerModel(Keys):
    name: Name
    """How logs and sockets passed by systemd call this listener."""
    address: Address
    """Where it listens. A change needs a restart."""
    tls: ListenerTlsModel | None = None
    """Without it the listener speaks plain HTTP."""
    trusted_peers: list[Network] = []
    """Networks whose X-Forwarded-For and -Proto are read, then rewritten. Identity fields are read from nobody."""
    bigip: bool = False
    """A pool of BIG-IP virtual servers points here: a long announce while draining, answers within its limits."""
    health_only: bool = False
    """Monitors are answered here and nobody else: beside a listener that they cannot speak with."""
    proxy_protocol: bool = False
    """Each connection begins with a PROXY header, version 1 or 2, from `trusted_peers`; others are refused unread."""
    direct: bool = False
    """Clients connect here themselves, nothing in between: the certificate of a connection says which program calls."""
    client_certificate_header: Token | None = None
    """The field in which `trusted_peers` pass on a client's certificate: PEM, with percent-encoding or its lines joined
    by spaces, or base64 alone. They must replace it in every request, since a certificate is no secret."""


class UpstreamTlsModel(Keys):
    ca: Text | None = None
    """PEM file with the authorities that sign this service's certificates. Default: the system's."""
    certificate: Text | None = None
    """PEM file with the certificate that Stagedoor shows the service; needs `key`."""
    key: Text | None = None
    """PEM file with its private key."""
    server_name: Host | None = None
    """The name that the service's certificate must carry. Default: the host of its URL."""


class ServiceTimeoutsModel(Keys):
    connect: Duration | None = None
    """For a connection to it. Default: `timeouts.connect`."""
    response: Duration | None = None
    """From the request sent to the answer's first byte. Default: `timeouts.response`."""
    idle: Duration | None = None
    """Between two pieces of an answer. Default: `timeouts.idle`."""
    tunnel_idle: Duration | None = None
    """Without a byte either way in a tunnel, after an upgrade. Default: `timeouts.tunnel_idle`."""


class CheckModel(Keys):
    path: UpstreamPath
    """Asked with GET at each endpoint, under the service's public host; 2xx and 3xx mean that it is up."""
    interval: CheckInterval | None = None
    """Between two checks of an endpoint. Three failures in a row and it is down, two good answers and it is up.
    Default: 10s."""


class ServiceModel(Keys):
    timeouts: ServiceTimeoutsModel = ServiceTimeoutsModel()
    """How long this service may take."""
    connections: Count | None = None
    """Connections to one endpoint, per worker. Default: `limits.upstream_connections`."""
    tls: UpstreamTlsModel | None = None
    """How its `https` endpoints are verified; verification is never off."""
    check: CheckModel | None = None
    """How the engine finds out which endpoints are up. Default: nobody asks, and failing requests tell."""
    upgrades: list[UpgradeToken] = []
    """Protocols of `Upgrade` that are let through beside `websocket`. Never `h2c`."""
    trailers: list[Token] = []
    """Fields that may pass behind a chunked body, in requests and in answers to clients that send `TE: trailers`."""
    body_limit: Size | None = None
    """The largest request body. Default: `limits.body`."""


class EnvironmentSessionsModel(Keys):
    idle: Duration | None = None
    """Without a request, before somebody signs in again for this environment. Default: `sessions.idle`."""
    absolute: Duration | None = None
    """After the sign-in, whatever happens. Default: `sessions.absolute`."""


class SessionsModel(Keys):
    idle: Duration | None = None
    """Without a request, before somebody signs in again."""
    absolute: Duration | None = None
    """After the sign-in, whatever happens."""
    offline: Duration | None = None
    """How long a session lives on while its issuer, asked again, does not answer. `0s`: not at all."""
    refresh: Duration | None = None
    """After how long the issuer is asked again, with a refresh token; sooner where its access token ends sooner."""
    keys_file: Text | None = None
    """File with the keys of session cookies, a line `name base64` each, the newest first; several nodes need the same.
    Default: made at random, a new one every 30 days."""


class EnvironmentModel(Keys):
    hosts: Some[HostPattern]
    """Public hosts that services may claim: `.apps.example.com` for all below it, or one host."""
    shared_hosts: list[HostPattern] = []
    """Those of them on which services of several teams may stand beside each other, by path. To a browser they are one:
    script of each acts as whoever looks at it for all of them. Any other host is the team's that has a place on it."""
    upstreams: Some[UpstreamPattern]
    """Where services may run. Loopback and link-local addresses count only when listed as networks."""
    services: dict[Ref, ServiceModel] = {}
    """What only operators decide about a service, by its full entity ref."""
    sessions: EnvironmentSessionsModel = EnvironmentSessionsModel()
    """How long a sign-in counts here, where that is shorter than elsewhere."""


class AuditModel(Keys):
    folder: Text | None = None
    """Where the trail is written. Default: `audit` in the state folder."""
    sync: Literal["batch", "second", "off"] = "second"
    """When records reach the disk: before the next batch, each second, or when the system pleases."""


class StateModel(Keys):
    folder: Text
    """Last good policy, issuers' keys, sockets; one node, one folder. A change needs a restart."""
    database: DatabaseUrl | None = None
    """PostgreSQL for several nodes; its password stands in the `passfile`. Default: SQLite in `folder`. A change needs
    a restart."""
    sightings: Duration | None = None
    """How long after their last token people and what it said of them are remembered, for `stagedoor people report`.
    Default: 90d; `0s` remembers nobody."""


class AdminModel(Keys):
    address: Address
    """Where /metrics, /livez, /readyz and /version are; loopback only. A change needs a restart."""


class LogModel(Keys):
    format: Literal["auto", "json", "text"] = "auto"
    """`auto`: text on a terminal, else one JSON line per event."""


class DocumentModel(Keys):
    listeners: Annotated[Some[ListenerModel], AfterValidator(named_once)]
    """Where requests arrive."""
    issuers: Annotated[list[IssuerModel], AfterValidator(named_once)] = []
    """Identity providers whose tokens are accepted."""
    environments: Annotated[
        dict[Name, EnvironmentModel], AfterValidator(not_empty), Field(json_schema_extra={"minProperties": 1})
    ]
    """What owners may claim, environment by environment."""
    catalog: CatalogModel
    """Where the Backstage catalog is read."""
    access_policy: Text
    """File, or folder of files, in which the platform team bounds what owners may open."""
    state: StateModel
    """What the node keeps."""
    central_host: Host | None = None
    """Host of Stagedoor's own pages; no service may claim it."""
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    """Worker processes. Default: the machine's cores less one. A change needs a restart."""
    admin: AdminModel | None = None
    """The listener for operators and monitors."""
    administrators: list[Text] = []
    """Who may use Stagedoor's administration: refs of Groups, client ids of programs."""
    limits: LimitsModel = LimitsModel()
    """What one client or service may use up."""
    timeouts: TimeoutsModel = TimeoutsModel()
    """How long each step may take."""
    audit: AuditModel = AuditModel()
    """The audit trail."""
    sessions: SessionsModel = SessionsModel()
    """How long people in browsers stay signed in."""
    devices: DevicesModel = DevicesModel()
    """Network devices that follow the catalog."""
    log: LogModel = LogModel()
    """Stagedoor's own log, on stderr."""
