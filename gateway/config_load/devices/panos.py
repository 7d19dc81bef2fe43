"""`devices.panos` of `stagedoor.yaml`: PAN-OS firewalls, how they are reached, and what each environment is on them.

The API key is made at the firewall by its administrators, for an administrator of Stagedoor's own, and read from a file
each time. Where a firewall shows the certificate that it came with, that certificate is pinned: verification is never
off. Zones, profiles and anchors exist on the firewall before Stagedoor comes, and are named here, never described. What
settings mean together is `config_panos_faults`' business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field

from gateway.config.devices import Closes, Direct, Leg, Mode, Panos, PanosEnvironment
from gateway.config_load.devices.panos_values import DirectRef, PanosName, Pin, Ports, UserName, Vsys, Zone
from gateway.config_load.devices.readers import ReadersModel, readers_settings
from gateway.config_load.devices.values import VirtualAddress, Window, windows_settings
from gateway.config_load.values import MAPPING, Duration, ManagementAddress, Name, Network, Some, Text, not_empty

UNITS: Final = 2  # of a pair
GAP_S, SHORTEST_GAP_S, LONGEST_GAP_S = 900, 60, 86_400
SETTLE_S, LONGEST_SETTLE_S = 60, 3600


def _gap(value: float) -> float:
    if not SHORTEST_GAP_S <= value <= LONGEST_GAP_S:
        raise ValueError("is no pause between commits; write `1m` to `24h`")
    return value


def _settle(value: float) -> float:
    if value > LONGEST_SETTLE_S:
        raise ValueError("is too long to wait; write at most `1h`")
    return value


class Keys(BaseModel):
    model_config = MAPPING


class LegModel(Keys):
    from_zones: list[Zone] = []
    """The zones that such traffic comes from. Default: any."""
    to_zones: list[Zone] = []
    """The zones that it goes to. Default: any."""


class DirectModel(Keys):
    services: Some[DirectRef]
    """Components, or systems whose services are meant, which the environment publishes. Whoever may reach anything of
    the system of a component comes to the component, too."""
    ports: Some[Ports]
    """Where they listen for what is not HTTP: `tcp/5432`, `udp/6000-6010`."""


class PanosEnvironmentModel(Keys):
    mode: Mode = "plan"
    """Of rules and objects. `observe`: look and tell. `plan`: make plans, and commit those that people approve.
    `enforce`: commit what passes the guards."""
    front: LegModel | None = None
    """What clients send to virtual addresses passes this firewall. `{}`: between any zones. Default: it does not."""
    back: LegModel | None = None
    """What doors send to services passes it; nobody else reaches them then."""
    direct: LegModel | None = None
    """What clients send to services without the door, `directs`, passes it."""
    directs: list[DirectModel] = []
    """What people reach without the door, because it is not HTTP."""
    virtual_addresses: list[VirtualAddress] = []
    """Where clients meet the environment, beside the virtual addresses of BIG-IPs."""
    doors: list[Network] = []
    """The gateway's nodes, as the firewall sees them."""
    networks: list[Network] = []
    """What the addresses of services have to lie in. Without them none is written."""
    closes: Closes = "addresses"
    """What `back` closes to everybody but the doors. `addresses`: those of services, as far as the firewall knows its
    tags. `networks`: all of `networks`, tags or none, with whatever else is in there."""
    log_setting: PanosName | None = None
    """The log forwarding profile of the rules. It exists already."""
    profile_group: PanosName | None = None
    """The security profile group of the rules. It exists already."""
    windows: list[Window] = []
    """When rules may be changed. Default: always. Tags may be at any time."""
    frozen: Text | None = None
    """Why no rule is changed for now; what is said here is shown to who asks."""
    ticket: bool = False
    """Whoever applies a plan has to name a ticket."""


class PanosModel(Keys):
    name: Name
    """How commands, logs and metrics call this firewall, or pair."""
    units: Annotated[Some[ManagementAddress], Field(max_length=UNITS)]
    """Its management address; of a high-availability pair, both."""
    key_files: Some[Text]
    """Files with an API key and nothing else, readable by Stagedoor's user alone. Any of them counts: two while one
    takes the other's place."""
    rules_key_files: Annotated[list[Text], AfterValidator(not_empty)] | None = None
    """The same for the administrator that changes rules and commits, who needs more rights than the one that sends
    tags. Default: `key_files`."""
    ca: Text | None = None
    """PEM file with the authorities of the units' certificates. Default: the system's."""
    pins: Annotated[list[Pin], AfterValidator(not_empty)] | None = None
    """Instead of authorities: the SHA-256 of the certificates that the units show, any of them."""
    vsys: Vsys = "vsys1"
    """The virtual system."""
    concurrent: Annotated[int, Field(ge=1, le=5)] = 2
    """Calls at once to each unit; more than five slow down its administrators."""
    device_group: PanosName | None = None
    """The units are a Panorama, and this is the device group that gets the rules."""
    tags: Mode = "plan"
    """Of the tags of addresses and users, which need no commit. `observe`: look and tell. `plan`: also say what would
    be sent. `enforce`: send it."""
    user_name: UserName | None = None
    """What people are called in User-ID: text around fields of the catalog, `corp\\{metadata.name}`. Default: nobody is
    tagged."""
    instance: Name | None = None
    """Tells two installations of Stagedoor on one firewall apart. Default: `central_host`, without one `stagedoor`."""
    anchor: PanosName | None = None
    """An existing rule that those of Stagedoor stand before. Default: they stand between the rules `sd-begin` and
    `sd-end`."""
    commit_gap: Annotated[Duration, AfterValidator(_gap)] | None = None
    """The least time between two commits of Stagedoor's, `1m` to `24h`. Default: `15m`."""
    settle: Annotated[Duration, AfterValidator(_settle)] | None = None
    """How long a change of rules waits for others, to be committed together. Default: `1m`."""
    removed_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """What share of an environment's rules one plan, and of all tags one round, may remove without being approved."""
    removed_most: Annotated[int, Field(ge=0, le=100_000)] = 20
    """How many of them may be removed without being approved."""
    address_capacity: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """How many tagged addresses this model holds. Default: what is documented for it."""
    environments: Annotated[dict[Name, PanosEnvironmentModel], AfterValidator(not_empty)] | None = None
    """What the environments are on it. Default: nothing is written to it."""
    readers: ReadersModel | None = None
    """Who may read its lists at the central host. Default: nobody."""


# ---- settings ----


def panos_settings(model: PanosModel, absolute: Callable[[str | None], str], central_host: str = "") -> Panos:
    """``absolute`` makes a path of the file's folder whole."""
    return Panos(
        name=model.name,
        units=tuple(model.units),
        key_files=tuple(absolute(each) for each in model.key_files),
        ca=absolute(model.ca),
        pins=tuple(model.pins or ()),
        vsys=model.vsys,
        concurrent=model.concurrent,
        device_group=model.device_group or "",
        rules_key_files=tuple(absolute(each) for each in model.rules_key_files or ()),
        tags=model.tags,
        user_name=model.user_name or "",
        instance=model.instance or central_host or "stagedoor",
        anchor=model.anchor or "",
        commit_gap_s=GAP_S if model.commit_gap is None else round(model.commit_gap),
        settle_s=SETTLE_S if model.settle is None else round(model.settle),
        removed_share=model.removed_share,
        removed_most=model.removed_most,
        address_capacity=model.address_capacity or 0,
        environments=tuple(_environment(name, each) for name, each in sorted((model.environments or {}).items())),
        readers=readers_settings(model.readers, absolute),
    )


def _environment(name: str, model: PanosEnvironmentModel) -> PanosEnvironment:
    return PanosEnvironment(
        environment=name,
        mode=model.mode,
        front=_leg(model.front),
        back=_leg(model.back),
        direct=_leg(model.direct),
        directs=tuple(Direct(tuple(each.services), tuple(each.ports)) for each in model.directs),
        virtual_addresses=tuple(model.virtual_addresses),
        doors=tuple(model.doors),
        networks=tuple(model.networks),
        closes=model.closes,
        log_setting=model.log_setting or "",
        profile_group=model.profile_group or "",
        windows=windows_settings(model.windows),
        frozen=model.frozen or "",
        ticket=model.ticket,
    )


def _leg(model: LegModel | None) -> Leg | None:
    return Leg(tuple(model.from_zones), tuple(model.to_zones)) if model is not None else None
