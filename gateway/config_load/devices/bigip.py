"""The key `devices` of `stagedoor.yaml`: BIG-IP device groups, and what each environment is on them; firewalls.

Certificates, keys, profiles and iRules of the device are named, never described: they exist there before Stagedoor
comes, and stay in the hands of who made them. What settings mean together is `config_bigip_faults`' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, Field

from gateway.config.devices import Bigip, BigipEnvironment, Devices, Mode
from gateway.config_load.devices.apm import read_mapping
from gateway.config_load.devices.panos import PanosModel, panos_settings
from gateway.config_load.devices.readers import ReadersModel, readers_settings
from gateway.config_load.devices.values import VirtualAddress, Window, windows_settings
from gateway.config_load.values import (
    MAPPING,
    Address,
    Host,
    ManagementAddress,
    Name,
    Network,
    Some,
    Text,
    named_once,
    not_empty,
    written,
)

_OBJECT: Final = re.compile(r"(?:/[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}){2,3}\Z")
_PREFIX: Final = re.compile(r"[A-Za-z][0-9A-Za-z]{0,31}\Z")
_CLAIM: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}\Z")


def _object(value: str) -> str:
    if not _OBJECT.match(value):
        raise ValueError(f"`{value}` names nothing on a BIG-IP; write the whole path, `/Common/name`")
    return value


def _tenant_prefix(value: str) -> str:
    if not _PREFIX.match(value):
        raise ValueError(f"`{value}` begins no tenant; write letters and digits, a letter first, at most 32")
    if value.lower() == "common":
        raise ValueError("`Common` is the device's own; write another")
    return value


def _claim(value: str) -> str:
    if not _CLAIM.match(value):
        raise ValueError(f"`{value[:60]}` is no name of a claim")
    return value


DeviceObject = Annotated[
    str, AfterValidator(_object), written("An object that exists on the BIG-IP.", r"(/[0-9A-Za-z_][0-9A-Za-z_.-]*)+",
                                          "/Common/name")
]  # fmt: skip
TenantPrefix = Annotated[str, AfterValidator(_tenant_prefix), written("Letters and digits.", "[A-Za-z][0-9A-Za-z]*")]
Claim = Annotated[str, AfterValidator(_claim), written("A claim.", "[A-Za-z0-9_.:/-]+", "groups")]


class Keys(BaseModel):
    model_config = MAPPING


class ApmModel(Keys):
    mapping: Text
    """File that says which APM profile and per-request policy stand before which services, and which claims they
    test."""


class BigipEnvironmentModel(Keys):
    mode: Mode = "plan"
    """`observe`: look and tell. `plan`: make plans, and apply those that people approve. `enforce`: apply what passes
    the guards."""
    addresses: Literal["shared", "pool"] = "shared"
    """What services without `virtual-address` get: `shared`, one virtual server for all of them, or `pool`, an address
    each out of `networks`."""
    virtual_address: VirtualAddress | None = None
    """Of `shared`: where the environment's virtual server listens."""
    networks: list[Network] = []
    """What `pool` takes addresses from, and where the annotation `virtual-address` may point."""
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    """Of the virtual servers."""
    redirect: bool = False
    """Port 80 of their addresses sends who comes there to HTTPS."""
    client_tls: DeviceObject
    """The client SSL profile of the virtual servers: the certificate that clients see. It exists already."""
    trust_ca: DeviceObject | None = None
    """The certificate, or bundle, that signs what the doors show BIG-IP. It exists already."""
    server_name: Host | None = None
    """The name that the doors' certificate must carry."""
    client_certificate: DeviceObject | None = None
    """The certificate that BIG-IP shows the doors, with its key; the listener's `client_ca` signs it."""
    proxy_protocol: bool = False
    """Clients' addresses come in PROXY lines, and no connection is shared: instead of OneConnect."""
    access_profile: DeviceObject | None = None
    """An APM access profile to attach. It exists already."""
    per_request_policy: DeviceObject | None = None
    """An APM per-request policy to attach. It exists already; needs `access_profile`."""
    required_claims: list[Claim] = []
    """Claims that the branches of these are expected to test."""
    apm: ApmModel | None = None
    """What stands before services with an address of their own, where that differs."""
    windows: list[Window] = []
    """When changes may be applied. Default: always."""
    frozen: Text | None = None
    """Why nothing is applied for now; what is said here is shown to who asks."""
    ticket: bool = False
    """Whoever applies a plan has to name a ticket."""
    rules: list[DeviceObject] = []
    """iRules to attach, in this order. They exist already."""


class BigipModel(Keys):
    name: Name
    """How commands, logs and metrics call this device group, or single device."""
    units: Some[ManagementAddress]
    """Management addresses of its units; changes go to the active one."""
    username: Text
    """As whom Stagedoor comes; it needs the role Administrator, which AS3 wants."""
    password_file: Text
    """File with that user's password and nothing else, readable by Stagedoor's user alone."""
    ca: Text | None = None
    """PEM file with the authorities of the units' certificates. Default: the system's."""
    login_provider: Text = "tmos"
    """Who checks the password, in the device's words."""
    device_group: DeviceObject | None = None
    """Where the device does not synchronise by itself: the group that is told to, after each change."""
    tenant_prefix: TenantPrefix = "stagedoor"
    """Of the AS3 tenants; an environment's is `stagedoor_prod`."""
    members: Some[Address]
    """Addresses and ports of the listeners of Stagedoor's nodes, as BIG-IP reaches them."""
    member_tls: bool = True
    """BIG-IP speaks TLS to them. Needs `trust_ca` and `server_name`."""
    health_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Where the monitor asks, in plain HTTP, when not at the members' own port: a listener with `health_only`."""
    as3_schema: Text | None = None
    """File with AS3's JSON schema; what is sent is held against it."""
    removed_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """What share of an environment's services one plan may remove without being approved."""
    removed_most: Annotated[int, Field(ge=0, le=100_000)] = 5
    """How many services one plan may remove without being approved."""
    environments: Annotated[
        dict[Name, BigipEnvironmentModel], AfterValidator(not_empty), Field(json_schema_extra={"minProperties": 1})
    ]
    """The environments that it serves."""
    readers: ReadersModel | None = None
    """Who may read its feeds at the central host. Default: nobody."""


class DevicesModel(Keys):
    bigip: Annotated[list[BigipModel], AfterValidator(named_once)] = []
    """F5 BIG-IP: device groups, or single devices."""
    panos: Annotated[list[PanosModel], AfterValidator(named_once)] = []
    """PAN-OS firewalls, or pairs of them."""


# ---- settings ----


def devices_settings(model: DevicesModel, absolute: Callable[[str | None], str], central_host: str = "") -> Devices:
    """``absolute`` makes a path of the file's folder whole."""
    return Devices(
        bigip=tuple(_bigip(each, absolute) for each in model.bigip),
        panos=tuple(panos_settings(each, absolute, central_host) for each in model.panos),
    )


def virtual_networks(devices: Devices, environment: str) -> tuple[str, ...] | None:
    """Where a service's own address may lie; None where no BIG-IP serves the environment."""
    served = [each for device in devices.bigip for each in device.environments if each.environment == environment]
    return tuple(sorted({network for each in served for network in each.networks})) if served else None


def _bigip(model: BigipModel, absolute: Callable[[str | None], str]) -> Bigip:
    return Bigip(
        name=model.name,
        units=tuple(model.units),
        username=model.username,
        password_file=absolute(model.password_file),
        ca=absolute(model.ca),
        login_provider=model.login_provider,
        device_group=model.device_group or "",
        tenant_prefix=model.tenant_prefix,
        members=tuple(model.members),
        member_tls=model.member_tls,
        health_port=model.health_port or 0,
        as3_schema=absolute(model.as3_schema),
        removed_share=model.removed_share,
        removed_most=model.removed_most,
        environments=tuple(_environment(name, each, absolute) for name, each in sorted(model.environments.items())),
        readers=readers_settings(model.readers, absolute),
    )


def _environment(name: str, model: BigipEnvironmentModel, absolute: Callable[[str | None], str]) -> BigipEnvironment:
    mapping = absolute(model.apm.mapping if model.apm else None)
    return BigipEnvironment(
        environment=name,
        mode=model.mode,
        addresses=model.addresses,
        virtual_address=model.virtual_address or "",
        networks=tuple(model.networks),
        port=model.port,
        redirect=model.redirect,
        client_tls=model.client_tls,
        trust_ca=model.trust_ca or "",
        server_name=model.server_name or "",
        client_certificate=model.client_certificate or "",
        proxy_protocol=model.proxy_protocol,
        access_profile=model.access_profile or "",
        per_request_policy=model.per_request_policy or "",
        required_claims=tuple(model.required_claims),
        apm=read_mapping(mapping)[0].get(name, ()) if mapping else (),
        apm_mapping=mapping,
        windows=windows_settings(model.windows),
        frozen=model.frozen or "",
        ticket=model.ticket,
        rules=tuple(model.rules),
    )
