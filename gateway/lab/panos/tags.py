"""Registered tags: of addresses and of users, each with its end, by the device's clock.

Tags compare without case and are kept as they came. What has ended is gone whoever asks: every access first removes
what is over. A host has the tags of the ranges and subnets around it, too.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

MOST_TAGS: Final = 32
LONGEST_TAG: Final = 127
LONGEST_S: Final = 2_592_000  # 30 days
CAPACITIES: Final = {"PA-VM-500": 300_000, "PA-VM-300": 200_000, "PA-VM-100": 2_500, "PA-VM-50": 1_000,
    "PA-440": 50_000, "PA-450": 100_000, "PA-460": 100_000, "PA-850": 2_500, "PA-820": 1_000, "PA-220": 1_000,
    "PA-410": 1_000, "PA-3220": 200_000, "PA-3410": 150_000, "PA-3430": 200_000, "PA-5220": 500_000,
    "PA-5410": 500_000, "PA-5450": 100_000, "PA-7050": 100_000, "Panorama": 500_000}  # fmt: skip

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Span = tuple[Address, Address]


class BadEntry(ValueError):
    """The text is the message of one entry."""


@dataclass(frozen=True)
class Held:
    """``ends``: epoch seconds, 0 for never."""

    text: str
    ends: float
    persistent: bool


def valid_tag(text: str) -> bool:
    """What the device takes: ``and``, ``or``, ``not``, quotes, commas and double spaces would break filters."""
    plain = text.casefold() not in ("", "and", "or", "not") and text == text.strip()
    return plain and len(text) <= LONGEST_TAG and not any(bad in text for bad in ("'", '"', "  ", ","))


def address_key(text: str) -> tuple[str, Span]:
    """How an address, a range or an IPv4 subnet is kept, with its two ends. Raises `BadEntry`."""
    try:
        low, dash, high = text.partition("-")
        if dash:
            span = ipaddress.IPv4Address(low), ipaddress.IPv4Address(high)
            if span[0] > span[1]:
                raise ValueError
            return f"{span[0]}-{span[1]}", span
        if "/" not in text:
            host = ipaddress.ip_address(text)
            return str(host), (host, host)
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadEntry("Invalid ip address") from None
    if network.num_addresses == 1:
        return str(network.network_address), (network.network_address, network.network_address)
    if network.version == 6:
        raise BadEntry("Invalid ip address")
    return str(network), (network.network_address, network.broadcast_address)


class Table:
    """Key → its tags. ``room``: how many keys fit."""

    def __init__(self, clock: Callable[[], float], room: Callable[[], int]) -> None:
        self._clock = clock
        self._room = room
        self._tags: dict[str, dict[str, Held]] = {}
        self._ends: list[tuple[float, str, str]] = []

    def register(self, key: str, text: str, timeout_s: float, *, persistent: bool, refresh: bool) -> bool:
        """False where the key has the tag already; ``refresh`` gives it the new end. Raises `BadEntry`."""
        self.expire()
        held = self._tags.get(key, {})
        tag = text.casefold()
        if tag in held:
            if refresh:
                self._put(key, tag, Held(text, self._end(timeout_s), persistent))
            return False
        if not valid_tag(text) or len(held) >= MOST_TAGS or not 0 <= timeout_s <= LONGEST_S:
            raise BadEntry("Failed to register")
        if not held and len(self._tags) >= self._room():
            raise BadEntry("Failed to register, maximum number of registrations reached")
        self._put(key, tag, Held(text, self._end(timeout_s), persistent))
        return True

    def _end(self, timeout_s: float) -> float:
        return self._clock() + timeout_s if timeout_s else 0.0

    def _put(self, key: str, tag: str, held: Held) -> None:
        self._tags.setdefault(key, {})[tag] = held
        if held.ends:
            heapq.heappush(self._ends, (held.ends, key, tag))

    def unregister(self, key: str, text: str) -> bool:
        """False where the key does not have the tag."""
        self.expire()
        held = self._tags.get(key, {})
        if held.pop(text.casefold(), None) is None:
            return False
        if not held:
            del self._tags[key]
        return True

    def forget(self, key: str) -> bool:
        """All tags of the key."""
        self.expire()
        return self._tags.pop(key, None) is not None

    def expire(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            end, key, tag = heapq.heappop(self._ends)
            held = self._tags.get(key, {}).get(tag)
            if held is not None and held.ends == end:
                del self._tags[key][tag]
                if not self._tags[key]:
                    del self._tags[key]

    def reboot(self) -> None:
        """What is not persistent is gone."""
        self.expire()
        kept = {key: {tag: one for tag, one in held.items() if one.persistent} for key, held in self._tags.items()}
        self._tags = {key: held for key, held in kept.items() if held}

    def clear(self) -> None:
        self._tags.clear()
        self._ends.clear()

    def copy_from(self, other: Table) -> None:
        other.expire()
        self._tags = {key: dict(held) for key, held in other._tags.items()}
        self._ends = list(other._ends)

    def has(self, key: str) -> bool:
        self.expire()
        return key in self._tags

    def items(self) -> Iterator[tuple[str, dict[str, Held]]]:
        self.expire()
        return iter(list(self._tags.items()))

    def page(self, start: int, most: int) -> list[tuple[str, dict[str, Held]]]:
        """From the ``start``-th on, counted from 0."""
        self.expire()
        return list(islice(self._tags.items(), start, start + most))

    def of(self, key: str) -> dict[str, Held]:
        self.expire()
        return self._tags.get(key, {})

    def __len__(self) -> int:
        self.expire()
        return len(self._tags)


class AddressTable(Table):
    """Also knows which subnets and ranges lie around a host."""

    def __init__(self, clock: Callable[[], float], room: Callable[[], int]) -> None:
        super().__init__(clock, room)
        self._wide: dict[str, Span] = {}  # subnets and ranges that were ever registered

    def _put(self, key: str, tag: str, held: Held) -> None:
        super()._put(key, tag, held)
        if "/" in key or "-" in key:
            self._wide[key] = address_key(key)[1]

    def copy_from(self, other: Table) -> None:
        super().copy_from(other)
        self._wide = {key: address_key(key)[1] for key in self._tags if "/" in key or "-" in key}

    def tags_around(self, address: Address) -> set[str]:
        """Casefolded; the host's own and those of every span that holds it."""
        found = set(self.of(str(address)))
        for key, (low, high) in self._wide.items():
            if low.version == address.version and int(low) <= int(address) <= int(high):
                found |= set(self._tags.get(key, ()))
        return found
