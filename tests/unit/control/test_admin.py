"""Promises about the admin listener: ready means that this node can serve; an absent provider changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.control.admin import AdminView, CatalogState, Check, IssuerState, make_app
from gateway.counters import Merged

Client = TestClient[web.Request, web.Application]


def ask(checks: list[Check], story: Callable[[Client], Awaitable[None]]) -> None:
    issuers = [IssuerState("marlow", 2, 12.0, ""), IssuerState("partner", 0, float("inf"), "away")]
    catalogs = [CatalogState("main", 300, 4.5, 12.0, ""), CatalogState("new", 0, None, None, "it answered 401")]
    view = AdminView(
        lambda: checks, lambda: issuers, lambda: 7, lambda: 6, lambda: {"version": "1.2.3"}, lambda: catalogs
    )  # fmt: skip

    async def whole() -> None:
        async with TestClient(TestServer(make_app(view, Merged()))) as client:
            await story(client)

    asyncio.run(whole())


def test_ready_when_everything_needed_is_good() -> None:
    async def story(client: Client) -> None:
        answer = await client.get("/readyz")
        assert (answer.status, await answer.text()) == (200, "ready\n")

    ask([Check("node", True, "up"), Check("issuer partner", False, "away", needed=False)], story)


def test_not_ready_says_which_check_failed() -> None:
    async def story(client: Client) -> None:
        answer = await client.get("/readyz?verbose")
        assert answer.status == 503
        assert await answer.text() == "[ok] node: up\n[FAIL] base: none\n[note] issuer partner: away\nnot ready\n"

    ask([Check("node", True, "up"), Check("base", False, "none"), Check("issuer partner", False, "away", False)], story)


def test_alive_whatever_the_checks_say() -> None:
    async def story(client: Client) -> None:
        assert (await client.get("/livez")).status == 200

    ask([Check("node", False, "failing")], story)


def test_metrics_hold_the_doors_counts_and_the_age_of_each_issuers_keys() -> None:
    async def story(client: Client) -> None:
        answer = await client.get("/metrics")
        text = await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "stagedoor_overlay_seq 7.0" in text
        assert "stagedoor_overlay_live_seq 6.0" in text
        assert 'stagedoor_issuer_keys_age_seconds{issuer="marlow"} 12.0' in text
        assert 'stagedoor_issuer_keys_age_seconds{issuer="partner"} +Inf' in text
        assert 'stagedoor_issuer_reachable{issuer="partner"} 0.0' in text
        assert "stagedoor_workers 0.0" in text

    ask([], story)


def test_the_version() -> None:
    async def story(client: Client) -> None:
        assert await (await client.get("/version")).json() == {"version": "1.2.3"}

    ask([], story)


def test_each_catalog_shows_its_age_its_size_whether_it_is_well_and_its_own_delay() -> None:
    async def story(client: Client) -> None:
        text = await (await client.get("/metrics")).text()
        for line in (
            'stagedoor_catalog_age_seconds{catalog="main"} 4.5', 'stagedoor_catalog_age_seconds{catalog="new"} +Inf',
            'stagedoor_catalog_entities{catalog="main"} 300.0', 'stagedoor_catalog_reachable{catalog="main"} 1.0',
            'stagedoor_catalog_reachable{catalog="new"} 0.0', 'stagedoor_catalog_delay_seconds{catalog="main"} 12.0',
        ):  # fmt: skip
            assert line in text
        assert 'stagedoor_catalog_delay_seconds{catalog="new"}' not in text

    ask([], story)
