"""Locks and uncommitted edits of one change: taken, and given back whatever happens.

Both locks are taken: one keeps others from editing, the other keeps a commit of somebody else's from taking along what
we have only begun. What a dead process of ours left behind is known by its comment and given back first. What cannot be
given back now is told, because it keeps people from their work until somebody does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from gateway import telemetry
from gateway.config.devices import Panos
from gateway.engine.network.faults import Busy, DeviceFault, Rejected, Unknown
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.locks import NOUNS, Lock, locks_of, release, take
from gateway.engine.network.panos.device.places import place_of_rules
from gateway.engine.network.panos.device.writes import revert
from gateway.engine.network.transport.patience import Patience

GIVE_BACK_S: Final = 30.0
REPEATED: Final = 3
Result = TypeVar("Result")


class Hold:
    """``me``: our administrator; ``plan``: the digest of what is carried out. ``is_edited``: edits of ours may lie in
    the candidate; ``is_committing``: a commit of them may be under way, and nothing may be taken back."""

    def __init__(self, client: Client, device: Panos, me: str, plan: str) -> None:
        self.is_edited = False
        self.is_committing = False
        self._client = client
        self._me = me
        self._scope = place_of_rules(device).scope
        self._sign = f"stagedoor {device.instance} "
        self._comment = f"{self._sign}plan {plan}"
        self._is_taken = False

    async def take(self) -> None:
        """Raises `Busy` where somebody else has a lock, `DeviceFault`."""
        for lock in await self._ours():
            await release(self._client, lock.noun, lock.scope, self._me)
        self._is_taken = True
        for noun in NOUNS:
            await repeated(self._client, partial(take, self._client, noun, self._scope, self._comment, self._me))
        await self._ours()  # who began elsewhere at the same moment sees us, too

    async def _ours(self) -> list[Lock]:
        """Locks of our administrator on our scope. Raises `Busy` where it is at work elsewhere: by hand, or for another
        vsys or device group of the same device. A transaction drops all that it has not committed, wherever."""
        found = [lock for lock in await locks_of(self._client) if lock.admin == self._me]
        for lock in found:
            if lock.scope != self._scope or not lock.comment.startswith(self._sign):
                raise Busy(f"{self._client.where}: our own administrator is at work elsewhere, with a {lock}")
        return found

    async def give_back(self) -> str:
        """Also where whoever holds this is told to stop. What is left behind, "" if nothing."""
        giving = asyncio.get_running_loop().create_task(self._give_back())
        is_cancelled = False
        while not giving.done():
            try:
                await asyncio.shield(giving)
            except asyncio.CancelledError:
                is_cancelled = True
        left = giving.result()
        if left:
            telemetry.log("device_left_behind", level="error", device=self._client.where, why=left)
        if is_cancelled:
            raise asyncio.CancelledError
        return left

    async def _give_back(self) -> str:
        left: list[str] = []
        try:
            async with asyncio.timeout(GIVE_BACK_S):
                if self.is_edited and not self.is_committing:
                    reverting = partial(revert, self._client, self._me)
                    left += await self._tried("our edits stay in the candidate", reverting)
                for noun in reversed(NOUNS) if self._is_taken else ():
                    giving = partial(release, self._client, noun, self._scope, self._me)
                    left += await self._tried(f"our {noun} lock stays", giving)
        except TimeoutError:
            left.append(f"what else of ours is there is not known: no answer within {GIVE_BACK_S:g} s")
        self._is_taken = self.is_edited = False
        if left:
            left.append(f"the next apply takes it back, or an administrator of {self._client.where} does")
        return "; ".join(left)

    async def _tried(self, left: str, act: Callable[[], Awaitable[None]]) -> list[str]:
        try:
            await repeated(self._client, act)
        except DeviceFault as fault:
            return [f"{left}: {fault}"]
        return []


async def repeated(client: Client, act: Callable[[], Awaitable[Result]]) -> Result:
    """What does no harm when it is done twice: again where it is not known whether it was. Raises `DeviceFault`."""
    patience = Patience(client.time, client.limits.write)
    for left in reversed(range(REPEATED)):
        try:
            return await act()
        except Rejected:
            raise
        except (Unknown, Busy):
            if not left or not await patience.pause():
                raise
    raise AssertionError("the last try raises or returns")
