"""What `stagedoor.yaml` says, as frozen dataclasses, and their frame form.

Standard library only: doors load a validated settings frame and never the pydantic models that made it
(`gateway/config_load/__init__.py`). Durations are seconds (float, suffix ``_s``), sizes are bytes (int, suffix
``_bytes``). Attribute names are the keys of the file, so a reader of one knows the other.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from hashlib import blake2b
from typing import Any, Literal

from gateway.config.devices import DEVICE_KINDS, Devices
from gateway.config.sign_in import Client, CommandLine, EnvironmentSessions, Sessions
from gateway.config.sources import Backstage, ClientCredentials, Origins


@dataclass(frozen=True, slots=True)
class ListenerTls:
    certificate: str
    key: str
    client_ca: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    name: str
    address: str  # "127.0.0.1:8443" or "[::1]:8443"
    tls: ListenerTls | None = None
    trusted_peers: tuple[str, ...] = ()  # networks whose X-Forwarded-For, -Proto are read
    proxy_protocol: bool = False
    direct: bool = False  # clients connect here themselves: a connection's certificate says who they are
    bigip: bool = False
    health_only: bool = False
    client_certificate_header: str = ""  # in which trusted peers pass on the certificate a client showed them


@dataclass(frozen=True, slots=True)
class MatchField:
    """Token ``claim`` equals entity ``field``; ``domains`` is required when the claim is `email`."""

    claim: str
    field: str
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Groups:
    claim: str
    match: tuple[MatchField, ...]  # how a value of the claim finds a Group; .claim is Groups.claim


@dataclass(frozen=True, slots=True)
class Introspection:
    """Tokens about which the issuer itself is asked (RFC 7662). The secret stays in its file."""

    client_id: str
    client_secret_file: str
    url: str = ""  # "" = from discovery
    prefixes: tuple[str, ...] = ()  # how this issuer's opaque tokens begin; () = all that no other one claims
    cache_s: float = 60.0
    tokens: Literal["opaque", "signed", "all"] = "opaque"  # signed: once their signature was verified
    without_sub: Literal["refuse", "client"] = "refuse"  # client: an answer without `sub` is about a client's own token


@dataclass(frozen=True, slots=True)
class Issuer:
    name: str
    issuer: str  # the exact `iss`; of preset spiffe the trust domain, `spiffe://example.org`
    audiences: tuple[str, ...]
    preset: str = "generic"  # one of `gateway.identity.presets.PRESETS`
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    match: tuple[MatchField, ...] = ()
    groups: Groups | None = None
    membership: Literal["catalog", "token", "both", "either"] = "catalog"
    scopes: Literal["bound", "add"] = "bound"
    # Claim -> value, or the values it may have; all must hold.
    workload_when: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    token_types: tuple[str, ...] = ("at+jwt", "application/at+jwt", "JWT")
    allow_absent_type: bool = False  # set by presets only
    accept_id_tokens: bool = False  # set by presets only
    protocol_scopes: tuple[str, ...] = ()  # set by presets: scopes that do not make a token bounded
    jwks_uri: str = ""  # "" = from discovery
    # Whether the client ids it gives out are those of the catalog. "": the only issuer's are, of several nobody's.
    clients: Literal["ours", "foreign", ""] = ""
    tenants: tuple[str, ...] = ()  # what `{tenantid}` in ``issuer`` stands for (Entra ID); nothing else is accepted
    introspection: Introspection | None = None
    client: Client | None = None  # None: nobody signs in there with a browser
    command_line: CommandLine | None = None  # None: nobody signs in there with `stagedoor login`


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Whether an endpoint is up is asked with a GET of ``path``, every ``interval_s``."""

    path: str
    interval_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What only operators decide about one service in one environment."""

    connect_s: float | None = None
    response_s: float | None = None
    idle_s: float | None = None
    tunnel_idle_s: float | None = None
    connections: int | None = None
    tls: UpstreamTls | None = None
    body_limit_bytes: int | None = None
    check: Check | None = None  # None: what requests meet is all that is known
    upgrades: tuple[str, ...] = ()  # lower case; `websocket` needs no mention
    trailers: tuple[str, ...] = ()  # lower case


@dataclass(frozen=True, slots=True)
class Environment:
    name: str
    hosts: tuple[str, ...]  # suffixes ".apps.example.com" or exact hosts a service may claim
    upstreams: tuple[str, ...]  # networks ("10.0.0.0/8") and names (".internal") it may point to
    services: Mapping[str, ServiceSettings] = field(default_factory=dict)
    sessions: EnvironmentSessions = EnvironmentSessions()
    shared_hosts: tuple[str, ...] = ()  # those on which services of several teams may stand beside each other
    virtual_networks: tuple[str, ...] | None = None  # of `virtual-address`, by `devices`; None: no BIG-IP serves it


@dataclass(frozen=True, slots=True)
class Catalog:
    prefix: str = "stagedoor.dev/"
    files: tuple[str, ...] = ()
    backstage: tuple[Backstage, ...] = ()
    origins: Origins | None = None  # None: the only source may define people; of several nobody may
    sync_secret_file: str = ""  # with it, whoever signs with the secret may have the catalogs looked at now


@dataclass(frozen=True, slots=True)
class Rate:
    """What one key may do on the whole node; each worker enforces its share. 0 = unlimited."""

    requests_per_second: float = 0.0
    burst: int = 0  # at once after a pause; 0 = as many as in a second
    concurrent: int = 0  # requests under way


@dataclass(frozen=True, slots=True)
class Limits:
    head_bytes: int = 32 * 1024
    fields: int = 100
    target_bytes: int = 8 * 1024
    body_bytes: int = 0  # 0 = unlimited
    connections: int = 20_000  # per worker
    peer_connections: int = 10_000  # of one peer that is not trusted, per worker; 0 = unlimited
    peer_connects: int = 0  # new ones per second of one peer that is not trusted, on the node; 0 = any number
    trusted_peer_connections: int = 0  # of one trusted peer, per worker; 0 = unlimited
    handshakes: int = 512  # TLS handshakes in flight per worker
    upstream_connections: int = 256  # per endpoint and worker
    cached_tokens: int = 20_000  # per worker
    tunnels: int = 10_000  # per worker, of its `connections`
    memory_bytes: int = 0  # per worker: from there on what comes new is refused; 0 = unlimited
    upload_rate_bytes: int = 256  # per second, of a request body that the door waits for; 0 = any
    principals: Rate = Rate()  # by the ref of who asks
    addresses: Rate = Rate()  # of requests by nobody, by client address
    hosts: Rate = Rate()
    refusals: Rate = Rate(requests_per_second=1000.0, burst=10_000)  # that nobody is named in, by client address


@dataclass(frozen=True, slots=True)
class Timeouts:
    handshake_s: float = 5.0
    head_s: float = 10.0  # first byte of a head to its end
    body_s: float = 60.0  # between two pieces of a request body
    keepalive_s: float = 310.0  # idle client connection; BIG-IP idles at 300
    connect_s: float = 5.0
    response_s: float = 60.0  # request sent to first byte of the answer
    idle_s: float = 60.0  # between two pieces of an answer body
    tunnel_idle_s: float = 3600.0  # no byte either way
    pool_idle_s: float = 4.0
    drain_announce_s: float = 0.0
    drain_finish_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Audit:
    folder: str = ""  # "" = STATE/audit
    sync: Literal["batch", "second", "off"] = "second"


ADMIN_ADDRESS = "127.0.0.1:9440"
SIGHTINGS_S = 90 * 86400.0


@dataclass(frozen=True, slots=True)
class Settings:
    listeners: tuple[Listener, ...]
    issuers: tuple[Issuer, ...]
    environments: Mapping[str, Environment]
    catalog: Catalog
    access_policy: str
    state_folder: str
    central_host: str = ""
    workers: int = 1
    admin_address: str = ADMIN_ADDRESS
    administrators: tuple[str, ...] = ()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    audit: Audit = Audit()
    sessions: Sessions = Sessions()
    devices: Devices = Devices()
    log_format: Literal["auto", "json", "text"] = "auto"
    database: str = ""  # of PostgreSQL, without a password; "" = SQLite in the state folder
    sightings_s: float = SIGHTINGS_S  # how long control remembers who came, and what their token said; 0 = not at all
    # Operations of the built-in service that need no identity, "GET /". No key of the file sets it: only a
    # program that embeds the gateway (the lab's start page) can.
    central_public: tuple[str, ...] = ()


# ---- the frame form ----
# MAGIC, one version byte, 16 bytes of blake2b over the body, the body: `marshal` version 2 (reproducible, the
# default version is not). A dataclass is written as (class name, {field: value}), a tuple as a list, a mapping
# as a dict: so each of the three is told apart without a schema beside the code.

FRAME_MAGIC = b"SDcf"
FRAME_VERSION = 1
_DIGEST_SIZE = 16
_HEAD_SIZE = len(FRAME_MAGIC) + 1 + _DIGEST_SIZE
_CLASSES: dict[str, Callable[..., object]] = {
    kind.__name__: kind
    for kind in (
        Settings, Listener, ListenerTls, Introspection, Issuer, MatchField, Groups, Environment, ServiceSettings, Check,
        UpstreamTls, Catalog, Backstage, ClientCredentials, Origins, Rate, Limits, Timeouts, Audit, Client, CommandLine,
        Sessions, EnvironmentSessions, *DEVICE_KINDS,
    )
}  # fmt: skip


class FrameFault(ValueError):
    """The bytes are no settings frame this version reads."""


def encode(settings: Settings) -> bytes:
    body = marshal.dumps(_plain(settings), 2)
    return FRAME_MAGIC + bytes((FRAME_VERSION,)) + _digest(body) + body


def decode(frame: bytes) -> Settings:
    """The settings of a frame. Whatever is not exactly a frame of a known version raises `FrameFault`."""
    if frame[: len(FRAME_MAGIC)] != FRAME_MAGIC or len(frame) < _HEAD_SIZE:
        raise FrameFault("not a settings frame")
    if (version := frame[len(FRAME_MAGIC)]) != FRAME_VERSION:
        raise FrameFault(f"settings frame has version {version}, this program reads {FRAME_VERSION}")
    body = frame[_HEAD_SIZE:]
    if _digest(body) != frame[_HEAD_SIZE - _DIGEST_SIZE : _HEAD_SIZE]:
        raise FrameFault("settings frame is damaged")
    settings = _rebuilt(marshal.loads(body))
    if not isinstance(settings, Settings):
        raise FrameFault("settings frame holds something else")
    return settings


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_SIZE).digest()


def _plain(value: object) -> Any:  # what marshal takes cannot be said as a type
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value)}
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"settings hold a {type(value).__name__}, which has no frame form")


def _rebuilt(value: object) -> object:
    match value:
        case (str(name), dict(members)) if isinstance(value, tuple) and name in _CLASSES:
            try:
                return _CLASSES[name](**{key: _rebuilt(each) for key, each in members.items()})
            except TypeError as fault:
                raise FrameFault(f"settings frame does not fit this program: {fault}") from None
        case list():
            return tuple(_rebuilt(each) for each in value)
        case dict():
            return {key: _rebuilt(each) for key, each in value.items()}
        case tuple():
            raise FrameFault("settings frame names an unknown class")
    return value
