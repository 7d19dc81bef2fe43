"""Network devices in settings: frozen values, as roles receive them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["observe", "plan", "enforce"]
Closes = Literal["addresses", "networks"]


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
class Leg:
    """What a firewall sees of a way: traffic that comes from these zones and goes to those. () = any zone."""

    from_zones: tuple[str, ...] = ()
    to_zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Direct:
    """What people reach without the door, because it is not HTTP."""

    services: tuple[str, ...]  # component or system refs
    ports: tuple[str, ...]  # "tcp/5432", "udp/53", "tcp/6000-6010"


@dataclass(frozen=True, slots=True)
class PanosEnvironment:
    """One environment on one firewall: which legs of a way it sees there, None = not that one. Without any it gets no
    rules, and is told everything, for rules of other people's."""

    environment: str
    mode: Mode = "plan"  # of rules and objects
    front: Leg | None = None  # clients to virtual addresses
    back: Leg | None = None  # doors to services
    direct: Leg | None = None  # clients to services
    directs: tuple[Direct, ...] = ()
    virtual_addresses: tuple[str, ...] = ()  # clients meet these too, beside those of BIG-IPs of the environment
    doors: tuple[str, ...] = ()  # addresses and networks of the gateway's nodes, as the firewall sees them
    networks: tuple[str, ...] = ()  # that addresses of services have to lie in, () = none may be written
    closes: Closes = "addresses"  # to everybody but the doors: addresses of services, or all of `networks`
    log_setting: str = ""  # existing log forwarding profile
    profile_group: str = ""  # existing security profile group
    windows: tuple[ChangeWindow, ...] = ()  # () = always
    frozen: str = ""  # why nothing is committed now; "" = not frozen
    ticket: bool = False

    @property
    def has_rules(self) -> bool:
        return not (self.front is None and self.back is None and self.direct is None)

    @property
    def closed_networks(self) -> tuple[str, ...]:
        """Those that the closing rule of `back` closes whole."""
        return self.networks if self.closes == "networks" else ()

    def tells(self, leg: Leg | None) -> bool:
        """Whether the firewall is told who and what rules of this leg of its mean."""
        return leg is not None or not self.has_rules


@dataclass(frozen=True, slots=True)
class Panos:
    """One PAN-OS firewall, or the two of a pair; or a Panorama, whose device group has the rules."""

    name: str
    units: tuple[str, ...]  # "https://192.0.2.30", management addresses
    key_files: tuple[str, ...]  # any of them counts: two while one takes the other's place
    ca: str = ""  # PEM file with the authorities of the units' certificates; "" = the system's
    pins: tuple[str, ...] = ()  # SHA-256 of the certificates themselves, in hexadecimal, instead of authorities
    vsys: str = "vsys1"
    concurrent: int = 2  # calls at once, of each unit
    device_group: str = ""  # of a Panorama; "" = this is a firewall itself
    rules_key_files: tuple[str, ...] = ()  # of the administrator that commits; () = `key_files`
    tags: Mode = "plan"  # of registered addresses and users, which need no commit
    user_name: str = ""  # template of a person's name in User-ID, "corp\\{metadata.name}"; "" = no user is tagged
    instance: str = "stagedoor"  # tells two Stagedoors on one firewall apart
    anchor: str = ""  # existing rule to stand before; "" = between the rules `sd-begin` and `sd-end`
    commit_gap_s: int = 900  # between two commits of ours
    settle_s: int = 60  # that a change of rules waits for others
    removed_share: float = 0.2  # of the members, or rules, that one round may take away by itself
    removed_most: int = 20
    address_capacity: int = 0  # registered addresses the model holds; 0 = as its model is documented
    environments: tuple[PanosEnvironment, ...] = ()
    readers: Readers = Readers()


@dataclass(frozen=True, slots=True)
class Devices:
    bigip: tuple[Bigip, ...] = ()
    panos: tuple[Panos, ...] = ()


DEVICE_KINDS: Final[tuple[type, ...]] = (
    Devices, Bigip, BigipEnvironment, ApmEntry, ChangeWindow, Readers, Panos, PanosEnvironment, Leg, Direct,
)  # fmt: skip
