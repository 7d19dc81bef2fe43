"""Trailers over real sockets: what an operator listed passes, in both directions, and nothing else does.

A trailer comes when the decision has long been made, so whoever merges trailers into a head would read there what
nobody has judged. Each test sends what an attacker would, or what a service behind the door might.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import ServiceSettings
from tests.integration.conftest import request, token
from tests.support.door import RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import publish_small_catalog
from tests.support.tokens import ES256
from tests.support.wire import Client

CHUNKED = b"Transfer-Encoding: chunked\r\n"
WANTED = b"Connection: TE\r\nTE: trailers\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LISTED = ("x-checksum", "grpc-status")


class Service:
    """One scripted upstream: it keeps what it was sent, connection by connection, and answers by the script."""

    def __init__(self, answer: Callable[[], bytes]) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return
            self.heard.append(b"")
            threading.Thread(target=self._serve, args=(sock, len(self.heard) - 1), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        answered = 0
        with sock:
            while piece := _received(sock):
                self.heard[number] += piece
                while answered < _requests(self.heard[number]):
                    answered += 1
                    sock.sendall(self.answer())

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except OSError:
        return b""


def _requests(heard: bytes) -> int:
    """How many whole ones there are; all are chunked or without body."""
    count = 0
    while b"\r\n\r\n" in heard:
        head, _, rest = heard.partition(b"\r\n\r\n")
        if b"Transfer-Encoding: chunked" in head:
            while rest and not rest.startswith(b"0\r\n"):
                size, _, rest = rest.partition(b"\r\n")
                rest = rest[int(size, 16) + 2 :]
            _, found, rest = rest[1:].partition(b"\r\n\r\n")
            if not found:
                return count
        count += 1
        heard = rest
    return count


@contextmanager
def door_before(state: Path, answer: Callable[[], bytes], **service: object) -> Iterator[tuple[RunningDoor, Service]]:
    upstream = Service(answer)
    settings = settings_for(state)
    services = {"component:default/echo": ServiceSettings(trailers=LISTED, **service)}  # type: ignore[arg-type]  # passed on
    environments = {"prod": replace(settings.environments["prod"], services=services)}
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, upstream.url),
        settings=replace(settings, environments=environments),
    ) as running:  # fmt: skip
        yield running, upstream
    upstream.close()


def plain() -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def asked(trailers: bytes, lines: bytes = b"", host: str = "echo.test") -> bytes:
    return request(method="POST", lines=CHUNKED + lines, host=host) + b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n"


# === requests ===


@pytest.mark.parametrize(
    "trailer",
    [b"X-Stagedoor-User: root", b"x_checksum: 1", b"Host: evil.test", b"Authorization: Bearer x", b"Cookie: a=b",
     b"X-Forwarded-For: 203.0.113.9", b"Via: 1.1 x", b"Expect: 100-continue", b"X-Request-Id: mine", b"X-Checksum2: 1",
     b"Connection: close", b"Upgrade: h2c", b"TE: trailers", b"Content-Type: text/html"],
)  # fmt: skip
def test_no_trailer_but_a_listed_one_reaches_a_service(tmp_path: Path, trailer: bytes) -> None:
    with door_before(tmp_path / "state", plain) as (door, service), Client(door.port) as client:
        client.send(asked(trailer + b"\r\nX-Checksum: 1\r\n" + trailer + b"\r\n"))
        assert client.answer("POST").status == 200
        assert service.heard[0].endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nX-Checksum: 1\r\n\r\n")


@pytest.mark.parametrize("trailer", [b"Connection: close", b"Proxy-Connection: close"])
def test_a_connection_that_a_trailer_ends_takes_no_further_request(tmp_path: Path, trailer: bytes) -> None:
    """The parser obeys it there, so it is said with the answer; what comes behind is nobody's request."""
    with door_before(tmp_path / "state", plain) as (door, service), Client(door.port) as client:
        client.send(asked(trailer + b"\r\n") + request("/behind"))
        got = client.answer("POST")
        assert (got.status, got.headers["connection"]) == (200, "close")
        assert client.ended()
    assert not [heard for heard in service.heard if b"behind" in heard]


@pytest.mark.parametrize(
    "trailer",
    [b"Content-Length: 3", b"Transfer-Encoding: chunked", b"X-Checksum : 1", b"X-Checksum: 1\r\n folded",
     b"X-Checksum: \x001", b"X-Checksum: 1\nHost: evil", b"X-Checksum", b": 1"],
)  # fmt: skip
def test_malformed_trailers_end_the_request_and_nothing_behind_them_is_read(tmp_path: Path, trailer: bytes) -> None:
    """The service must not take what came for a whole request: its connection ends without the last chunk."""
    with door_before(tmp_path / "state", plain) as (door, service), Client(door.port) as client:
        client.send(asked(trailer + b"\r\n") + request("/smuggled"))
        got = client.answer("POST")
        assert (got.status, got.headers["connection"]) == (400, "close")
        assert client.ended()
    assert not [heard for heard in service.heard if b"smuggled" in heard or b"\r\n0\r\n" in heard]


@pytest.mark.parametrize(
    "trailers", [b"X-Checksum: 1\r\n" * 101, (b"X-Checksum: " + b"x" * 14_000 + b"\r\n") * 3], ids=["many", "long"]
)
def test_trailers_have_the_limits_of_a_head(tmp_path: Path, trailers: bytes) -> None:
    with door_before(tmp_path / "state", plain) as (door, service), Client(door.port) as client:
        got = client.send(asked(trailers)).answer("POST")
        assert (got.status, got.code) == (431, "request_head_too_large")
        assert client.ended()
    assert not [heard for heard in service.heard if b"X-Checksum" in heard]


def test_trailers_of_a_usual_size_pass_whole(tmp_path: Path) -> None:
    trailer = b"X-Checksum: " + b"x" * 14_000 + b"\r\n"
    with door_before(tmp_path / "state", plain) as (door, service), Client(door.port) as client:
        assert client.send(asked(trailer * 2)).answer("POST").status == 200
        assert service.heard[0].endswith(b"\r\n0\r\n" + trailer * 2 + b"\r\n")


def test_trailers_wait_with_a_body_whose_caller_is_not_known_yet(tmp_path: Path) -> None:
    """All of the request is here before the issuer's key is: nothing of it may be lost or sent before the decision."""
    with door_before(tmp_path / "state", plain) as (door, service), Client(door.port) as client:
        door.control.after_question = {"test": (ES256,)}
        whole = asked(b"X-Checksum: 1\r\n")
        known = whole.partition(b"Bearer ")[2].partition(b"\r\n")[0]
        client.send(whole.replace(known, token(signer=ES256)))
        assert client.answer("POST").status == 200
        assert service.heard[0].endswith(b"\r\n3\r\nabc\r\n0\r\nX-Checksum: 1\r\n\r\n")


def test_pipelined_requests_keep_their_own_trailers(tmp_path: Path) -> None:
    with door_before(tmp_path / "state", plain) as (door, service), Client(door.port) as client:
        client.send(asked(b"X-Checksum: 1\r\n") + asked(b"") + asked(b"X-Checksum: 3\r\n"))
        assert [client.answer("POST").status for _ in range(3)] == [200, 200, 200]
        ends = [each.partition(b"\r\n\r\n")[0] for each in b"".join(service.heard).split(b"\r\n0\r\n")[1:]]
        assert [end.partition(b"\r\n")[0] for end in ends] == [b"X-Checksum: 1", b"", b"X-Checksum: 3"]


# === answers ===


def answer_of(client: Client) -> bytes:
    """The whole chunked answer as it came."""
    got = b""
    while not (b"\r\n0\r\n" in got and got.endswith(b"\r\n\r\n")):
        piece = client.sock.recv(65536)
        if not piece:
            raise ConnectionError(f"ended at {got!r}")
        got += piece
    return got


@pytest.mark.parametrize(
    "trailer",
    [b"Set-Cookie: a=b", b"Location: https://evil.test/", b"Content-Type: text/html", b"X-Stagedoor-User: root",
     b"Alt-Svc: h3=\":443\"", b"Strict-Transport-Security: max-age=0", b"X_Checksum: 1", b"Connection: close",
     b"X-Request-Id: theirs", b"Access-Control-Allow-Origin: *", b"Trailer: x"],
)  # fmt: skip
def test_no_trailer_but_a_listed_one_reaches_a_client(tmp_path: Path, trailer: bytes) -> None:
    def answer() -> bytes:
        return ANSWER + b"2\r\nok\r\n0\r\n" + trailer + b"\r\nGrpc-Status: 0\r\n" + trailer + b"\r\n\r\n"

    with door_before(tmp_path / "state", answer) as (door, _), Client(door.port) as client:
        for _ in range(2):
            came = answer_of(client.send(request(lines=WANTED)))
            assert came.endswith(b"\r\n\r\n2\r\nok\r\n0\r\nGrpc-Status: 0\r\n\r\n")


def test_the_trailers_of_one_answer_are_not_those_of_the_next(tmp_path: Path) -> None:
    answers = iter([ANSWER + b"2\r\nok\r\n0\r\nX-Checksum: 1\r\n\r\n", ANSWER + b"2\r\nok\r\n0\r\n\r\n"])
    with door_before(tmp_path / "state", lambda: next(answers)) as (door, _), Client(door.port) as client:
        assert answer_of(client.send(request(lines=WANTED))).endswith(b"0\r\nX-Checksum: 1\r\n\r\n")
        assert answer_of(client.send(request(lines=WANTED))).endswith(b"ok\r\n0\r\n\r\n")


def test_a_second_answer_that_nobody_asked_for_changes_no_trailer_of_the_first(tmp_path: Path) -> None:
    """One write of the service: a whole answer, and behind it another one with trailers of its own."""
    spoiled = ANSWER + b"2\r\nok\r\n0\r\nX-Checksum: 1\r\n\r\n" + ANSWER + b"2\r\nno\r\n0\r\nX-Checksum: 2\r\n\r\n"
    with door_before(tmp_path / "state", lambda: spoiled) as (door, service), Client(door.port) as client:
        for _ in range(2):
            assert answer_of(client.send(request(lines=WANTED))).endswith(b"\r\n2\r\nok\r\n0\r\nX-Checksum: 1\r\n\r\n")
        assert len(service.heard) == 2, "a spoiled connection was used again"


@pytest.mark.parametrize(
    "trailers",
    [b"Content-Length: 3\r\n", b"X-Checksum : 1\r\n", b"X-Checksum: \x001\r\n", b"X-Checksum: 1\r\n" * 101,
     b"X-Checksum: " + b"x" * 66_000 + b"\r\n"],
    ids=["framing", "name", "octet", "many", "long"],
)  # fmt: skip
def test_malformed_or_endless_trailers_break_the_answer_off(tmp_path: Path, trailers: bytes) -> None:
    """A clean last chunk would say that the answer was whole."""

    def answer() -> bytes:
        return ANSWER + b"2\r\nok\r\n0\r\n" + trailers + b"\r\n"

    with door_before(tmp_path / "state", answer) as (door, _), Client(door.port) as client:
        client.send(request(lines=WANTED))
        try:
            got = client.answer()
        except OSError:
            pass  # its head was on the way: cut
        else:
            assert (got.status, got.code) == (502, "upstream_malformed")
        assert door.records(1)[0]["reason"] == "upstream_malformed"


def test_trailers_go_to_a_chunked_answer_alone(tmp_path: Path) -> None:
    """HTTP/1.0 has no chunks: the body ends with the connection, and the trailers with the door."""

    def answer() -> bytes:
        return ANSWER + b"2\r\nok\r\n0\r\nX-Checksum: 1\r\n\r\n"

    with door_before(tmp_path / "state", answer) as (door, _):
        old = door.exchange(request(lines=WANTED).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert old.endswith(b"\r\n\r\nok")


def test_a_service_without_a_list_is_not_even_told(tmp_path: Path) -> None:
    with door_before(tmp_path / "state", plain) as (door, service), Client(door.port) as client:
        assert client.send(request(lines=WANTED, host="app.test")).answer().status == 200
        assert client.send(asked(b"X-Checksum: 1\r\n", host="app.test")).answer("POST").status == 200
        until(lambda: _requests(service.heard[0]) == 2)
        assert b"trailers" not in service.heard[0] and b"X-Checksum" not in service.heard[0]
