"""Operational commands about who is who: registered addresses and users, dynamic groups, mappings, group members."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element

from gateway.lab.panos.answers import Answer, Declined, at, element, members, nth, result, texts
from gateway.lab.panos.oracle import rules_in_order
from gateway.lab.panos.shows import Asked
from gateway.lab.panos.tags import BadEntry, Held, Table, address_key

PAGE: Final = 500
FURTHEST_ADDRESS: Final = 100_000
FURTHEST_USER: Final = 524_288


def registered_addresses(asked: Asked) -> Answer:
    """Limit and start-point lie beside `all`. Raises `Declined`."""
    table = asked.device.identities_of(asked.vsys).addresses
    mask = asked.device.knobs.host_masks
    found = _found(table, asked.node, _address(at(asked.node, "ip")), asked.node, FURTHEST_ADDRESS)
    entries = [
        element(
            "entry",
            None,
            members("tag", [one.text for one in held.values()]),
            ip=_with_mask(key) if mask else key,
            from_agent="0",
            persistent="1" if any(one.persistent for one in held.values()) else "0",
        )
        for key, held in found
    ]
    return result(*entries, element("count", str(len(entries))))


def registered_users(asked: Asked) -> Answer:
    """Limit and start-point lie inside `all`. Raises `Declined`."""
    table = asked.device.identities_of(asked.vsys).users
    inside = asked.node.find("all")
    paged = asked.node if inside is None else inside
    found = _found(table, asked.node, at(asked.node, "user").lower(), paged, FURTHEST_USER)
    entries = [
        element("entry", None, members("tag", [one.text for one in held.values()]), user=user) for user, held in found
    ]
    return result(*entries, element("count", str(len(entries))))


def _address(text: str) -> str:
    try:
        return address_key(text)[0] if text else ""
    except BadEntry as error:
        raise Declined(17, f"{text}: {error}") from None


def _found(table: Table, node: Element, key: str, paged: Element, furthest: int) -> list[tuple[str, dict[str, Held]]]:
    """One page of what the filters in ``node`` leave."""
    start, limit = _page(paged, furthest)
    wanted = {entry.get("name", "").casefold() for entry in node.findall("tag/entry")}
    if not key and not wanted:
        return table.page(start, limit)
    items = table.items() if not key else [(key, table.of(key))] if table.has(key) else []
    return [(one, held) for one, held in items if not wanted or wanted & set(held)][start : start + limit]


def _page(node: Element, furthest: int) -> tuple[int, int]:
    """Where it starts, counted from 0, and how much it holds. Raises `Declined`."""
    limit, start = at(node, "limit") or str(PAGE), at(node, "start-point") or "1"
    if not (many := nth(limit, PAGE)):
        raise Declined(17, f"limit {limit} is not within 1..{PAGE}")
    if not (first := nth(start, furthest)):
        raise Declined(17, f"start-point {start} is not within 1..{furthest}")
    return first - 1, many


def _with_mask(key: str) -> str:
    return key if "/" in key or "-" in key else f"{key}/{128 if ':' in key else 32}"


# === groups ===


def dynamic_address_groups(asked: Asked) -> Answer:
    """Members only of groups that a running rule uses."""
    device = asked.device
    vsys = device.vsys_named(asked.vsys)
    inside = device.members(vsys)
    used = {
        name
        for _, rule in rules_in_order(device.configuration.running, vsys)
        for side in ("source", "destination")
        for name in texts(rule, f"{side}/member")
    }
    found = []
    for group in inside.entries("address-group"):
        name = group.get("name", "")
        if at(group, "dynamic/filter") and at(asked.node, "name") in ("", name):
            held = inside.dynamic_members(group) if name in used else []
            listed = (element("entry", None, name=one, type=kind) for one, kind in held)
            said = (element("vsys", vsys), element("group-name", name), element("filter", at(group, "dynamic/filter")))
            found.append(element("entry", None, *said, element("member-list", None, *listed)))
    return result(element("dyn-addr-grp", None, *found))


def user_groups(asked: Asked) -> Answer:
    """Names, one a line, as the command line shows them."""
    kinds = {entry.get("name") for entry in asked.node.findall("entry")}
    names: list[str] = []
    if not kinds or "dynamic" in kinds:
        inside = asked.device.members(asked.vsys)
        names += [group.get("name", "") for group in inside.entries("dynamic-user-group")]
    if not kinds or "xmlapi" in kinds:
        names += sorted(asked.device.identities_of(asked.vsys).groups)
    lines = "".join(f"{name} \n" for name in names)
    return result(text=f"\n{lines}\nTotal: {len(names)}\n* : Custom Group\n\n")


def user_group(asked: Asked) -> Answer:
    name = (asked.node.text or "").strip()
    inside = asked.device.members(asked.vsys)
    dynamic = inside.entry("dynamic-user-group", name)
    pushed = asked.device.identities_of(asked.vsys).groups.get(name, [])
    people = inside.dynamic_users(dynamic) if dynamic is not None else pushed
    if not people:
        return result(text=f"\nUser group '{name}' does not exist or does not have members\n")
    kind = "Dynamic" if dynamic is not None else "Static"
    lines = "".join(f"[{number:<6}] {user}\n" for number, user in enumerate(people, 1))
    return result(text=f"\n\nsource type: xmlapi\nGroup type: {kind}\n\n{lines}\n")


def mappings(asked: Asked) -> Answer:
    """`show user ip-user-mapping[-mp]`, of all or of one address."""
    identities = asked.device.identities_of(asked.vsys)
    wanted = _address(at(asked.node, "ip"))
    found = []
    for address in list(identities.mappings):
        user = identities.user_at(address)
        if user and wanted in ("", address):
            ends = identities.mappings[address].ends
            left = str(int(ends - identities.clock())) if ends else "0"
            said = (
                element("ip", address),
                element("vsys", asked.device.vsys_named(asked.vsys)),
                element("type", "XMLAPI"),
            )
            found.append(element("entry", None, *said, element("user", user), element("timeout", left)))
    return result(*found, element("count", str(len(found))))
