"""Promises about the start page's server: whole, escaped, without inline script, and live."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.control.web import make_app
from gateway.lab.board import Board
from gateway.lab.control import STATIC, StartPage
from gateway.lab.folder import LabFacts
from gateway.lab.tail import Tail
from tests.support.running_lab import PROJECT

Client = TestClient[web.Request, web.Application]

FACTS = LabFacts(
    8443, "http://127.0.0.1:18100", "127.0.0.1:18109", str(PROJECT / "examples/catalog"), "a", "stagedoor", "ca.pem"
)


def ask(folder: Path, story: Callable[[Client], Awaitable[None]]) -> None:
    async def whole() -> None:
        audit = folder / "audit"
        audit.mkdir()
        page = StartPage(Board(folder, FACTS, lambda: 0.0), Tail(audit, "component:stagedoor/stagedoor"), folder)
        app = make_app()
        page.add_to(app)
        async with asyncio.timeout(20), TestClient(TestServer(app)) as client:
            await story(client)

    asyncio.run(whole())


def test_the_page_is_whole_and_has_no_inline_script_or_style(tmp_path: Path) -> None:
    async def story(client: Client) -> None:
        answer = await client.get("/")
        text = await answer.text()
        assert answer.status == 200
        assert text.rstrip().endswith("</html>")
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
        assert re.findall(r"<style|\bstyle=|\bon[a-z]+=", text) == []
        assert re.findall(r"<(?:link|script|img)[^>]*(?:src|href)=\"(?!/)", text) == []

    ask(tmp_path, story)


@pytest.mark.parametrize("name", STATIC)
def test_its_files_are_served_with_their_type(tmp_path: Path, name: str) -> None:
    async def story(client: Client) -> None:
        answer = await client.get(f"/lab/{name}")
        assert answer.status == 200
        assert answer.content_type == STATIC[name]
        assert b"http://" not in (await answer.read()).replace(b"http://www.w3.org/2000/svg", b"")

    ask(tmp_path, story)


@pytest.mark.parametrize("path", ["/lab/none.css", "/lab/..%2fcontrol.py", "/lab/", "/elsewhere"])
def test_nothing_else_is_served(tmp_path: Path, path: str) -> None:
    async def story(client: Client) -> None:
        assert (await client.get(path)).status == 404

    ask(tmp_path, story)


def test_decisions_arrive_as_events_while_they_happen(tmp_path: Path) -> None:
    async def story(client: Client) -> None:
        answer = await client.get("/lab/events")
        assert answer.content_type == "text/event-stream"
        assert await event(answer.content, "past") == []
        record = {"seq": 1, "decision": "refusal", "reason": "no_rule", "status": 403, "exposure": "x", "host": "<b>"}
        (tmp_path / "audit" / "door-0a.000001.jsonl").write_bytes(orjson.dumps(record) + b"\n")
        (decision,) = await event(answer.content, "decisions")
        assert decision["label"] == "403 · no_rule"

    ask(tmp_path, story)


async def event(lines: Any, name: str) -> Any:
    """The value of the next event of that name."""
    async for line in lines:
        if line == b"event: " + name.encode() + b"\n":
            return orjson.loads((await lines.readline()).removeprefix(b"data: "))
    raise AssertionError("the stream ended")
