"""What a session costs a worker: memory for each that it has seen, and CPU for a request beside one with a token."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import token
from tests.support.door_sessions import SessionWorld, facts, session_door
from tests.support.small_catalog import small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Client

SESSIONS = 100_000
BYTES_EACH = 500
REQUESTS = 400
PAIRS = 15


@pytest.fixture
def world(tmp_path: Path, upstream: Upstream) -> Iterator[SessionWorld]:
    with session_door(tmp_path / "state", small_catalog(upstream.url), upstream.url) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_thousand_sessions_take_less_than_five_hundred_bytes_each() -> None:
    command = [sys.executable, "-m", "tests.support.session_memory", str(SESSIONS)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert 0 < int(said.stdout.split()[-1]) <= BYTES_EACH


@pytest.mark.bench
def test_a_session_cookie_costs_no_more_than_a_cached_token(world: SessionWorld) -> None:
    """CPU of the door's thread, sockets and all, in pairs, so that what else the machine does falls on both."""
    world.control.put(facts())
    usual = (
        b"GET /orders/7 HTTP/1.1\r\nHost: echo.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.57\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: application/json\r\nAccept-Encoding: gzip, br\r\n"
    )
    bearer = usual + b"Cookie: theme=dark; _a=GA1.2\r\nAuthorization: Bearer " + token(pad="x" * 300) + b"\r\n\r\n"
    session = world.control.cookie("echo.test").encode()
    cookie = usual + b"Cookie: theme=dark; _a=GA1.2; __Host-stagedoor=" + session + b"\r\n\r\n"
    ident = world.door.thread.call(threading.get_ident)
    clock = time.pthread_getcpuclockid(ident)

    def spent(request: bytes) -> float:
        with Client(world.door.port) as client:
            client.send(request).answer()
            before = time.clock_gettime(clock)
            for _ in range(REQUESTS):
                assert client.send(request).answer().status == 200
            return time.clock_gettime(clock) - before

    spent(bearer), spent(cookie)
    ratios = [spent(cookie) / spent(bearer) for _ in range(PAIRS)]
    assert statistics.median(ratios) <= 1.15, ratios
