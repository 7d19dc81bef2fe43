"""The objects that are known by their shape: what they may hold, how long a name may be, what they refer to.

Whatever else a client writes is kept as it came. Lengths are those of the vendor's schema; names of dynamic user groups
hold fewer characters than others.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import Element

from gateway.lab.panos import filters
from gateway.lab.panos.answers import Declined, at, texts
from gateway.lab.panos.xpath import Place

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._-]*")
TAG_NAME: Final = re.compile(r"[^'\"<>]+")
GROUP_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 _-]*")
RULES: Final = "rules"
RULEBASES: Final = ("rulebase", "pre-rulebase", "post-rulebase")
ADDRESSES: Final = ("address", "address-group", "external-list")
SERVICES: Final = ("service", "service-group")
STANDING: Final = {"any", "application-default", "service-http", "service-https"}


@dataclass(frozen=True)
class Kind:
    """``refers``: path of members → kinds, one of which has the name. ``choices``: of these one alone."""

    holds: frozenset[str]
    longest: int = 63
    lengths: dict[str, int] = field(default_factory=dict)
    name: re.Pattern[str] = NAME
    refers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    choices: tuple[str, ...] = ()


def _holds(*names: str) -> frozenset[str]:
    return frozenset((*names, "disable-override", "tag", "description"))


TAGS: Final[dict[str, tuple[str, ...]]] = {"tag/member": ("tag",)}
KINDS: Final = {
    "tag": Kind(frozenset(("color", "comments", "disable-override")), 127, {"comments": 1023}, TAG_NAME),
    "address": Kind(
        _holds("ip-netmask", "ip-range", "ip-wildcard", "fqdn"),
        lengths={"description": 1023},
        refers=TAGS,
        choices=("ip-netmask", "ip-range", "ip-wildcard", "fqdn"),
    ),
    "address-group": Kind(
        _holds("static", "dynamic"),
        lengths={"description": 1023},
        refers={**TAGS, "static/member": ("address", "address-group")},
        choices=("static", "dynamic"),
    ),
    "dynamic-user-group": Kind(_holds("filter"), lengths={"description": 1023}, name=GROUP_NAME, refers=TAGS),
    "service": Kind(_holds("protocol"), lengths={"description": 1023}, refers=TAGS),
    "service-group": Kind(_holds("members"), refers={**TAGS, "members/member": SERVICES}),
    "external-list": Kind(
        frozenset(("type", "disable-override")), lengths={"type/*/url": 255, "type/*/description": 255}
    ),
    RULES: Kind(
        _holds(
            "from", "to", "source", "destination", "source-user", "application", "service", "category", "action",
            "source-hip", "destination-hip", "hip-profiles", "log-start", "log-end", "log-setting", "profile-setting",
            "negate-source", "negate-destination", "disabled", "rule-type", "schedule", "icmp-unreachable", "option",
            "group-tag", "qos", "target", "disable-server-response-inspection", "saas-tenant-list", "saas-user-list",
        ),
        lengths={"description": 1024, "group-tag": 127, "log-setting": 63},
        refers={**TAGS, "source/member": ADDRESSES, "destination/member": ADDRESSES, "service/member": SERVICES,
                "from/member": ("zone",), "to/member": ("zone",), "group-tag": ("tag",)},
    ),
}  # fmt: skip
ALONE: Final = tuple(frozenset(kind.choices) for kind in KINDS.values() if kind.choices)


def kind_of(place: Place) -> str:
    """Which known kind an entry is, "" for any other node."""
    tags = [node.tag for node in place]
    if tags[-1] != "entry" or scope_length(tags) == 0:
        return ""
    inside = tags[scope_length(tags) : -1]
    if len(inside) == 1 and inside[0] in KINDS and inside[0] != RULES:
        return inside[0]
    return RULES if len(inside) == 3 and inside[0] in RULEBASES and inside[1:] == ["security", RULES] else ""


def scope_length(tags: list[str]) -> int:
    """How many steps lead to the vsys, the device group or shared that a node lies in; 0 for none of them."""
    if tags[:2] == ["config", "shared"]:
        return 2
    if tags[:3] == ["config", "devices", "entry"] and tags[3:5] in (["vsys", "entry"], ["device-group", "entry"]):
        return 5
    return 4 if tags[:4] == ["config", "panorama", "vsys", "entry"] else 0


def entries(place: Place) -> Iterator[tuple[str, Place]]:
    """Every known entry at, around or below a node, with its kind."""
    for length in range(len(place) - 1, 0, -1):
        if kind := kind_of(place[:length]):
            yield kind, place[:length]
    yield from _below(place)


def _below(place: Place) -> Iterator[tuple[str, Place]]:
    if kind := kind_of(place):
        yield kind, place
        return
    for child in place[-1]:
        if len(child) or child.tag == "entry":
            yield from _below((*place, child))


def check(kind: str, entry: Element) -> None:
    """Raises `Declined` (12) for what the schema does not hold."""
    shape, name = KINDS[kind], entry.get("name", "")
    if len(name) > shape.longest:
        raise Declined(12, f" {name} can be at most {shape.longest} characters, but current length: {len(name)}")
    if not shape.name.fullmatch(name):
        raise Declined(12, f" {name} is an invalid name")
    where = f"{kind} -> {name}"
    for child in entry:
        if child.tag not in shape.holds:
            raise Declined(12, f" {where} -> {child.tag} unexpected here")
    for path, longest in shape.lengths.items():
        for length in [len(node.text or "") for node in entry.findall(path)]:
            if length > longest:
                way = path.replace("/*/", " -> ").replace("/", " -> ")
                said = f"can be at most {longest} characters, but current length: {length}"
                raise Declined(12, f" {where} -> {way} {said}")
    _check_choice(where, shape, entry)
    _check_filter(where, kind, entry)


def _check_choice(where: str, shape: Kind, entry: Element) -> None:
    held = [child.tag for child in entry if child.tag in shape.choices]
    if len(held) > 1:
        raise Declined(12, f" {where} -> {held[1]} unexpected here")


def _check_filter(where: str, kind: str, entry: Element) -> None:
    path = {"address-group": "dynamic/filter", "dynamic-user-group": "filter"}.get(kind)
    if path is None or entry.find(path) is None:
        return
    try:
        filters.parse(at(entry, path), negation=kind == "address-group")
    except filters.BadFilter as error:
        raise Declined(12, f" {where} -> {path.replace('/', ' -> ')} is invalid: {error}") from None


def references(kind: str, entry: Element) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(path, name, kinds that may have it) for everything the entry refers to by name."""
    for path, kinds in KINDS[kind].refers.items():
        for name in texts(entry, path):
            standing = name in STANDING and kinds != ("tag",)
            literal = kinds == ADDRESSES and _is_address(name)
            if name and not standing and not literal:
                yield path.removesuffix("/member"), name, kinds


def _is_address(name: str) -> bool:
    """Written out: a host, a subnet or a range."""
    try:
        low, dash, high = name.partition("-")
        if dash:
            return ipaddress.ip_address(low).version == ipaddress.ip_address(high).version
        ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
    return True


def same_name(kind: str, one: str, other: str) -> bool:
    """Tags have no case."""
    return one.casefold() == other.casefold() if kind == "tag" else one == other
