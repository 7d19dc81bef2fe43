"""A session is worth what its provider says now: renewed once at a time, ended when it must be, lost to no race."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config.sign_in import Sessions
from gateway.control.sessions.renewal import next_refresh
from tests.support.scripted_provider import ScriptedProvider
from tests.support.signing_control import Place, signing_control
from tests.support.tokens import NOW, Signer

Story = Callable[[Place, ScriptedProvider, str], Awaitable[None]]
OFTEN = Sessions(idle_s=7200, absolute_s=43200, offline_s=600, refresh_s=300)
OTHER = Signer("rsa-2", "RS256", "rsa-2")


def told(folder: Path, story: Story, sessions: Sessions = OFTEN, **client: Any) -> None:
    """The story begins with jane signed in, and a refresh that is due."""

    async def run() -> None:
        async with ScriptedProvider() as provider, signing_control(folder, provider, sessions, **client) as place:
            await place.signed_in()
            sid = (await place.rows())[0].sid
            place.skipped_s = 301
            provider.changes = {"nonce": ...}
            await story(place, provider, sid)

    asyncio.run(run())


async def settled(place: Place, sid: str) -> dict[str, Any]:
    """The facts once no refresh is under way."""
    await place.facts(sid)
    live = place.sign_in.context.live
    while live._flights:
        await asyncio.wait(list(live._flights.values()))
    (facts,) = await place.facts(sid, used=False)
    return facts


def refreshes(provider: ScriptedProvider) -> int:
    return sum(form["grant_type"] == "refresh_token" for form in provider.forms)


def test_new_claims_take_the_place_of_the_old_ones_whole(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.changes |= {"groups": ["books"]}
        assert (await settled(place, sid))["claims"]["groups"] == ["books"]
        async with asyncio.timeout(5):  # the doors hear it unasked
            while not place.told or place.told[-1]["claims"]["groups"] != ["books"]:
                await asyncio.sleep(0.01)
        assert refreshes(provider) == 1

    told(tmp_path, story)


def test_a_claim_that_is_missing_is_gone(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.changes |= {"groups": ..., "acr": ..., "amr": ...}
        claims = (await settled(place, sid))["claims"]
        assert "groups" not in claims
        assert claims["amr"] == ["pwd"]  # how somebody signed in is no right

    told(tmp_path, story)


def test_no_id_token_leaves_a_name_without_rights(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.answer = {"id_token": ...}
        claims = (await settled(place, sid))["claims"]
        assert claims["sub"] == "jane"
        assert "groups" not in claims

    told(tmp_path, story)


def test_userinfo_speaks_where_no_id_token_comes(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.answer = {"id_token": ...}
        provider.userinfo = {"sub": "jane", "groups": ["books"]}
        assert (await settled(place, sid))["claims"]["groups"] == ["books"]

    told(tmp_path, story, userinfo=True)


def test_without_a_refresh_token_a_session_lasts_on_what_was_said_and_ends_in_time(tmp_path: Path) -> None:
    """Nobody is asked again, nobody is thrown out before the end, and nobody stays beyond it, however busy."""

    async def run() -> None:
        async with ScriptedProvider() as provider, signing_control(tmp_path, provider, OFTEN) as place:
            provider.answer = {"refresh_token": ...}
            await place.signed_in()
            sid = (await place.rows())[0].sid
            provider.changes |= {"groups": ["books"]}
            for passed_s in range(6600, 43200, 6600):
                place.skipped_s = passed_s
                assert (await settled(place, sid))["claims"]["groups"] == ["team"]
            place.skipped_s = 43201
            (facts,) = await place.facts(sid)
            assert "claims" not in facts
            assert refreshes(provider) == 0

    asyncio.run(run())


def test_a_hundred_questions_are_one_refresh(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.slow_s["/token"] = 0.2
        found = await asyncio.gather(*(place.facts(sid) for _ in range(100)))
        await settled(place, sid)
        assert all("claims" in facts for each in found for facts in each)
        assert refreshes(provider) == 1
        assert not provider.grant_over

    told(tmp_path, story)


def test_a_rotated_token_is_used_next_and_never_twice(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        for number in range(1, 4):
            await settled(place, sid)
            assert refreshes(provider) == number
            place.skipped_s += 301
        assert len({form.get("refresh_token") for form in provider.forms[1:]}) == 3
        assert not provider.grant_over

    told(tmp_path, story)


def test_a_rotated_token_is_kept_though_its_answer_cannot_be_judged_now(tmp_path: Path) -> None:
    """The keys are away in the very moment: the session lives on, and the new refresh token is the one used next."""

    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.signer = OTHER
        facts = await settled(place, sid)
        assert facts["claims"]["sub"] == "jane"
        provider.signers = (OTHER,)
        place.skipped_s += 20
        provider.changes |= {"groups": ["books"]}
        assert (await settled(place, sid))["claims"]["groups"] == ["books"]
        assert not provider.grant_over

    told(tmp_path, story)


@pytest.mark.parametrize(
    "changes",
    [{"sub": "joe"}, {"iss": "https://evil.test"}, {"aud": "other"}, {"nonce": "another"}, {"exp": 1}],
    ids=str,
)
def test_an_answer_about_somebody_else_ends_the_session(tmp_path: Path, changes: dict[str, object]) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.changes |= changes
        assert (await settled(place, sid)) == {"sid": sid, "over": "ended"}
        assert sid in place.ended

    told(tmp_path, story)


def test_a_provider_that_will_not_have_the_token_ends_the_session(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.grant_over = True
        assert (await settled(place, sid)) == {"sid": sid, "over": "ended"}

    told(tmp_path, story)


def test_a_provider_that_is_away_is_tolerated_for_so_long_and_no_longer(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.status["/token"] = 503
        began = place.skipped_s
        while place.skipped_s - began < 595:
            assert (await settled(place, sid))["claims"]["groups"] == ["team"]
            place.skipped_s += 30
        place.skipped_s = began + 620
        assert (await settled(place, sid)) == {"sid": sid, "over": "ended"}

    told(tmp_path, story)


def test_a_provider_that_comes_back_is_asked_again_and_the_count_begins_anew(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.status["/token"] = 500
        await settled(place, sid)
        place.skipped_s += 500
        del provider.status["/token"]
        await settled(place, sid)
        provider.status["/token"] = 500
        place.skipped_s += 301
        assert "claims" in await settled(place, sid)
        place.skipped_s += 500
        assert "claims" in await settled(place, sid)

    told(tmp_path, story)


def test_without_tolerance_nothing_that_is_old_is_told(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.status["/token"] = 503
        assert (await settled(place, sid)) == {"sid": sid, "over": "ended"}

    told(tmp_path, story, Sessions(idle_s=7200, offline_s=0, refresh_s=300))


def test_after_a_long_pause_the_provider_is_asked_first(tmp_path: Path) -> None:
    """Somebody who comes back from lunch has the rights of now, with the first request."""

    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        place.skipped_s = 3600
        provider.changes |= {"groups": []}
        (facts,) = await place.facts(sid)
        assert facts["claims"]["groups"] == []

    told(tmp_path, story)


def test_a_misconfigured_client_ends_nobody_at_once(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        provider.error = "invalid_client"
        assert "claims" in await settled(place, sid)

    told(tmp_path, story)


def test_a_fault_of_ours_keeps_no_old_rights_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("ours")

    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        monkeypatch.setattr("gateway.control.sessions.renewal.person_of", broken)
        began = place.skipped_s
        assert "claims" in await settled(place, sid)
        place.skipped_s = began + 601
        assert (await settled(place, sid)) == {"sid": sid, "over": "ended"}
        assert not provider.grant_over

    told(tmp_path, story)


def test_a_refresh_that_loses_a_race_in_the_store_keeps_the_new_token(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider, sid: str) -> None:
        store = place.sign_in.context.store
        provider.slow_s["/token"] = 0.3
        asking = asyncio.get_running_loop().create_task(place.facts(sid))
        while not provider.asked or provider.asked[-1] != "/token" or refreshes(provider):
            await asyncio.sleep(0.01)
        row = (await store.sessions.get([sid]))[sid]
        assert await store.sessions.replace(replace(row, ref="user:default/jane"), row.version)
        await asking
        await settled(place, sid)
        place.skipped_s += 301
        await settled(place, sid)
        assert not provider.grant_over
        assert (await store.sessions.get([sid]))[sid].ref == "user:default/jane"

    told(tmp_path, story)


def test_when_the_provider_is_asked_again() -> None:
    assert next_refresh(0, OFTEN, NOW) == NOW + 300
    assert next_refresh(120, OFTEN, NOW) == NOW + 90
    assert next_refresh(10, OFTEN, NOW) == NOW + 30
    assert next_refresh(3600, OFTEN, NOW) == NOW + 300
