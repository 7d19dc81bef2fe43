"""Promises about answers that are on their way when somebody is cut off, or their session ends: they end too, at the
client's socket and at the service, and nobody else's do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.session import SessionFacts
from tests.integration.conftest import token
from tests.support.door import until
from tests.support.door_sessions import (
    SessionControl,
    SessionWorld,
    facts,
    limited,
    session_door,
    session_id,
    session_settings,
)
from tests.support.small_catalog import small_catalog
from tests.support.upstream import Seen, Upstream
from tests.support.wire import Client

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
CLOSED_S = 2.0


def answer(seen: Seen) -> bytes:
    """A stream of events that goes on, and a question that is not answered for long."""
    return STREAM if seen.target == "/events" else b""


@pytest.fixture
def world(tmp_path: Path, upstream: Upstream) -> Iterator[SessionWorld]:
    upstream.answer = answer
    with session_door(tmp_path / "state", small_catalog(upstream.url), upstream.url) as made:
        yield made


def begun(world: SessionWorld, identity: str, target: str = "/events") -> Client:
    """A request that the service has, and the first of its answer where it sends any."""
    client = Client(world.door.port, CLOSED_S)
    head = f"GET {target} HTTP/1.1\r\nHost: echo.test\r\nX-Forwarded-Proto: https\r\n{identity}\r\n\r\n"
    client.send(head.encode())
    while target == "/events" and b"first" not in client.buffer:
        client.buffer += client.sock.recv(4096)
    client.buffer = b""
    return client


def by_cookie(world: SessionWorld, number: int = 1, sub: str = "jane") -> str:
    world.control.put(facts(number, sub))
    return f"Cookie: __Host-stagedoor={world.control.cookie('echo.test', number)}"


def is_closed(client: Client) -> bool:
    try:
        return client.sock.recv(4096) == b""
    except ConnectionResetError:
        return True


def ended(control: SessionControl) -> None:
    control.ended = [session_id()]
    control.publish()


def cut_off(control: SessionControl) -> None:
    control.not_before = {"user:default/jane": int(time.time()) + 1}
    control.publish()


def denied(control: SessionControl) -> None:
    control.denied = ["user:default/jane"]
    control.publish()


def shut(control: SessionControl) -> None:
    control.shut = ["component:default/echo"]
    control.publish()


def told(control: SessionControl) -> None:
    control.push(SessionFacts(session_id(), "ended"))


ENDS = (ended, cut_off, denied, shut, told)


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_ends_with_what_it_was_permitted_by(
    world: SessionWorld, upstream: Upstream, end: Callable[[SessionControl], None]
) -> None:
    with begun(world, by_cookie(world)) as client:
        assert upstream.open == 1
        end(world.control)
        assert is_closed(client)
        until(lambda: upstream.open == 0, CLOSED_S)
    record = world.door.records(1)[-1]
    assert record["reason"] == ("denied" if end in (denied, shut) else "session_ended")


@pytest.mark.parametrize("end", [cut_off, denied, shut])
def test_so_does_one_of_a_bearer_token(world: SessionWorld, end: Callable[[SessionControl], None]) -> None:
    with begun(world, f"Authorization: Bearer {token('jane').decode()}") as client:
        end(world.control)
        assert is_closed(client)
    assert world.door.records(1)[-1]["reason"] == ("token_revoked" if end is cut_off else "denied")


@pytest.mark.parametrize(("end", "status"), [(ended, 401), (denied, 403), (shut, 403)])
def test_an_answer_that_was_not_begun_becomes_the_refusal(
    world: SessionWorld, upstream: Upstream, end: Callable[[SessionControl], None], status: int
) -> None:
    with begun(world, by_cookie(world), "/slow") as client:
        upstream.wait_for(1)
        end(world.control)
        assert client.answer().status == status
        until(lambda: upstream.open == 0, CLOSED_S)


def test_streams_of_others_go_on(world: SessionWorld, upstream: Upstream) -> None:
    with begun(world, by_cookie(world)) as jane, begun(world, by_cookie(world, 2, "joe")) as joe:
        world.control.publish()
        cut_off(world.control)
        assert is_closed(jane)
        upstream.write_to_connections(b"6\r\nsecond\r\n0\r\n\r\n")
        assert b"second" in joe.sock.recv(4096)


def test_many_streams_end_within_two_seconds(world: SessionWorld) -> None:
    clients = [begun(world, by_cookie(world)) for _ in range(200)]
    began = time.monotonic()
    ended(world.control)
    assert all(map(is_closed, clients))
    assert time.monotonic() - began < CLOSED_S
    for each in clients:
        each.sock.close()


# === what time alone ends ===


def streaming(world: SessionWorld, identity: Callable[[int, int], str]) -> tuple[Client, int]:
    """A stream of somebody whose time is up in seconds, and the second in which it was begun; begun anew, by another
    number, where the machine took longer than that. ``identity``: of a number and that second."""
    for number in range(1, 20):
        now = int(time.time())
        client = Client(world.door.port, 60)
        said = identity(number, now)
        client.send(f"GET /events HTTP/1.1\r\nHost: echo.test\r\nX-Forwarded-Proto: https\r\n{said}\r\n\r\n".encode())
        got = b""
        while b"first" not in got and b"HTTP/1.1 401" not in got:
            got += client.sock.recv(4096)
        if b"first" in got:
            return client, now
        client.sock.close()
    raise AssertionError("the machine is too slow for a session of some seconds")


def of_session(world: SessionWorld, number: int, **changes: Any) -> str:
    world.control.put(facts(number, **changes))
    return f"Cookie: __Host-stagedoor={world.control.cookie('echo.test', number)}"


@pytest.mark.slow
def test_a_stream_ends_with_its_session_when_only_time_has_passed(world: SessionWorld, upstream: Upstream) -> None:
    """Nobody says anything: the end was known from the beginning."""
    client, began = streaming(world, lambda number, now: of_session(world, number, until=now + 4))
    with client:
        said = len(world.control.wanted_sessions)
        assert is_closed(client)
        assert time.time() >= began + 4
        until(lambda: upstream.open == 0, 60)
    assert len(world.control.wanted_sessions) == said, "control was not asked"
    assert world.door.records(1)[-1]["reason"] == "session_ended"


@pytest.mark.slow
def test_an_environment_s_own_end_ends_a_stream_there_and_no_other(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answer = answer
    state = tmp_path / "state"
    settings = limited(session_settings(state), None, 600)
    with session_door(state, small_catalog(upstream.url), upstream.url, settings=settings) as world:
        new, _ = streaming(world, lambda number, now: of_session(world, 100, signed_in=now))
        old, began = streaming(world, lambda number, now: of_session(world, number, signed_in=now - 596))
        with old, new:
            assert is_closed(old)
            assert time.time() >= began + 4
            upstream.write_to_connections(b"6\r\nsecond\r\n0\r\n\r\n")
            assert b"second" in new.sock.recv(4096)


@pytest.mark.slow
def test_a_stream_is_a_use_of_its_session(world: SessionWorld) -> None:
    """Who looks on is there: control hears of it, and the session does not idle away."""
    client, _ = streaming(world, lambda number, now: of_session(world, 1, fresh_s=1))
    with client:
        began = world.control.wanted_sessions[-1]["seen"][session_id()]
        until(lambda: world.control.wanted_sessions[-1]["seen"][session_id()] >= began + 3, 60)
        assert world.control.wanted_sessions[-1]["refs"] == {session_id(): "user:default/jane"}


@pytest.mark.slow
def test_a_stream_of_a_token_was_decided_once_and_goes_on(world: SessionWorld, upstream: Upstream) -> None:
    """A long answer with a short token is what programs have; a tunnel is asked again, an answer is not."""
    other, _ = streaming(world, lambda number, now: of_session(world, 100))
    client, began = streaming(world, lambda _, now: f"Authorization: Bearer {token('jane', exp=now + 2).decode()}")
    with other, client:
        until(lambda: time.time() >= began + 4, 60)
        upstream.write_to_connections(b"6\r\nsecond\r\n0\r\n\r\n")
        assert b"second" in client.sock.recv(4096)
