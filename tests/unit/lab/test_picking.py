"""Promises about signing in at the lab's provider: like a real one, but for the password that nobody has."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest
from aiohttp import ClientResponse, encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.lab.provider import OWN_CLIENT, Provider, client_secret
from gateway.lab.signing import SigningKeys

Client = TestClient[web.Request, web.Application]

CATALOG = Path(__file__).parents[3] / "examples" / "catalog"
SECRET = "secret-of-this-test"
VERIFIER = "a-verifier-of-more-than-forty-three-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class Door:
    """What the provider tells the central host."""

    def __init__(self) -> None:
        self.origin = ""
        self.told: list[dict[str, Any]] = []

    async def log_out(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.told.append(jwt.decode(str(form["logout_token"]), options={"verify_signature": False}))
        return web.Response()


def ask(tmp_path: Path, story: Callable[[Client, Door], Awaitable[None]], clock: list[int] | None = None) -> None:
    now = clock or [int(time.time())]  # Authlib looks at the clock itself

    async def whole() -> None:
        door, app = Door(), web.Application()
        app.router.add_post("/.stagedoor/backchannel-logout/marlow", door.log_out)
        async with TestServer(app) as told:
            door.origin = str(told.make_url("")).rstrip("/")
            keys = SigningKeys(tmp_path / "keys.json")
            provider = Provider("", keys, CATALOG, SECRET, lambda: float(now[0]), door.origin)
            async with TestClient(TestServer(provider.app())) as client:
                provider.issuer = str(client.make_url("")).rstrip("/")
                await story(client, door)

    asyncio.run(whole())


def wish(door: Door, **more: str) -> str:
    said = {
        "client_id": OWN_CLIENT, "response_type": "code", "redirect_uri": f"{door.origin}/.stagedoor/callback",
        "scope": "openid profile", "code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "s",
        "nonce": "n", **more,
    }  # fmt: skip
    return "/authorize?" + urlencode({name: value for name, value in said.items() if value})


def sent_back(answer: ClientResponse) -> dict[str, str]:
    assert answer.status == 303, answer.status
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


async def choose(client: Client, door: Door, user: str, *, mfa: bool = True, **more: str) -> dict[str, str]:
    form = {"user": user, **({"mfa": "on"} if mfa else {})}
    return sent_back(await client.post(wish(door, **more), data=form, allow_redirects=False))


async def exchange(client: Client, door: Door, **said: str) -> tuple[int, dict[str, Any]]:
    form = {"redirect_uri": f"{door.origin}/.stagedoor/callback", **said}
    header = {"Authorization": encode_basic_auth(OWN_CLIENT, client_secret(SECRET, OWN_CLIENT))}
    answer = await client.post("/token", data=form, headers=header)
    return answer.status, await answer.json()


async def by_code(client: Client, door: Door, code: str) -> tuple[int, dict[str, Any]]:
    return await exchange(client, door, grant_type="authorization_code", code=code, code_verifier=VERIFIER)


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def test_people_are_shown_and_one_of_them_signs_in(tmp_path: Path) -> None:
    async def story(client: Client, door: Door) -> None:
        page = await (await client.get(wish(door))).text()
        assert {"jane", "priya", "zoe"} <= set(re.findall(r'name="user" value="(\w+)"', page))
        said = await choose(client, door, "jane")
        assert said["state"] == "s"
        status, got = await by_code(client, door, said["code"])
        assert status == 200
        about = claims(got["id_token"])
        assert (about["sub"], about["aud"], about["nonce"], about["acr"]) == ("u-1007", OWN_CLIENT, "n", "mfa")
        assert jwt.get_unverified_header(got["id_token"])["typ"] == "JWT"
        assert claims(got["access_token"])["sub"] == "u-1007"
        who = await client.get("/userinfo", headers={"Authorization": f"Bearer {got['access_token']}"})
        assert (await who.json())["preferred_username"] == "jane"

    ask(tmp_path, story)


def test_who_is_signed_in_is_not_asked_again_unless_more_is_wanted(tmp_path: Path) -> None:
    clock = [int(time.time())]

    async def story(client: Client, door: Door) -> None:
        await choose(client, door, "jane", mfa=False)
        assert "code" in sent_back(await client.get(wish(door), allow_redirects=False))
        clock[0] += 100
        for more in ({"prompt": "login"}, {"acr_values": "mfa"}, {"max_age": "60"}):
            assert (await client.get(wish(door, **more), allow_redirects=False)).status == 200, more
        assert "code" in sent_back(await client.get(wish(door, max_age="600"), allow_redirects=False))

    ask(tmp_path, story, clock)


def test_who_may_not_be_asked_or_cancels_is_sent_back_with_the_error(tmp_path: Path) -> None:
    async def story(client: Client, door: Door) -> None:
        answer = await client.get(wish(door, prompt="none"), allow_redirects=False)
        assert sent_back(answer)["error"] == "login_required"
        answer = await client.post(wish(door), data={"cancel": "yes"}, allow_redirects=False)
        assert sent_back(answer)["error"] == "access_denied"

    ask(tmp_path, story)


@pytest.mark.parametrize(
    "more",
    [
        {"redirect_uri": "https://elsewhere.test/"}, {"client_id": "nobody"}, {"client_id": "orders"},
        {"code_challenge": ""}, {"code_challenge_method": "plain"},
    ],
)  # fmt: skip
def test_what_a_provider_must_refuse(tmp_path: Path, more: dict[str, str]) -> None:
    async def story(client: Client, door: Door) -> None:
        answer = await client.post(wish(door, **more), data={"user": "jane"}, allow_redirects=False)
        assert "code" not in answer.headers.get("Location", "").replace("code_challenge", "")
        assert answer.status in (303, 400)

    ask(tmp_path, story)


def test_a_code_is_good_once_and_for_who_knows_the_verifier(tmp_path: Path) -> None:
    async def story(client: Client, door: Door) -> None:
        code = (await choose(client, door, "jane"))["code"]
        assert (await by_code(client, door, code))[0] == 200
        assert await by_code(client, door, code) == (
            400, {"error": "invalid_grant", "error_description": "Invalid 'code' in request."}
        )  # fmt: skip
        code = (await choose(client, door, "jane"))["code"]
        wrong = await exchange(client, door, grant_type="authorization_code", code=code, code_verifier="x" * 43)
        assert wrong[1]["error"] == "invalid_grant"

    ask(tmp_path, story)


def test_a_refresh_token_is_good_once_and_its_second_use_takes_all_back(tmp_path: Path) -> None:
    async def story(client: Client, door: Door) -> None:
        _, first = await by_code(client, door, (await choose(client, door, "jane"))["code"])
        status, second = await exchange(client, door, grant_type="refresh_token", refresh_token=first["refresh_token"])
        assert (status, claims(second["id_token"])["sub"]) == (200, "u-1007")
        assert second["refresh_token"] != first["refresh_token"]
        for stolen in (first, second):
            got = await exchange(client, door, grant_type="refresh_token", refresh_token=stolen["refresh_token"])
            assert (got[0], got[1]["error"]) == (400, "invalid_grant")

    ask(tmp_path, story)


def test_signing_out_ends_it_everywhere_and_comes_back(tmp_path: Path) -> None:
    async def story(client: Client, door: Door) -> None:
        _, got = await by_code(client, door, (await choose(client, door, "jane"))["code"])
        back = f"{door.origin}/.stagedoor/signed-out"
        said = {"id_token_hint": got["id_token"], "post_logout_redirect_uri": back, "state": "x"}
        answer = await client.get("/sign-out?" + urlencode(said), allow_redirects=False)
        assert answer.headers["Location"] == f"{back}?state=x"
        (told,) = door.told
        assert (told["sub"], told["sid"]) == ("u-1007", claims(got["id_token"])["sid"])
        assert "http://schemas.openid.net/event/backchannel-logout" in told["events"]
        assert (await client.get(wish(door), allow_redirects=False)).status == 200  # asked again
        assert (await exchange(client, door, grant_type="refresh_token", refresh_token=got["refresh_token"]))[0] == 400

    ask(tmp_path, story)


def test_without_a_hint_signing_out_is_asked_about_and_leads_nowhere(tmp_path: Path) -> None:
    async def story(client: Client, door: Door) -> None:
        await choose(client, door, "jane")
        page = await client.get("/sign-out?post_logout_redirect_uri=https://elsewhere.test/", allow_redirects=False)
        assert (page.status, "Sign Jane" in await page.text()) == (200, True)
        done = await client.post("/sign-out", allow_redirects=False)
        assert (done.status, "You are signed out" in await done.text()) == (200, True)

    ask(tmp_path, story)


def test_an_administrator_ends_somebodys_sign_ins(tmp_path: Path) -> None:
    async def story(client: Client, door: Door) -> None:
        await by_code(client, door, (await choose(client, door, "jane"))["code"])
        for header, status in ((SECRET, 200), ("wrong", 401)):
            answer = await client.post(
                "/admin/sign-out", json={"user": "jane"}, headers={"Authorization": f"Bearer {header}"}
            )
            assert answer.status == status
        assert [each["sub"] for each in door.told] == ["u-1007"]

    ask(tmp_path, story)
