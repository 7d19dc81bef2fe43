"""Issuers: keys fetched as control fetches them, and this clock against theirs."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import config
from gateway.control.fetch import WELL_KNOWN
from gateway.doctor import issuers
from gateway.doctor.lines import Line
from gateway.doctor.names import Names
from tests.support.node import free_port
from tests.support.tokens import ES256, RS256


class Provider:
    """Discovery, keys and a clock that may be wrong by so many seconds."""

    def __init__(self, *, keys: list[dict[str, Any]] | None = None, ahead_s: float | None = 0.0) -> None:
        self.keys = [RS256.jwk, ES256.jwk] if keys is None else keys
        self.ahead_s = ahead_s
        self.address = ""

    async def _answer(self, request: web.Request) -> web.Response:
        documents = {
            WELL_KNOWN: {"issuer": self.address, "jwks_uri": f"{self.address}/keys"},
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
