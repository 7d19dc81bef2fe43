"""An answer whose entries may be more than should ever lie in memory: read while it comes, and sifted by name.

A rulebase of a large company has a hundred megabytes, of which little is ours. So an answer is parsed in pieces, in a
thread, without DTD and entities. Each entry's name is looked at first: one that nobody wants is passed over and never
built, one that is wanted is handed over whole and forgotten here. What is held at once has a limit, as have a name, the
depth, the number of entries, what is kept of all of them and the whole; beyond one of them nothing is believed. Nor is
an answer that is not one list, or that says two things: what is not in it would look like something that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import islice
from sys import getsizeof
from typing import Final, NoReturn, Protocol, TypeVar
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from gateway.engine.network.faults import Rejected
from gateway.engine.network.panos.device.answers import Answer, Meaning, envelope_of, is_page, meaning_of

MOST_BYTES: Final = 512 * 1024 * 1024
MOST_ENTRIES: Final = 600_000  # the largest models take 65,000 rules, and half a million of users' addresses
HELD_BYTES: Final = 8 * 1024 * 1024  # of one entry, or of all that is none
KEPT_BYTES: Final = 384 * 1024 * 1024  # of all names, and of all entries that are wanted
MARKUP_BYTES: Final = 256 * 1024  # of one tag: a parser holds it whole
NAME_MOST: Final = 1024  # letters; devices take 127
WORDS_MOST: Final = 512 * 1024  # letters of different names of elements and attributes, which a parser never forgets
DEEPEST: Final = 64
PIECE_BYTES: Final = 128 * 1024  # parsed at once: some milliseconds
_NODE_BYTES: Final = 100  # of an element or an attribute in memory, its text aside
Result = TypeVar("Result")


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
        self._parser.parser.StartNamespaceDeclHandler = _refused
        self._words: dict[str, str] = self._parser.parser.intern
        self._words_seen = self._words_length = 0
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
        root = None if self._is_broken else await self._within_limits(self._closed)
        return self._sorter.judged(envelope_of(http, root))

    async def _parsed(self) -> None:
        waiting, self._waiting = bytes(self._waiting), bytearray()
        for start in range(0, len(waiting), PIECE_BYTES):
            if not self._is_broken:
                await self._within_limits(partial(self._parse, waiting[start : start + PIECE_BYTES]))

    async def _within_limits(self, act: Callable[[], Result]) -> Result:
        try:
            return await _in_thread(act)
        except TooLarge as fault:
            raise Rejected(f"{self._where} answers with {fault}: nothing of that is read") from None

    def _parse(self, piece: bytes) -> None:
        self._sorter.bytes_unread += len(piece)
        try:
            self._parser.feed(piece)
        except (ParseError, DefusedXmlException, ValueError, LookupError):
            self._is_broken = True
            return
        if self._sorter.bytes_unread > MARKUP_BYTES:
            raise TooLarge(f"more than {MARKUP_BYTES // 1024} KiB of markup at once")
        self._words_length += sum(len(word or "") for word in islice(self._words, self._words_seen, None))
        self._words_seen = len(self._words)
        if self._words_length > WORDS_MOST:
            raise TooLarge("more kinds of elements than any device has")

    def _closed(self) -> Element | None:
        try:
            root: Element = self._parser.close()
        except (ParseError, DefusedXmlException, ValueError, LookupError):
            return None
        return root


async def _in_thread(act: Callable[[], Result]) -> Result:
    """Ended when this is, also where nobody waits any more: what it tells of must not come into the next try."""
    working = asyncio.get_running_loop().create_task(asyncio.to_thread(act))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.gather(working, return_exceptions=True)
        raise


def _refused(prefix: str | None, uri: str) -> NoReturn:
    raise ValueError("no device has namespaces, and an entry of one would be none of a list")


class _Sorter:
    """What the parser tells: `response/result`, then entries, there or one level below."""

    def __init__(self, sieve: Sieve) -> None:
        self.bytes_unread = 0  # that came since the parser told of anything
        self._sieve = sieve
        self._envelope = TreeBuilder()
        self._entry: TreeBuilder | None = None
        self._path: list[str] = []
        self._entry_depth = 0  # of the entry that we are in, wanted or not
        self._entries = 0
        self._held = self._held_outside = self._kept = 0
        self._results = self._holders = 0
        self._strays = 0  # beside entries

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.bytes_unread = 0
        self._path.append(tag)
        if len(self._path) > DEEPEST:
            raise TooLarge(f"more than {DEEPEST} levels")
        if not self._entry_depth and len(self._path) in (2, 3, 4):
            self._outside(tag, attributes)
        if (builder := self._builder()) is not None:
            self._hold(_NODE_BYTES + sum(_NODE_BYTES + len(name) + len(value) for name, value in attributes.items()))
            builder.start(tag, attributes)

    def _outside(self, tag: str, attributes: dict[str, str]) -> None:
        if self._path[:2] != ["response", "result"]:
            return
        depth = len(self._path)
        if depth == 2:
            self._results += 1
        elif tag == "entry":
            self._strays += depth == 3 and self._holders > 0
            self._begin(attributes.get("name", ""))
        elif depth == 3 and tag != "count":  # how many there are stands beside entries of some commands
            self._strays += self._entries > 0
            self._holders += 1
        elif depth == 4:
            self._strays += 1

    def end(self, tag: str) -> None:
        self.bytes_unread = 0
        if (builder := self._builder()) is not None:
            builder.end(tag)
        if len(self._path) == self._entry_depth:
            self._end()
        self._path.pop()

    def text(self, text: str) -> None:
        self.bytes_unread = 0
        if (builder := self._builder()) is not None:
            self._hold(len(text))
            builder.data(text)

    def close(self) -> Element:
        return self._envelope.close()

    def judged(self, answer: Answer) -> Answer:
        """An answer that is not one list, or contradicts itself, is none."""
        why = self._doubt(answer, meaning_of(answer))
        return Answer(answer.http, "other", messages=(why,)) if why else answer

    def _doubt(self, answer: Answer, meaning: Meaning) -> str:
        if meaning is Meaning.NOTHING and self._entries:
            return "entries, and that there are none"
        if meaning is not Meaning.GOOD:
            return ""
        if answer.result is None:
            return "success without a result"
        if self._results > 1 or self._holders > 1 or self._strays:
            return "more than one list"
        there, given = (answer.result.get(name, "") for name in ("total-count", "count"))
        if there.isdecimal() and given.isdecimal() and int(given[:9]) < int(there[:9]):
            return f"{given} of {there} that there are"
        return ""

    def _builder(self) -> TreeBuilder | None:
        return self._entry if self._entry_depth else self._envelope

    def _begin(self, name: str) -> None:
        self._entries += 1
        if self._entries > MOST_ENTRIES:
            raise TooLarge(f"more than {MOST_ENTRIES:,} entries")
        if len(name) > NAME_MOST:
            raise TooLarge(f"a name of more than {NAME_MOST:,} letters")
        self._keep(getsizeof(name))
        self._entry_depth = len(self._path)
        self._held, self._held_outside = 0, self._held
        if self._sieve.wants(name):
            self._entry = TreeBuilder()

    def _end(self) -> None:
        if self._entry is not None:
            self._keep(self._held)
            self._sieve.take(self._entry.close())
        self._entry, self._entry_depth, self._held = None, 0, self._held_outside

    def _hold(self, more: int) -> None:
        self._held += more
        if self._held > HELD_BYTES:
            raise TooLarge(f"more than {HELD_BYTES // 1024 // 1024} MiB in one entry, or outside of entries")

    def _keep(self, more: int) -> None:
        self._kept += more
        if self._kept > KEPT_BYTES:
            raise TooLarge(f"more than {KEPT_BYTES // 1024 // 1024} MiB of names and entries of ours")
