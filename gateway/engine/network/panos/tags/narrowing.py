"""Losses while both units of a pair say that they are active: told to both, and nothing else is told to either.

Which of the two traffic passes is not known, so nobody can say where a grant would count, and a picture of one is none
of the other. What takes a right away is right on both of them, whichever lives on: a tag that one does not have is no
loss there. So tags are taken from users, and from addresses what was shut; tags of addresses otherwise stay, because a
rule that closes may ask for them. Whoever turns out to be active alone is read whole before anything is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

from gateway.engine.network.guards import ENGINE, Consent
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.turns import urgently
from gateway.engine.network.panos.device.userid import Entry, Message, What, tell
from gateway.engine.network.panos.tags.delta import Delta, Wish
from gateway.engine.network.panos.tags.judging import Judge
from gateway.engine.network.panos.tags.mirror import CHUNK, Mirror, chunks
from gateway.engine.network.panos.tags.noting import Notes


class _Told(NamedTuple):
    unit: str
    what: What
    key: str
    tag: str


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
        self._told: set[_Told] = set()

    def over(self) -> None:
        self._told.clear()

    async def narrow(self, clients: Sequence[Client], wish: Wish) -> None:
        """By the picture that there is, or that one of them gives. Raises `DeviceFault` where one did not take it; the
        others were told."""
        if not self._mirror.is_read:
            await self._mirror.read(clients[0], wish)
        losses = narrowing((await self._judge.judge(wish, Consent(ENGINE))).delta)
        self._judge.note(losses)
        with urgently():
            ends = await asyncio.gather(
                *(self._tell_one(client, wish.version, losses) for client in clients), return_exceptions=True
            )
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _tell_one(self, client: Client, version: str, delta: Delta) -> None:
        new = Delta(self._new(client, delta.revoked), self._new(client, delta.gone))
        try:
            for some in chain(*(chunks(entries, CHUNK) for entries in (new.revoked, new.gone))):
                await tell(client, Message(unregister=some), self._now)
                self._told.update(_told(client, some))
        finally:
            await self._notes.taken(client, version, new)

    def _new(self, client: Client, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        return tuple(entry for entry in entries if not self._told.issuperset(_told(client, (entry,))))


def _told(client: Client, entries: Sequence[Entry]) -> list[_Told]:
    return [_Told(client.unit, entry.what, entry.key, tag) for entry in entries for tag, _ in entry.tags]
