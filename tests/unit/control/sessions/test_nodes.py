"""Several nodes, one database, one file of keys: whichever made a session, every one of them knows it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.config.sign_in import Sessions
from gateway.control.store import Notice
from gateway.identity.session import open_cookie, proof_of
from tests.support.scripted_provider import ScriptedProvider
from tests.support.signing_control import APP, PROOF, Place, parameters, signing_control


def told(folder: Path, story: Callable[[Place, Place, ScriptedProvider], Awaitable[None]]) -> None:
    (folder / "keys").write_text(f"a {b64encode(bytes(range(32))).decode()}\n")
    (folder / "two").mkdir()
    sessions = Sessions(refresh_s=300, keys_file=str(folder / "keys"))

    async def run() -> None:
        async with (
            ScriptedProvider() as provider,
            signing_control(folder, provider, sessions) as one,
            signing_control(folder / "two", provider, sessions, beside=one) as two,
        ):
            await story(one, two, provider)

    asyncio.run(run())


def test_a_sign_in_that_one_began_another_finishes_and_a_third_hands_over(tmp_path: Path) -> None:
    async def story(one: Place, two: Place, provider: ScriptedProvider) -> None:
        asked = await one.asked()
        two.cookies = one.cookies
        code = parameters((await two.back(asked["state"])).headers["Location"])["code"]
        redeemed = await one.sign_in.hand_over.redeem(code, APP, proof_of(PROOF))
        assert (await two.sign_in.hand_over.redeem(code, APP, proof_of(PROOF))).why == "code_unknown"
        opened = open_cookie(redeemed.cookie.encode(), APP, two.sign_in.context.ring.sessions, two.now())
        assert opened is not None
        assert "claims" in (await two.facts(opened.sid))[0]

    told(tmp_path, story)


def test_a_callback_counts_once_over_all(tmp_path: Path) -> None:
    async def story(one: Place, two: Place, provider: ScriptedProvider) -> None:
        asked = await one.asked()
        two.cookies = dict(one.cookies)
        assert (await one.back(asked["state"])).status == 303
        assert (await two.back(asked["state"])).status == 400
        assert len(provider.forms) == 1

    told(tmp_path, story)


def test_two_nodes_refresh_once(tmp_path: Path) -> None:
    async def story(one: Place, two: Place, provider: ScriptedProvider) -> None:
        await one.signed_in()
        (row,) = await one.rows()
        one.skipped_s = 301
        provider.changes = {"nonce": ..., "groups": ["books"]}
        provider.slow_s["/token"] = 0.2
        await asyncio.gather(*(node.facts(row.sid) for _ in range(20) for node in (one, two)))
        async with asyncio.timeout(10):
            while (await two.facts(row.sid))[0]["claims"]["groups"] != ["books"]:
                await asyncio.sleep(0.02)
        assert sum(form["grant_type"] == "refresh_token" for form in provider.forms) == 1
        assert not provider.grant_over

    told(tmp_path, story)


def test_an_end_on_one_is_told_by_all(tmp_path: Path) -> None:
    async def story(one: Place, two: Place, provider: ScriptedProvider) -> None:
        await one.signed_in()
        (row,) = await one.rows()
        await two.sign_in.context.live.end([row.sid], "test")
        assert row.sid in one.ended
        assert (await one.facts(row.sid)) == [{"sid": row.sid, "over": "ended"}]

    told(tmp_path, story)


def test_a_key_that_one_node_lacks_ends_nobody(tmp_path: Path) -> None:
    """While a new key goes from node to node, what the first seals with it is no session at the others, and no more."""

    async def story(one: Place, two: Place, provider: ScriptedProvider) -> None:
        await one.signed_in()
        (row,) = await one.rows()
        keys = tmp_path / "keys"
        keys.write_text(f"b {b64encode(bytes(32)).decode()}\n" + keys.read_text())
        one.sign_in.adopt(one.settings)
        one.skipped_s = 301
        provider.changes = {"nonce": ...}
        async with asyncio.timeout(60):
            while b".b." not in (await one.rows())[0].tokens[:5]:
                await one.facts(row.sid)
                await asyncio.sleep(0.02)
        assert await two.facts(row.sid) == [{"sid": row.sid, "over": "unknown"}]
        assert "claims" in (await one.facts(row.sid))[0]
        two.sign_in.adopt(two.settings)
        assert "claims" in (await two.facts(row.sid))[0]

    told(tmp_path, story)


def test_a_node_whose_database_was_away_for_hours_hears_of_every_end(tmp_path: Path) -> None:
    async def story(one: Place, two: Place, provider: ScriptedProvider) -> None:
        await one.signed_in()
        (row,) = await one.rows()
        store = one.sign_in.context.store
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "_callbacks", [])  # nobody hears it
            await store.sessions.end([row.sid], one.now(), "test")
        one.skipped_s = 3 * 3600
        one.sign_in.context.live._on_notice(Notice("resync"))
        async with asyncio.timeout(60):
            while row.sid not in one.ended:
                await asyncio.sleep(0.02)

    told(tmp_path, story)
