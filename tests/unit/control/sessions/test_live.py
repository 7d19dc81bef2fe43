"""What doors hear about sessions: facts, touches, ends; by every node of several, and after a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.config.sign_in import EnvironmentSessions, Sessions
from gateway.control.sessions.messages import SessionMessages
from gateway.control.store import StoreUnavailable
from gateway.identity.session import open_cookie, proof_of, read_facts
from tests.support.scripted_provider import ScriptedProvider
from tests.support.signing_control import APP, PROOF, Place, parameters, signing_control

Story = Callable[[Place, ScriptedProvider], Awaitable[None]]
SHORT = Sessions(idle_s=600, absolute_s=3600, refresh_s=86400)
NOBODY = "s-" + "0" * 32


def told(folder: Path, story: Story, sessions: Sessions = SHORT) -> None:
    async def run() -> None:
        async with ScriptedProvider() as provider, signing_control(folder, provider, sessions) as place:
            provider.answer = {"expires_in": 86400}
            await story(place, provider)

    asyncio.run(run())


async def begun(place: Place) -> str:
    await place.signed_in()
    return (await place.rows())[-1].sid


def test_facts_are_what_a_door_reads(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)
        facts = [read_facts(each) for each in await place.facts(sid, NOBODY)]
        assert [each.over for each in facts if each is not None] == ["", "unknown"]
        assert facts[0] is not None
        assert facts[0].claims["sub"] == "jane"
        assert facts[0].fresh_s == 60
        assert not [each for each in facts[0].claims if "token" in each]

    told(tmp_path, story)


def test_a_session_ends_when_nobody_uses_it_and_a_touch_does_not_revive_it(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)
        place.skipped_s = 601
        for _ in range(3):
            assert await place.facts(sid) == [{"sid": sid, "over": "idle"}]
            await place.sign_in.context.live.write_touches()

    told(tmp_path, story)


def test_a_touch_that_is_not_written_yet_counts(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)
        for _ in range(4):
            place.skipped_s += 400
            assert "claims" in (await place.facts(sid))[0]

    told(tmp_path, story)


def test_nothing_outlives_the_absolute_end(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)
        for place.skipped_s in range(300, 3600, 300):
            assert "claims" in (await place.facts(sid))[0]
        place.skipped_s = 3601
        assert await place.facts(sid) == [{"sid": sid, "over": "ended"}]

    told(tmp_path, story)


def test_a_pause_is_told_so_that_environments_can_judge_it(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)
        place.skipped_s = 500
        assert (await place.facts(sid))[0]["rest"] in range(498, 503)
        await place.sign_in.context.live.write_touches()
        assert (await place.facts(sid))[0]["rest"] in range(498, 503)

    told(tmp_path, story)


def test_an_end_is_told_to_the_doors_and_holds(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)
        assert await place.sign_in.context.live.end([sid, NOBODY], "test") == [sid]
        assert sid in place.ended
        assert await place.facts(sid) == [{"sid": sid, "over": "ended"}]

    told(tmp_path, story)


def test_sessions_and_keys_outlive_the_process(tmp_path: Path) -> None:
    async def run() -> None:
        async with ScriptedProvider() as provider:
            provider.answer = {"expires_in": 86400}
            async with signing_control(tmp_path, provider, SHORT) as place:
                sid = await begun(place)
                (row,) = await place.rows()
                cookie = place.sign_in.hand_over.cookie(row, APP)
            async with signing_control(tmp_path, provider, SHORT) as place:
                opened = open_cookie(cookie.encode(), APP, place.sign_in.context.ring.sessions, place.now())
                assert opened is not None
                assert opened.sid == sid
                assert "claims" in (await place.facts(sid))[0]

    asyncio.run(run())


def test_a_store_that_is_away_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)

        async def away(*_: object) -> Any:
            raise StoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(place.sign_in.context.store.sessions, "get", away)
            with pytest.raises(StoreUnavailable):
                await place.facts(sid)
        assert "claims" in (await place.facts(sid))[0]
        assert not place.ended

    told(tmp_path, story)


# === messages ===


async def answered(place: Place, message: dict[str, Any]) -> dict[str, Any]:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sign_in = place.sign_in
    messages = SessionMessages(sign_in.context.live, sign_in.hand_over, sign_in.logout.sign_out)
    messages.take(heard.put_nowait, message)
    return await asyncio.wait_for(heard.get(), 5)


def test_a_door_asks_and_is_answered(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        code = parameters((await place.signed_in()).headers["Location"])["code"]
        (row,) = await place.rows()
        asked = {"t": "redeem", "id": 7, "code": code, "host": APP, "proof": proof_of(PROOF)}
        redeemed = await answered(place, asked)
        assert (redeemed["t"], redeemed["id"], redeemed["target"]) == ("redeemed", 7, "/deep?x=1")
        assert open_cookie(redeemed["cookie"].encode(), APP, place.sign_in.context.ring.sessions, place.now())
        seen = {row.sid: place.now(), "x": -1}
        said = await answered(place, {"t": "sessions", "want": [row.sid, "x", 7], "seen": seen})
        assert [each["sid"] for each in said["facts"]] == [row.sid]
        out = await answered(place, {"t": "sign_out", "id": 8, "sid": row.sid, "host": APP})
        assert out["to"].startswith(f"{provider.issuer}/logout?")
        assert (await answered(place, asked))["why"] == "code_unknown"

    told(tmp_path, story)


@pytest.mark.parametrize(
    "message",
    [
        {"t": "redeem", "id": 1}, {"t": "redeem", "id": 1, "code": 7, "host": [], "proof": None},
        {"t": "sign_out", "id": 1, "sid": "../x", "host": "y" * 9000},
    ],
)  # fmt: skip
def test_what_is_no_question_gets_nothing(tmp_path: Path, message: dict[str, Any]) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        said = await answered(place, message)
        assert not said.get("cookie")
        assert said.get("to", "").partition("?")[0] in ("", "https://central.test/.stagedoor/signed-out")

    told(tmp_path, story)


@pytest.mark.parametrize(
    "people",
    [
        None, {}, "x", [None, [], ["x"], {"sid": "ref"}], [["../x", "user:default/jane"]], [["SID", 7]], [["SID", ""]],
        [["SID", "user:default/" + "j" * 512]], [["SID", "user:default/j\0"]], [["SID", "user:default/jane", "more"]],
    ],
)  # fmt: skip
def test_what_names_no_session_and_user_changes_nothing(tmp_path: Path, people: Any) -> None:
    """And what is right beside it counts."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        await begun(place)
        await begun(place)
        sid, other = [row.sid for row in await place.rows()]
        said = json.loads(json.dumps(people).replace("SID", sid))
        sign_in = place.sign_in
        messages = SessionMessages(sign_in.context.live, sign_in.hand_over, sign_in.logout.sign_out)
        messages.take(place.told.append, {"t": "found", "people": said})
        messages.take(place.told.append, {"t": "found", "people": [None, [other, "user:default/joe"]]})
        await sign_in.context.live.compare_found()
        assert {row.sid: row.ref for row in await place.rows()} == {sid: "", other: "user:default/joe"}
        assert place.told == []

    told(tmp_path, story)


def test_whom_a_door_found_is_kept_for_the_list(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)
        live = place.sign_in.context.live
        await live.answer([sid], {}, {sid: "user:default/jane"})
        await live.compare_found()
        assert [row.sid for row in await place.sign_in.context.store.sessions.of_ref("user:default/jane")] == [sid]

    told(tmp_path, story)


def test_whom_a_session_was_found_to_be_last_is_who_it_is(tmp_path: Path) -> None:
    """One that was a User, another, and the first again while nothing could be compared: those who end a User's
    sessions must find it."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        await begun(place)
        await begun(place)
        sid, other = [row.sid for row in await place.rows()]
        live = place.sign_in.context.live
        jane, joe = "user:default/jane", "user:default/joe"
        for before in (jane, joe, jane, joe):
            live.hear([(sid, before), (other, joe if before == jane else "user:default/nobody")])
        live.hear([(sid, jane)])
        await live.compare_found()
        assert {row.sid: row.ref for row in await place.rows()}[sid] == jane
        live.hear([(sid, joe), (sid, jane)])
        await live.compare_found()
        assert {row.sid: row.ref for row in await place.rows()}[sid] == jane

    told(tmp_path, story)


def test_a_long_comparison_keeps_no_touch_and_no_door_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that renames everybody makes one for each session; meanwhile they are used, and must not look idle."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        sid = await begun(place)
        live, pins = place.sign_in.context.live, place.sign_in.context.pins
        free, begun_comparing = asyncio.Event(), asyncio.Event()

        async def found(row: Any, ref: str) -> None:
            begun_comparing.set()
            await free.wait()

        with monkeypatch.context() as patch:
            patch.setattr(pins, "found", found)
            live.hear([(sid, "user:default/jane")])
            async with asyncio.timeout(60):
                await begun_comparing.wait()
                (row,) = await place.rows()
                seen = row.seen + 599
                place.skipped_s += 700
                live._seen[sid] = seen
                await live.write_touches()
                assert (await place.rows())[0].seen == seen
                assert not (await live.answer([sid], {}, {}))[0].get("over")
            free.set()
            await live.compare_found()

    told(tmp_path, story)


@pytest.mark.parametrize("idle_s", [10, 15, 40, 300])
def test_who_is_active_makes_no_pause_that_an_environment_would_ask_a_new_sign_in_for(
    tmp_path: Path, idle_s: int
) -> None:
    """A door as it is: it asks when what it knows is no longer fresh, a second and a look (1.3 s) late; what it tells
    of uses is written in batches, of which only the last use counts. Real pauses of that length are told."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        environment = config.Environment("prod", (), (), sessions=EnvironmentSessions(idle_s=idle_s))
        live = place.sign_in.context.live
        live.adopt(replace(place.settings, environments={"prod": environment}))
        sid = await begun(place)
        began = now = asked = written = (await place.rows())[0].seen

        async def facts() -> dict[str, Any]:
            return (await live.answer([sid], {sid: now}, {}))[0]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(live, "_now", lambda: now)  # no stall of the machine is a pause
            assert live._touch_s() <= idle_s / 8
            known = await facts()
            for now in range(began + 1, began + 4 * idle_s):
                if now - asked >= known["fresh_s"] + 2:
                    known, asked = await facts(), now
                    assert known["rest"] < idle_s
                if now - written >= live._touch_s():
                    await live.write_touches()
                    written = now
            now = asked + idle_s + 1
            assert (await facts())["rest"] >= idle_s

    told(tmp_path, story, Sessions(idle_s=7200, absolute_s=36000, refresh_s=86400))
