"""Promises about asking issuers: only where configured, only what is exactly an answer, never more than a little, and
the token in no place that lasts."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.config import Introspection, Issuer
from gateway.control import introspection
from gateway.control.fetch import WELL_KNOWN, client_session
from gateway.control.introspection import AT_ONCE, INACTIVE, INACTIVE_S, NONE, QUEUED, SPARE_S, Answer, Introspector
from gateway.identity.introspection import ANSWER_LIMIT_BYTES

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = 1_800_000_000
TOKEN = "2YotnFZFEjr1zCsicMWpAA"


def answering(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=status, headers=headers, content_type="application/json")

    return handler


def active(**claims: object) -> dict[str, object]:
    return {"active": True, "sub": "jane", "exp": NOW + 3600, **claims}


class Provider:
    """A provider on loopback, and the introspector that asks it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.answer: Handler = answering(active())
        self.discovery: Handler | None = None
        self.seen: list[tuple[str, str, dict[str, str]]] = []  # method, authorization, form
        self.queries: list[str] = []
        self.discovered = 0
        self.now = float(NOW)
        self.address = ""
        self.secret = folder / "secret"
        self.secret.write_text("s3:cret/ä\n")
        self._settings = settings

    def run(self, story: Callable[[Introspector], Awaitable[None]]) -> None:
        asyncio.run(self._run(story))

    async def _run(self, story: Callable[[Introspector], Awaitable[None]]) -> None:
        app = web.Application()
        app.router.add_get(WELL_KNOWN, self._discover)
        app.router.add_route("*", "/introspect", self._asked)
        app.router.add_route("*", "/elsewhere", self._asked)
        async with TestServer(app) as server, client_session() as session, asyncio.timeout(20):
            self.address = str(server.make_url("")).rstrip("/")
            asked = Introspection("door:1", str(self.secret), **self._settings)
            issuer = Issuer("marlow", self.address, ("api",), introspection=asked)
            asking = Introspector(issuer, asked, session, wall=lambda: self.now, monotonic=lambda: self.now)
            await story(asking)
            asking.close()

    async def _asked(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.seen.append((request.method, request.headers.get("Authorization", ""), form))
        self.queries.append(request.query_string)
        return await self.answer(request)

    async def _discover(self, request: web.Request) -> web.StreamResponse:
        self.discovered += 1
        if self.discovery is not None:
            return await self.discovery(request)
        endpoint = self.address + "/introspect"
        return web.json_response({"issuer": self.address, "introspection_endpoint": endpoint})


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path)


def test_a_token_is_asked_about_once_in_a_form_with_the_clients_secret(provider: Provider) -> None:
    async def story(asking: Introspector) -> None:
        answer = await asking.ask(TOKEN)
        assert json.loads(answer.text) == active()
        assert answer.until == NOW + 60
        assert await asking.ask(TOKEN) == answer

    provider.run(story)
    ((method, authorization, form),) = provider.seen
    assert method == "POST"
    assert form == {"token": TOKEN, "token_type_hint": "access_token"}
    assert provider.queries == [""], "no token in an address"
    # RFC 6749 section 2.3.1: form-encoded first, so that a colon separates once
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"door%3A1:s3%3Acret%2F%C3%A4"


def test_a_rotated_secret_counts_with_the_next_call(provider: Provider) -> None:
    async def story(asking: Introspector) -> None:
        await asking.ask("one")
        provider.secret.write_text("new")
        await asking.ask("two")
        provider.secret.unlink()
        assert await asking.ask("three") == NONE
        assert "FileNotFoundError" in asking.fault

    provider.run(story)
    assert [base64.b64decode(said.split()[1]).rpartition(b":")[2] for _, said, _ in provider.seen] == [
        b"s3%3Acret%2F%C3%A4", b"new",
    ]  # fmt: skip


def test_whoever_asks_meanwhile_waits_for_the_same_answer(provider: Provider) -> None:
    gate = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        await gate.wait()
        return web.json_response(active())

    provider.answer = slow

    async def story(asking: Introspector) -> None:
        waiting = asyncio.gather(*(asking.ask(TOKEN) for _ in range(50)))
        while not provider.seen:
            await asyncio.sleep(0.001)
        gate.set()
        assert {answer.until for answer in await waiting} == {NOW + 60}

    provider.run(story)
    assert len(provider.seen) == 1


# === how long an answer counts ===


def test_an_answer_counts_for_the_cache_and_no_longer(tmp_path: Path) -> None:
    provider = Provider(tmp_path, cache_s=30.0)

    async def story(asking: Introspector) -> None:
        assert (await asking.ask(TOKEN)).until == NOW + 30
        provider.now = NOW + 30 - SPARE_S
        await asking.ask(TOKEN)
        assert len(provider.seen) == 1
        provider.now += 0.5
        assert (await asking.ask(TOKEN)).until == NOW + 58, "a door must not get what ends on the way to it"
        assert len(provider.seen) == 2

    provider.run(story)


@pytest.mark.parametrize(("exp", "until"), [(NOW + 10, NOW + 10), (NOW - 10, NOW - 10), (NOW + 600, NOW + 60)])
def test_an_answer_counts_no_longer_than_the_token(provider: Provider, exp: int, until: int) -> None:
    provider.answer = answering(active(exp=exp))

    async def story(asking: Introspector) -> None:
        assert (await asking.ask(TOKEN)).until == until

    provider.run(story)


def test_a_token_that_is_not_active_is_asked_about_again_soon(provider: Provider) -> None:
    provider.answer = answering({"active": False})

    async def story(asking: Introspector) -> None:
        assert await asking.ask(TOKEN) == Answer(b'{"active": false}', NOW + INACTIVE_S)
        await asking.ask(TOKEN)
        assert len(provider.seen) == 1
        provider.now += INACTIVE_S
        provider.answer = answering(active())
        assert b"true" in (await asking.ask(TOKEN)).text

    provider.run(story)


def test_a_provider_that_changes_its_mind_is_believed_when_it_is_asked_again(provider: Provider) -> None:
    """Revoked, then another subject: each word holds until its end and not a second more."""

    async def story(asking: Introspector) -> None:
        assert b"jane" in (await asking.ask(TOKEN)).text
        provider.answer = answering({"active": False})
        provider.now += 50
        assert b"jane" in (await asking.ask(TOKEN)).text
        provider.now += 10
        assert b"false" in (await asking.ask(TOKEN)).text
        provider.answer = answering(active(sub="joe"))
        provider.now += INACTIVE_S
        assert b"joe" in (await asking.ask(TOKEN)).text

    provider.run(story)


def test_made_up_tokens_push_out_no_good_one(provider: Provider) -> None:
    async def by_token(request: web.Request) -> web.Response:
        good = provider.seen[-1][2]["token"] == TOKEN
        return web.json_response(active() if good else {"active": False})

    provider.answer = by_token

    async def story(asking: Introspector) -> None:
        await asking.ask(TOKEN)
        for start in range(0, INACTIVE * 2, AT_ONCE):
            await asyncio.gather(*(asking.ask(f"made-up-{start + number}") for number in range(AT_ONCE)))
        before = len(provider.seen)
        await asking.ask(TOKEN)
        assert len(provider.seen) == before

    provider.run(story)


# === what is no answer ===


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (answering("<html><body>Sign in</body></html>"), "no introspection response"),
        (answering({"active": "true"}), "no introspection response"),
        (answering({"active": 1}), "no introspection response"),
        (answering({"sub": "jane"}), "no introspection response"),
        (answering('{"active":true,"active":false}'), "no introspection response"),
        (answering(""), "no introspection response"),
        (answering(active(), 201), "answered 201"),
        (answering(active(), 401), "answered 401"),
        (answering(active(), 500), "answered 500"),
        (answering("", 302, {"Location": "/elsewhere"}), "answered 302"),
        (answering("", 307, {"Location": "/elsewhere"}), "answered 307"),
        (answering(active(more="x" * ANSWER_LIMIT_BYTES)), "sent more than 32 KiB"),
    ],
)
def test_what_is_not_exactly_an_answer_is_none_and_is_not_remembered(
    provider: Provider, answer: Handler, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A redirect would carry the token, and the client's secret, to wherever it points."""
    provider.answer = answer

    async def story(asking: Introspector) -> None:
        assert await asking.ask(TOKEN) == NONE
        assert fault in asking.fault
        provider.answer = answering(active())
        assert (await asking.ask(TOKEN)).until == NOW + 60
        assert asking.fault == ""

    provider.run(story)
    assert len(provider.seen) == 2, "nothing was followed"
    said = capfd.readouterr().err
    assert "introspection_failed" in said
    assert TOKEN not in said
    assert "s3" not in said


def test_an_endless_answer_ends_at_the_cap(provider: Provider) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 65536)

    provider.answer = endless

    async def story(asking: Introspector) -> None:
        assert await asking.ask(TOKEN) == NONE
        assert "sent more than" in asking.fault

    provider.run(story)


def test_a_slow_endpoint_costs_its_deadline_and_no_more(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow to answer, or slow between two bytes: both end, and what waits for a turn ends with them."""
    monkeypatch.setattr(introspection, "DEADLINE_S", 1.0)

    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.05)

    provider.answer = drip

    async def story(asking: Introspector) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        asked = [asking.ask(f"slow-{number}") for number in range(AT_ONCE * 3)]
        assert set(await asyncio.gather(*asked)) == {NONE}
        assert loop.time() - began < 3
        assert asking.fault == "no answer in 1 s"

    provider.run(story)
    assert len(provider.seen) == AT_ONCE, "no more calls at a time"


def test_more_questions_than_can_wait_are_answered_at_once(provider: Provider) -> None:
    gate = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        await gate.wait()
        return web.json_response(active())

    provider.answer = slow

    async def story(asking: Introspector) -> None:
        loop = asyncio.get_running_loop()
        waiting = [loop.create_task(asking.ask(f"t{number}")) for number in range(AT_ONCE + QUEUED)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await asking.ask("one-more") == NONE
        assert "at once" in asking.fault
        gate.set()
        assert all(answer.text for answer in await asyncio.gather(*waiting))

    provider.run(story)


def test_an_endpoint_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    provider = Provider(tmp_path, url="http://127.0.0.1:9/introspect")

    async def story(asking: Introspector) -> None:
        assert await asking.ask(TOKEN) == NONE
        assert "cannot ask `http://127.0.0.1:9/introspect`" in asking.fault

    provider.run(story)


# === where it is asked ===


def test_a_configured_endpoint_needs_no_discovery(tmp_path: Path) -> None:
    provider = Provider(tmp_path, url="http://127.0.0.1:9/introspect")
    provider.run(lambda asking: _ignore(asking.ask(TOKEN)))
    assert provider.discovered == 0


async def _ignore(answer: Awaitable[object]) -> None:
    await answer


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"introspection_endpoint": "http://idp.example/introspect"}, "is not https"),
        ({"introspection_endpoint": "https://user:pass@idp.example/"}, "is not https"),
        ({}, "names no `introspection_endpoint`"),
        ({"introspection_endpoint": 7}, "names no `introspection_endpoint`"),
        ({"issuer": "https://other.example", "introspection_endpoint": "https://other.example/"}, "speaks for issuer"),
    ],
)
def test_a_discovery_document_cannot_lead_the_token_astray(
    provider: Provider, document: dict[str, object], fault: str
) -> None:
    async def discovery(_request: web.Request) -> web.Response:
        return web.json_response({"issuer": provider.address, **document})

    provider.discovery = discovery

    async def story(asking: Introspector) -> None:
        assert await asking.ask(TOKEN) == NONE
        assert fault in asking.fault

    provider.run(story)
    assert provider.seen == []


def test_discovery_is_asked_again_after_an_hour_or_a_failure(provider: Provider) -> None:
    async def story(asking: Introspector) -> None:
        await asyncio.gather(*(asking.ask(f"t{number}") for number in range(5)))
        assert provider.discovered == 1
        provider.now += introspection.ENDPOINT_S
        await asking.ask("later")
        assert provider.discovered == 2
        provider.answer = answering("", 404)
        await asking.ask("gone")
        provider.now += introspection.MOVED_S
        await asking.ask("moved")
        assert provider.discovered == 3

    provider.run(story)


def test_what_is_under_way_ends_with_the_introspector(provider: Provider) -> None:
    never = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    provider.answer = slow

    async def story(asking: Introspector) -> None:
        waiting = asyncio.get_running_loop().create_task(_ignore(asking.ask(TOKEN)))
        while not provider.seen:
            await asyncio.sleep(0.001)
        asking.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        never.set()

    provider.run(story)
