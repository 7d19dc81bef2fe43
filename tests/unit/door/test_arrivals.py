"""Who comes next: clients take turns, one handshake is begun at a time, and what waits or stalls is bounded. The loop
and the listener are lists here, sockets are real."""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import sys
import termios
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from gateway import telemetry
from gateway.config import Limits, Timeouts
from gateway.counters import ARRIVALS_WAITING, DOWNSTREAM_REFUSED, TLS_HANDSHAKES_FAILED, Counters
from gateway.door.arrivals import GIVE_WAY_S, IN_LINE, REST_TURNS, UNDER_WAY, Arrival, Arrivals
from gateway.door.hello import HELLO_BYTES
from gateway.door.peer import Peer
from gateway.door.turns import Turns
from tests.support.door import until
from tests.unit.door.test_hello import client_hello, record

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
HELLO = client_hello()


class Loop:
    """Calls what was there when a turn began, and reads what is told to be ready."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.readers: dict[int, Callable[[], None]] = {}

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def add_reader(self, descriptor: int, call: Callable[[Arrival], None], arrival: Arrival) -> None:
        self.readers[descriptor] = lambda: call(arrival)

    def remove_reader(self, descriptor: int) -> None:
        del self.readers[descriptor]

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()

    def poll(self, wait_s: float = 0) -> None:
        """What the kernel calls readable is read."""
        for descriptor, call in tuple(self.readers.items()):
            if select.select([descriptor], [], [], wait_s)[0]:
                call()

    def run(self, most: int = 100_000) -> None:
        while self.calls:
            most -= 1
            assert most, "it never comes to rest"
            self.turn()


def arrived(sock: socket.socket, size: int) -> None:
    """Returns once so many bytes are in the kernel's buffer of ``sock``."""
    until(lambda: int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder) >= size)


class World:
    """A worker and a listener, as far as arrivals know them."""

    def __init__(self, secure: bool, handshakes: int = 100_000) -> None:
        self.loop = Loop()
        self.turns = Turns(cast(Any, self.loop))
        self.values = Counters().values
        self.timeouts = Timeouts()
        self.tick_s = 100.0
        self.secure = secure
        self.limits = Limits(handshakes=handshakes)
        self.begun: list[Arrival] = []
        self.given_up: list[Arrival] = []
        self.departed: list[str] = []
        self.clients: list[socket.socket] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.arrivals = Arrivals(cast(Any, self))

    def begin(self, arrival: Arrival) -> None:
        self.begun.append(arrival)
        arrival.give_up = lambda: self.given_up.append(arrival)

    def depart(self, peer: Peer) -> None:
        self.departed.append(peer.address)
        self.turns.leave(peer.network, peer.trusted)

    def come(self, address: str, said: bytes = HELLO, trusted: bool = False) -> Arrival:
        client = socket.create_connection(self.listening.getsockname())
        accepted, _ = self.listening.accept()
        self.clients.append(client)
        client.sendall(said)
        arrived(accepted, len(said))
        peer = Peer(address, trusted, b"", address)
        share = self.turns.join(address, trusted)
        arrival = Arrival(cast(Any, self), accepted, peer, share, self.tick_s)
        self.arrivals.add(arrival)
        return arrival

    @property
    def order(self) -> list[str]:
        return [arrival.peer.address for arrival in self.begun]

    def close(self) -> None:
        self.arrivals.end_all()
        for each in (self.listening, *self.clients, *(arrival.sock for arrival in self.begun)):
            each.close()


@pytest.fixture(params=[True, False], ids=["TLS", "plain"])
def either(request: pytest.FixtureRequest) -> Iterator[World]:
    with contextlib.closing(World(request.param)) as world:
        yield world


@pytest.fixture
def world() -> Iterator[World]:
    with contextlib.closing(World(True)) as world:
        yield world


# === the order ===


def test_clients_take_turns_however_many_of_one_came_before(either: World) -> None:
    for _ in range(10):
        either.come(A)
    for _ in range(2):
        either.come(B)
    either.come(C)
    either.loop.run()
    assert either.order == [A, A, B, C, A, B, *[A] * 7]
    assert either.values[ARRIVALS_WAITING] == 0


def test_each_connection_of_a_trusted_peer_is_a_client_of_its_own(either: World) -> None:
    for _ in range(10):
        either.come(A)
    for _ in range(3):
        either.come(B, trusted=True)
    either.loop.run()
    assert either.order[:6] == [A, A, B, B, B, A]


def test_a_client_alone_begins_one_in_each_turn(either: World) -> None:
    for _ in range(5):
        either.come(A)
    for begun in range(1, 6):
        assert len(either.begun) == begun
        either.loop.turn()


def test_after_each_handshake_others_have_some_turns_of_the_loop(world: World) -> None:
    """One is begun, its transport made, its first message read and signed: turns in which no other one begins."""
    world.turns.join(C, False)
    for _ in range(3):
        world.come(A)
        world.come(B)
    for begun in range(1, 7):
        for _ in range(REST_TURNS + 1):
            assert len(world.begun) == begun
            world.loop.turn()
    world.loop.run()
    assert len(world.begun) == 6


def test_whoever_comes_while_nobody_waits_does_not_wait_either(world: World) -> None:
    world.come(A)
    world.loop.run()
    world.come(B)
    assert world.order == [A, B]


# === bounds ===


def test_a_client_among_others_has_so_many_under_way_and_others_come_past_it(world: World) -> None:
    for _ in range(UNDER_WAY + 3):
        world.come(A)
    world.come(B)
    world.loop.run()
    assert (world.order.count(A), world.order.count(B)) == (UNDER_WAY, 1)
    world.arrivals.ended(world.begun[0])
    world.loop.run()
    assert world.order.count(A) == UNDER_WAY + 1, "one place, one more"


def test_a_client_alone_has_as_many_under_way_as_it_likes(world: World) -> None:
    for _ in range(2 * UNDER_WAY):
        world.come(A)
    world.loop.run()
    assert len(world.begun) == 2 * UNDER_WAY


def test_handshakes_that_stall_give_way_to_others_of_their_client(world: World) -> None:
    """Else thirty-two of an office could keep all its people out."""
    for _ in range(UNDER_WAY + 1):
        world.come(A)
    world.come(B)
    world.loop.run()
    world.arrivals.sweep(world.tick_s + GIVE_WAY_S / 2)
    assert world.given_up == []
    world.arrivals.sweep(world.tick_s + GIVE_WAY_S)
    assert [each.peer.address for each in world.given_up] == [A] * UNDER_WAY, "B keeps nobody waiting"


def test_what_does_not_fit_into_the_line_of_a_client_is_closed_and_nobody_else_notices(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(telemetry, "log", lambda event, **fields: said.append((event, fields)))
    first = world.come(A)
    assert first.line is not None
    world.come(A)
    first.line.waiting.extend([first] * (IN_LINE - 1))  # as if they had come
    ends = [world.come(A) for _ in range(3)]
    assert [each.sock.fileno() for each in ends] == [-1] * 3
    assert world.values[DOWNSTREAM_REFUSED] == 3
    assert world.departed == [A] * 3
    assert [(event, fields["peer"]) for event, fields in said] == [("arrivals_shed", A)], "once, not thrice"
    other = world.come(B)
    assert other.sock.fileno() >= 0
    for _ in range(IN_LINE - 1):
        first.line.waiting.pop()
    world.loop.run()
    assert world.order == [A, A, B]


def test_whoever_waited_too_long_has_gone(world: World) -> None:
    for _ in range(2):
        world.come(A)
    world.tick_s += world.timeouts.handshake_s
    world.loop.run()
    assert (len(world.begun), world.departed) == (1, [A])
    assert world.values[TLS_HANDSHAKES_FAILED] == 1


# === the first message ===


def test_nobody_is_begun_before_its_first_message_is_whole(world: World) -> None:
    came = world.come(A, b"")
    client = world.clients[0]
    for place in range(0, len(HELLO), 50):
        assert world.begun == []
        client.sendall(HELLO[place : place + 50])
        arrived(came.sock, len(HELLO[: place + 50]))
        world.loop.poll()
    assert world.begun == [came]
    assert world.loop.readers == {}
    assert came.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1, "as it was"
    assert came.sock.recv(65_536) == HELLO, "nothing was taken away"


def test_the_kernel_is_asked_to_wait_for_what_is_missing(world: World) -> None:
    """A client that drips its message must not have the loop look at each drop."""
    came = world.come(A, HELLO[:100])
    assert came.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == len(HELLO)


@pytest.mark.parametrize("said", [b"", record(b"") * 9, record(b"\x01\x01\x00\x00" + b"x" * HELLO_BYTES)])
def test_whoever_goes_or_says_what_no_client_says_is_closed(world: World, said: bytes) -> None:
    came = world.come(A, b"")
    world.clients[0].sendall(said)
    arrived(came.sock, len(said))
    world.clients[0].shutdown(socket.SHUT_WR)
    world.loop.poll(5)
    assert (came.sock.fileno(), world.departed, world.begun) == (-1, [A], [])
    assert world.arrivals.lines == {}, "nobody is remembered who has left"


def test_half_a_message_and_no_more_to_come_is_for_the_handshake_to_refuse(world: World) -> None:
    came = world.come(A, HELLO[:100])
    world.clients[0].shutdown(socket.SHUT_WR)
    world.loop.poll(5)
    assert world.begun == [came]


def test_a_plain_connection_need_not_say_a_word(either: World) -> None:
    either.come(A, b"")
    assert len(either.begun) == (0 if either.secure else 1)


def test_the_silent_are_ended_in_time(world: World) -> None:
    world.come(A, b"")
    world.tick_s += 1
    world.come(B, b"")
    world.arrivals.sweep(world.tick_s + world.timeouts.handshake_s - 1)
    assert world.departed == [A]
    assert len(world.loop.readers) == 1


def test_where_too_many_are_silent_it_is_one_of_the_client_that_has_most() -> None:
    """Whoever floods displaces its own."""
    with contextlib.closing(World(True, handshakes=10)) as world:
        lone = world.come(B, b"")
        for _ in range(30):
            world.come(A, b"")
        assert lone.sock.fileno() >= 0
        assert world.departed == [A] * 21
        assert world.come(B).sock.fileno() >= 0, "and its own handshake begins"
        assert world.order == [B]


def test_those_under_way_count_as_well() -> None:
    with contextlib.closing(World(True, handshakes=4)) as world:
        for _ in range(6):
            world.come(A)
        world.loop.run()
        assert world.given_up == world.begun[:2], "the oldest"


def test_the_end_of_the_worker_is_the_end_of_all() -> None:
    with contextlib.closing(World(True)) as world:
        for said in (HELLO, HELLO, b""):
            world.come(A, said)
        world.arrivals.end_all()
        assert world.given_up == world.begun
        assert world.departed == [A, A]
        assert world.loop.readers == {}
        assert world.values[ARRIVALS_WAITING] == 0
        world.arrivals.ended(world.begun[0])
        world.loop.run()
        assert world.arrivals.lines == {}
