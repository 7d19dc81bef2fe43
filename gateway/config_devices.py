"""Network devices in settings: frozen values, as roles receive them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["observe", "plan", "enforce"]


@dataclass(frozen=True, slots=True)
class ChangeWindow:
    """When changes may be applied: minutes of the week in UTC, from Monday 00:00, half-open."""

    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class BigipEnvironment:
    """One environment on one BIG-IP device group."""

    environment: str
    mode: Mode = "plan"
    addresses: Literal["shared", "pool"] = "shared"  # what services without `virtual-address` get
    virtual_address: str = ""  # of `shared`
    networks: tuple[str, ...] = ()  # that `pool` takes from, and that `virtual-address` has to lie in
    port: int = 443
    redirect: bool = False  # port 80 sends who comes there to HTTPS
    client_tls: str = ""  # existing client SSL profile, "/Common/name": what the virtual server shows clients
    trust_ca: str = ""  # existing certificate or bundle that signs the doors' certificates, "/Common/name.crt"
    server_name: str = ""  # that the doors' certificate must carry
    client_certificate: str = ""  # existing certificate that BIG-IP shows the doors; needs mTLS at the listener
    proxy_protocol: bool = False  # the PROXY iRule instead of OneConnect
    access_profile: str = ""  # existing APM profile
    per_request_policy: str = ""  # existing APM per-request policy
    required_claims: tuple[str, ...] = ()  # that its branches are expected to test
    windows: tuple[ChangeWindow, ...] = ()  # () = always
    frozen: str = ""  # why nothing is applied now; "" = not frozen
    ticket: bool = False  # whether an apply has to name one
    rules: tuple[str, ...] = ()  # existing iRules to attach


@dataclass(frozen=True, slots=True)
class Bigip:
    """One BIG-IP device group, or a single unit."""

    name: str
    units: tuple[str, ...]  # "https://192.0.2.10", management addresses
    username: str
    password_file: str
    ca: str = ""  # PEM file with the authorities of the units' certificates; "" = the system's
    login_provider: str = "tmos"
    device_group: str = ""  # that changes are synchronised to, where the device does not do so itself
    tenant_prefix: str = "stagedoor"
    members: tuple[str, ...] = ()  # "192.0.2.21:8443": the gateway's nodes
    member_tls: bool = True
    health_port: int = 0  # of the nodes, where it differs
    as3_schema: str = ""  # AS3's JSON schema, a file; what is sent is held against it
    removed_share: float = 0.2  # of the services of an environment that one plan may remove
    removed_most: int = 5
    environments: tuple[BigipEnvironment, ...] = ()


@dataclass(frozen=True, slots=True)
class Devices:
    bigip: tuple[Bigip, ...] = ()
