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
class ApmEntry:
    """One entry of an APM mapping: for which services, and what stands before them. What is () was not said."""

    services: tuple[str, ...]  # component refs
    teams: tuple[str, ...]  # group refs
    hosts: tuple[str, ...]
    access_profile: str
    per_request_policy: str = ""
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()  # claim, and values that branches compare it with
    place: str = ""  # where it is said, "apm.yaml:7"


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
    apm: tuple[ApmEntry, ...] = ()  # of the mapping, for services with an address of their own
    apm_mapping: str = ""  # the file that says so


@dataclass(frozen=True, slots=True)
class Readers:
    """Who may read the feeds of a device. Whatever is said here has to be met; without networks nobody may."""

    networks: tuple[str, ...] = ()  # where its requests come from
    username: str = ""  # of Basic, "" = not asked for
    password_files: tuple[str, ...] = ()  # any of them counts: two while one takes the other's place
    certificates: tuple[str, ...] = ()  # names, as `ClientCertificate` has them; () = none is asked for


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
    readers: Readers = Readers()


@dataclass(frozen=True, slots=True)
class Panos:
    """One PAN-OS firewall, or the two of a pair."""

    name: str
    units: tuple[str, ...]  # "https://192.0.2.30", management addresses
    key_files: tuple[str, ...]  # any of them counts: two while one takes the other's place
    ca: str = ""  # PEM file with the authorities of the units' certificates; "" = the system's
    pins: tuple[str, ...] = ()  # SHA-256 of the certificates themselves, in hexadecimal, instead of authorities
    vsys: str = "vsys1"
    concurrent: int = 2  # calls at once, of each unit


@dataclass(frozen=True, slots=True)
class Devices:
    bigip: tuple[Bigip, ...] = ()
    panos: tuple[Panos, ...] = ()
