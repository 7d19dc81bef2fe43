"""aiohttp connects to the addresses somebody else looked up, and to none of its own finding."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.egress.client_names import ClientNames


def test_the_family_follows_from_the_address() -> None:
    async def look_up(host: str, port: int) -> list[str]:
        return {"shop.test": ["10.0.0.1", "2001:db8::1"]}[host]

    found = asyncio.run(ClientNames(look_up).resolve("shop.test", 443))
    assert [(each["host"], each["port"], each["family"]) for each in found] == [
        ("10.0.0.1", 443, socket.AF_INET), ("2001:db8::1", 443, socket.AF_INET6)
    ]  # fmt: skip
    assert {(each["hostname"], each["flags"]) for each in found} == {("shop.test", socket.AI_NUMERICHOST)}


def test_a_client_goes_where_it_is_led_and_nowhere_when_it_is_refused() -> None:
    asked: list[tuple[str, int]] = []

    async def look_up(host: str, port: int) -> list[str]:
        asked.append((host, port))
        if host != "shop.test":
            raise OSError(f"`{host}` is not for us")
        return ["127.0.0.1"]

    async def scene() -> None:
        async def hello(request: web.Request) -> web.Response:
            return web.Response(text=request.host)

        app = web.Application()
        app.router.add_get("/", hello)
        async with TestServer(app) as server:
            connector = aiohttp.TCPConnector(resolver=ClientNames(look_up), use_dns_cache=False)
            async with aiohttp.ClientSession(connector=connector) as session:
                async with session.get(f"http://shop.test:{server.port}/") as answer:
                    assert await answer.text() == f"shop.test:{server.port}"
                with pytest.raises(aiohttp.ClientConnectorError):
                    await session.get(f"http://localhost:{server.port}/")
            assert asked == [("shop.test", server.port), ("localhost", server.port)]

    asyncio.run(scene())
