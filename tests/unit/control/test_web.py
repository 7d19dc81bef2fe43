"""Promises about control's web server: every answer is armoured, and a successor takes over without a gap."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway import socket_file
from gateway.control.web import SECURITY_HEADERS, SOCKET, WebServer, make_app


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def broken(_request: web.Request) -> web.Response:
    raise RuntimeError("secret detail")


async def fetch(folder: Path, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    connector = aiohttp.UnixConnector(str(folder / SOCKET))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, f"http://localhost{path}", allow_redirects=False) as answer,
    ):
        return answer.status, await answer.text(), dict(answer.headers)


def server(folder: Path) -> WebServer:
    app = make_app()
    app.router.add_get("/", hello)
    app.router.add_get("/broken", broken)
    return WebServer(app, folder)


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 200), ("/no", "GET", 404), ("/", "POST", 405)])
def test_every_answer_carries_the_security_headers(tmp_path: Path, path: str, method: str, status: int) -> None:
    async def story() -> None:
        running = server(tmp_path)
        await running.start()
        got, _, headers = await fetch(tmp_path, path, method)
        assert got == status
        assert SECURITY_HEADERS.items() <= headers.items()
        assert "Server" not in headers
        await running.close()

    asyncio.run(story())


def test_the_policy_allows_no_inline_script_and_no_other_origin() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_a_bug_says_nothing_about_itself(tmp_path: Path) -> None:
    async def story() -> None:
        running = server(tmp_path)
        await running.start()
        status, text, _ = await fetch(tmp_path, "/broken")
        assert status == 500
        assert "secret detail" not in text
        await running.close()

    asyncio.run(story())


def test_the_socket_is_private(tmp_path: Path) -> None:
    async def story() -> None:
        running = server(tmp_path)
        await running.start()
        assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
        await running.close()
        assert not (tmp_path / SOCKET).exists()

    asyncio.run(story())


def test_a_socket_that_was_removed_is_there_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_file, "LOOK_S", 0.01)

    async def story() -> None:
        running = server(tmp_path)
        await running.start()
        (tmp_path / SOCKET).unlink()
        while not (tmp_path / SOCKET).exists():
            await asyncio.sleep(0.001)
        assert (await fetch(tmp_path, "/"))[1] == "hello"
        await running.close()
        assert not (tmp_path / SOCKET).exists()

    asyncio.run(story())


def test_a_state_folder_may_lie_deeper_than_an_address_is_long(tmp_path: Path) -> None:
    async def story() -> None:
        folder = tmp_path / ("a" * 60) / ("b" * 60)
        folder.mkdir(parents=True)
        running = server(folder)
        await running.start()
        (tmp_path / SOCKET).symlink_to(folder / SOCKET)
        assert (await fetch(tmp_path, "/"))[1] == "hello"
        await running.close()

    asyncio.run(story())


def test_a_successor_takes_the_place_of_a_socket_left_behind_and_keeps_it(tmp_path: Path) -> None:
    async def story() -> None:
        first, second = server(tmp_path), server(tmp_path)
        await first.start()
        await second.start()
        await first.close()
        assert (await fetch(tmp_path, "/"))[1] == "hello"
        await second.close()

    asyncio.run(story())
