"""Losses while both units of a pair say that they are active: told to both, and nothing else is told to either.

Which of the two traffic passes is not known, so nobody can say where a grant would count, and a picture of one is none
of the other. What takes a right away is right on both of them, whichever lives on: a tag that one does not have is no
loss there. So tags are taken from users, and from addresses what was shut; tags of addresses otherwise stay, because a
rule that closes may ask for them. That is done at once by the picture that there is, and then by what each of them
shows: one may have kept what the other has lost long ago. Whoever turns out to be active alone is read whole before
anything is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.turns import urgently
from gateway.engine.network.panos.device.userid import Message, What, tell
from gateway.engine.network.panos.tags.delta import Delta, Wish
from gateway.engine.network.panos.tags.judging import Judge
from gateway.engine.network.panos.tags.mirror import CHUNK, Mirror, chunks
from gateway.engine.network.panos.tags.noting import Notes
from gateway.engine.network.panos.tags.reading import Table
from gateway.engine.network.panos.tags.watching import with_interludes
from gateway.engine.network.plans.guards import ENGINE, Consent


def narrowing(delta: Delta) -> Delta:
    """What takes rights away, whoever has them."""
    users = tuple(entry for entry in (*delta.gone, *delta.removed) if entry.what is What.USER)
    return Delta(delta.revoked, users)


class Narrowing:
    """Of one pair. What a unit was told is not told to it again before both were one."""

    def __init__(self, judge: Judge, mirror: Mirror, notes: Notes, now: Callable[[], float]) -> None:
        self._judge = judge
        self._mirror = mirror
        self._notes = notes
        self._now = now
        self._pictures: dict[str, Mirror] = {}  # by unit

    def over(self) -> None:
        self._pictures.clear()

    async def narrow(
        self, clients: Sequence[Client], newest: Callable[[], Awaitable[Wish]], urgent: asyncio.Event
    ) -> None:
        """Losses that come meanwhile, when ``urgent`` is set, do not wait for a reading. Raises `DeviceFault` where one
        did not take its losses, or did not show what it has; the other was told."""
        for client in clients:
            self._pictures.setdefault(client.unit, self._mirror.supposed())

        async def tell_all() -> None:
            wish = await newest()
            await asyncio.gather(*(self._tell(client, wish) for client in clients), return_exceptions=True)

        await with_interludes(self._told_and_read(clients, newest), urgent, tell_all)

    async def _told_and_read(self, clients: Sequence[Client], newest: Callable[[], Awaitable[Wish]]) -> None:
        ends = await asyncio.gather(*(self._narrow_one(client, newest) for client in clients), return_exceptions=True)
        if self._mirror.is_read:
            self._mirror.tables = _either(list(self._pictures.values()))
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _narrow_one(self, client: Client, newest: Callable[[], Awaitable[Wish]]) -> None:
        picture = self._pictures[client.unit]
        await self._tell(client, await newest())
        if picture.is_stale:
            await picture.read(client, await newest())
            await self._tell(client, await newest())

    async def _tell(self, client: Client, wish: Wish) -> None:
        picture = self._pictures[client.unit]
        losses = narrowing((await self._judge.judge(wish, Consent(ENGINE), picture)).delta)
        if not picture.is_read or not losses.losses:
            return
        self._judge.note(losses, picture)
        try:
            with urgently():
                for some in chain(*(chunks(entries, CHUNK) for entries in (losses.revoked, losses.gone))):
                    await tell(client, Message(unregister=some), self._now)
                    picture.lose(some)
        finally:
            await self._notes.taken(client, wish.version, losses)


def _either(pictures: Sequence[Mirror]) -> dict[What, Table]:
    """Who has a tag on any of them has it."""
    tables: dict[What, Table] = {}
    for what in What:
        table = tables[what] = Table()
        for key, tags in chain(*(picture.tables[what].tags.items() for picture in pictures)):
            table.put(key, tags | table.tags.get(key, frozenset()))
    return tables
