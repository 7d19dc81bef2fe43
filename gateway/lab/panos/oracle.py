"""The packet oracle: which rule of the running configuration a flow meets, and what that rule does.

It turns "the XML matched" into "access was given, and ended". Order: what Panorama pushed before, the firewall's own
rules, what Panorama pushed after, then the two default rules: within a zone allowed, between zones denied. Whoever a
source address is mapped to is the user, unless the packet says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from gateway.lab.panos.answers import Declined, at, texts
from gateway.lab.panos.groups import Members
from gateway.lab.panos.tags import Address

DEFAULT_PORTS: Final = {
    "web-browsing": ("tcp/80",), "ssl": ("tcp/443",), "ssh": ("tcp/22",), "dns": ("tcp/53", "udp/53"),
    "ldap": ("tcp/389",), "mysql": ("tcp/3306",), "postgres": ("tcp/5432",), "ms-rdp": ("tcp/3389",),
    "smtp": ("tcp/25",), "redis": ("tcp/6379",), "ntp": ("udp/123",), "kafka": ("tcp/9092",),
}  # fmt: skip
STANDING_SERVICES: Final = {"service-http": ("tcp/80", "tcp/8080"), "service-https": ("tcp/443",)}


@dataclass(frozen=True)
class Packet:
    """``application`` "any" stands for traffic that is not told apart. ``user`` None: whoever is mapped."""

    source: str
    destination: str
    port: int = 443
    protocol: str = "tcp"
    from_zone: str = "trust"
    to_zone: str = "untrust"
    application: str = "ssl"
    user: str | None = None


@dataclass(frozen=True)
class Verdict:
    """``base``: which rulebase the rule is of. ``uuid``: "" for the default rules."""

    allowed: bool
    action: str
    rule: str
    base: str
    uuid: str = ""


def evaluate(root: Element, vsys: str, members: Members, packet: Packet, user: str) -> Verdict:
    """``user``: whom the device takes the source for. Raises `Declined` for addresses that are none."""
    flow = _Flow(members, packet, user if packet.user is None else packet.user)
    for base, rule in rules_in_order(root, vsys):
        if flow.meets(rule):
            action = at(rule, "action") or "allow"
            return Verdict(action == "allow", action, rule.get("name", ""), base, rule.get("uuid", ""))
    if packet.from_zone == packet.to_zone:
        return Verdict(True, "allow", "intrazone-default", "default")
    return Verdict(False, "deny", "interzone-default", "default")


def rules_in_order(root: Element, vsys: str) -> Iterator[tuple[str, Element]]:
    """Every rule of a vsys as the device runs them."""
    pushed = _vsys(root, "./panorama/vsys/entry", vsys)
    own = _vsys(root, "./devices/entry/vsys/entry", vsys)
    for base, holder in (("pre-rulebase", pushed), ("rulebase", own), ("post-rulebase", pushed)):
        if holder is not None:
            yield from ((base, rule) for rule in holder.findall(f"{base}/security/rules/entry"))


def _vsys(root: Element, path: str, vsys: str) -> Element | None:
    return next((entry for entry in root.findall(path) if entry.get("name") == vsys), None)


class _Flow:
    def __init__(self, members: Members, packet: Packet, user: str) -> None:
        self._members = members
        self._packet = packet
        self._user = user
        self._source = _address(packet.source)
        self._destination = _address(packet.destination)

    def meets(self, rule: Element) -> bool:
        """Cheapest first."""
        return (
            at(rule, "disabled") != "yes"
            and self._zones(rule)
            and self._applies(rule)
            and self._addressed(rule, "source", self._source)
            and self._addressed(rule, "destination", self._destination)
            and any(self._members.has_user(name, self._user) for name in texts(rule, "source-user/member") or ["any"])
        )

    def _zones(self, rule: Element) -> bool:
        source, target = self._packet.from_zone, self._packet.to_zone
        kind = at(rule, "rule-type") or "universal"
        if (kind == "intrazone") != (source == target) and kind != "universal":
            return False
        come, go = texts(rule, "from/member"), texts(rule, "to/member")
        if kind == "intrazone":
            go = come
        return bool({"any", source} & set(come)) and bool({"any", target} & set(go))

    def _addressed(self, rule: Element, side: str, address: Address) -> bool:
        held = any(self._members.has_address(name, address) for name in texts(rule, f"{side}/member"))
        return held != (at(rule, f"negate-{side}") == "yes")

    def _applies(self, rule: Element) -> bool:
        packet = self._packet
        applications = texts(rule, "application/member") or ["any"]
        if not {"any", packet.application} & set(applications):
            return False
        return any(self._serves(name, packet) for name in texts(rule, "service/member") or ["any"])

    def _serves(self, name: str, packet: Packet, seen: frozenset[str] = frozenset()) -> bool:
        wanted = f"{packet.protocol}/{packet.port}"
        if name == "any":
            return True
        if name == "application-default":
            return wanted in DEFAULT_PORTS.get(packet.application, (wanted,))
        if name in STANDING_SERVICES:
            return wanted in STANDING_SERVICES[name]
        if name in seen:
            return False
        if (group := self._members.entry("service-group", name)) is not None:
            return any(self._serves(one, packet, seen | {name}) for one in texts(group, "members/member"))
        service = self._members.entry("service", name)
        return service is not None and _takes_port(at(service, f"protocol/{packet.protocol}/port"), packet.port)


def _takes_port(ports: str, port: int) -> bool:
    """``80,443,1024-65535``."""
    for part in ports.split(","):
        low, dash, high = part.strip().partition("-")
        if low.isdecimal() and (high.isdecimal() or not dash) and int(low) <= port <= int(high or low):
            return True
    return False


def _address(text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Declined(12, f"{text} is not an ip address") from None
