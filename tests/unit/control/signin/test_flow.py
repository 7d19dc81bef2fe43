"""The checklist of a relying party, end to end at control: whatever the provider gets wrong, nobody is signed in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from gateway.control.signin.transactions import COOKIE
from gateway.identity.session import proof_of
from tests.support.scripted_provider import ScriptedProvider
from tests.support.signing_control import APP, PROOF, Place, parameters, signing_control
from tests.support.tokens import ES256, RS256, Signer

OTHER = Signer("rsa-2", "RS256", "rsa-2")
FORGED = Signer("rsa-2", "RS256", "rsa-1")
Story = Callable[[Place, ScriptedProvider], Awaitable[None]]


def told(folder: Path, story: Story, **client: Any) -> None:
    async def run() -> None:
        async with ScriptedProvider() as provider, signing_control(folder, provider, **client) as place:
            await story(place, provider)

    asyncio.run(run())


async def fails(place: Place, status: int, code: str) -> None:
    """A sign-in ends with this page, without a session, and the cookie of the try is gone."""
    answer = await place.signed_in()
    text = await answer.text()
    assert (answer.status, f"<code>{code}</code>" in text) == (status, True), text
    assert not await place.rows()
    assert not place.cookies
    assert f'href="https://{APP}/deep?x=1"' in text  # begins anew where the person was


def test_a_sign_in_makes_a_session_and_a_hand_over(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        answer = await place.signed_in()
        assert answer.status == 303
        address = answer.headers["Location"]
        assert address.startswith(f"https://{APP}/.stagedoor/arrive?code=")
        assert set(place.cookies) == {"__Host-stagedoor"}
        (row,) = await place.rows()
        assert (row.issuer, row.sub, row.provider_sid) == ("sso", "jane", "p-1")
        assert row.claims["groups"] == ["team"]
        assert b"eyJ" not in row.tokens
        redeemed = await place.sign_in.hand_over.redeem(parameters(address)["code"], APP, proof_of(PROOF))
        assert (redeemed.why, redeemed.target) == ("", "/deep?x=1")
        assert len(redeemed.cookie) < 1000

    told(tmp_path, story)


def test_what_the_provider_is_asked(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        first, second = await place.asked(), await place.asked()
        assert first["response_type"] == "code"
        assert first["code_challenge_method"] == "S256"
        assert first["redirect_uri"] == "https://central.test/.stagedoor/callback"
        assert first["scope"] == "openid profile email"
        for name in ("state", "nonce", "code_challenge"):
            assert first[name] != second[name]
            assert len(first[name]) >= 32
        await place.back(second["state"])
        (form,) = provider.forms
        assert form["grant_type"] == "authorization_code"
        assert create_s256_code_challenge(form["code_verifier"]) == second["code_challenge"]
        assert form["redirect_uri"] == second["redirect_uri"]

    told(tmp_path, story)


# === ID tokens ===


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": ...}, {"nonce": "another"}, {"iss": "https://evil.test"}, {"iss": ...}, {"aud": "other"},
        {"aud": ...},
        {"aud": ["door", "other"]}, {"azp": "other"}, {"iat": ...}, {"sub": ...}, {"sub": 7}, {"exp": 1}, {"exp": ...},
        {"at_hash": "wrong"}, {"auth_time": "now"}, {"typ": "Logout"}, {"events": {}},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_claim_signs_nobody_in(tmp_path: Path, changes: dict[str, object]) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.changes = changes
        await fails(place, 502, "provider_unbelieved")

    told(tmp_path, story)


@pytest.mark.parametrize("alg", ["none", "HS256", "PS256"])
def test_a_wrong_algorithm_signs_nobody_in(tmp_path: Path, alg: str) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.header = {"alg": alg}
        await fails(place, 502, "provider_unbelieved")

    told(tmp_path, story)


@pytest.mark.parametrize("signer", [FORGED, OTHER, ES256], ids=["forged", "unknown", "es256"])
def test_a_signature_of_somebody_else_signs_nobody_in(tmp_path: Path, signer: Signer) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.signer = signer
        await fails(place, 502, "provider_unbelieved")

    told(tmp_path, story)


def test_a_key_that_was_rotated_just_before_signing_is_asked_for(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.signers, provider.signer = (OTHER, RS256), OTHER
        assert (await place.signed_in()).status == 303

    told(tmp_path, story)


def test_without_kid_one_key_is_meant_and_two_are_not(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.header = {"kid": ...}
        assert (await place.signed_in()).status == 303
        await place.sign_in.context.live.end([row.sid for row in await place.rows()], "test")
        place.cookies.clear()
        provider.signers = (RS256, OTHER)
        await place.sign_in.context.keys.want("sso", "")
        await fails(place, 502, "provider_unbelieved")

    told(tmp_path, story)


@pytest.mark.parametrize("answer", [{"id_token": ...}, {"id_token": ""}, {"id_token": "x.y.z"}, {"token_type": "DPoP"}])
def test_an_answer_without_an_id_token_signs_nobody_in(tmp_path: Path, answer: dict[str, object]) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.answer = answer
        assert (await place.signed_in()).status == 502
        assert not await place.rows()

    told(tmp_path, story)


# === userinfo ===


@pytest.mark.parametrize("said", [{"sub": "joe"}, {}, "<html>", '{"sub":"jane","sub":"jane"}'], ids=str)
def test_userinfo_about_somebody_else_signs_nobody_in(tmp_path: Path, said: object) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.userinfo = said
        await fails(place, 502, "provider_unbelieved")

    told(tmp_path, story, userinfo=True)


def test_userinfo_adds_what_the_id_token_lacks(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.changes = {"groups": ...}
        provider.userinfo = {"sub": "jane", "groups": ["books"]}
        assert (await place.signed_in()).status == 303
        assert (await place.rows())[0].claims["groups"] == ["books"]

    told(tmp_path, story, userinfo=True)


# === discovery ===


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.test"}, {"issuer": ...}, {"authorization_endpoint": ...}, {"token_endpoint": ...},
        {"token_endpoint": "http://evil.test/token"}, {"authorization_endpoint": 7},
        {"authorization_endpoint": "javascript:alert(1)"}, {"code_challenge_methods_supported": ["plain"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_provider_that_speaks_for_another_or_cannot_do_it_is_not_gone_to(
    tmp_path: Path, document: dict[str, object]
) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.document = document
        answer = await place.get("/.stagedoor/sign-in", ticket=place.ticket())
        assert (answer.status, "Location" in answer.headers) == (503, False)

    told(tmp_path, story)


# === the provider as a machine ===


@pytest.mark.parametrize(("status", "code"), [(500, 503), (503, 503), (429, 503), (404, 502), (401, 502), (302, 503)])
def test_a_token_endpoint_that_fails_is_a_page(tmp_path: Path, status: int, code: int) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.status["/token"] = status
        assert (await place.signed_in()).status == code
        assert not await place.rows()

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("invalid_grant", 403, "denied"), ("invalid_client", 502, "provider_refused"),
        ("temporarily_unavailable", 503, "provider_away"), ("<script>", 502, "provider_refused"),
    ],
)  # fmt: skip
def test_what_the_token_endpoint_says_is_told_apart(tmp_path: Path, error: str, status: int, code: str) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.error = error
        await fails(place, status, code)

    told(tmp_path, story)


def test_a_slow_provider_costs_its_own_sign_ins_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.control.signin.exchange.DEADLINE_S", 0.3)

    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.slow_s["/token"] = 5
        await fails(place, 503, "provider_away")

    told(tmp_path, story)


# === the callback ===


def test_an_error_is_shown_in_our_words(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        state = (await place.asked())["state"]
        answer = await place.back(state, error="access_denied", error_description="<b>words</b>")
        assert answer.status == 403
        assert "words" not in await answer.text()
        assert not provider.forms

    told(tmp_path, story)


@pytest.mark.parametrize("iss", ["", "https://evil.test"])
def test_an_answer_of_another_issuer_is_a_mix_up(tmp_path: Path, iss: str) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        answer = await place.back((await place.asked())["state"], iss=iss)
        assert answer.status == 400
        assert "issuer_mixed_up" in await answer.text()
        assert not provider.forms  # the code went nowhere

    told(tmp_path, story)


def test_a_sign_in_that_took_too_long_is_over(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        state = (await place.asked())["state"]
        place.skipped_s = 601
        answer = await place.back(state)
        assert answer.status == 400
        assert not provider.forms

    told(tmp_path, story)


def test_a_ticket_that_is_too_old_leads_nowhere(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        ticket = place.ticket()
        place.skipped_s = 601
        answer = await place.get("/.stagedoor/sign-in", ticket=ticket)
        assert answer.status == 400
        assert "Location" not in answer.headers

    told(tmp_path, story)


# === strength ===


def test_a_strength_that_the_provider_did_not_give_ends_in_a_page(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        asked = await place.asked(ticket=place.ticket(acr_values=("mfa",)))
        assert asked["acr_values"] == "two three"
        answer = await place.back(asked["state"])
        assert answer.status == 403
        assert "strength_unmet" in await answer.text()

    told(tmp_path, story, mfa_acr_values=("two", "three"))


def test_a_strength_that_it_gave_counts(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.changes = {"acr": "two"}
        asked = await place.asked(ticket=place.ticket(acr_values=("mfa",)))
        assert (await place.back(asked["state"])).status == 303
        assert "mfa" in (await place.rows())[0].claims["amr"]

    told(tmp_path, story, mfa_acr_values=("two",))


def test_a_provider_without_words_for_it_is_asked_to_sign_in_anew(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        asked = await place.asked(ticket=place.ticket(acr_values=("mfa",), max_age=300))
        assert (asked["prompt"], asked["max_age"]) == ("login", "300")

    told(tmp_path, story)


def test_a_session_that_is_here_is_used_unless_it_is_too_weak_or_too_old(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        await place.signed_in()
        place.session = (await place.rows())[0].sid
        calls = len(provider.asked)
        answer = await place.get("/.stagedoor/sign-in", ticket=place.ticket())
        assert answer.headers["Location"].startswith(f"https://{APP}/.stagedoor/arrive?")
        assert len(provider.asked) == calls
        for changes in ({"acr_values": ("mfa",)}, {"max_age": 0}):
            place.skipped_s = 5
            answer = await place.get("/.stagedoor/sign-in", ticket=place.ticket(**changes))
            assert answer.headers["Location"].startswith(provider.issuer)

    told(tmp_path, story)


# === whose browser it is ===


def test_a_browser_that_changes_hands_ends_the_session_before(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        await place.signed_in()
        first = (await place.rows())[0].sid
        place.session = first
        place.skipped_s = 5
        provider.changes = {"sub": "joe"}
        asked = await place.asked(ticket=place.ticket(max_age=0))
        assert (await place.back(asked["state"])).status == 303
        assert [row.sub for row in await place.rows()] == ["joe"]
        assert first in place.ended

    told(tmp_path, story)


def test_a_hand_over_is_for_one_browser_one_host_one_minute_and_once(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        async def code() -> str:
            place.session = ""
            return parameters((await place.signed_in()).headers["Location"])["code"]

        redeem, proof = place.sign_in.hand_over.redeem, proof_of(PROOF)
        assert (await redeem(await code(), APP, proof_of("another"))).why == "other_browser"
        assert (await redeem(await code(), "evil.test", proof)).why == "other_browser"
        late = await code()
        place.skipped_s += 61
        assert (await redeem(late, APP, proof)).why == "code_unknown"
        good = await code()
        assert (await redeem(good, APP, proof)).cookie
        assert (await redeem(good, APP, proof)).why == "code_unknown"
        ended = await code()
        await place.sign_in.context.live.end([row.sid for row in await place.rows()], "test")
        assert (await redeem(ended, APP, proof)).why == "session_over"

    told(tmp_path, story)


def test_plain_http_is_told_to_come_back_over_https(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        answer = await place.client.get(
            "/.stagedoor/sign-in", headers={"Host": "central.test", "X-Forwarded-Proto": "http"}, allow_redirects=False
        )
        assert answer.status == 400
        assert "https_needed" in await answer.text()
        assert "Set-Cookie" not in answer.headers

    told(tmp_path, story)


def test_eleven_tabs_keep_the_ten_newest(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        for number in range(11):
            place.skipped_s = number
            await place.asked()
        assert len([name for name in place.cookies if name.startswith(COOKIE)]) == 10

    told(tmp_path, story)


def test_the_pushed_request_carries_everything(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        provider.document = {"pushed_authorization_request_endpoint": f"{provider.issuer}/par"}
        asked = await place.asked()
        assert asked == {"response_type": "code", "client_id": "door", "request_uri": "urn:example:pushed"}
        (form,) = provider.forms
        assert {"state", "nonce", "code_challenge", "redirect_uri", "scope"} <= form.keys()
        assert (await place.back(form["state"])).status == 502  # the provider's nonce is not the pushed one here

    told(tmp_path, story)
