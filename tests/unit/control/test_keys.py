"""Promises about issuers' keys: rotation loses nobody, a flood fetches little, an absence takes nothing away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from gateway.config import Issuer
from gateway.control.fetch import Fetched, FetchFault, Jwk
from gateway.control.keys import LONGEST_RETRY_S, STALE_LIMIT_S, WANTED_BURST, WANTED_PAUSE_S, IssuerKeys

ISSUER = Issuer("marlow", "https://idp.example", ("services",))


class Provider:
    """A provider that publishes what the test says, and a clock that moves when somebody pauses."""

    def __init__(self, *kids: str) -> None:
        self.kids: tuple[str, ...] = kids
        self.away = False
        self.trouble: Exception | None = None
        self.fetches = 0
        self.gate: asyncio.Event | None = None
        self.now = 1_000_000.0
        self.pauses: list[float] = []
        self.published: list[tuple[tuple[str, ...], int]] = []
        self.keys = IssuerKeys(
            ISSUER, self.fetch, self.on_keys, wall=lambda: self.now, monotonic=lambda: self.now, pause=self.pause
        )

    async def fetch(self, _issuer: Issuer) -> Fetched:
        self.fetches += 1
        kids = self.kids
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        if self.away:
            raise FetchFault("away")
        return Fetched(tuple({"kid": kid, "kty": "EC"} for kid in kids), 600.0, ())

    def on_keys(self, name: str, jwks: Sequence[Jwk], at: int) -> None:
        assert name == "marlow"
        self.published.append((tuple(jwk["kid"] for jwk in jwks), at))

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_an_unknown_kid_fetches_at_once() -> None:
    async def story() -> None:
        provider = Provider("old")
        await provider.keys.refresh()
        provider.kids = ("old", "new")
        await provider.keys.want("new")
        assert provider.keys.knows("new")
        assert provider.pauses == []

    run(story())


def test_a_known_kid_fetches_nothing() -> None:
    async def story() -> None:
        provider = Provider("old")
        await provider.keys.refresh()
        await provider.keys.want("old")
        assert provider.fetches == 1

    run(story())


def test_a_thousand_askers_share_one_fetch() -> None:
    async def story() -> None:
        provider = Provider("new")
        await asyncio.gather(*(provider.keys.want("new") for _ in range(1000)))
        assert provider.fetches == 1

    run(story())


def test_random_kids_fetch_a_few_times_and_then_once_per_five_seconds() -> None:
    async def story() -> None:
        provider = Provider("old")
        for number in range(10):
            await provider.keys.want(f"attack-{number}")
        assert provider.fetches == 10
        assert provider.pauses == [WANTED_PAUSE_S] * (10 - WANTED_BURST)

    run(story())


def test_a_quiet_time_allows_the_few_at_once_again_and_no_more() -> None:
    async def story() -> None:
        provider = Provider("old")
        for number in range(WANTED_BURST):
            await provider.keys.want(f"attack-{number}")
        provider.now += 1000 * WANTED_PAUSE_S
        for number in range(WANTED_BURST):
            await provider.keys.want(f"later-{number}")
        assert provider.pauses == []
        await provider.keys.want("one-more")
        assert provider.pauses == [WANTED_PAUSE_S]

    run(story())


def test_random_kids_at_one_moment_cost_one_fetch_more() -> None:
    async def story() -> None:
        provider = Provider("old")
        await provider.keys.want("attack-0")
        await asyncio.gather(*(provider.keys.want(f"attack-{number}") for number in range(500)))
        assert provider.fetches == 2

    run(story())


def test_a_second_rotation_within_five_seconds_waits_for_nothing() -> None:
    async def story() -> None:
        provider = Provider("one")
        await provider.keys.want("one")
        provider.kids = ("one", "two")
        await provider.keys.want("two")
        provider.kids = ("two", "three")
        await provider.keys.want("three")
        assert provider.keys.knows("three")
        assert provider.pauses == []

    run(story())


def test_whatever_a_fetch_fails_with_the_issuer_is_asked_again() -> None:
    async def story() -> None:
        provider = Provider("old")
        provider.trouble = RuntimeError("a fault of ours")
        loop = asyncio.get_running_loop().create_task(provider.keys.stay_fresh())
        while len(provider.pauses) < 2:
            await asyncio.sleep(0)
        assert "a fault of ours" in provider.keys.fault
        provider.trouble = None
        await provider.keys.want("old")
        loop.cancel()
        assert provider.keys.knows("old")

    run(story())


def test_keys_from_a_clock_that_was_ahead_are_no_younger_than_now() -> None:
    """Otherwise they would be believed until the clock has caught up, however long the issuer is away."""
    provider = Provider("old")
    provider.keys.restore([{"kid": "stored"}], int(provider.now) + 365 * 24 * 3600)
    assert provider.keys.fetched_at == int(provider.now)
    assert provider.published == [(("stored",), int(provider.now))]


def test_a_fetch_that_began_before_the_rotation_is_not_the_answer() -> None:
    async def story() -> None:
        provider = Provider("old")
        provider.gate = asyncio.Event()
        before = asyncio.get_running_loop().create_task(provider.keys.refresh())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        provider.kids = ("old", "new")
        asked = asyncio.get_running_loop().create_task(provider.keys.want("new"))
        await asyncio.sleep(0)
        provider.gate.set()
        await before
        await asked
        assert provider.keys.knows("new")

    run(story())


def test_an_absent_provider_takes_no_key_away() -> None:
    async def story() -> None:
        provider = Provider("old")
        await provider.keys.refresh()
        provider.away = True
        provider.now += STALE_LIMIT_S - 1
        await provider.keys.refresh()
        assert provider.keys.knows("old")
        assert provider.keys.fault == "away"
        assert provider.keys.age_s == STALE_LIMIT_S - 1

    run(story())


def test_after_a_day_of_silence_the_issuer_has_no_keys() -> None:
    async def story() -> None:
        provider = Provider("old")
        await provider.keys.refresh()
        provider.away = True
        provider.now += STALE_LIMIT_S + 1
        await provider.keys.refresh()
        assert [keys for keys, *_ in provider.published][-1] == ()
        provider.away = False
        await provider.keys.refresh()
        assert provider.published[-1][0] == ("old",)

    run(story())


def test_stored_keys_count_as_old_as_they_are() -> None:
    provider = Provider("old")
    provider.keys.restore([{"kid": "stored"}], int(provider.now) - 60)
    assert provider.keys.knows("stored")
    assert provider.keys.age_s == 60
    provider.keys.restore([{"kid": "stored"}], int(provider.now) - STALE_LIMIT_S - 1)
    assert not provider.keys.knows("stored")


def test_a_key_that_leaves_the_set_is_gone_for_the_doors() -> None:
    async def story() -> None:
        provider = Provider("one", "two")
        await provider.keys.refresh()
        provider.kids = ("two",)
        await provider.keys.refresh()
        assert provider.published[-1][0] == ("two",)

    run(story())


def test_an_interval_is_what_the_provider_asked_for_and_failures_try_sooner_and_slower() -> None:
    async def story() -> None:
        provider = Provider("old")
        loop = asyncio.get_running_loop().create_task(provider.keys.stay_fresh())
        while len(provider.pauses) < 1:
            await asyncio.sleep(0)
        assert 540 <= provider.pauses[0] <= 600
        provider.away = True
        while len(provider.pauses) < 15:
            await asyncio.sleep(0)
        loop.cancel()
        retries = provider.pauses[1:]
        assert retries[0] <= 1.0
        assert retries[3] > retries[0]
        assert max(retries) <= LONGEST_RETRY_S

    run(story())


def test_closing_ends_what_is_under_way() -> None:
    async def story() -> None:
        provider = Provider("old")
        provider.gate = asyncio.Event()
        asked = asyncio.get_running_loop().create_task(provider.keys.want("new"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        provider.keys.close()
        with pytest.raises(asyncio.CancelledError):
            await asked

    run(story())
