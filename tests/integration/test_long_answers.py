"""Long answers: however fast each client reads, nobody ever sees another's bytes, or fewer, or stale ones."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from gateway.door.upstream import Upstream as UpstreamConnection
from tests.integration.conftest import request
from tests.integration.test_upstream_faults import CUT, seen_by
from tests.support.door import RunningDoor, running_door, settings_for
from tests.support.faulty import Faulty, Line, answer, faulty
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import OK, Upstream
from tests.support.wire import Client

SIZE = 3_000_000
MORE = 12_000_000  # than the kernel holds for a client that does not read
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def seeded(target: bytes, size: int = SIZE) -> bytes:
    """A body that no two targets share, whatever piece of it is looked at."""
    return Random(target).randbytes(size)


def serve_long(line: Line) -> None:
    while True:
        target = line.request()
        line.send(answer(seeded(target, MORE if target.startswith(b"/slow") else SIZE)))


@contextlib.contextmanager
def door_before(tmp_path: Path, upstream: Faulty) -> Iterator[RunningDoor]:
    state = tmp_path / "state"
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings_for(state)
    ) as door:
        yield door


def test_clients_of_every_pace_get_their_own_bytes(tmp_path: Path) -> None:
    """Slow ones leave pieces unwritten while fast ones' answers go on."""
    with faulty() as upstream:
        upstream.otherwise = serve_long
        with door_before(tmp_path, upstream) as door, contextlib.ExitStack() as stack:
            slow = [stack.enter_context(Client(door.port, 30)) for _ in range(3)]
            for n, client in enumerate(slow):
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                client.send(request(f"/slow/{n}"))
            fast = stack.enter_context(Client(door.port, 30))
            for n in range(10):
                assert fast.send(request(f"/fast/{n}")).answer().body == seeded(b"/fast/%d" % n)
            for n, client in enumerate(slow):
                assert client.answer().body == seeded(b"/slow/%d" % n, MORE)
            assert fast.send(request("/last")).answer().body == seeded(b"/last")
    assert upstream.lines == 4, "a connection serves on after a long answer"


@pytest.mark.parametrize("rest", [1, 200_000])
def test_what_comes_behind_a_long_answer_spoils_the_connection_alone(tmp_path: Path, rest: int) -> None:
    def surplus(line: Line) -> None:
        line.send(answer(seeded(line.request())) + b"x" * rest)
        line.until_gone()

    with (
        faulty(surplus, serve_long) as upstream,
        door_before(tmp_path, upstream) as door,
        Client(door.port, 30) as client,
    ):
        for n in range(2):
            assert client.send(request(f"/{n}")).answer().body == seeded(b"/%d" % n)
    assert upstream.lines == 2


def test_a_long_answer_that_breaks_off_is_cut(tmp_path: Path) -> None:
    def short(line: Line) -> None:
        line.send(answer(seeded(line.request()))[:-1])

    with faulty(short) as upstream, door_before(tmp_path, upstream) as door, Client(door.port, 30) as client:
        seen = seen_by(client.send(request("/x")))
    assert (seen.end, seen.body) == (CUT, seeded(b"/x")[: len(seen.body)])


def test_a_client_that_leaves_within_a_long_answer_ends_it(tmp_path: Path) -> None:
    gone = threading.Event()

    def endless(line: Line) -> None:
        line.request()
        line.send(HEAD % (1 << 40))
        with contextlib.suppress(OSError):
            while True:
                line.send(b"x" * 100_000)
        gone.set()

    with faulty(endless) as upstream, door_before(tmp_path, upstream) as door:
        with Client(door.port) as client:
            client.send(request())
            for _ in range(100):
                client.sock.recv(100_000)
        assert gone.wait(10)


# === much at once, head and all ===


def held(door: RunningDoor, upstream: Upstream, client: Client, method: str = "GET") -> UpstreamConnection:
    """The door's connection to an upstream that has a request and says nothing."""
    upstream.answer = lambda seen: b""
    client.send(request(method=method))
    upstream.wait_for(1)
    [exchange] = door.thread.call(lambda: [c.exchange for each in door.door._slices for c in each if c.exchange])
    assert exchange.upstream is not None
    connection: UpstreamConnection = exchange.upstream
    return connection


@pytest.mark.parametrize("length", [562_144, 300_000, 200_000])
def test_a_head_that_comes_with_much_of_its_body(door: RunningDoor, upstream: Upstream, length: int) -> None:
    """In one piece with all of the body, with most of it, or with all but what is left to the parser."""
    body = seeded(b"much", length)
    with Client(door.port, 30) as client:
        connection = held(door, upstream, client)
        whole = HEAD % length + body
        for piece in (whole[:199_000], whole[199_000:]):
            door.thread.call(partial(connection.data_received, piece))
        assert client.answer().body == body
        upstream.answer = lambda seen: OK
        assert client.send(request()).answer().body == b"ok"
    assert upstream.connections == 1


def test_interim_answers_may_come_in_the_same_piece(door: RunningDoor, upstream: Upstream) -> None:
    body = seeded(b"early", 300_000)
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    with Client(door.port, 30) as client:
        connection = held(door, upstream, client)
        whole = hints + HEAD % len(body) + body
        for piece in (whole[:199_000], whole[199_000:]):
            door.thread.call(partial(connection.data_received, piece))
        got = client.answer()
        while got.status == 103:
            got = client.answer()
        assert got.body == body


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 300000\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"",
     b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\nContent-Length: 300000\r\n\r\n"],
    ids=["two lengths", "no status", "no head", "an empty one", "too large a head"],
)  # fmt: skip
def test_a_head_that_cannot_be_read_lets_nothing_of_its_body_pass(
    door: RunningDoor, upstream: Upstream, head: bytes
) -> None:
    with Client(door.port, 30) as client:
        connection = held(door, upstream, client)
        door.thread.call(lambda: connection.data_received(head + b"x" * 200_000))
        got = client.answer()
        assert (got.status, got.code) == (502, "upstream_malformed")


def test_an_answer_of_unknown_length_goes_through_the_parser(door: RunningDoor, upstream: Upstream) -> None:
    body = seeded(b"chunks", 200_000)
    with Client(door.port, 30) as client:
        connection = held(door, upstream, client)
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        door.thread.call(lambda: connection.data_received(whole))
        assert client.answer().body == body


@pytest.mark.parametrize(
    ("method", "head"),
    [("GET", HEAD % 0), ("HEAD", HEAD % 200_000), ("GET", b"HTTP/1.1 204 No Content\r\n\r\n")],
    ids=["no length", "HEAD", "204"],
)
def test_much_that_nobody_asked_for_is_never_part_of_the_next_answer(
    door: RunningDoor, upstream: Upstream, method: str, head: bytes
) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison" * 5000
    with Client(door.port, 30) as client:
        connection = held(door, upstream, client, method)
        client.send(request())  # waits behind the first
        upstream.answer = lambda seen: OK
        door.thread.call(lambda: connection.data_received(head + poison))
        assert client.answer(method).status in (200, 204)
        assert client.answer().body == b"ok"
    assert upstream.connections == 2
