"""What one firewall's tables hold, as they were last read and written; and the writing and reading back.

The picture is read whole now and then and follows what is told in between, so that a change costs what it changes and
no more. Whatever was told is in doubt until it was read back: one by one where that is less than the pages of a table,
else the whole table. What a firewall did not take is remembered and not told again before the next whole reading, or
before something else is wanted there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.turns import together
from gateway.engine.network.panos.device.userid import NEVER, Entry, Message, What, Who, tell
from gateway.engine.network.panos.membership import Key
from gateway.engine.network.panos.tags.delta import Wish
from gateway.engine.network.panos.tags.reading import PAGE, Table, read_one, read_table

CHUNK: Final = 500  # entries of a message
MISSED: Final = 20  # that are asked for once more, one by one
_LOST: Final = "it took this and does not have it"
_KEPT: Final = "it took this away and has it still"
T = TypeVar("T")
Enough = Callable[[], Awaitable[bool]]
_NONE: Final[frozenset[str]] = frozenset()


async def never() -> bool:
    return False


class Refusal(NamedTuple):
    tags: frozenset[str]  # that were told
    why: str


class Doubt(NamedTuple):
    """``why`` it was refused, "" where it was not; None where no answer came."""

    tags: frozenset[str]
    why: str | None


class Mirror:
    """``at_once``: calls. ``is_read``: whether there is a picture at all; ``is_stale``: whether it may be another's."""

    def __init__(self, at_once: int, now: Callable[[], float]) -> None:
        self.tables: dict[What, Table] = {what: Table() for what in What}
        self.ends: dict[Key, int] = {}  # of users' tags that have one
        self.refused: dict[Who, Refusal] = {}
        self.doubts: dict[Who, Doubt] = {}
        self.told: Counter[str] = Counter()  # tags, by what became of them
        self.is_read = False
        self.is_stale = True
        self._at_once = at_once
        self._now = now

    def forget(self) -> None:
        """It may be another unit's: all is to be read, and no end is known."""
        self.is_stale = True
        self.ends.clear()

    def supposed(self) -> Mirror:
        """Of another unit, which is taken for the same until it is read."""
        other = Mirror(self._at_once, self._now)
        for what, table in self.tables.items():
            other.tables[what] = Table(dict(table.tags), table.keys, table.is_whole)
        other.is_read = self.is_read
        return other

    def lose(self, entries: Sequence[Entry]) -> None:
        """What was taken away past this picture's own writing."""
        for entry in entries:
            self._change(entry, lambda has, tags: has - tags)
            self.told["unregistered"] += len(entry.tags)

    @property
    def is_unsure(self) -> bool:
        """Whether something was told that was not answered: nothing can be compared with that."""
        return any(doubt.why is None for doubt in self.doubts.values())

    def has(self, who: str, tag: str) -> bool | None:
        """None where nobody knows."""
        if not self.is_read:
            return None
        return any(tag in table.tags.get(who.lower(), ()) for table in self.tables.values())

    # === reading ===

    async def read(self, client: Client, wish: Wish) -> None:
        """Both tables, whole. Raises `DeviceFault`; then the picture is as it was."""
        read = {what: await read_table(client, what, self._at_once, wish.tags[what]) for what in What}
        self.tables = read
        users = read[What.USER].tags
        self.ends = {(user, tag): end for (user, tag), end in self.ends.items() if tag in users.get(user, _NONE)}
        self.refused, self.doubts = {}, {}
        self.is_read, self.is_stale = True, False

    async def confirm(self, client: Client, wish: Wish) -> None:
        """Read back whatever is in doubt. Raises `DeviceFault`."""
        for what in What:
            asked = {who: doubt for who, doubt in self.doubts.items() if who[0] is what}
            if len(asked) > 1 + self.tables[what].keys // PAGE:
                found = await read_table(client, what, self._at_once, wish.tags[what])
                missed = [who for who in asked if self._thought(who) != found.tags.get(who[1], _NONE)]
                if len(missed) <= MISSED:  # pages leave some out while tables move
                    await self._ask(client, missed, found)
                self._take(asked, found)
                self._keep(what, found)
            elif asked:
                found = Table()
                await self._ask(client, list(asked), found)
                self._take(asked, found)

    async def _ask(self, client: Client, asked: Sequence[Who], found: Table) -> None:
        async def ask(who: Who) -> None:
            found.put(who[1], await read_one(client, who))

        for some in chunks(asked, self._at_once):
            await together([ask(who) for who in some])

    def _thought(self, who: Who) -> frozenset[str]:
        return self.tables[who[0]].tags.get(who[1], _NONE)

    def _keep(self, what: What, found: Table) -> None:
        """As the table. Who was told something since it was asked for is as was told."""
        for kind, key in self.doubts:
            if kind is what:
                found.put(key, self._thought((what, key)))
        self.tables[what] = found

    def _take(self, asked: Mapping[Who, Doubt], found: Table) -> None:
        """Who was told something else since, is in doubt still."""
        for who, doubt in asked.items():
            if self.doubts.get(who) is not doubt:
                continue
            del self.doubts[who]
            (told, why), (what, key) = doubt, who
            has, thought = found.tags.get(key, _NONE), self._thought(who)
            if why is not None and (has != thought or why):
                self.refused[who] = Refusal(told, why or (_LOST if thought - has else _KEPT))
                self.told["refused"] += 1
            self.tables[what].put(key, has)

    # === writing ===

    async def take_away(self, client: Client, entries: Sequence[Entry], is_enough: Enough) -> None:
        """``is_enough`` is asked after every few messages: whether something more urgent has come meanwhile. Raises
        `DeviceFault`; what was told until then is in doubt."""
        await self._tell(client, [Message(unregister=some) for some in chunks(entries, CHUNK)], is_enough)

    async def renew(self, client: Client, entries: Sequence[Entry], is_enough: Enough) -> None:
        await self._tell(client, [Message(some, some) for some in chunks(entries, CHUNK)], is_enough)

    async def give(self, client: Client, entries: Sequence[Entry], is_enough: Enough) -> None:
        await self._tell(client, [Message(register=some) for some in chunks(entries, CHUNK)], is_enough)

    def is_refused(self, entry: Entry) -> bool:
        refusal = self.refused.get(entry.who)
        return refusal is not None and refusal.tags.issuperset(tag for tag, _ in entry.tags)

    async def _tell(self, client: Client, messages: Sequence[Message], is_enough: Enough) -> None:
        for some in chunks(messages, self._at_once):
            answers = await asyncio.gather(
                *(tell(client, message, self._now) for message in some), return_exceptions=True
            )  # fmt: skip
            for message, answer in zip(some, answers, strict=True):
                self._note(message, None if isinstance(answer, BaseException) else answer)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
            if await is_enough():
                return

    def _note(self, message: Message, failed: Mapping[Who, str] | None) -> None:
        """``failed`` is None where no answer came: then no end is known."""
        for entry in message.unregister:
            self._doubt(entry, None if failed is None else "")
            self._change(entry, lambda has, tags: has - tags)
            self.told["unregistered"] += len(entry.tags)
        for entry in message.register:
            self._doubt(entry, None if failed is None else failed.get(entry.who, ""))
            self._change(entry, lambda has, tags: has | tags, failed is not None and entry.who not in failed)
            self.told["registered"] += len(entry.tags)

    def _doubt(self, entry: Entry, why: str | None) -> None:
        tags, before = self.doubts.get(entry.who, Doubt(_NONE, ""))
        unanswered = why is None or before is None
        self.doubts[entry.who] = Doubt(
            tags.union(tag for tag, _ in entry.tags), None if unanswered else why or before
        )  # fmt: skip

    def _change(
        self, entry: Entry, change: Callable[[frozenset[str], frozenset[str]], frozenset[str]], is_known: bool = False
    ) -> None:
        table, tags = self.tables[entry.what], frozenset(tag for tag, _ in entry.tags)
        table.put(entry.key, change(table.tags.get(entry.key, _NONE), tags))
        if entry.what is What.USER:
            for tag, end in entry.tags:
                self.ends.pop((entry.key, tag), None)
                if is_known and end != NEVER:
                    self.ends[entry.key, tag] = end


def chunks(entries: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(entries), most):
        yield entries[start : start + most]
