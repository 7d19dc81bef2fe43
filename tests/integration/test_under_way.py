"""Promises about answers that are on their way when somebody is cut off, or their session ends: they end too, at the
client's socket and at the service, and nobody else's do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.identity.session import SessionFacts
from tests.integration.conftest import token
from tests.support.door import until
from tests.support.door_sessions import SessionControl, SessionWorld, facts, session_door, session_id
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
