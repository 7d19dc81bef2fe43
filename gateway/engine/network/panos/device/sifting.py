"""An answer whose entries may be more than should ever lie in memory: read while it comes, and sifted by name.

A rulebase of a large company has a hundred megabytes, of which little is ours. So an answer is parsed in pieces, in a
thread, without DTD and entities. Each entry's name is looked at first: one that nobody wants is passed over and never
built, one that is wanted is handed over whole and forgotten here. What is held at once has a limit, as have a name, the
depth, the number of entries and the whole; beyond one of them nothing is believed.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos.device.answers import Answer, envelope_of, is_page

MOST_BYTES: Final = 512 * 1024 * 1024
MOST_ENTRIES: Final = 600_000  # the largest models take 65,000 rules, and half a million of users' addresses
HELD_BYTES: Final = 8 * 1024 * 1024  # of one entry, or of all that is none
DEEPEST: Final = 64
PIECE_BYTES: Final = 128 * 1024  # parsed at once: some milliseconds
_NODE_BYTES: Final = 100  # of an element or an attribute in memory, its text aside


class Sieve(Protocol):
    """Called in a thread. An answer that broke off is asked for anew, from `begin` on."""

    def begin(self) -> None: ...

    def wants(self, name: str) -> bool:
        """Asked once for each entry, in order."""
        ...

    def take(self, entry: Element) -> None: ...


class TooLarge(Exception):
    """The text says what there is too much of."""


class Sifting:
    """One answer on its way. ``where``: the device, for messages."""

    most = MOST_BYTES

    def __init__(self, sieve: Sieve, where: str) -> None:
        sieve.begin()
        self._sorter = _Sorter(sieve)
        self._parser = DefusedXMLParser(target=self._sorter, forbid_dtd=True)
        self._parser.parser.CharacterDataHandler = self._sorter.text
        self._where = where
        self._waiting = bytearray()
        self._head = b""
        self._is_broken = False

    async def feed(self, piece: bytes) -> None:
        """Raises `Rejected` for more than is ever read."""
        self._head = self._head or piece.lstrip()[:256]
        self._waiting += piece
        if len(self._waiting) >= PIECE_BYTES:
            await self._parsed()

    async def answer(self, http: int, content_type: str) -> Answer:
        """The envelope, without its entries. Raises `Rejected`."""
        await self._parsed()
        if not self._head:
            return Answer(http, "empty")
        if is_page(content_type, self._head):
            return Answer(http, "page")
        root = None if self._is_broken else await asyncio.to_thread(self._closed)
        return envelope_of(http, root)

    async def _parsed(self) -> None:
        waiting, self._waiting = bytes(self._waiting), bytearray()
        try:
            for start in range(0, len(waiting), PIECE_BYTES):
                if not self._is_broken:
                    await asyncio.to_thread(self._parse, waiting[start : start + PIECE_BYTES])
        except TooLarge as fault:
            raise Rejected(f"{self._where} answers with {fault}: nothing of that is read") from None

    def _parse(self, piece: bytes) -> None:
        self._sorter.bytes_without_node += len(piece)
        try:
            self._parser.feed(piece)
        except (ParseError, DefusedXmlException, ValueError, LookupError):
            self._is_broken = True
        if self._sorter.bytes_without_node > HELD_BYTES:
            raise TooLarge(f"more than {HELD_BYTES // 1024 // 1024} MiB without an element")

    def _closed(self) -> Element | None:
        try:
            root: Element = self._parser.close()
        except (ParseError, DefusedXmlException, ValueError, LookupError):
            return None
        return root


class _Sorter:
    """What the parser tells: `response/result`, then entries, there or one level below."""

    def __init__(self, sieve: Sieve) -> None:
        self.bytes_without_node = 0  # that came since the last one
        self._sieve = sieve
        self._envelope = TreeBuilder()
        self._entry: TreeBuilder | None = None
        self._path: list[str] = []
        self._entry_depth = 0  # of the entry that we are in, wanted or not
        self._entries = 0
        self._held = self._held_outside = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.bytes_without_node = 0
        self._path.append(tag)
        if len(self._path) > DEEPEST:
            raise TooLarge(f"more than {DEEPEST} levels")
        if self._is_entry(tag):
            self._begin(attributes.get("name", ""))
        if (builder := self._builder()) is not None:
            self._hold(_NODE_BYTES + sum(_NODE_BYTES + len(name) + len(value) for name, value in attributes.items()))
            builder.start(tag, attributes)

    def end(self, tag: str) -> None:
        self.bytes_without_node = 0
        if (builder := self._builder()) is not None:
            builder.end(tag)
        if len(self._path) == self._entry_depth:
            self._end()
        self._path.pop()

    def text(self, text: str) -> None:
        if (builder := self._builder()) is not None:
            self._hold(len(text))
            builder.data(text)
            self.bytes_without_node = 0

    def close(self) -> Element:
        return self._envelope.close()

    def _is_entry(self, tag: str) -> bool:
        depth = len(self._path)
        return tag == "entry" and not self._entry_depth and depth in (3, 4) and self._path[:2] == ["response", "result"]

    def _builder(self) -> TreeBuilder | None:
        return self._entry if self._entry_depth else self._envelope

    def _begin(self, name: str) -> None:
        self._entries += 1
        if self._entries > MOST_ENTRIES:
            raise TooLarge(f"more than {MOST_ENTRIES:,} entries")
        self._entry_depth = len(self._path)
        self._held, self._held_outside = 0, self._held
        if self._sieve.wants(name):
            self._entry = TreeBuilder()

    def _end(self) -> None:
        if self._entry is not None:
            self._sieve.take(self._entry.close())
        self._entry, self._entry_depth, self._held = None, 0, self._held_outside

    def _hold(self, more: int) -> None:
        self._held += more
        if self._held > HELD_BYTES:
            raise TooLarge(f"more than {HELD_BYTES // 1024 // 1024} MiB in one entry, or outside of entries")
