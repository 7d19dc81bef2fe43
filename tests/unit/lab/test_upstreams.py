"""Promises about the example applications: they show what reached them, and can be slow, chatty and large."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.lab.upstreams import application

Client = TestClient[web.Request, web.Application]


def ask(story: Callable[[Client], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with TestClient(TestServer(application("prod, endpoint 1"))) as client:
            await story(client)

    asyncio.run(whole())


def test_an_application_shows_what_it_received_but_no_token() -> None:
    async def story(client: Client) -> None:
        headers = {"Host": "payments.localhost", "X-Stagedoor-User": "jane", "Authorization": f"Bearer {'t' * 100}"}
        answer = await (await client.get("/payments/pay-1?x=1", headers=headers)).json()
        assert answer["service"] == "payments"
        assert answer["endpoint"] == "prod, endpoint 1"
        assert answer["received"]["path"] == "/payments/pay-1?x=1"
        assert answer["received"]["headers"]["X-Stagedoor-User"] == "jane"
        assert "t" * 20 not in str(answer)

    ask(story)


def test_a_body_is_counted() -> None:
    async def story(client: Client) -> None:
        answer = await client.post("/payments", data=b"x" * 100_000)
        assert answer.status == 201
        assert (await answer.json())["received"]["body_bytes"] == 100_000

    ask(story)


def test_the_handbook_is_a_page_that_escapes_what_it_shows() -> None:
    async def story(client: Client) -> None:
        answer = await client.get("/", headers={"Host": "handbook.localhost", "X-Odd": "<script>"})
        assert answer.content_type == "text/html"
        assert "<script>" not in await answer.text()

    ask(story)


def test_slow_stream_and_large() -> None:
    async def story(client: Client) -> None:
        assert (await (await client.get("/figures/slow?seconds=0")).json())["waited_s"] == 0
        stream = await client.get("/events/stream?lines=2")
        assert [line async for line in stream.content] == [
            b'{"sale": 1, "sku": "tent-2p-fell"}\n',
            b'{"sale": 2, "sku": "tent-2p-fell"}\n',
        ]
        large = await client.get("/exports/large?mebibytes=2")
        assert large.content_length == len(await large.read()) == 2 * 1024 * 1024

    ask(story)


def test_numbers_that_are_none_mean_the_usual() -> None:
    async def story(client: Client) -> None:
        large = await client.get("/exports/large?mebibytes=many")
        assert large.content_length == 16 * 1024 * 1024

    ask(story)
