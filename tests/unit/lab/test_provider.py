"""Promises about the lab's provider: it speaks OpenID like a real one, and mints for people with the secret alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.config import Issuer
from gateway.control.fetch import client_session, fetch_keys
from gateway.lab.provider import AUDIENCE, Provider, client_secret
from gateway.lab.signing import SigningKeys

Client = TestClient[web.Request, web.Application]

CATALOG = Path(__file__).parents[3] / "examples" / "catalog"
SECRET = "secret-of-this-test"
NOW = 1_800_000_000


def ask(tmp_path: Path, story: Callable[[Client, Provider], Awaitable[None]]) -> None:
    async def whole() -> None:
        provider = Provider("", SigningKeys(tmp_path / "keys.json"), CATALOG, SECRET, lambda: float(NOW))
        async with TestClient(TestServer(provider.app())) as client:
            provider.issuer = str(client.make_url("")).rstrip("/")
            await story(client, provider)

    asyncio.run(whole())


async def mint(client: Client, **wish: Any) -> dict[str, Any]:
    answer = await client.post("/admin/mint", json=wish, headers={"Authorization": f"Bearer {SECRET}"})
    assert answer.status == 200
    token = (await answer.json())["token"]
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_control_reads_its_keys_as_it_reads_any_providers(tmp_path: Path) -> None:
    async def story(client: Client, provider: Provider) -> None:
        async with client_session() as session:
            fetched = await fetch_keys(session, Issuer("marlow", provider.issuer, (AUDIENCE,)))
        assert {key["kty"] for key in fetched.jwks} == {"RSA", "EC"}
        assert fetched.refresh_s == 300

    ask(tmp_path, story)


def test_a_persons_token_names_the_immutable_subject_of_the_catalog(tmp_path: Path) -> None:
    async def story(client: Client, provider: Provider) -> None:
        claims = await mint(client, user="jane", scope="payments:read")
        assert claims["sub"] == "u-1007"
        assert claims["iss"] == provider.issuer
        assert claims["aud"] == AUDIENCE
        assert claims["scope"] == "payments:read"
        assert claims["amr"] == ["pwd", "mfa"]
        assert (claims["iat"], claims["exp"]) == (NOW, NOW + 3600)

    ask(tmp_path, story)


def test_a_token_for_the_api_is_for_nothing_else(tmp_path: Path) -> None:
    async def story(client: Client, provider: Provider) -> None:
        assert (await mint(client, user="jane", api=True))["aud"] == "stagedoor"

    ask(tmp_path, story)


def test_somebody_unknown_gets_a_token_that_matches_nobody(tmp_path: Path) -> None:
    async def story(client: Client, provider: Provider) -> None:
        assert (await mint(client, user="zoe"))["sub"] == "unknown-zoe"

    ask(tmp_path, story)


def test_a_password_alone_and_an_expired_token_can_be_asked_for(tmp_path: Path) -> None:
    async def story(client: Client, provider: Provider) -> None:
        claims = await mint(client, user="jane", mfa=False, ttl_s=-60)
        assert claims["amr"] == ["pwd"]
        assert claims["exp"] == NOW - 60
        assert claims["iat"] < claims["exp"]

    ask(tmp_path, story)


@pytest.mark.parametrize("path", ["/admin/mint", "/admin/rotate"])
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {SECRET}", SECRET])
def test_without_the_secret_nothing_is_minted_or_rotated(tmp_path: Path, path: str, header: str) -> None:
    async def story(client: Client, provider: Provider) -> None:
        answer = await client.post(path, json={"user": "jane"}, headers={"Authorization": header})
        assert answer.status == 401

    ask(tmp_path, story)


def test_a_rotation_publishes_old_and_new(tmp_path: Path) -> None:
    async def story(client: Client, provider: Provider) -> None:
        before = await (await client.get("/jwks.json")).json()
        answer = await client.post("/admin/rotate", json={}, headers={"Authorization": f"Bearer {SECRET}"})
        current = set((await answer.json())["current"])
        after = await (await client.get("/jwks.json")).json()
        assert {key["kid"] for key in after["keys"]} == current | {key["kid"] for key in before["keys"]}

    ask(tmp_path, story)


def test_client_credentials_by_header_and_by_form(tmp_path: Path) -> None:
    async def story(client: Client, provider: Provider) -> None:
        secret = client_secret(SECRET, "orders")
        form = {"grant_type": "client_credentials", "scope": "payments:charge"}
        by_header = await client.post(
            "/token", data=form, headers={"Authorization": encode_basic_auth("orders", secret)}
        )
        by_form = await client.post("/token", data={**form, "client_id": "orders", "client_secret": secret})
        for answer in (by_header, by_form):
            body = await answer.json()
            claims = jwt.decode(body["access_token"], options={"verify_signature": False})
            assert (claims["sub"], claims["client_id"]) == ("orders", "orders")
            assert claims["gty"] == "client-credentials"
            assert body["token_type"] == "Bearer"

    ask(tmp_path, story)


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "orders", "client_secret": "no"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "nobody", "client_secret": ""}, 401, "invalid_client"),
    ],
)
def test_client_credentials_that_are_wrong(tmp_path: Path, form: dict[str, str], status: int, error: str) -> None:
    async def story(client: Client, provider: Provider) -> None:
        answer = await client.post("/token", data=form)
        assert (answer.status, (await answer.json())["error"]) == (status, error)

    ask(tmp_path, story)
