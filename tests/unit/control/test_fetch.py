"""Promises about fetching keys: only from the configured issuer, only over a safe way, never more than a little."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from gateway.config import Issuer
from gateway.control.fetch import (
    DOCUMENT_BYTES,
    LONGEST_REFRESH_S,
    SHORTEST_REFRESH_S,
    USUAL_REFRESH_S,
    WELL_KNOWN,
    Fetched,
    FetchFault,
    client_session,
    fetch_keys,
    is_allowed,
    refresh_after_s,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def jwk(kid: str = "one") -> dict[str, Any]:
    public = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    return {**public, "kid": kid, "use": "sig"}


def answering(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=status, headers=headers, content_type="application/json")

    return handler


class Idp:
    """A provider on loopback whose two documents the test chooses."""

    def __init__(self) -> None:
        self.discovery: Handler | None = None
        self.jwks: Handler = answering({"keys": [jwk()]})
        self.claimed = ""
        self.address = ""

    async def fetch(self, issuer_suffix: str = "", **settings: Any) -> Fetched:
        app = web.Application()
        app.router.add_get(WELL_KNOWN, self._discover)
        app.router.add_get("/organizations/v2.0" + WELL_KNOWN, self._discover)
        app.router.add_get("/keys", self._keys)
        async with TestServer(app) as server, client_session() as session:
            self.address = str(server.make_url("")).rstrip("/")
            issuer = Issuer("marlow", self.address + issuer_suffix, ("services",), **settings)
            return await fetch_keys(session, issuer)

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        return await self.jwks(request)

    async def _discover(self, request: web.Request) -> web.StreamResponse:
        if self.discovery is not None:
            return await self.discovery(request)
        return web.json_response({"issuer": self.claimed or self.address, "jwks_uri": self.address + "/keys"})


def fault(idp: Idp, **settings: Any) -> str:
    with pytest.raises(FetchFault) as caught:
        asyncio.run(idp.fetch(**settings))
    return str(caught.value)


def test_keys_arrive_over_discovery() -> None:
    idp = Idp()
    idp.jwks = answering({"keys": [jwk("a"), jwk("b")]}, headers={"Cache-Control": "public, max-age=900"})
    fetched = asyncio.run(idp.fetch())
    assert [key["kid"] for key in fetched.jwks] == ["a", "b"]
    assert fetched.refresh_s == 900


def test_an_issuer_of_many_tenants_is_discovered_where_all_of_them_are() -> None:
    """Microsoft: the document below `organizations` names the template itself as its issuer."""
    idp = Idp()

    async def discovery(_request: web.Request) -> web.Response:
        claimed = idp.address + "/{tenantid}/v2.0"
        return web.json_response({"issuer": claimed, "jwks_uri": idp.address + "/keys"})

    idp.discovery = discovery
    fetched = asyncio.run(idp.fetch("/{tenantid}/v2.0", tenants=("t1", "t2")))
    assert [key["kid"] for key in fetched.jwks] == ["one"]


@pytest.mark.parametrize("bomb", ["gzip", "deflate"])
def test_a_small_answer_that_unpacks_to_a_large_one_ends_at_the_cap(bomb: str) -> None:
    idp = Idp()
    packed = zlib.compress(b" " * 50_000_000) if bomb == "deflate" else gzip.compress(b" " * 50_000_000)

    async def jwks(_request: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": bomb}, content_type="application/json")

    idp.jwks = jwks
    tracemalloc.start()
    try:
        assert "KiB" in fault(idp) or "cannot read" in fault(idp)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_an_issuer_with_another_spelling_is_refused() -> None:
    idp = Idp()
    idp.claimed = "http://127.0.0.1/other"
    assert "speaks for issuer" in fault(idp)


def test_a_trailing_slash_is_another_issuer() -> None:
    idp = Idp()
    assert "speaks for issuer" in fault(idp, issuer_suffix="/")


def test_a_redirect_is_not_followed() -> None:
    idp = Idp()
    idp.jwks = answering("", 302, {"Location": "/elsewhere"})
    assert "answered 302" in fault(idp)


def test_a_document_over_the_cap_is_not_read() -> None:
    idp = Idp()
    idp.jwks = answering(json.dumps({"keys": [jwk()], "more": "x" * DOCUMENT_BYTES}))
    assert "sent more than" in fault(idp)


def test_an_endless_document_ends_at_the_cap() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 65536)

    idp = Idp()
    idp.jwks = endless
    assert "sent more than" in fault(idp)


def test_a_set_without_a_usable_key_is_a_fault_and_not_an_empty_set() -> None:
    idp = Idp()
    for keys in ([], [{"kty": "oct", "k": "c2VjcmV0", "kid": "x"}]):
        idp.jwks = answering({"keys": keys})
        assert "holds no usable key" in fault(idp)


def test_a_private_part_is_never_passed_on() -> None:
    private = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    idp = Idp()
    idp.jwks = answering({"keys": [jwk("good"), {**private, "kid": "leaked"}]})
    fetched = asyncio.run(idp.fetch())
    assert [key["kid"] for key in fetched.jwks] == ["good"]
    assert "leaked" in fetched.warnings[0]


@pytest.mark.parametrize("body", ["", "[]", "{", '{"issuer": 1}'])
def test_a_broken_discovery_document_is_a_fault(body: str) -> None:
    idp = Idp()
    idp.discovery = answering(body)
    fault(idp)


def test_a_discovery_document_cannot_lead_to_plain_http_elsewhere() -> None:
    idp = Idp()

    async def leading_away(_request: web.Request) -> web.Response:
        return web.json_response({"issuer": idp.address, "jwks_uri": "http://keys.example/"})

    idp.discovery = leading_away
    assert "`http://keys.example/` is not https" in fault(idp)


@pytest.mark.parametrize("member", ["issuer", "jwks_uri"])
@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;fine\x07", "x\n[+] store: answers", "\u202etset.pdi", "A" * 200_000])
def test_a_discovery_document_writes_no_lines_and_no_terminal_codes_of_its_own(member: str, text: str) -> None:
    """A fault is read in a terminal, in a log and in the list of checks, which has a line for each."""
    idp = Idp()

    async def hostile(_request: web.Request) -> web.Response:
        return web.json_response({"issuer": idp.address, "jwks_uri": idp.address + "/keys", member: text})

    idp.discovery = hostile
    why = fault(idp)
    assert text not in why
    assert why.isprintable() and len(why) < 300


def test_a_discovery_document_with_two_readings_is_a_fault() -> None:
    idp = Idp()

    async def twice(_request: web.Request) -> web.Response:
        first = '{"issuer": "https://other.example", "issuer": '
        return web.Response(text=first + json.dumps(idp.address) + ', "jwks_uri": "' + idp.address + '/keys"}')

    idp.discovery = twice
    assert "without duplicates" in fault(idp)


def test_a_provider_that_does_not_answer_is_a_fault() -> None:
    async def story() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)) as session:
            await fetch_keys(session, Issuer("marlow", "http://127.0.0.1:9", ("services",)))

    with pytest.raises(FetchFault, match="cannot read"):
        asyncio.run(story())


@pytest.mark.parametrize(
    "address",
    ["https://idp.example/x", "http://127.0.0.1:80/", "http://[::1]/", "http://localhost:8080/x", "http://127.9.9.9/"],
)
def test_allowed(address: str) -> None:
    assert is_allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://idp.example/", "http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "ftp://127.0.0.1/",
        "file:///etc/passwd", "https://", "https://user:pass@idp.example/", "http://10.0.0.1/", "http://[::1", "",
        "https://idp.example/\r\nX: y", "https://idp.example/a b", "https://idp.ex\u00e4mple/",
        "https://a.example/" + "a" * 2048,
    ],
)  # fmt: skip
def test_refused(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", USUAL_REFRESH_S), ("max-age=900", 900), ("public, MAX-AGE=900, immutable", 900), ('max-age="900"', 900),
        ("max-age=1", SHORTEST_REFRESH_S), ("max-age=999999999", LONGEST_REFRESH_S), ("no-store", SHORTEST_REFRESH_S),
        ("s-maxage=5", USUAL_REFRESH_S), ("max-age=-5", USUAL_REFRESH_S), ("max-age=99999999999", LONGEST_REFRESH_S),
    ],
)  # fmt: skip
def test_the_refresh_interval_is_the_providers_within_bounds(header: str, expected: float) -> None:
    assert refresh_after_s(header) == expected
