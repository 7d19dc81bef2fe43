"""Attacks on a running door: hostile bytes, hostile upstreams, and connections that end at the worst moment."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import ServiceSettings, Timeouts, UpstreamTls
from gateway.door.downstream import Downstream
from gateway.door.holds import HOLD_END
from tests.integration.conftest import request, token
from tests.support.door import RunningDoor, read_to_end, running_door, settings_for, until
from tests.support.ports import free_port
from tests.support.small_catalog import publish_small_catalog
from tests.support.tokens import ES256
from tests.support.upstream import OK, Upstream
from tests.support.wire import Client

HEALTH = "/.stagedoor/bigip/health"


@contextlib.contextmanager
def raw_upstream(serve: Callable[[socket.socket, int], None]) -> Iterator[str]:
    """A listening socket whose connections are handled, one thread each, by a function of the test."""
    listening = socket.create_server(("127.0.0.1", 0))
    numbers = iter(range(1, 1000))

    def handle(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            serve(sock, next(numbers))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listening.accept()
                threading.Thread(target=handle, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def head_of(sock: socket.socket) -> bytes:
    """What arrives up to the end of a head, body bytes behind it included."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError
        data += piece
    return data


@contextlib.contextmanager
def door_before(state: Path, *urls: str, **changes: object) -> Iterator[RunningDoor]:
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, *urls), settings=settings_for(state, **changes)
    ) as running:
        yield running


def busy(door: RunningDoor) -> list[int]:
    return door.thread.call(lambda: [each.busy for each in door.door.pool._endpoints.values()])


def refused_port() -> str:
    return f"http://127.0.0.1:{free_port()}"


CHUNKED = b"Transfer-Encoding: chunked\r\n"


# === the order and the boundaries of requests ===


def test_a_broken_body_behind_a_pending_request_is_answered_second_and_never_sent(
    door: RunningDoor, upstream: Upstream
) -> None:
    upstream.gate = threading.Event()
    with Client(door.port) as client:
        client.send(request("/1") + request("/2", method="POST", lines=CHUNKED) + b"zz\r\n")
        upstream.wait_for(1)
        time.sleep(0.1)
        upstream.gate.set()
        assert client.answer().status == 200
        got = client.answer("POST")
        assert (got.status, got.code) == (400, "request_framing")
        assert client.ended()
    assert [seen.target for seen in upstream.seen] == ["/1"]
    time.sleep(0.2)
    assert sorted(record["path"] for record in door.records(2)) == ["/1", "/2"]
    assert busy(door) == [0]
    assert upstream.faults == []


def test_the_body_of_a_health_request_that_asks_for_an_upgrade_is_no_request(
    door: RunningDoor, upstream: Upstream
) -> None:
    lines = b"Connection: upgrade\r\nUpgrade: x\r\n"
    with Client(door.port) as client:
        client.send(request(HEALTH, sub=None, method="POST", lines=lines, body=request("/smuggled")))
        assert client.answer("POST").status == 404  # a monitor sends no body: this is a request like any other
        client.send(request("/after"))
        with contextlib.suppress(ConnectionError):
            client.answer()
    assert "/smuggled" not in [seen.target for seen in upstream.seen]


def test_a_health_request_with_a_large_body_behind_a_pending_request_hurts_nobody(
    door: RunningDoor, upstream: Upstream
) -> None:
    upstream.gate = threading.Event()
    with Client(door.port) as client:
        client.send(request("/1") + request(HEALTH, sub=None, method="POST", body=b"x" * 150_000))
        upstream.wait_for(1)
        time.sleep(0.1)
        upstream.gate.set()
        assert client.answer().status == 200
        assert client.answer("POST").status == 404


def test_an_upgrade_request_whose_chunked_body_comes_byte_by_byte(door: RunningDoor, upstream: Upstream) -> None:
    raw = request("/u", method="POST", lines=CHUNKED + b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    raw += b"3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n" + request("/after")
    for step in (1, 7, 31):
        upstream.seen.clear()
        with Client(door.port) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(raw), step):
                client.send(raw[at : at + step])
            assert [client.answer("POST").status, client.answer().status] == [200, 200]
        assert [(seen.target, seen.body) for seen in upstream.seen] == [("/u", b"abc"), ("/after", b"")]


@pytest.mark.parametrize("field", [b"Proxy-Connection: close\r\n"])
def test_a_field_that_only_the_parser_reads_as_close_does_not_break_the_next_request(
    door: RunningDoor, field: bytes
) -> None:
    with Client(door.port) as client:
        got = client.send(request(lines=field)).answer()
        assert got.status == 200
        if got.headers.get("connection") != "close":
            assert client.send(request()).answer().status == 200


def test_trailers_that_say_close_do_not_break_the_next_request(door: RunningDoor) -> None:
    with Client(door.port) as client:
        client.send(request(method="POST", lines=CHUNKED) + b"1\r\nx\r\n0\r\nConnection: close\r\n\r\n")
        got = client.answer("POST")
        assert got.status == 200
        if got.headers.get("connection") != "close":
            assert client.send(request()).answer().status == 200


def test_endless_trailers_are_not_kept(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        client.send(request(method="POST", lines=CHUNKED) + b"1\r\nx\r\n0\r\n")
        until(lambda: upstream.open == 1)
        with contextlib.suppress(OSError):
            for _ in range(40):
                client.send(b"a:b\r\n" * 13_000)
        time.sleep(0.3)
        kept = door.thread.call(lambda: sum(len(c.fields) for each in door.door._slices for c in each))
        assert kept < 10_000
    upstream.faults.clear()


def test_pipelined_requests_that_wait_are_bounded(door: RunningDoor, upstream: Upstream) -> None:
    upstream.gate = threading.Event()
    with Client(door.port) as client:
        client.send(request("/1"))
        upstream.wait_for(1)
        client.send(b"GET / HTTP/1.1\r\nHost:a\r\n\r\n" * 20_000)
        time.sleep(0.5)
        waiting = door.thread.call(lambda: max(len(c.queue or ()) for each in door.door._slices for c in each))
        upstream.gate.set()
        assert waiting < 2_000


# === reading goes on after a refusal ===


def test_a_body_held_for_an_upstream_that_cannot_be_reached_does_not_stop_the_connection(tmp_path: Path) -> None:
    with door_before(tmp_path / "state", refused_port()) as door, Client(door.port, 2) as client:
        client.send(request(method="POST", body=b"x" * 100_000))
        assert client.answer("POST").code == "upstream_connect"
        assert client.send(request(host="nobody.test")).answer().status == 404


def test_a_body_held_for_a_key_that_does_not_exist_does_not_stop_the_connection(door: RunningDoor) -> None:
    unknown = b"Authorization: Bearer " + token(signer=ES256) + b"\r\n"
    with Client(door.port, 2) as client:
        client.send(request(method="POST", sub=None, lines=unknown, body=b"x" * 100_000))
        assert client.answer("POST").code == "token_key_unknown"
        assert client.send(request(host="nobody.test")).answer().status == 404


def test_an_answer_before_the_body_was_read_does_not_stop_the_connection(tmp_path: Path) -> None:
    """The upstream answers, reads nothing of a large body that the door has taken whole, and stays open."""
    release = threading.Event()

    def serve(sock: socket.socket, number: int) -> None:
        head_of(sock)
        time.sleep(0.5)
        sock.sendall(OK)
        release.wait(5)

    for size in (3_000_000, 4_000_000, 5_000_000, 6_000_000):
        state = tmp_path / f"state{size}"
        with raw_upstream(serve) as url, door_before(state, url) as door, Client(door.port, 3) as client:
            threading.Thread(target=send_quietly, args=(client, request(method="POST", body=b"x" * size))).start()
            got = client.answer("POST")
            assert got.status == 200
            if got.headers.get("connection") != "close":
                assert client.send(request(host="nobody.test")).answer().status == 404


def send_quietly(client: Client, data: bytes) -> None:
    with contextlib.suppress(OSError):
        client.send(data)


# === counters ===


def test_a_broken_body_while_the_connection_is_made_leaves_no_load_behind(
    door: RunningDoor, upstream: Upstream
) -> None:
    with Client(door.port) as client:
        client.send(request(method="POST", lines=CHUNKED) + b"zz\r\n")
        assert client.answer("POST").status == 400
    time.sleep(0.1)
    assert busy(door) == [0]


def test_an_answer_that_ends_with_the_connection_leaves_no_load_behind(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall"
    for number in (1, 2, 3):
        with Client(door.port) as client:
            client.send(request())
            upstream.wait_for(number)
            time.sleep(0.05)
            upstream.close_connections()
            assert client.answer().body == b"all"
    assert busy(door) == [0]


# === hostile answers ===


@pytest.mark.parametrize("status", [102, 103, 104, 150, 199])
@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\nhello", CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"])
def test_an_interim_answer_with_a_body_never_reaches_the_client(
    door: RunningDoor, upstream: Upstream, status: int, framing: bytes
) -> None:
    upstream.answer = lambda seen: b"HTTP/1.1 %d X\r\n" % status + framing + OK
    with Client(door.port) as client:
        client.send(request())
        got = client.answer()
        assert (got.status, got.code) == (502, "upstream_malformed")
        assert client.buffer == b""
        upstream.answer = lambda seen: OK
        assert client.send(request()).answer().body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nProxy-Connection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["proxy-connection", "trailer", "upgrade offered"],
)
def test_an_answer_only_the_parser_reads_as_the_last_does_not_break_the_next(
    door: RunningDoor, upstream: Upstream, answer: bytes
) -> None:
    upstream.answer = lambda seen: answer
    with Client(door.port) as client:
        for _ in range(3):
            got = client.send(request()).answer()
            assert (got.status, got.body) == (200, b"ok")


def test_what_follows_a_chunked_answer_to_head_spoils_the_connection(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5" if seen.method == "HEAD" else OK
    )
    with Client(door.port) as client:
        assert client.send(request(method="HEAD")).answer("HEAD").status == 200
        assert client.send(request()).answer().status == 200
    assert upstream.connections == 2


# === deadlines ===


def test_a_head_that_began_behind_a_pending_request_has_no_longer_than_any_head(
    tmp_path: Path, upstream: Upstream
) -> None:
    timeouts = Timeouts(head_s=0.3, drain_finish_s=1)
    upstream.gate = threading.Event()
    with door_before(tmp_path / "state", upstream.url, timeouts=timeouts) as door, Client(door.port, 3) as client:
        client.send(request("/1") + b"GET / HTTP/1.1\r\nHo")
        upstream.wait_for(1)
        upstream.gate.set()
        assert client.answer().status == 200
        assert client.answer().code == "request_timeout"


def test_a_client_that_never_reads_and_began_a_head_is_ended(tmp_path: Path, upstream: Upstream) -> None:
    body = b"z" * 200_000
    upstream.answer = lambda seen: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    timeouts = Timeouts(head_s=0.3, idle_s=0.5, keepalive_s=0.5, body_s=0.5, drain_finish_s=1)
    with door_before(tmp_path / "state", upstream.url, timeouts=timeouts) as door, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", door.port))
        sock.sendall(request() * 100 + b"GET / HTTP/1.1\r\nHo")
        until(lambda: door.door.values[door.open_connections] == 1)
        until(lambda: door.door.values[door.open_connections] == 0, 5)


def test_a_kid_that_control_did_not_answer_for_is_asked_for_again(tmp_path: Path, upstream: Upstream) -> None:
    with door_before(tmp_path / "state", upstream.url) as door, Client(door.port) as client:
        door.control.answers = False
        unknown = request(sub=None, lines=b"Authorization: Bearer " + token(signer=ES256) + b"\r\n")
        assert client.send(unknown).answer().code == "issuer_unavailable"
        door.control.answers = True
        assert client.send(unknown).answer().code == "token_key_unknown"


# === the end of a worker ===


def test_what_a_stopping_worker_cuts_off_is_recorded(tmp_path: Path, upstream: Upstream) -> None:
    upstream.gate = threading.Event()
    state = tmp_path / "state"
    with door_before(state, upstream.url, timeouts=Timeouts(drain_finish_s=0.3)) as door, Client(door.port) as client:
        client.send(request("/cut"))
        upstream.wait_for(1)
        door.tell("stop")
        until(lambda: door.door._stopped.is_set())
    upstream.gate.set()
    assert [record["path"] for record in door.records(1)] == ["/cut"]


def test_connections_that_were_busy_at_a_reload_do_not_idle_for_ever(tmp_path: Path, upstream: Upstream) -> None:
    state = tmp_path / "state"
    settings = settings_for(state, timeouts=Timeouts(pool_idle_s=0.3, drain_finish_s=1))
    upstream.gate = threading.Event()
    with door_before(state, upstream.url, timeouts=settings.timeouts) as door, Client(door.port) as client:
        client.send(request("/1"))
        upstream.wait_for(1)
        door.thread.call(lambda: door.door.pool.configure(settings))
        upstream.gate.set()
        assert client.answer().status == 200
        until(lambda: upstream.open == 0, 4)


# === what is kept, and for how long ===


def test_one_endless_trailer_is_refused(door: RunningDoor, upstream: Upstream) -> None:
    """The parser keeps a field's value until it ends, before anybody here sees it."""
    with Client(door.port) as client:
        client.send(request(method="POST", lines=CHUNKED) + b"1\r\nx\r\n0\r\nA: ")
        until(lambda: upstream.open == 1)
        threading.Thread(target=send_quietly, args=(client, b"x" * 2_000_000)).start()
        assert client.answer("POST").status in (400, 431)
    until(lambda: upstream.open == 0)
    upstream.faults.clear()  # the body that never ended


@pytest.mark.parametrize("trailers", [b"A: " + b"x" * 2_000_000, b"a:b\r\n" * 400_000], ids=["one", "many"])
def test_endless_trailers_of_an_answer_end_it(tmp_path: Path, trailers: bytes) -> None:
    def serve(sock: socket.socket, number: int) -> None:
        head_of(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + trailers)
        sock.recv(1)

    with raw_upstream(serve) as url, door_before(tmp_path / "state", url) as door, Client(door.port, 2) as client:
        client.send(request())
        with pytest.raises(ConnectionError):
            client.answer()


def test_a_body_longer_than_its_service_takes_is_refused_though_it_was_held(tmp_path: Path, upstream: Upstream) -> None:
    settings = settings_for(tmp_path / "state")
    service = {"component:default/echo": ServiceSettings(body_limit_bytes=1000)}
    environments = {"prod": replace(settings.environments["prod"], services=service)}
    upstream.gate = threading.Event()
    with door_before(tmp_path / "state", upstream.url, environments=environments) as door, Client(door.port) as client:
        chunks = b"5000\r\n" + b"x" * 0x5000 + b"\r\n0\r\n\r\n"
        client.send(request("/1") + request("/2", method="POST", lines=CHUNKED) + chunks)
        upstream.wait_for(1)
        upstream.gate.set()
        assert client.answer().status == 200
        assert client.answer("POST").code == "request_too_large"
    assert [seen.target for seen in upstream.seen] == ["/1"]


# === an upstream that answers and reads nothing ===


def answers_without_reading(release: threading.Event) -> Callable[[socket.socket, int], None]:
    def serve(sock: socket.socket, number: int) -> None:
        head_of(sock)
        time.sleep(0.3)
        sock.sendall(OK)
        release.wait(8)

    return serve


def test_an_early_answer_gives_its_connection_slot_back(tmp_path: Path) -> None:
    release = threading.Event()
    with raw_upstream(answers_without_reading(release)) as url, door_before(tmp_path / "state", url) as door:
        with Client(door.port) as client:
            post = request(method="POST", lines=b"Content-Length: 50000000\r\n") + b"x" * 20_000_000
            threading.Thread(target=send_quietly, args=(client, post)).start()
            assert client.answer("POST").status == 200
        try:
            until(lambda: opened(door) == [0])
        finally:
            release.set()


def opened(door: RunningDoor) -> list[int]:
    return door.thread.call(lambda: [each.open for each in door.door.pool._endpoints.values()])


def test_a_connection_with_bytes_still_to_send_is_not_pooled(tmp_path: Path) -> None:
    """Its write buffer is full already, so nobody would be told to hold the next body back."""
    release = threading.Event()

    def receiving(door: RunningDoor) -> int:
        return door.thread.call(
            lambda: max(c.receiving.bytes_in for each in door.door._slices for c in each if c.receiving)
        )

    def unsent(door: RunningDoor) -> list[int]:
        return door.thread.call(
            lambda: [u.transport.get_write_buffer_size() for e in door.door.pool._endpoints.values() for u in e.idle]
        )

    try:
        with raw_upstream(answers_without_reading(release)) as url:
            with door_before(tmp_path / "first", url) as door, Client(door.port) as client:
                post = request(method="POST", body=b"x" * 30_000_000)
                threading.Thread(target=send_quietly, args=(client, post)).start()
                time.sleep(0.25)
                taken = receiving(door)  # what the kernel and the door take before the client is held
            for less in range(0, 120_000, 20_000):
                state = tmp_path / str(less)
                with door_before(state, url) as door, Client(door.port) as client:
                    post = request(method="POST", body=b"x" * (taken - less))
                    threading.Thread(target=send_quietly, args=(client, post)).start()
                    assert client.answer("POST").status == 200
                    assert sum(unsent(door)) == 0
    finally:
        release.set()


# === lingering ===


def at_rest(door: RunningDoor, client: Downstream) -> Downstream:
    """Once the door can write no more, or has written all: for a while, nothing of it changes."""

    def state() -> tuple[int, bool, int]:
        exchange = client.exchange
        return (exchange.bytes_out if exchange is not None else -1), client.write_paused, client.lingering

    before = None
    for _ in range(100):
        time.sleep(0.15)
        now = door.thread.call(state)
        if now == before and now not in ((0, False, -1), (-1, False, -1)):  # it has not begun
            break
        before = now
    return client


@contextlib.contextmanager
def lingering_client(tmp_path: Path) -> Iterator[tuple[RunningDoor, socket.socket, int]]:
    """A client that has read nothing yet of an early answer, whose end waits in the door's memory. The kernel's
    share varies, so lengths are tried until one leaves the door enough of it."""
    length = 20_000_000

    def serve(sock: socket.socket, number: int) -> None:
        head_of(sock)
        sock.sendall(b"HTTP/1.1 413 X\r\nContent-Length: %d\r\n\r\n" % length + b"y" * length)
        sock.recv(1)

    with raw_upstream(serve) as url, door_before(tmp_path / "state", url) as door:

        def connections() -> list[Downstream]:
            return [each for connections in door.door._slices for each in connections]

        for _ in range(40):
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
                sock.settimeout(3)
                sock.connect(("127.0.0.1", door.port))
                sock.sendall(request(method="POST", lines=b"Content-Length: 1000\r\n") + b"abc")
                until(lambda: door.thread.call(connections))
                client = at_rest(door, door.thread.call(connections)[0])
                if client.lingering >= 0 and client.write_paused:
                    yield door, sock, length
                    return
                if client.exchange is not None:
                    length = min(length - 20_000, client.exchange.bytes_out)
                else:
                    length += 50_000
            until(lambda: not door.thread.call(connections))
    raise AssertionError("no length left the door an end to keep")


def test_a_slow_reader_gets_the_whole_of_an_early_answer(tmp_path: Path) -> None:
    with lingering_client(tmp_path) as (_, sock, length):
        time.sleep(1.8)
        assert len(read_to_end(sock)) > length


def test_a_lingering_connection_ends_soon_after_its_answer_was_read(tmp_path: Path) -> None:
    with lingering_client(tmp_path) as (door, sock, length):
        while length > 0:
            length -= len(sock.recv(65536))
        until(lambda: door.door.values[door.open_connections] == 0, 4)


def test_a_refusal_reaches_a_client_that_sends_more_than_is_dropped(door: RunningDoor) -> None:
    """Reading stops there, and the reset waits: many clients read nothing before all is sent or their TLS says so."""

    def lingering() -> list[int]:
        return [each.lingering for part in door.door._slices for each in part]

    with Client(door.port) as client:
        client.send(request(method="POST", sub=None, lines=b"Content-Length: 20000000\r\n"))
        sending = threading.Thread(target=send_quietly, args=(client, b"x" * 20_000_000))
        sending.start()
        until(lambda: door.thread.call(lingering) == [0])
        assert [each.holds & HOLD_END for each in door.door.connections()] == [HOLD_END], "more is read"
        assert client.answer("POST").status == 401
        assert client.ended()
        sending.join(5)
        assert not sending.is_alive()
    until(lambda: door.door.values[door.open_connections] == 0)


def test_a_client_that_goes_on_behind_its_last_request_keeps_its_answer(door: RunningDoor, upstream: Upstream) -> None:
    """A reset for what nobody reads could take the answer out of the client's hands (RFC 9112 §9.6)."""
    upstream.gate = threading.Event()
    with Client(door.port) as client:
        client.send(request(lines=b"Connection: close\r\n"))
        upstream.wait_for(1)
        (connection,) = door.thread.call(lambda: [each for part in door.door._slices for each in part])
        client.send(b"POST /second HTTP/1.1\r\n")
        until(lambda: connection.unread)
        upstream.gate.set()
        assert client.answer().body == b"ok"
        assert client.ended()
        for _ in range(3):
            client.send(b"Host: echo.test\r\n")
        assert client.ended()
    assert len(upstream.seen) == 1


# === an upstream that cannot be one ===


def test_an_upstream_name_that_is_none_is_502(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "state", timeouts=Timeouts(response_s=1, drain_finish_s=1))
    environments = {"prod": replace(settings.environments["prod"], upstreams=(".internal",))}
    changes = {"environments": environments, "timeouts": settings.timeouts}
    with door_before(tmp_path / "state", "http://a..b.internal", **changes) as door, Client(door.port) as client:
        assert client.send(request()).answer().status == 502
        assert opened(door) == [0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1"])
def test_an_upstream_address_that_is_none_is_502(tmp_path: Path, url: str) -> None:
    with door_before(tmp_path / "state", url) as door, Client(door.port) as client:
        assert client.send(request()).answer().status == 502


def test_a_missing_certificate_file_of_one_service_is_502(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "state")
    service = {"component:default/echo": ServiceSettings(tls=UpstreamTls(ca="/nonexistent.pem"))}
    environments = {"prod": replace(settings.environments["prod"], services=service)}
    changes = {"environments": environments}
    with door_before(tmp_path / "state", "https://127.0.0.1:9", **changes) as door, Client(door.port) as client:
        assert client.send(request()).answer().status == 502
