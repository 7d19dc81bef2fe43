"""One client among others: whatever many connections of one client bring in one moment, or leave behind, is not one
turn of the door's loop. Counted in turns, not in seconds: between two turns everybody else is served."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from gateway.door.downstream import LINGER_BYTES, Downstream
from tests.integration.conftest import request
from tests.integration.test_limits import SLICE_MOST, connect_from, connections, standing_still
from tests.support.door import RunningDoor, until
from tests.support.wire import Client

MANY = 120
FIELDS = b"".join(b"x-field-%d: %b\r\n" % (number, b"v" * 320) for number in range(90))
LARGE_HEAD = b"GET / HTTP/1.1\r\nHost: echo.test\r\n" + FIELDS


@contextlib.contextmanager
def crowd(door: RunningDoor) -> Iterator[list[Client]]:
    """Connections of one client, each known to the door, beside one of another."""
    asked = request(host="nobody.test", sub=None)
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(connect_from(door, "127.0.0.2"))
        assert other.send(asked).answer().status == 404
        many = [stack.enter_context(Client(door.port, 20)) for _ in range(MANY)]
        for client in many:
            assert client.send(asked).answer().status == 404
        yield many
        assert other.send(asked).answer().status == 404, "the other one is served all the time"


@contextlib.contextmanager
def most_in_a_turn(door: RunningDoor, what: Callable[[list[Downstream]], int]) -> Iterator[list[int]]:
    """By how much the number that ``what`` says of the connections rises within one turn, at most."""
    stop = threading.Event()
    seen = [0]

    def look(before: int) -> None:
        now = what(door.door.connections())
        seen[0] = max(seen[0], now - before)
        if not stop.is_set():
            door.thread.loop.call_soon(look, now)

    door.thread.call(lambda: look(what(door.door.connections())))
    yield seen
    stop.set()


def test_those_who_leave_in_one_moment_leave_one_after_another(door: RunningDoor) -> None:
    """Taking down a connection costs as much as a request."""
    with crowd(door) as many, most_in_a_turn(door, lambda connections: -len(connections)) as seen:
        with standing_still(door):
            for client in many:
                client.sock.shutdown(socket.SHUT_RDWR)
        until(lambda: len(connections(door)) == 1)
    assert 0 < seen[0] <= SLICE_MOST


def test_whoever_leaves_while_an_answer_is_due_has_gone(door: RunningDoor) -> None:
    """Taking turns changes when a connection ends, not that it does, nor what was asked behind it."""
    with crowd(door) as many:
        with standing_still(door):
            for client in many:
                client.send(request(host="nobody.test", sub=None) * 3)
                client.sock.close()
        until(lambda: len(connections(door)) == 1)
    until(lambda: door.door._clients == 0)


def test_a_head_is_read_to_its_end_before_another_is_begun(door: RunningDoor) -> None:
    """Half-read heads hold hundreds of objects each, and a collection walks through all of them in one turn."""

    def half_read(connections: list[Downstream]) -> int:
        return sum(bool(each.fields) for each in connections)

    with crowd(door) as many:
        stop, seen = threading.Event(), [0]

        def look() -> None:
            seen[0] = max(seen[0], half_read(door.door.connections()))
            if not stop.is_set():
                door.thread.loop.call_soon(look)

        door.thread.call(look)
        with standing_still(door):
            for client in many:
                client.send(LARGE_HEAD + b"\r\n")
        assert {client.answer().status for client in many} == {401}
        stop.set()
    assert 0 < seen[0] <= 3


def test_of_a_refused_body_every_byte_counts_towards_what_is_dropped(door: RunningDoor) -> None:
    """The connection ends a second after its refusal; on a machine that stands still so long it is done again."""

    def is_counted() -> bool:
        with Client(door.port, 20) as client:
            client.send(request(method="POST", sub=None, lines=b"Content-Length: 10000000\r\n"))
            assert client.answer("POST").status == 401
            client.send(b"x" * 30_000)
            while left := [each.lingering for each in connections(door)]:
                if left == [LINGER_BYTES - 30_000]:
                    return True
            return False

    until(is_counted, 30)
