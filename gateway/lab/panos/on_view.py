"""What an onlooker sees of a firewall, in one answer: its running rules with hits, who is in which dynamic group, tags
with the time they have left, who is where, what waits for a commit. For pages, and for whoever wonders why.

Nothing here is the XML API; it is told below `/_lab`, like the knobs. Tables are shown up to a few hundred rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element

from gateway.lab.panos.answers import at, texts
from gateway.lab.panos.device import Device, Hits
from gateway.lab.panos.groups import Members
from gateway.lab.panos.oracle import rules_in_order
from gateway.lab.panos.tags import Held, Table

MOST: Final = 300  # rows of one table
FIELDS: Final = ("from", "to", "source", "source-user", "destination", "application", "service", "tag")

Seen = dict[str, Any]


def seen(device: Device, vsys: str = "") -> Seen:
    """Raises `Declined` for a vsys that there is not."""
    device.settle()
    name = device.vsys_named(vsys)
    members, identities = device.members(name), device.identities_of(name)
    now = device.now()
    return {
        "hostname": device.hostname,
        "model": device.model,
        "version": device.version,
        "active": device.pair is None or device.pair.is_active(device),
        "rules": [_rule(device, base, rule) for base, rule in rules_in_order(device.configuration.running, name)],
        "address_groups": [_addresses_of(members, group) for group in members.entries("address-group")],
        "user_groups": [_users_of(members, group) for group in members.entries("dynamic-user-group")],
        "services": {one.get("name", ""): _ports(one) for one in members.entries("service")},
        "addresses": _table(identities.addresses, now),
        "users": _table(identities.users, now),
        "counts": {"addresses": len(identities.addresses), "users": len(identities.users)},
        "people": {address: user for address in list(identities.mappings) if (user := identities.user_at(address))},
        "pending": [{"admin": one.admin, "path": one.written} for one in device.configuration.journal[:MOST]],
        "locks": sorted({lock.admin for lock in device.config_locks.held()}),
    }


def _rule(device: Device, base: str, rule: Element) -> Seen:
    hits = device.hits.get(rule.get("uuid", ""), Hits(0, 0))
    return {
        "name": rule.get("name", ""),
        "base": base,
        "action": at(rule, "action") or "allow",
        "enabled": at(rule, "disabled") != "yes",
        "description": at(rule, "description"),
        "hits": hits.count,
        **{field: texts(rule, f"{field}/member") for field in FIELDS},
    }


def _addresses_of(members: Members, group: Element) -> Seen:
    wanted = at(group, "dynamic/filter")
    found = [name for name, _ in members.dynamic_members(group)] if wanted else texts(group, "static/member")
    return {"name": group.get("name", ""), "filter": wanted, "count": len(found), "members": sorted(found)[:MOST]}


def _users_of(members: Members, group: Element) -> Seen:
    found = members.dynamic_users(group)
    wanted = at(group, "filter")
    return {"name": group.get("name", ""), "filter": wanted, "count": len(found), "members": sorted(found)[:MOST]}


def _ports(service: Element) -> list[str]:
    kinds = ("tcp", "udp")
    return [f"{kind}/{ports}" for kind in kinds if (ports := at(service, f"protocol/{kind}/port"))]


def _table(table: Table, now: float) -> list[Seen]:
    return [{"key": key, "tags": _tags(held, now)} for key, held in table.page(0, MOST)]


def _tags(held: Mapping[str, Held], now: float) -> list[Seen]:
    return [{"tag": one.text, "left_s": max(0, round(one.ends - now)) if one.ends else None} for one in held.values()]
