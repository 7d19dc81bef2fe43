"""Who and what is in a group of the running configuration, now: addresses, lists, dynamic groups of both kinds.

Names are looked for where the rule lies: its vsys, what Panorama pushed for it, shared. A name nobody has matches
nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from functools import lru_cache
from xml.etree.ElementTree import Element

from gateway.lab.panos import filters
from gateway.lab.panos.answers import at, texts
from gateway.lab.panos.tags import Address, BadEntry, address_key
from gateway.lab.panos.userid import Identities

Lists = Callable[[str], list[str] | None]  # external list → its entries, None where it is not enforced
Names = Callable[[str], list[str]]  # FQDN → its addresses


class Members:
    """One vsys at one moment. ``root`` is the running configuration."""

    def __init__(self, root: Element, vsys: str, identities: Identities, lists: Lists, names: Names) -> None:
        self._holders = list(_holders(root, vsys))
        self._identities = identities
        self._lists = lists
        self._names = names

    def entry(self, kind: str, name: str) -> Element | None:
        for holder in self._holders:
            for found in holder.findall(f"{kind}/entry"):
                if found.get("name") == name:
                    return found
        return None

    def entries(self, kind: str) -> list[Element]:
        return [entry for holder in self._holders for entry in holder.findall(f"{kind}/entry")]

    # === addresses ===

    def has_address(self, name: str, address: Address, seen: frozenset[str] = frozenset()) -> bool:
        """Whether a rule's source or destination ``name`` takes the address."""
        if name == "any":
            return True
        if name in seen:
            return False
        if (group := self.entry("address-group", name)) is not None:
            dynamic = at(group, "dynamic/filter")
            if dynamic:
                return _filter(dynamic)(self._identities.addresses.tags_around(address) | self._static_tags(address))
            inner = seen | {name}
            return any(self.has_address(member, address, inner) for member in texts(group, "static/member"))
        if (held := self.entry("address", name)) is not None:
            return self._object_has(held, address)
        if self.entry("external-list", name) is not None:
            return any(spans(one, address) for one in self._lists(name) or [])
        return spans(name, address)

    def _object_has(self, held: Element, address: Address) -> bool:
        if fqdn := at(held, "fqdn"):
            return str(address) in self._names(fqdn)
        return spans(at(held, "ip-netmask") or at(held, "ip-range"), address)

    def _static_tags(self, address: Address) -> set[str]:
        """Tags of address objects make members of dynamic groups, too."""
        found: set[str] = set()
        for held in self.entries("address"):
            tags = texts(held, "tag/member")
            if tags and self._object_has(held, address):
                found |= {tag.casefold() for tag in tags}
        return found

    def dynamic_members(self, group: Element) -> list[tuple[str, str]]:
        """(name, type) of a dynamic address group."""
        wanted = _filter(at(group, "dynamic/filter"))
        found = []
        for key, held in self._identities.addresses.items():
            low = address_key(key)[1][0]
            tags = self._identities.addresses.tags_around(low) if "/" not in key and "-" not in key else set(held)
            if wanted(tags):
                found.append((key, "registered-ip"))
        objects = self.entries("address")
        tagged = [entry for entry in objects if wanted({tag.casefold() for tag in texts(entry, "tag/member")})]
        return found + [(entry.get("name", ""), "address-object") for entry in tagged]

    # === people ===

    def has_user(self, name: str, user: str) -> bool:
        """Whether a rule's source-user ``name`` takes the user; ``user`` "" is an unknown one."""
        if name in ("any", "known-user", "unknown"):
            return name == "any" or bool(user) == (name == "known-user")
        if not user:
            return False
        if (group := self.entry("dynamic-user-group", name)) is not None:
            wanted = _filter(at(group, "filter"), negation=False)
            return wanted(set(self._identities.users.of(user.lower())))
        if name in self._identities.groups:
            return user.lower() in self._identities.groups[name]
        return name.lower() == user.lower()

    def dynamic_users(self, group: Element) -> list[str]:
        wanted = _filter(at(group, "filter"), negation=False)
        return [user for user, held in self._identities.users.items() if wanted(set(held))]


def spans(text: str, address: Address) -> bool:
    """Whether an address, subnet or range holds the address; False for what is none."""
    try:
        low, dash, high = text.partition("-")
        if dash:
            first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
            return first.version == address.version and int(first) <= int(address) <= int(last)
        return address in ipaddress.ip_network(text, strict=False)
    except (ValueError, BadEntry):
        return False


@lru_cache(4096)
def _filter(text: str, *, negation: bool = True) -> filters.Filter:
    try:
        return filters.parse(text, negation=negation)
    except filters.BadFilter:
        return lambda tags: False


def _holders(root: Element, vsys: str) -> Iterator[Element]:
    for path in ("./devices/entry/vsys/entry", "./panorama/vsys/entry"):
        for entry in root.findall(path):
            if entry.get("name") == vsys:
                yield entry
    yield from root.findall("./shared")
