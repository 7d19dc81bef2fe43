"""The keys of `stagedoor.yaml`, one pydantic model per mapping; field names are the keys, nothing else is accepted.

A model checks its values one by one; what they mean together is `config_settings`' business.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.config_values import (
    Address,
    Algorithm,
    Count,
    Duration,
    Host,
    HostPattern,
    IssuerUrl,
    KeysAddress,
    Name,
    Network,
    Prefix,
    Ref,
    Size,
    Text,
    Token,
    UpstreamPattern,
)


def _named_once(values: list[Any]) -> list[Any]:
    names = [value.name for value in values]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"name `{twice[0]}` is used twice; give each its own")
    return values


def _not_empty(values: Any) -> Any:
    if not values:
        raise ValueError("is empty; name at least one")
    return values


class Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListenerTlsModel(Keys):
    certificate: Text
    key: Text
    client_ca: Text | None = None


class ListenerModel(Keys):
    name: Name
    address: Address
    tls: ListenerTlsModel | None = None
    trusted_peers: list[Network] = []
    bigip: bool = False


class MatchFieldModel(Keys):
    """Short form: the field alone."""

    field: Text
    domains: list[Host] = []


def _long_form(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


def _fields(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value.values())
    return [value] if isinstance(value, str) else value


MatchField = Annotated[MatchFieldModel, BeforeValidator(_long_form)]


class GroupsModel(Keys):
    """``match``: the fields of a Group that a value of the claim may equal; one, several, or `{claim: field}`."""

    claim: Text
    match: Annotated[list[Text], BeforeValidator(_fields)] = ["metadata.name"]


class IssuerModel(Keys):
    name: Name
    preset: Literal["generic", "okta", "entra", "keycloak", "auth0", "google"] = "generic"
    issuer: IssuerUrl
    audiences: Annotated[list[Text], AfterValidator(_not_empty)]
    algorithms: Annotated[list[Algorithm], AfterValidator(_not_empty)] | None = None
    match: dict[Text, MatchField] | None = None
    groups: GroupsModel | None = None
    membership: Literal["catalog", "token", "both", "either"] = "catalog"
    scopes: Literal["bound", "add"] = "bound"
    workload_when: dict[Text, Text] | None = None
    clients: Literal["ours", "foreign"] | None = None
    token_types: Annotated[list[Text], AfterValidator(_not_empty)] | None = None
    jwks_uri: KeysAddress | None = None
    tenants: list[Text] = []


class UpstreamTlsModel(Keys):
    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None
    server_name: Host | None = None


class ServiceTimeoutsModel(Keys):
    connect: Duration | None = None
    response: Duration | None = None
    idle: Duration | None = None


class ServiceModel(Keys):
    timeouts: ServiceTimeoutsModel = ServiceTimeoutsModel()
    connections: Count | None = None
    tls: UpstreamTlsModel | None = None
    upgrades: list[Token] = []
    trailers: list[Token] = []
    body_limit: Size | None = None


class EnvironmentModel(Keys):
    hosts: Annotated[list[HostPattern], AfterValidator(_not_empty)]
    upstreams: Annotated[list[UpstreamPattern], AfterValidator(_not_empty)]
    services: dict[Ref, ServiceModel] = {}


class CatalogModel(Keys):
    prefix: Prefix = "stagedoor.dev/"
    files: Annotated[list[Text], AfterValidator(_not_empty)]


class LimitsModel(Keys):
    head: Size | None = None
    fields: Count | None = None
    target: Size | None = None
    body: Size | None = None
    connections: Count | None = None
    handshakes: Count | None = None
    upstream_connections: Count | None = None
    cached_tokens: Count | None = None


class DrainModel(Keys):
    announce: Duration | None = None
    finish: Duration | None = None


class TimeoutsModel(Keys):
    handshake: Duration | None = None
    head: Duration | None = None
    body: Duration | None = None
    keepalive: Duration | None = None
    connect: Duration | None = None
    response: Duration | None = None
    idle: Duration | None = None
    pool_idle: Duration | None = None
    drain: DrainModel = DrainModel()


class AuditModel(Keys):
    folder: Text | None = None
    sync: Literal["batch", "second", "off"] = "second"


class StateModel(Keys):
    folder: Text


class AdminModel(Keys):
    address: Address


class LogModel(Keys):
    format: Literal["auto", "json", "text"] = "auto"


class DocumentModel(Keys):
    listeners: Annotated[list[ListenerModel], AfterValidator(_not_empty), AfterValidator(_named_once)]
    issuers: Annotated[list[IssuerModel], AfterValidator(_named_once)] = []
    environments: Annotated[dict[Name, EnvironmentModel], AfterValidator(_not_empty)]
    catalog: CatalogModel
    access_policy: Text
    state: StateModel
    central_host: Host | None = None
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    admin: AdminModel | None = None
    administrators: list[Text] = []
    limits: LimitsModel = LimitsModel()
    timeouts: TimeoutsModel = TimeoutsModel()
    audit: AuditModel = AuditModel()
    log: LogModel = LogModel()
