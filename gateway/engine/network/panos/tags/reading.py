"""What a firewall says of its tagged addresses and users: whole tables page by page, single ones, how many there are.

A table is read in pages of 500, a few at once, until one is empty. A page may miss whatever moved while it was asked
for: what is missed is registered once more, which changes nothing, or taken away after the next reading. A firewall
that gives other pages than it is asked for is not believed. Beyond 100,000 addresses no page can be asked for; there
it is asked who has which tag of ours, those first that the fewest have. Only what has the form of ours is kept.
Addresses are spelled in one way, users in lower case, as User-ID folds them.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal
from xml.etree.ElementTree import Element, SubElement

from gateway.engine.network.faults import Busy, Rejected
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import page_of
from gateway.engine.network.panos.device.turns import together
from gateway.engine.network.panos.device.userid import What, Who

PAGE: Final = 500
MOST_REPEATED: Final = 4  # pages that bring nothing new, in one reading: tables move meanwhile
FEW: Final = 50  # entries that are read at once, without a thread
FURTHEST: Final[Mapping[What, int]] = {What.ADDRESS: 100_000, What.USER: 524_288}  # start of a page
_KINDS: Final[Mapping[What, Literal["registered-ip", "registered-user"]]] = {
    What.ADDRESS: "registered-ip", What.USER: "registered-user",
}  # fmt: skip
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(slots=True)
class Table:
    """``tags``: of ours, the watermark with them, by who has some. ``keys``: how many addresses or users have any tag,
    ours or not, the canary's address aside. ``is_whole``: whether all could be asked for."""

    tags: dict[str, frozenset[str]] = field(default_factory=dict)
    keys: int = 0
    is_whole: bool = True

    def put(self, key: str, tags: frozenset[str]) -> None:
        """What ``key`` carries now."""
        if tags and key not in self.tags:
            self.keys += 1
        if tags:
            self.tags[key] = tags
        elif self.tags.pop(key, None) is not None:
            self.keys -= 1


async def read_table(client: Client, what: What, at_once: int, wanted: Mapping[str, frozenset[str]]) -> Table:
    """``wanted`` tells which tags to ask for where the pages end. Raises `DeviceFault`."""
    seen: dict[str, frozenset[str]] = {}
    starts = iter(range(1, FURTHEST[what] + 1, PAGE))
    is_over = await _pages(client, at_once, (page_of(_KINDS[what], start, PAGE) for start in starts), seen)
    if not is_over:
        for tag in _covering(what, wanted, seen):
            asked = (_with_tag(what, tag, start) for start in range(1, FURTHEST[what] + 1, PAGE))
            await _pages(client, at_once, asked, seen)
    seen.pop(names.CANARY_ADDRESS, None)
    return Table({key: tags for key, tags in seen.items() if tags}, len(seen), is_over)


async def _pages(client: Client, at_once: int, commands: Iterator[Element], seen: dict[str, frozenset[str]]) -> bool:
    """Whether an empty page came, after which there is none. One that is merely short ends nothing: a firewall may give
    less than it is asked for, and a cut would not be seen behind that. Raises `Busy` where more came behind one."""
    ended, numbered = asyncio.Event(), enumerate(commands)
    keys: set[str] = set()
    short: list[int] = []  # numbers of pages
    repeated = furthest = 0

    async def follow() -> None:
        nonlocal repeated, furthest
        for number, command in numbered:
            if ended.is_set():
                return
            found, before = await _entries(client, command), len(keys)
            for key, tags in found:
                keys.add(key)
                seen[key] = seen.get(key, _NONE) | tags
            if not found:
                ended.set()
                return
            furthest = max(furthest, number)
            repeated += len(keys) == before
            if len(found) < PAGE:
                short.append(number)
            if len(found) > PAGE or repeated > MOST_REPEATED:
                raise Rejected(f"{client.where} does not give the pages of its tables that it is asked for")

    await together([follow() for _ in range(at_once)])
    if short and furthest > min(short):
        raise Busy(f"{client.where} gave a part of a page of its tables: they moved meanwhile, or it leaves some out")
    return ended.is_set()


async def read_one(client: Client, who: Who) -> frozenset[str]:
    """The tags of ours of one address or user. Raises `DeviceFault`."""
    what, wanted = who
    asked, holder = _show(what)
    SubElement(holder, what.value).text = wanted
    found = await _entries(client, asked)
    return frozenset(tag for key, tags in found if key == wanted for tag in tags)


async def counts_to(client: Client, what: What, keys: int) -> bool:
    """Whether exactly so many addresses or users have tags, asked for with one short page. Where no page begins so far
    out it is taken for granted. Raises `DeviceFault`."""
    start = max(keys, 1)
    if start > FURTHEST[what]:
        return True
    return len(await _entries(client, page_of(_KINDS[what], start, 2))) == min(keys, 1)


def _show(what: What) -> tuple[Element, Element]:
    asked = Element("show")
    return asked, SubElement(SubElement(asked, "object"), _KINDS[what])


def _with_tag(what: What, tag: str, start: int) -> Element:
    asked, holder = _show(what)
    SubElement(SubElement(holder, "tag"), "entry", name=tag)
    for name, value in (("limit", PAGE), ("start-point", start)):
        SubElement(holder, name).text = str(value)
    return asked


def _covering(what: What, wanted: Mapping[str, frozenset[str]], seen: Mapping[str, frozenset[str]]) -> list[str]:
    """Tags of which everything that is wanted and was not seen has one, and those that were seen."""
    carried = Counter(tag for tags in wanted.values() for tag in tags)
    cover = {min(tags, key=lambda tag: (carried[tag], tag)) for key, tags in wanted.items() if key not in seen}
    known = {tag for tags in seen.values() for tag in tags} - carried.keys()
    return sorted(cover | known)


async def _entries(client: Client, command: Element) -> list[tuple[str, frozenset[str]]]:
    """In a thread where there are many."""
    answer = await client.op(command)
    entries = [] if answer.result is None else answer.result.findall("entry")
    return await asyncio.to_thread(_read, entries) if len(entries) > FEW else _read(entries)


def _read(entries: Sequence[Element]) -> list[tuple[str, frozenset[str]]]:
    made: list[tuple[str, frozenset[str]]] = []
    for entry in entries:
        given = entry.get("ip")
        key = spelled(given) if given is not None else entry.get("user", "").lower()
        found = (_ours((member.text or "").strip()) for member in entry.iterfind("tag/member"))
        made.append((key, _same(frozenset(tag for tag in found if tag))))
    return made


@lru_cache(100_000)
def spelled(text: str) -> str:
    """An address, a network or a range as it is spelled here; what is none of them as it came."""
    low, dash, high = text.partition("-")
    try:
        if dash:
            return f"{ipaddress.ip_address(low)}-{ipaddress.ip_address(high)}"
        if "/" not in text:
            return str(ipaddress.ip_address(text))
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text
    return str(network.network_address) if network.num_addresses == 1 else str(network)


@lru_cache(100_000)
def _ours(text: str) -> str:
    """A tag as it is spelled here, "" for whatever has not the form of ours."""
    tag = text.lower()
    return tag if tag == names.WATERMARK or names.is_ours(tag) else ""


@lru_cache(100_000)
def _same(tags: frozenset[str]) -> frozenset[str]:
    """One object for equal sets: there are far fewer of them than there are who has them."""
    return tags
