"""TLS handshakes on real sockets: what many that come at once get of the loop, in which order, and that whoever's first
message comes in its own time is served as ever. Counted in turns of the loop, not in seconds."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import config, counters
from gateway.door.arrivals import REST_TURNS, UNDER_WAY, Arrival
from tests.integration.conftest import request
from tests.support.certificates import make
from tests.support.door import UNHURRIED, RunningDoor, running_door, settings_for, until
from tests.support.greedy import hello
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Client

CROWD = 100
OTHER = "127.0.0.2"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make(folder, "door", "echo.localhost")
    return folder


@pytest.fixture
def door(tmp_path: Path, upstream: Upstream, certificates: Path) -> Iterator[RunningDoor]:
    state = tmp_path / "state"
    tls = config.ListenerTls(str(certificates / "door.pem"), str(certificates / "door.key"))
    settings = settings_for(
        state, listeners=(config.Listener("main", "127.0.0.1:0", tls),), limits=config.Limits(**UNHURRIED)
    )
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings
    ) as running:
        yield running


@pytest.fixture
def context(certificates: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates / "ca.pem"))


def tcp(door: RunningDoor, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", door.port), 20, (address, 0))


def secured(context: ssl.SSLContext, sock: socket.socket) -> Client:
    client = Client.__new__(Client)
    client.sock = context.wrap_socket(sock, server_hostname="echo.localhost")
    client.buffer = b""
    return client


def wanted(door: RunningDoor) -> list[int]:
    """Bytes that are waited for, of each client that has not said enough."""
    return [arrival.wanted for arrival in door.door.arrivals.silent]


@contextlib.contextmanager
def standing_still(door: RunningDoor) -> Iterator[None]:
    """The door's loop waits, so that what is sent meanwhile is there all at once."""
    still, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        still.set()
        go_on.wait(10)

    door.thread.loop.call_soon_threadsafe(stand_still)
    assert still.wait(5)
    try:
        yield
    finally:
        go_on.set()


class Watch:
    """Who was begun in which turn of the door's loop, and how many were under way at the most."""

    def __init__(self, door: RunningDoor) -> None:
        self.arrivals = door.door.arrivals
        self.loop = door.thread.loop
        self.order: list[tuple[int, str]] = []
        self.most = 0
        self.stopped = False
        self._turn = 0
        self._known: dict[Arrival, None] = {}
        door.thread.call(self._look)

    def _look(self) -> None:
        self._turn += 1
        self.most = max(self.most, len(self.arrivals.begun))
        for arrival in self.arrivals.begun:
            if arrival not in self._known:
                self._known[arrival] = None
                self.order.append((self._turn, arrival.peer.address))
        if not self.stopped:
            self.loop.call_soon(self._look)


def test_of_handshakes_that_come_at_once_one_is_begun_and_others_are_served(
    door: RunningDoor, context: ssl.SSLContext
) -> None:
    """A hundred first messages are there; whoever comes after them from elsewhere is among the first to be served."""
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(tcp(door)) for _ in range(CROWD)]
        other = stack.enter_context(tcp(door, OTHER))
        until(lambda: door.thread.call(lambda: len(door.door.arrivals.silent)) == CROWD + 1)
        watch = Watch(door)
        with standing_still(door):
            for sock in crowd:
                sock.sendall(hello(context))
            other.sendall(hello(context))
        until(lambda: watch.most == UNDER_WAY + 1)
        until(lambda: len(watch.order) == CROWD + 1, 10)  # those that say no more give way
        watch.stopped = True
        assert watch.most == UNDER_WAY + 1, "and never one more"
    assert OTHER in [address for _, address in watch.order[:3]], "its message was the last to come"
    turns = [turn for turn, _ in watch.order]
    assert all(later - before > REST_TURNS for before, later in zip(turns, turns[1:], strict=False)), "one, then a rest"
    until(lambda: door.thread.call(lambda: door.door._clients) == 0)
    assert door.thread.call(lambda: door.door.arrivals.lines) == {}
    assert door.thread.call(lambda: door.door.values[counters.ARRIVALS_WAITING]) == 0


def test_a_hundred_clients_of_one_address_are_all_served_beside_another(
    door: RunningDoor, context: ssl.SSLContext
) -> None:
    with contextlib.ExitStack() as stack:
        other = secured(context, stack.enter_context(tcp(door, OTHER)))
        clients: list[Client] = []
        threads = [
            threading.Thread(target=lambda: clients.append(secured(context, stack.enter_context(tcp(door)))))
            for _ in range(CROWD)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [client.send(request()).answer().status for client in (other, *clients)] == [200] * (CROWD + 1)
        assert door.thread.call(lambda: door.door.values[counters.TLS_HANDSHAKES]) == CROWD + 1
        for client in (other, *clients):
            client.sock.close()


@pytest.mark.parametrize("cut", [1, 4, 5, 60, -1])
def test_a_first_message_may_come_in_pieces(door: RunningDoor, context: ssl.SSLContext, cut: int) -> None:
    """As large ones do, that fit into no packet."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(incoming, outgoing, server_hostname="echo.localhost")
    with tcp(door) as sock:
        first = True
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                said = outgoing.read()
                if first:
                    sock.sendall(said[:cut])
                    until(lambda: door.thread.call(lambda: wanted(door)) != [])
                    said, first = said[cut:], False
                sock.sendall(said)
                incoming.write(sock.recv(65_536))
        secure.write(request())
        sock.sendall(outgoing.read())
        answer = b""
        while b"200 OK" not in answer:
            incoming.write(sock.recv(65_536))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += secure.read(65_536)


def test_who_drips_a_first_message_is_not_looked_at_for_each_drop(door: RunningDoor, context: ssl.SSLContext) -> None:
    """The kernel waits for the rest: the loop sleeps, and takes next to no time of its core."""
    said = hello(context)
    with contextlib.ExitStack() as stack:
        dripping = [stack.enter_context(tcp(door)) for _ in range(CROWD)]
        for sock in dripping:
            sock.sendall(said[: len(said) // 2])
        until(lambda: door.thread.call(lambda: wanted(door)) == [len(said)] * CROWD)
        looked = door.thread.call(lambda: [id(each) for each in door.door.arrivals.silent])
        before = door.thread.call(time.thread_time)
        for sock in dripping:
            sock.sendall(said[len(said) // 2 : len(said) // 2 + 1])
        turned = door.thread.call(lambda: door.door._ticks)
        until(lambda: door.thread.call(lambda: door.door._ticks) >= turned + 10)
        assert door.thread.call(time.thread_time) - before < 0.1, "a fifth of a second, half asleep at least"
        assert door.thread.call(lambda: [id(each) for each in door.door.arrivals.silent]) == looked


def test_who_says_half_and_goes_leaves_nothing_behind(door: RunningDoor, context: ssl.SSLContext) -> None:
    with tcp(door) as sock:
        sock.sendall(hello(context)[:50])
        until(lambda: door.thread.call(lambda: len(door.door.arrivals.silent)) == 1)
    until(lambda: door.thread.call(lambda: door.door._clients) == 0)
    assert door.thread.call(lambda: door.door.values[counters.TLS_HANDSHAKES_FAILED]) == 1
    with secured(context, tcp(door)) as client:
        assert client.send(request()).answer().status == 200
