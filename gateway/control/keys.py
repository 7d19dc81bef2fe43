"""Keep every issuer's keys fresh, and keep the old ones while its provider is away.

Three things make a fetch: the interval the provider asked for, a failure before (sooner, with growing pauses), and
a door that met a `kid` nobody knows. The last is what a rotation looks like from here, and also what an attacker
with random `kid`s looks like: the first few such questions fetch at once, so that two rotations in a row keep nobody
waiting; after them one may every five seconds, and everybody who asks meanwhile waits for the same answer.

INVARIANT: a failed fetch never takes a key away. Keys end when the provider publishes a set without them, or when
nothing was heard from it for a day: then the issuer has no keys and its tokens are `issuer_unavailable`.

Clocks and pauses are arguments; what is fetched, and from where, is `fetch`'s business.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway import telemetry
from gateway.config import Issuer
from gateway.control.fetch import Fetched, FetchFault, Jwk

STALE_LIMIT_S: Final = 24 * 3600
WANTED_BURST: Final = 3  # fetches that unknown kids may cause at once
WANTED_PAUSE_S: Final = 5.0  # until one more is allowed
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 300.0

Fetch = Callable[[Issuer], Awaitable[Fetched]]
OnKeys = Callable[[str, Sequence[Jwk], int], None]  # issuer's name, its keys (none: unavailable), when they were read


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(
        self,
        issuer: Issuer,
        fetch: Fetch,
        on_keys: OnKeys,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        # for its whole life
        self.issuer = issuer
        self._fetch = fetch
        self._on_keys = on_keys
        self._wall = wall
        self._monotonic = monotonic
        self._pause = pause
        # what is known
        self.jwks: tuple[Jwk, ...] = ()
        self.fetched_at = 0  # epoch seconds of the last good answer, 0 = never
        self.fault = ""  # of the last attempt
        # what is under way
        self._refresh_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._wanted_until = float("-inf")  # when the fetches for unknown kids are paid off, one a pause
        self._flight: asyncio.Task[None] | None = None
        self._errand: asyncio.Task[None] | None = None

    def restore(self, jwks: Sequence[Jwk], fetched_at: int) -> None:
        """Begin with the keys of a former life; they count as old as they are, and never as younger than now."""
        now = int(self._wall())
        self.jwks, self.fetched_at = tuple(jwks), min(fetched_at, now)
        if fetched_at > now:  # read by a clock that was ahead: they would be believed until this one gets there
            self._on_keys(self.issuer.name, self.jwks, now)
        self._expire()

    @property
    def age_s(self) -> float:
        """Seconds since the provider was last heard; infinite when never."""
        return max(0.0, self._wall() - self.fetched_at) if self.fetched_at else float("inf")

    def knows(self, kid: str) -> bool:
        return any(jwk.get("kid", "") == kid for jwk in self.jwks)

    async def stay_fresh(self) -> None:
        """For ever: fetch, then pause as the provider or the failure asks."""
        while True:
            await self.refresh()
            due_s = self._retry_s if self.fault else self._refresh_s
            await self._pause(due_s * random.uniform(0.9, 1.0))

    async def refresh(self) -> None:
        """Fetch now, or join the fetch that is under way."""
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_task(self._attempt())
        await asyncio.shield(self._flight)

    async def want(self, kid: str) -> None:
        """Return once ``kid`` is known or a fetch that began after this question did not bring it."""
        if self.knows(kid):
            return
        if self._flight is not None:  # began before the question: its answer may be older than the key
            await self.refresh()
            if self.knows(kid):
                return
        if self._errand is None:
            self._errand = asyncio.get_running_loop().create_task(self._run_errand())
        await asyncio.shield(self._errand)

    def close(self) -> None:
        for task in (self._flight, self._errand):
            if task is not None:
                task.cancel()

    async def _run_errand(self) -> None:
        try:
            wait_s = self._wanted_until - (WANTED_BURST - 1) * WANTED_PAUSE_S - self._monotonic()
            if wait_s > 0:
                await self._pause(wait_s)
            self._wanted_until = max(self._wanted_until, self._monotonic()) + WANTED_PAUSE_S
        finally:
            self._errand = None  # whoever asks from here on needs a later fetch than this one
        await self.refresh()

    async def _attempt(self) -> None:
        try:
            self._took(await self._fetch(self.issuer))
        except FetchFault as fault:
            self._failed(str(fault))
        except Exception as error:  # a fault of ours: the issuer must be asked again all the same
            self._failed(f"{type(error).__name__}: {error}")
        finally:
            self._flight = None

    def _took(self, fetched: Fetched) -> None:
        before = {str(jwk.get("kid", "")) for jwk in self.jwks}
        now = {str(jwk.get("kid", "")) for jwk in fetched.jwks}
        if self.fault or before != now:
            telemetry.log(
                "issuer_keys", issuer=self.issuer.name, keys=len(now), added=len(now - before), gone=len(before - now)
            )
        for warning in fetched.warnings:
            telemetry.log("issuer_key_left_out", level="warning", issuer=self.issuer.name, why=warning)
        self.jwks, self.fetched_at, self.fault = fetched.jwks, int(self._wall()), ""
        self._refresh_s, self._retry_s = fetched.refresh_s, FIRST_RETRY_S
        self._on_keys(self.issuer.name, self.jwks, self.fetched_at)

    def _failed(self, fault: str) -> None:
        if fault != self.fault:
            telemetry.log("issuer_away", level="warning", issuer=self.issuer.name, why=fault, keys_kept=len(self.jwks))
        self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S) if self.fault else FIRST_RETRY_S
        self.fault = fault
        self._expire()

    def _expire(self) -> None:
        if self.jwks and self.age_s > STALE_LIMIT_S:
            telemetry.log("issuer_unavailable", level="error", issuer=self.issuer.name, age_s=int(self.age_s))
            self.jwks = ()
            self._on_keys(self.issuer.name, (), self.fetched_at)
