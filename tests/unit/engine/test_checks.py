"""Active checks over real sockets: what is asked, what it takes to be down and up, what doors are told and for how
long they may believe it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop

from gateway import config
from gateway.engine.checks import BELIEVED, FAILURES, SUCCESSES, Checks, Tally, Target, targets
from policy.facts import Exposure
from tests.support.authority import Authority
from tests.support.catalogs import settings
from tests.support.faulty import Line, faulty

ECHO, KEY = "component:default/echo", "component:default/echo@prod"
QUICK = config.Check("/healthz?deep=1", 0.1)
HEALTHY = b"HTTP/1.1 204 Fine\r\n\r\n"


def said(folder: Path, check: config.Check | None = QUICK, **changes: Any) -> config.Settings:
    service = config.ServiceSettings(check=check, **changes)
    prod = config.Environment("prod", (".test",), ("127.0.0.1/32",), {ECHO: service})
    return settings(folder, environments={"prod": prod})


def routes(*urls: str, environment: str = "prod", host: str = "echo.test") -> dict[str, tuple[Exposure, ...]]:
    return {ECHO: (Exposure(environment, host, "/", urls),)}


class Doors:
    """What the doors are told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    def tell(self, message: dict[str, Any]) -> None:
        self.messages.append(orjson.loads(orjson.dumps(message)))
        self._news.set()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                self._news.clear()
                await self._news.wait()

    def down(self) -> list[str]:
        return [url for _, url, _ in self.messages[-1]["down"]] if self.messages else []


def play(scene: Callable[[Checks, Doors], Coroutine[Any, Any, None]]) -> None:
    async def staged() -> None:
        doors = Doors()
        checks = Checks(doors.tell)
        try:
            await scene(checks, doors)
        finally:
            await checks.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(staged())


def answers(data: bytes, heads: list[bytes] | None = None) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        head = line.head()
        if heads is not None:
            heads.append(head)
        line.send(data)

    return script


# === the count ===


def test_it_takes_several_in_a_row_to_turn_an_endpoint() -> None:
    tally = Tally()
    assert [tally.took(False, 1.0) for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    assert [tally.is_up] == [False]
    assert [tally.took(True, 2.0) for _ in range(SUCCESSES)] == [False] * (SUCCESSES - 1) + [True]
    assert [tally.is_up] == [True]
    for _ in range(FAILURES):
        assert not any(tally.took(False, 3.0) for _ in range(FAILURES - 1))
        assert not tally.took(True, 3.0)


def test_only_what_the_operator_wants_checked_is_checked_and_only_where_it_is_published(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    assert targets(said(tmp_path), routes(url)) == {Target(KEY, "prod", "echo.test", url, QUICK, None)}
    assert targets(said(tmp_path), routes(url, host="*.echo.test")) == {Target(KEY, "prod", "", url, QUICK, None)}
    assert targets(said(tmp_path, check=None), routes(url)) == set()
    assert targets(said(tmp_path), routes(url, environment="dev")) == set()
    assert targets(said(tmp_path), {}) == set()


# === over sockets ===


def test_an_endpoint_goes_down_and_comes_up_again_and_the_doors_are_told(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def scene(checks: Checks, doors: Doors) -> None:
        with faulty() as upstream, faulty() as other:
            upstream.otherwise = answers(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", heads)
            other.otherwise = answers(HEALTHY)
            checks.configure(said(tmp_path))
            checks.follow(routes(upstream.url, other.url))
            await doors.until(lambda: doors.down() == [upstream.url])
            assert upstream.lines >= FAILURES
            ((key, _, believed_s),) = doors.messages[-1]["down"]
            assert key == KEY
            assert 0 < believed_s <= BELIEVED * QUICK.interval_s
            number, seen = doors.messages[-1]["n"], len(doors.messages)
            await doors.until(lambda: len(doors.messages) >= seen + 3)
            assert doors.down() == [upstream.url], "said again and again, so that it is believed further on"
            assert doors.messages[-1]["n"] == number
            upstream.otherwise = answers(b"HTTP/1.1 302 Go\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", heads)
            await doors.until(lambda: doors.down() == [])
            assert doors.messages[-1]["n"] > number

    play(scene)
    assert {head.split(b"\r\n")[0] for head in heads} == {b"GET /healthz?deep=1 HTTP/1.1"}
    fields = dict(line.split(b": ", 1) for line in heads[0].split(b"\r\n")[1:])
    assert (fields[b"Host"], fields[b"User-Agent"]) == (b"echo.test", b"stagedoor-check")
    assert not {name.lower() for name in fields} & {b"authorization", b"cookie", b"x-stagedoor-user"}


@pytest.mark.parametrize(
    "script",
    [
        lambda line: line.reset(),
        lambda line: line.head(),
        lambda line: line.until_gone(),
        answers(b"SSH-2.0-OpenSSH_9.2\r\n"),
        answers(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        answers(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000),
    ],
    ids=["resets", "closes", "never answers", "garbage", "404", "an endless head"],
)
def test_what_is_no_good_answer_in_time_counts_as_a_failure(tmp_path: Path, script: Callable[[Line], None]) -> None:
    async def scene(checks: Checks, doors: Doors) -> None:
        with faulty() as upstream:
            upstream.otherwise = script
            checks.configure(said(tmp_path))
            checks.follow(routes(upstream.url))
            await doors.until(lambda: doors.down() == [upstream.url])

    play(scene)


def test_the_log_says_in_plain_words_why_an_endpoint_is_down(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    async def scene(checks: Checks, doors: Doors) -> None:
        with faulty() as plain, faulty() as loud, faulty() as gone, faulty() as silent:
            loud.otherwise = lambda line: line.send(b"220 mail ESMTP\r\n")
            plain.otherwise = answers(b"HTTP/1.1 400 Bad\r\n\r\n")
            silent.otherwise = Line.until_gone
            gone.close()
            urls = [loud.url.replace("http:", "https:"), gone.url, silent.url, plain.url]
            checks.configure(said(tmp_path, config.Check("/", 0.5)))  # which a busy machine answers in time too
            checks.follow(routes(*urls))
            await doors.until(lambda: set(doors.down()) == set(urls))
            lines = [orjson.loads(line) for line in capfdbinary.readouterr().err.splitlines()]
            why = {line["endpoint"]: line["why"] for line in lines if line["event"] == "endpoint_down"}
            assert [why[url] for url in urls[1:]] == ["Connection refused", "no answer in time", "answers 400"]
            assert why[urls[0]].startswith("tls: ")

    play(scene)


def test_an_address_that_the_environment_does_not_allow_is_never_asked(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    async def scene(checks: Checks, doors: Doors) -> None:
        with faulty() as upstream, faulty() as allowed:
            allowed.otherwise = answers(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
            elsewhere = upstream.url.replace("127.0.0.1", "127.0.0.2")
            named = upstream.url.replace("127.0.0.1", "localhost")  # a listed name that leads to a special address
            prod = replace(said(tmp_path).environments["prod"], upstreams=("127.0.0.1/32",))
            checks.configure(replace(said(tmp_path), environments={"prod": prod}))
            checks.follow(routes(elsewhere, allowed.url))
            await doors.until(lambda: doors.down() == [allowed.url])
            lines = b""
            async with asyncio.timeout(20):
                while lines.count(b"check_refused") < 1:
                    lines += capfdbinary.readouterr().err
                    await asyncio.sleep(0.01)
            assert b"`127.0.0.2` is in no network listed" in lines
            assert upstream.lines == 0

            prod = replace(prod, upstreams=("10.0.0.0/8", "localhost"))
            checks.configure(replace(said(tmp_path), environments={"prod": prod}))
            checks.follow(routes(elsewhere, named, allowed.url))
            async with asyncio.timeout(20):
                while b"special address" not in lines:
                    lines += capfdbinary.readouterr().err
                    await asyncio.sleep(0.01)
            seen = allowed.lines
            await asyncio.sleep(3 * QUICK.interval_s)
            assert upstream.lines == 0
            assert allowed.lines == seen, "the address was allowed before these settings, and is not by them"

    play(scene)


def test_checks_verify_the_certificate_as_doors_do(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ours.leaf("leaf", "echo.internal"))
    trusting = config.UpstreamTls(ca=str(ours.ca), server_name="echo.internal")

    async def scene(checks: Checks, doors: Doors) -> None:
        with faulty(tls=context) as upstream:
            upstream.otherwise = answers(HEALTHY)
            for tls, down in (
                (replace(trusting, ca=str(theirs.ca)), True),
                (trusting, False),
                (replace(trusting, server_name="other.internal"), True),
                (trusting, False),
                (replace(trusting, ca=str(tmp_path / "missing.pem")), True),
            ):
                checks.configure(said(tmp_path, tls=tls))
                checks.follow(routes(upstream.url))
                handshakes = len(upstream.handshakes)
                if down:
                    await doors.until(lambda: doors.down() == [upstream.url])
                else:
                    while len(upstream.handshakes) < handshakes + SUCCESSES:
                        await asyncio.sleep(0.01)
                    assert doors.down() == []

    play(scene)


def test_an_endpoint_that_leaves_the_catalog_is_no_longer_asked_and_no_longer_down(tmp_path: Path) -> None:
    async def scene(checks: Checks, doors: Doors) -> None:
        with faulty() as upstream:
            upstream.otherwise = answers(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
            checks.configure(said(tmp_path))
            checks.follow(routes(upstream.url))
            await doors.until(lambda: doors.down() == [upstream.url])
            checks.follow({})
            await doors.until(lambda: doors.down() == [])
            lines = upstream.lines
            await asyncio.sleep(3 * QUICK.interval_s)
            assert upstream.lines <= lines + 1

    play(scene)


def test_a_door_that_comes_is_told_what_it_does_not_know(tmp_path: Path) -> None:
    async def scene(checks: Checks, doors: Doors) -> None:
        assert checks.news_for(0) is None, "all is well, and it knows of nothing else"
        assert checks.news_for(7) is not None, "another engine told it something"
        with faulty() as upstream:
            url = upstream.url
        checks.configure(said(tmp_path))
        checks.follow(routes(url))
        await doors.until(lambda: doors.down() == [url])
        news = checks.news_for(0)
        assert news is not None
        assert [each[:2] for each in news["down"]] == [[KEY, url]]
        assert checks.news_for(news["n"]) is None

    play(scene)
