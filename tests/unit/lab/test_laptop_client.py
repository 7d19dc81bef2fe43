"""The lab's native client: any port of 127.0.0.1 and no other address, PKCE always, no secret that could be shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.lab.provider import COMMAND_LINE_CLIENT, OWN_CLIENT, Provider
from gateway.lab.signing import SigningKeys

Client = TestClient[web.Request, web.Application]
CATALOG = Path(__file__).parents[3] / "examples" / "catalog"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
ASKED = {
    "response_type": "code", "client_id": COMMAND_LINE_CLIENT, "redirect_uri": "http://127.0.0.1:51004/callback",
    "scope": "openid", "state": "s", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip


def ask(tmp_path: Path, story: Callable[[Client], Awaitable[None]]) -> None:
    async def whole() -> None:
        keys = SigningKeys(tmp_path / "keys.json")
        provider = Provider("", keys, CATALOG, "secret", lambda: 1_800_000_000.0, "https://localhost:8443")
        async with TestClient(TestServer(provider.app())) as client:
            provider.issuer = str(client.make_url("")).rstrip("/")
            await story(client)

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200), ({"redirect_uri": "http://127.0.0.1:80/callback"}, 200),
        ({"redirect_uri": "http://127.0.0.1:51004/elsewhere"}, 400),
        ({"redirect_uri": "http://localhost:51004/callback"}, 400),
        ({"redirect_uri": "http://127.0.0.1.evil.example:80/callback"}, 400),
        ({"redirect_uri": "http://127.0.0.1:80@evil.example/callback"}, 400),
        ({"redirect_uri": "https://evil.example/http://127.0.0.1:80/callback"}, 400),
        ({"redirect_uri": "http://127.0.0.1:1:2/callback"}, 400),
        ({"client_id": OWN_CLIENT}, 400),
        ({"client_id": OWN_CLIENT, "redirect_uri": "https://localhost:8444/.stagedoor/callback"}, 400),
    ],
)  # fmt: skip
def test_it_comes_back_to_this_machine_alone(tmp_path: Path, change: dict[str, str], status: int) -> None:
    async def story(client: Client) -> None:
        answer = await client.get("/authorize", params={**ASKED, **change}, allow_redirects=False)
        assert answer.status == status

    ask(tmp_path, story)


def test_a_code_is_worth_tokens_with_its_verifier_alone(tmp_path: Path) -> None:
    async def story(client: Client) -> None:
        for verifier, status in ((VERIFIER, 200), ("x" * 43, 400), ("", 400)):
            answer = await client.post("/authorize", params=ASKED, data={"user": "jane"}, allow_redirects=False)
            code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
            form = {
                "grant_type": "authorization_code", "code": code, "client_id": COMMAND_LINE_CLIENT,
                "redirect_uri": ASKED["redirect_uri"], "code_verifier": verifier,
            }  # fmt: skip
            answer = await client.post("/token", data=form)
            assert answer.status == status
            if status == 200:
                refresh = (await answer.json())["refresh_token"]
                again = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": COMMAND_LINE_CLIENT}
                assert (await client.post("/token", data=again)).status == 200
                assert (await client.post("/token", data=again)).status == 400

    ask(tmp_path, story)


def test_a_client_with_a_secret_cannot_leave_it_out(tmp_path: Path) -> None:
    async def story(client: Client) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": OWN_CLIENT}
        answer = await client.post("/token", data=form)
        assert answer.status in (400, 401)
        assert (await answer.json())["error"] == "invalid_client"

    ask(tmp_path, story)
