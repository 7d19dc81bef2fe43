"""What one environment has on a firewall: tags, dynamic groups, services and rules, as plain JSON.

Rules are few and change rarely: who and where are dynamic groups, whose members are told without a commit. Only rules
that can match on a leg are made. Everything is the environment's own but for the mark, so that no environment ever
takes away what another one needs. The same catalog and settings give the same content, whatever order they come in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from gateway.config.devices import Direct, Panos, PanosEnvironment
from gateway.engine.network.desired import Desired
from gateway.engine.network.fronts import Front, some
from gateway.engine.network.panos import names
from gateway.engine.network.panos.meeting import Meeting
from gateway.engine.network.panos.rules.codec import Fields
from gateway.engine.network.panos.rules.legs import (
    Drawn,
    Tagged,
    back_rules,
    closing_rule,
    direct_ports,
    direct_rules,
    front_rules,
)
from gateway.engine.network.panos.rules.wording import sentence

Content = dict[str, Any]
MARK_TAG: Final = {"comments": "What carries this is made and kept by Stagedoor."}


def empty(device: Panos, environment: str) -> Content:
    """``place`` names existing rules: ours lie before the last of them."""
    anchors = [device.anchor] if device.anchor else [names.FIRST, names.LAST]
    place = {"vsys": device.vsys, "device_group": device.device_group, "anchors": anchors}
    kinds: Content = {"tags": {}, "services": {}, "addresses": {}, "address_groups": {}, "user_groups": {}}
    return {"environment": environment, "place": place, **kinds, "rules": []}


def content_of(desired: Desired, device: Panos, environment: PanosEnvironment, fronts: Sequence[Front]) -> Content:
    """``fronts``: where clients meet the environment's places. No input or output."""
    name = environment.environment
    drawn = list(_drawn(desired, environment, fronts))
    if not drawn:
        return empty(device, name)
    ports = {port for each in drawn for port in each.ports}
    networks = {network for each in drawn for network in each.networks}
    groups = {group for each in drawn for group in each.addresses}
    users = {group for each in drawn for group in each.users}
    tag = names.block_tag(name)
    return {
        **empty(device, name),
        "tags": {names.MARK: MARK_TAG, tag: {"comments": f"Rules and objects of {name}, kept by Stagedoor."}},
        "services": _sorted((names.service_name(port, name), _service(port, name)) for port in ports),
        "addresses": _sorted((network.tag, _network(network, name)) for network in networks),
        "address_groups": _sorted((group.tag, _group(group, name)) for group in groups),
        "user_groups": _sorted((names.group_name(group.tag, name), _group(group, name)) for group in users),
        "rules": [_rule(each, environment) for each in drawn],
    }


def _drawn(desired: Desired, environment: PanosEnvironment, fronts: Sequence[Front]) -> Iterator[Drawn]:
    """In order: the first that matches decides."""
    if environment.front is not None:
        meeting = Meeting.of(desired.scopes, fronts, environment.virtual_addresses)
        yield from front_rules(desired, environment.front, meeting)
    if environment.direct is not None:
        yield from direct_rules(desired, environment.direct, environment.directs)
    if environment.back is not None:
        yield from back_rules(desired, environment.back)
        yield closing_rule(environment, environment.back)


def remarks_on(desired: Desired, environment: PanosEnvironment, fronts: Sequence[Front]) -> Iterator[str]:
    """What a reader should know and the content does not say."""
    if environment.front is not None:
        yield from _remarks_on_fronts(desired, Meeting.of(desired.scopes, fronts, environment.virtual_addresses))
    if environment.direct is not None:
        yield from _remarks_on_directs(desired, environment.directs)


def _remarks_on_fronts(desired: Desired, meeting: Meeting) -> Iterator[str]:
    scopes = {scope.ref: scope for scope in desired.scopes}
    if len(meeting.together) > 1:
        yield (
            f"{len(meeting.together)} systems share virtual addresses in {desired.environment}: one rule lets whoever "
            "may reach any of them come near all of them, and the doors tell them apart"
        )
        if public := [ref for ref in meeting.together if scopes[ref].anyone]:
            yield f"anyone comes near the shared virtual addresses, because anyone may reach {some(public)} there"
    if met := [ref for ref in scopes if ref not in meeting.own and ref not in meeting.together]:
        yield f"no virtual address is known of {some(met)}: no rule lets anybody come near"


def _remarks_on_directs(desired: Desired, directs: Sequence[Direct]) -> Iterator[str]:
    found = list(direct_ports(desired, directs))
    if lost := sorted({ref for each in directs for ref in each.services} - {ref for ref, *_ in found}):
        yield f"`directs` names what is not published in {desired.environment}: {some(lost)}"
    for ref, _, _, refused in found:
        if refused:
            yield f"no rule lets people reach {some(refused)} of {ref} directly: the doors speak to services there"


# === objects ===


def _sorted(made: Iterable[tuple[str, Fields]]) -> dict[str, Fields]:
    return dict(sorted(made, key=lambda each: each[0]))


def _kept(environment: str) -> list[str]:
    return sorted((names.MARK, names.block_tag(environment)))


def _group(group: Tagged, environment: str) -> Fields:
    return {"filter": f"'{group.tag}'", "description": sentence(group.told), "tag": _kept(environment)}


def _network(network: Tagged, environment: str) -> Fields:
    return {"network": network.told, "description": f"A network of {environment}.", "tag": _kept(environment)}


def _service(port: str, environment: str) -> Fields:
    protocol, _, number = port.partition("/")
    return {"protocol": protocol, "port": number, "description": "", "tag": _kept(environment)}


def _rule(drawn: Drawn, environment: PanosEnvironment) -> Fields:
    name = environment.environment
    return {
        "name": drawn.name,
        "from": sorted(drawn.leg.from_zones) or ["any"],
        "to": sorted(drawn.leg.to_zones) or ["any"],
        "source": [drawn.source.tag] if drawn.source is not None else ["any"],
        "source_user": sorted(names.group_name(user.tag, name) for user in drawn.users) or ["any"],
        "destination": drawn.where,
        "application": ["any"],
        "service": sorted(names.service_name(port, name) for port in drawn.ports) or ["any"],
        "action": "allow" if drawn.allows else "deny",
        "log_end": True,
        "log_setting": environment.log_setting,
        "profile_group": environment.profile_group if drawn.allows else "",
        "description": drawn.description,
        "tag": _kept(name),
        "group_tag": names.block_tag(name),
        "disabled": False,
    }
