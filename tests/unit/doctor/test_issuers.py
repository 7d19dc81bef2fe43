"""Issuers: keys fetched as control fetches them, and this clock against theirs."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import config
from gateway.config.sign_in import Client
from gateway.control.fetch import WELL_KNOWN
from gateway.doctor import issuers
from gateway.doctor.lines import Line
from gateway.egress.look_ups import Names
from tests.support.ports import free_port
from tests.support.tokens import ES256, RS256


class Provider:
    """Discovery, keys and a clock that may be wrong by so many seconds."""

    def __init__(
        self, *, keys: list[dict[str, Any]] | None = None, ahead_s: float | None = 0.0, **document: Any
    ) -> None:
        self.keys = [RS256.jwk, ES256.jwk] if keys is None else keys
        self.ahead_s = ahead_s
        self.document = document
        self.address = ""

    async def _answer(self, request: web.Request) -> web.Response:
        documents = {
            WELL_KNOWN: {"issuer": self.address, "jwks_uri": f"{self.address}/keys", **self.document},
            "/keys": {"keys": self.keys},
        }
        answer = web.json_response(documents[request.path])
        if self.ahead_s is None:
            answer.headers["Date"] = ""
        else:
            answer.headers["Date"] = formatdate(time.time() + self.ahead_s, usegmt=True)
        return answer

    def examine(self, work: Any, **settings: Any) -> Line:
        async def scene() -> Line:
            app = web.Application()
            app.router.add_get("/{path:.*}", self._answer)
            async with TestServer(app) as server:
                self.address = str(server.make_url("")).rstrip("/")
                (line,) = await work(config.Issuer("idp", self.address, ("api",), **settings), Names())
                assert isinstance(line, Line)
                return line

        return asyncio.run(scene())


def test_usable_keys_are_counted_by_what_they_verify() -> None:
    line = Provider().examine(issuers.keys)
    assert (line.check, line.subject, line.verdict) == ("issuer", "idp", "OK")
    assert line.found == "2 usable keys for ES256, RS256"


def test_keys_that_are_left_out_are_mentioned() -> None:
    line = Provider(keys=[RS256.jwk, {**ES256.jwk, "use": "enc"}]).examine(issuers.keys)
    assert line.verdict == "OK"
    assert line.found.startswith("1 usable key for RS256; 1 left out")


def test_without_a_key_for_the_accepted_algorithms_an_issuer_fails() -> None:
    line = Provider(keys=[ES256.jwk]).examine(issuers.keys, algorithms=("RS256",))
    assert line.verdict == "FAIL"
    assert "no usable key" in line.found
    assert "`algorithms`" in line.fix


def test_an_issuer_that_speaks_for_another_fails() -> None:
    provider = Provider()

    async def lie(issuer: config.Issuer, names: Names) -> Any:
        provider.address += "/other"
        return await issuers.keys(issuer, names)

    line = provider.examine(lie)
    assert (line.verdict, "speaks for issuer" in line.found) == ("FAIL", True)


def test_an_issuer_that_is_away_fails_and_its_clock_is_not_compared() -> None:
    issuer = config.Issuer("idp", f"http://127.0.0.1:{free_port()}", ("api",))
    (line,) = asyncio.run(issuers.keys(issuer, Names()))
    assert line.verdict == "FAIL"
    (line,) = asyncio.run(issuers.clock(issuer, Names()))
    assert (line.verdict, "does not answer" in line.found) == ("WARN", True)


@pytest.mark.parametrize(
    ("ahead_s", "verdict", "said"),
    [
        (0, "OK", "within 1 s"),
        (-20, "OK", "within 20 s"),
        (60, "WARN", "60 s behind"),
        (-60, "WARN", "60 s ahead of"),
        (400, "FAIL", "400 s behind"),
        (-4000, "FAIL", "4000 s ahead of"),
        (None, "WARN", "no `Date`"),
    ],
)
def test_the_clock_is_compared_with_the_issuers(ahead_s: float | None, verdict: str, said: str) -> None:
    line = Provider(ahead_s=ahead_s).examine(issuers.clock)
    assert (line.check, line.verdict) == ("clock", verdict)
    if said[:1].isdigit():
        seconds = int(line.found.split()[0])
        assert abs(seconds - int(said.split()[0])) <= 2
        assert said.partition(" s ")[2] in line.found
    else:
        assert said.replace("20", str(line.found.split()[1])) in line.found
    assert ("NTP" in line.fix) is (verdict != "OK")


# === asking about sessions again ===

USUAL = ("openid", "profile", "email")


@pytest.mark.parametrize(
    ("preset", "scopes", "document", "verdict", "todo"),
    [
        ("okta", USUAL, {}, "WARN", "add `offline_access`"),
        ("okta", (*USUAL, "offline_access"), {}, "OK", ""),
        ("entra", USUAL, {}, "WARN", "add `offline_access`"),
        ("auth0", USUAL, {}, "WARN", "add `offline_access`"),
        ("keycloak", USUAL, {"scopes_supported": ["openid", "offline_access"]}, "OK", ""),
        ("google", USUAL, {}, "WARN", "`sessions.absolute` short"),
        ("generic", USUAL, {}, "OK", ""),
        ("generic", USUAL, {"scopes_supported": ["openid", "offline_access"]}, "WARN", "add `offline_access`"),
        ("generic", USUAL, {"grant_types_supported": ["authorization_code"]}, "WARN", "add `offline_access`"),
        ("keycloak", USUAL, {"grant_types_supported": ["authorization_code"]}, "WARN", "the grant `refresh_token`"),
        ("generic", (*USUAL, "offline_access"), {"grant_types_supported": []}, "WARN", "the grant `refresh_token`"),
    ],
)
def test_an_operator_learns_that_sessions_are_never_asked_about_again(
    preset: str, scopes: tuple[str, ...], document: dict[str, Any], verdict: str, todo: str
) -> None:
    client = Client("door", "secret", scopes=scopes)
    line = Provider(**document).examine(issuers.refresh, preset=preset, client=client)
    assert (line.check, line.subject, line.verdict) == ("issuer", "idp sessions", verdict)
    assert todo in line.fix
    assert ("until the session ends" in line.found) is (verdict == "WARN")
    assert ("issuer `idp`" in line.fix) is (verdict == "WARN")


def test_where_an_issuer_describes_nothing_nobody_can_sign_in() -> None:
    """Its keys may be had all the same, by `jwks_uri`."""
    issuer = config.Issuer("idp", f"http://127.0.0.1:{free_port()}", ("api",), client=Client("door", "secret"))
    (line,) = asyncio.run(issuers.refresh(issuer, Names()))
    assert (line.verdict, line.subject, "nobody signs in" in line.fix) == ("FAIL", "idp sessions", True)


# === asking about tokens ===

SECRET = "s3cr3t-of-the-gateway"


def examined(
    tmp_path: Path, answer: dict[str, Any], *, status: int = 200, secret: str = SECRET, client_id: str = "gateway"
) -> tuple[Line, list[tuple[str, str]]]:
    """The line, and the credentials and form of each question."""
    asked: list[tuple[str, str]] = []
    (tmp_path / "secret").write_text(secret)
    (tmp_path / "secret").chmod(0o600)

    async def introspect(request: web.Request) -> web.Response:
        asked.append((request.headers["Authorization"], await request.text()))
        if request.headers["Authorization"] != "Basic " + b64encode(f"gateway:{SECRET}".encode()).decode():
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response(answer, status=status)

    async def scene() -> Line:
        app = web.Application()
        app.router.add_post("/introspect", introspect)
        async with TestServer(app) as server:
            address = str(server.make_url("")).rstrip("/")
            settings = config.Introspection(client_id, str(tmp_path / "secret"), f"{address}/introspect")
            (line,) = await issuers.introspection(
                config.Issuer("idp", address, ("api",), introspection=settings), Names()
            )
            return line

    return asyncio.run(scene()), asked


def test_an_issuer_that_may_be_asked_about_tokens_is_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line, asked = examined(tmp_path, {"active": False})
    assert (line.check, line.subject, line.verdict) == ("issuer", "idp introspection", "OK")
    assert line.found == "answers, and accepts client `gateway`"
    assert "token=doctor-" in asked[0][1], "nobody's token is shown around"
    assert capfd.readouterr() == ("", ""), "what is found is a line, not a log"


@pytest.mark.parametrize("wrong", [{"secret": "another"}, {"client_id": "nobody"}])
def test_credentials_that_are_not_accepted_are_said_and_not_shown(tmp_path: Path, wrong: dict[str, str]) -> None:
    line, _ = examined(tmp_path, {"active": False}, **wrong)  # type: ignore[arg-type]  # names of texts only
    assert line.verdict == "FAIL"
    assert line.found.endswith("/introspect` answered 401")
    assert line.fix.startswith("correct `client_id`, `client_secret_file`")
    assert not any(word in str(line) for word in (SECRET, "another", "Basic"))


@pytest.mark.parametrize(
    ("answer", "status", "found"),
    [
        ({"active": "no"}, 200, "is no introspection response"),
        ({"active": False}, 503, "answered 503"),
        ({"active": True, "sub": "jane"}, 200, "calls a made-up token active"),
    ],
)
def test_what_is_no_word_about_a_token_fails(tmp_path: Path, answer: dict[str, Any], status: int, found: str) -> None:
    line, _ = examined(tmp_path, answer, status=status)
    assert line.verdict == "FAIL"
    assert found in line.found
    assert line.fix


def test_an_endpoint_that_nobody_serves_is_unreachable(tmp_path: Path) -> None:
    async def scene() -> Line:
        (tmp_path / "secret").write_text(SECRET)
        (tmp_path / "secret").chmod(0o600)
        settings = config.Introspection("gateway", str(tmp_path / "secret"), f"http://127.0.0.1:{free_port()}/")
        (line,) = await issuers.introspection(
            config.Issuer("idp", "https://idp.test", ("api",), introspection=settings), Names()
        )
        return line

    line = asyncio.run(scene())
    assert (line.verdict, line.fix.startswith("make it reachable from here")) == ("FAIL", True)
