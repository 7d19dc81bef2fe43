"""The provider ends sessions: only with a logout token, only those it means, once, and committed before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.control.store import StoreUnavailable
from tests.support.scripted_provider import ScriptedProvider
from tests.support.signing_control import HEADERS, Place, parameters, signing_control
from tests.support.tokens import Signer

Story = Callable[[Place, ScriptedProvider], Awaitable[None]]


def told(folder: Path, story: Story) -> None:
    async def run() -> None:
        async with ScriptedProvider() as provider, signing_control(folder, provider) as place:
            await story(place, provider)

    asyncio.run(run())


async def sent(place: Place, token: str, issuer: str = "sso") -> int:
    address = f"/.stagedoor/backchannel-logout/{issuer}"
    async with place.client.post(address, data={"logout_token": token}, headers=HEADERS) as answer:
        assert await answer.read() == b"" or answer.status >= 400
        return answer.status


def test_all_of_a_subject_or_one_session_is_ended(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        for changes in ({"sid": "p-1"}, {"sid": "p-2"}, {"sub": "joe", "sid": "p-3"}):
            provider.changes = {**changes}
            await place.signed_in()
        assert await sent(place, provider.logout_token(sid="p-2")) == 200
        assert {row.provider_sid for row in await place.rows()} == {"p-1", "p-3"}
        assert await sent(place, provider.logout_token(sub="jane", sid="p-3")) == 200  # another person's
        assert await sent(place, provider.logout_token()) == 200
        assert {row.provider_sid for row in await place.rows()} == {"p-3"}
        assert await sent(place, provider.logout_token(sub=..., sid="p-3")) == 200
        assert not await place.rows()
        assert len(place.ended) >= 3

    told(tmp_path, story)


@pytest.mark.parametrize(
    "changes",
    [
        {"events": ...}, {"events": {}}, {"nonce": "n"}, {"iss": "https://evil.test"}, {"aud": "other"}, {"iat": ...},
        {"jti": ...}, {"exp": 1}, {"sub": ..., "sid": ...},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_token_ends_nothing(tmp_path: Path, changes: dict[str, object]) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        await place.signed_in()
        assert await sent(place, provider.logout_token(**changes)) == 400
        assert len(await place.rows()) == 1

    told(tmp_path, story)


def test_nor_does_one_that_the_issuer_did_not_sign(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        await place.signed_in()
        assert await sent(place, provider.id_token()) == 400
        assert await sent(place, "") == 400
        assert await sent(place, provider.logout_token(), "other") == 404
        provider.header = {"alg": "none"}
        assert await sent(place, provider.logout_token()) == 400
        provider.header, provider.signer = {}, Signer("rsa-2", "RS256", "rsa-1")
        assert await sent(place, provider.logout_token()) == 400
        assert len(await place.rows()) == 1

    told(tmp_path, story)


def test_an_old_word_ends_no_later_session(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        await place.signed_in()
        token = provider.logout_token()
        assert await sent(place, token) == 200
        place.skipped_s = 5
        await place.signed_in()
        assert await sent(place, token) == 200  # again: it means what it meant
        assert len(await place.rows()) == 1

    told(tmp_path, story)


def test_what_could_not_be_committed_is_not_answered_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        await place.signed_in()
        store = place.sign_in.context.store
        token = provider.logout_token()

        async def away(*_: object) -> list[str]:
            raise StoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(store.sessions, "end", away)
            assert await sent(place, token) == 503
        assert await sent(place, token) == 200  # the provider's next try
        assert not await place.rows()

    told(tmp_path, story)


def test_the_form_is_read_strictly(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        await place.signed_in()
        token = provider.logout_token()
        address = "/.stagedoor/backchannel-logout/sso"
        form = "application/x-www-form-urlencoded"
        for body, kind in (
            (f"logout_token={token}&logout_token={token}", form), (f"logout_token={token}", "application/json"),
            ("logout_token=" + "x" * 40_000, form), ("logout_token=%ff", form),
        ):  # fmt: skip
            headers = {**HEADERS, "Content-Type": kind}
            async with place.client.post(address, data=body.encode(), headers=headers) as answer:
                assert answer.status == 400
        assert len(await place.rows()) == 1

    told(tmp_path, story)


def test_a_person_who_signs_out_is_sent_to_the_provider_with_a_hint(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        await place.signed_in()
        (row,) = await place.rows()
        address = await place.sign_in.logout.sign_out(row.sid, "app.test:8443")
        said = parameters(address)
        assert address.startswith(f"{provider.issuer}/logout?")
        assert said["id_token_hint"].startswith("eyJ")
        assert said["post_logout_redirect_uri"] == "https://central.test:8443/.stagedoor/signed-out"
        assert row.sid in place.ended
        assert not await place.rows()
        page = await place.get("/.stagedoor/signed-out", state=said["state"])
        assert "at sso is over" in await page.text()
        place.skipped_s = 601
        page = await place.get("/.stagedoor/signed-out", state=said["state"])
        assert "at sso is over" not in await page.text()
        again = await place.sign_in.logout.sign_out(row.sid, "app.test")
        assert again == "https://central.test/.stagedoor/signed-out"

    told(tmp_path, story)


def test_a_provider_without_such_an_endpoint_is_not_gone_to(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.document = {"end_session_endpoint": ...}
        await place.signed_in()
        (row,) = await place.rows()
        assert (await place.sign_in.logout.sign_out(row.sid, "app.test")).startswith("https://central.test/")

    told(tmp_path, story)
