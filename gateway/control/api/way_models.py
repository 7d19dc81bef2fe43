"""Parameters and answers of `path` and `inventory`, as models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.control.api.entities import EntityQuery
from gateway.control.api.models import Flag, Method, Name, Url
from gateway.control.api.routes import Answer, Query

State = Annotated[
    Literal["open", "stops", "unknown"], Field(description="`unknown`: nobody can tell now, and the sentence says why.")
]


class PathQuery(Query):
    url: Url = Field(description="Where somebody wants to go.")
    method: Method = Field("GET", description="Of the request.")
    user: Name | None = Field(None, description="Another person: `jane`, or a full ref. Administrators alone.")
    mfa: Flag = Field(False, description="The sign-in used a second factor.")


class HopAnswer(Answer):
    kind: Literal["name", "virtual-server", "firewall", "door", "upstream"]
    at: str = Field(description="Which one of its kind.")
    state: State
    sentence: str
    todo: str


class PathAnswer(Answer):
    person: str
    method: str
    url: str
    state: State
    sentence: str
    hops: list[HopAnswer] = Field(description="In the order of the way.")


class InventoryQuery(EntityQuery):
    """A component."""


class InventoriedAnswer(Answer):
    ref: str
    title: str
    owner: str
    system: str
    domain: str


class EndpointAnswer(Answer):
    url: str
    up: bool | None = Field(description="As its checks say; null: none are set.")


class VirtualServerAnswer(Answer):
    environment: str
    device: str
    object: str
    address: str
    port: int
    state: str
    sentence: str


class FirewallRuleAnswer(Answer):
    device: str
    leg: Literal["front", "back", "direct"]
    rule: str = Field(description="Empty: no rule names the service on this leg.")
    sentence: str
    tags: list[str] = Field(description="Of the users that it lets in.")
    users: int = Field(description="Who carry one of them.")
    state: State
    why: str


class TaggedAnswer(Answer):
    device: str
    address: str
    tags: list[str]
    state: State = Field(description="`open`: the firewall carries all of them.")


class DoorRuleAnswer(Answer):
    rule: str
    effect: Literal["permit", "deny"]
    sentence: str
    subject: str
    people: int = Field(description="Whom the subject means, of the catalog's people.")


class LagAnswer(Answer):
    device: str
    state: str
    version: str = Field(description="That the doors serve.")
    applied_version: str
    steps: int = Field(description="Of the plan that waits.")
    why: str
    lags: bool


class DoorAnswer(Answer):
    slot: int
    base: str
    lags: bool


class InventoryEnvironmentAnswer(Answer):
    environment: str
    url: str
    is_closed: bool = Field(description="The service or its environment is cut off.")
    upstreams: list[EndpointAnswer]
    virtual_servers: list[VirtualServerAnswer]
    firewalls: list[FirewallRuleAnswer]
    addresses: list[TaggedAnswer] = Field(description="Where it runs, as firewalls are told.")
    more_addresses: int = Field(description="That are left out here.")
    doubts: list[str] = Field(description="What to know of the names that addresses come from.")
    people: int = Field(description="Of the catalog's, whom a rule lets in and none shuts out.")
    rules: list[DoorRuleAnswer]
    more_rules: int = Field(description="That are left out here.")
    devices: list[LagAnswer]


class InventoryAnswer(Answer):
    service: InventoriedAnswer
    base: str = Field(description="What the engine has published.")
    doors: list[DoorAnswer] = Field(description="Of this node.")
    environments: list[InventoryEnvironmentAnswer]
