"""The door over real sockets: what a caller and an upstream see, and the one record each exchange leaves."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from gateway.config import Environment, Timeouts, encode
from gateway.door.exchange import RETIRE_REQUESTS
from tests.integration.conftest import request, token
from tests.support.door import RunningDoor, read_to_end, running_door, settings_for, until
from tests.support.ports import free_port
from tests.support.small_catalog import publish_small_catalog
from tests.support.tokens import ES256, RS256
from tests.support.upstream import OK, Upstream
from tests.support.wire import Client


def plain(body: bytes, *lines: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\n"
        + b"".join(line + b"\r\n" for line in lines)
        + (b"Content-Length: %d\r\n\r\n" % len(body) + body)
    )


# === who comes through ===


def test_a_permitted_request_reaches_the_upstream_with_the_callers_identity_and_leaves_one_record(
    door: RunningDoor, upstream: Upstream
) -> None:
    with Client(door.port) as client:
        got = client.send(request("/a/b?q=1&secret=x")).answer()
    assert (got.status, got.body) == (200, b"ok")
    (seen,) = upstream.seen
    assert (seen.method, seen.target) == ("GET", "/a/b?q=1&secret=x")
    assert seen.header("x-stagedoor-user") == "user:default/jane"
    assert seen.header("host") == "echo.test"
    (record,) = door.records(1)
    assert (record["decision"], record["subject"], record["path"], record["status"]) == (
        "permit", "user:default/jane", "/a/b", 200,
    )  # fmt: skip
    assert record["request_id"] == got.headers["x-request-id"] == seen.header("x-request-id")
    assert "secret" not in str(record)


def test_without_identity_no_byte_reaches_the_upstream(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        got = client.send(request(sub=None)).answer()
    assert (got.status, got.code) == (401, "identity_required")
    assert got.headers["www-authenticate"].startswith("Bearer")
    assert upstream.connections == 0
    assert door.records(1)[0]["reason"] == "identity_required"


def test_identity_fields_of_a_client_are_replaced_by_the_doors(door: RunningDoor, upstream: Upstream) -> None:
    forged = b"X-Stagedoor-User: user:default/root\r\nx_stagedoor.user: root\r\nX-Forwarded-User: root\r\n"
    with Client(door.port) as client:
        client.send(request(lines=forged)).answer()
    names = [name for name, _ in upstream.seen[0].headers]
    assert names.count("x-stagedoor-user") == 1
    assert upstream.seen[0].header("x-stagedoor-user") == "user:default/jane"
    assert not {"x_stagedoor.user", "x-forwarded-user"} & set(names)


def test_an_unknown_host_is_404_for_everybody(door: RunningDoor) -> None:
    with Client(door.port) as client:
        assert client.send(request(host="nobody.test")).answer().code == "host_unknown"


def test_a_person_the_catalog_does_not_know_is_told_so(door: RunningDoor) -> None:
    with Client(door.port) as client:
        got = client.send(request(sub="mallory")).answer()
    assert (got.status, got.code) == (403, "identity_unknown")


def test_own_paths_of_application_hosts_are_never_forwarded(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        for target in ("/.stagedoor/api/v1/x", "/%2estagedoor/x"):
            assert client.send(request(target)).answer().status == 404
    assert upstream.seen == []


# === the order of things ===


def test_pipelined_requests_are_answered_in_order(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: plain(seen.target.encode())
    with Client(door.port) as client:
        client.send(b"".join(request(f"/{n}") for n in range(50)))
        assert [client.answer().body for _ in range(50)] == [f"/{n}".encode() for n in range(50)]
    assert len(door.records(50)) == 50


def test_a_refusal_between_two_pipelined_requests_keeps_its_place(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        client.send(request("/1") + request(host="nobody.test") + request("/3"))
        assert [client.answer().status for _ in range(3)] == [200, 404, 200]
    assert [seen.target for seen in upstream.seen] == ["/1", "/3"]


def test_a_malformed_request_behind_a_good_one_is_answered_second_and_ends_the_connection(
    door: RunningDoor, upstream: Upstream
) -> None:
    with Client(door.port) as client:
        client.send(request("/1") + b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + request("/3"))
        assert client.answer().status == 200
        assert client.answer().code == "request_host"
        assert client.ended()
    assert [seen.target for seen in upstream.seen] == ["/1"]


def test_a_body_that_breaks_behind_a_good_request_is_answered_second(door: RunningDoor, upstream: Upstream) -> None:
    upstream.gate = threading.Event()
    with Client(door.port) as client:
        client.send(request("/first"))
        upstream.wait_for(1)
        client.send(
            request("/second", method="POST", lines=b"Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\nzz\r\n"
        )
        until(lambda: door.door.connections()[0].deaf)
        upstream.gate.set()
        assert client.answer().status == 200
        assert client.answer("POST").status == 400
        assert client.ended()
    assert [seen.target for seen in upstream.seen] == ["/first"]


def test_many_pipelined_refusals_do_not_nest(door: RunningDoor) -> None:
    with Client(door.port, 20) as client:
        threading.Thread(target=client.send, args=(request(host="nobody.test", sub=None) * 5000,)).start()
        assert {client.answer().status for _ in range(5000)} == {404}


def test_heads_arriving_byte_by_byte_are_read_like_whole_ones(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request("/slow", method="POST", body=b"hello"):
            client.send(bytes((byte,)))
        assert client.answer("POST").status == 200
    assert (upstream.seen[0].target, upstream.seen[0].body) == ("/slow", b"hello")


# === bodies ===


@pytest.mark.parametrize("size", [1, 1000, 65_536, 70_000, 3_000_000])
def test_bodies_of_known_length_arrive_whole_and_the_connection_lives_on(
    door: RunningDoor, upstream: Upstream, size: int
) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    upstream.answer = lambda seen: plain(seen.body)
    with Client(door.port) as client:
        for _ in range(2):
            client.send(request("/echo", method="POST", body=body))
            assert client.answer("POST").body == body
    assert {seen.body == body for seen in upstream.seen} == {True}


def test_chunked_bodies_are_rechunked_and_their_trailers_dropped(door: RunningDoor, upstream: Upstream) -> None:
    chunks = b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Stagedoor-User: root\r\nHost: evil\r\n\r\n"
    with Client(door.port) as client:
        client.send(request("/c", method="POST", lines=b"Transfer-Encoding: chunked\r\n") + chunks + request("/next"))
        assert client.answer("POST").status == 200
        assert client.answer().status == 200
    assert upstream.seen[0].body == b"hello world"
    assert upstream.seen[0].header("x-stagedoor-user") == "user:default/jane"
    assert upstream.seen[1].target == "/next"


def test_an_upgrade_request_with_a_body_is_plain_http(door: RunningDoor, upstream: Upstream) -> None:
    lines = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    with Client(door.port) as client:
        client.send(request("/u", method="POST", lines=lines, body=b"PRI * HTTP/2.0\r\n\r\nSM") + request("/after"))
        assert client.answer("POST").status == 200
        assert client.answer().status == 200
    assert [seen.target for seen in upstream.seen] == ["/u", "/after"]
    assert upstream.seen[0].body == b"PRI * HTTP/2.0\r\n\r\nSM"
    assert upstream.seen[0].header("upgrade") is None


def test_a_client_that_expects_100_continue_is_told_to_go_on_once_it_is_permitted(
    door: RunningDoor, upstream: Upstream
) -> None:
    head = request("/e", method="POST", lines=b"Expect: 100-continue\r\nContent-Length: 5\r\n")
    with Client(door.port) as client:
        client.send(head)
        assert client.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.send(b"hello").answer("POST").status == 200
    assert upstream.seen[0].body == b"hello"


def test_a_client_that_did_not_wait_is_not_told_to_go_on(door: RunningDoor, upstream: Upstream) -> None:
    """RFC 9110, 10.1.1: the body is here, so there is nothing to ask for."""
    head = request(method="POST", lines=b"Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n")
    got = door.exchange(head + b"hello")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert upstream.seen[0].body == b"hello"


def test_a_refused_client_is_not_told_to_send_its_body(door: RunningDoor) -> None:
    head = request(sub=None, method="POST", lines=b"Expect: 100-continue\r\nContent-Length: 500\r\n")
    with Client(door.port) as client:
        got = client.send(head).answer("POST")
        assert (got.status, got.headers["connection"]) == (401, "close")


def test_a_small_unread_body_of_a_refused_request_is_dropped_and_the_connection_lives_on(
    door: RunningDoor, upstream: Upstream
) -> None:
    with Client(door.port) as client:
        client.send(request(sub=None, method="POST", body=b"GET /smuggled HTTP/1.1\r\n\r\n") + request("/after"))
        assert [client.answer("POST").status, client.answer().status] == [401, 200]
    assert [seen.target for seen in upstream.seen] == ["/after"]


def test_the_small_rest_of_a_body_that_failed_on_its_way_is_dropped_and_the_connection_lives_on(
    door: RunningDoor, upstream: Upstream
) -> None:
    """What the answer said of the connection stays true, however much had been sent on before it."""
    with Client(door.port) as client:
        client.send(request("/big", method="POST", lines=b"Content-Length: 120000\r\n") + b"x" * 100_000)
        until(lambda: upstream.open == 1)
        for writer in tuple(upstream.writers):
            upstream.thread.call(writer.transport.abort)
        got = client.answer("POST")
        assert (got.status, got.code) == (502, "upstream_closed")
        assert "connection" not in got.headers
        client.send(b"x" * 20_000).send(request("/next"))
        assert client.answer().status == 200


def test_a_large_unread_body_of_a_refused_request_ends_the_connection_with_the_answer_delivered(
    door: RunningDoor,
) -> None:
    with Client(door.port) as client:
        client.send(request(sub=None, method="POST", lines=b"Content-Length: 1000000\r\n") + b"x" * 200_000)
        got = client.answer("POST")
        assert (got.status, got.headers["connection"]) == (401, "close")


def test_a_body_whose_chunks_break_never_ends_cleanly_upstream(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        client.send(request("/b", method="POST", lines=b"Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\n")
        until(lambda: upstream.open == 1)
        client.send(b"zz\r\n")
        assert client.answer("POST").status == 400
    until(lambda: upstream.open == 0)
    assert upstream.seen == []
    upstream.faults.clear()  # h11 rightly complains that the request never ended


# === answers ===


@pytest.mark.parametrize("size", [0, 1, 1024, 300_000, 5_000_000])
def test_answers_of_known_length_arrive_whole_and_the_upstream_connection_is_reused(
    door: RunningDoor, upstream: Upstream, size: int
) -> None:
    upstream.answer = lambda seen: plain(b"y" * size)
    with Client(door.port) as client:
        for _ in range(3):
            assert client.send(request()).answer().body == b"y" * size
    assert upstream.connections == 1


def test_chunked_answers_are_rechunked_without_their_trailers(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n"
    )
    with Client(door.port) as client:
        for _ in range(2):
            got = client.send(request()).answer()
            assert (got.body, got.headers["transfer-encoding"]) == (b"abcdefg", "chunked")
    assert upstream.connections == 1


def test_an_answer_that_ends_with_the_connection_is_chunked_for_1_1_and_closed_for_1_0(
    door: RunningDoor, upstream: Upstream
) -> None:
    upstream.answer = lambda seen: b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nall of it"
    with Client(door.port) as client:
        client.send(request())
        until(lambda: len(upstream.seen) == 1)
        upstream.close_connections()
        assert client.answer().body == b"all of it"
    old = request().replace(b"HTTP/1.1", b"HTTP/1.0")
    with Client(door.port) as client:
        client.send(old)
        until(lambda: len(upstream.seen) == 2)
        upstream.close_connections()
        raw = read_to_end(client.sock)
    assert raw.endswith(b"\r\n\r\nall of it")
    assert b"chunked" not in raw


def test_an_answer_to_head_keeps_its_length_and_the_next_answer_is_read_afresh(
    door: RunningDoor, upstream: Upstream
) -> None:
    upstream.answer = lambda seen: (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n" if seen.method == "HEAD" else plain(b"body")
    )
    with Client(door.port) as client:
        got = client.send(request(method="HEAD")).answer("HEAD")
        assert (got.headers["content-length"], got.body) == ("1234", b"")
        assert client.send(request()).answer().body == b"body"
    assert upstream.connections == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_bodiless_answers_end_at_their_head(door: RunningDoor, upstream: Upstream, status: bytes) -> None:
    upstream.answer = lambda seen: b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n"
    with Client(door.port) as client:
        for _ in range(2):
            assert client.send(request()).answer().status == int(status[:3])
    assert upstream.connections == 1


def test_interim_answers_go_on_and_do_not_end_the_exchange(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK
    with Client(door.port) as client:
        client.send(request())
        raw = b""
        while not raw.endswith(b"ok"):
            raw += client.sock.recv(65536)
    assert raw.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_an_answers_version_is_its_own_and_not_the_interim_ones(door: RunningDoor, upstream: Upstream) -> None:
    """A coding in HTTP/1.0 leaves open where the body ends (RFC 9112, 6.1), whatever came in the same piece."""
    old = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    upstream.answer = lambda seen: b"HTTP/1.1 103 Early Hints\r\n\r\n" + old
    with Client(door.port) as client:
        client.send(request())
        raw = b""
        while piece := client.sock.recv(65536):
            raw += piece
            if b"upstream_malformed" in raw:
                break
    assert raw.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 502 Bad Gateway\r\n")


def test_an_old_client_that_asks_for_it_is_kept_alive(door: RunningDoor) -> None:
    old = request(lines=b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")
    with Client(door.port) as client:
        for _ in range(2):
            assert client.send(old).answer().headers["connection"] == "keep-alive"


ARRIVING = "/.stagedoor/arrive?code=" + "a" * 20 + "&to=12345678"


@pytest.mark.parametrize(
    ("target", "lines", "status"),
    [
        ("/.stagedoor/none", b"", 404), ("/a/../b", b"", 400), ("/.stagedoor/whoami", b"", 200),
        (ARRIVING, b"", 303), (ARRIVING, b"Expect: x\r\n", 303),
    ],
)  # fmt: skip
def test_what_the_door_says_itself_has_its_date(door: RunningDoor, target: str, lines: bytes, status: int) -> None:
    with Client(door.port) as client:
        got = client.send(request(target, lines=lines)).answer()
    assert got.status == status
    said = parsedate_to_datetime(got.headers["date"])
    assert abs(said.timestamp() - time.time()) < 5


# === upstream connections are clean or closed ===


@pytest.mark.parametrize(
    "surplus",
    [
        OK + b"x",
        OK + OK,
        OK + b"\n",
        b"HTTP/1.1 204 No Content\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=[
        "one byte", "a second answer", "the end of a line", "an empty line", "an empty line behind chunks",
        "a body where none may be",
    ],
)  # fmt: skip
def test_a_surplus_byte_spoils_the_connection_not_the_next_answer(
    door: RunningDoor, upstream: Upstream, surplus: bytes
) -> None:
    upstream.answer = lambda seen: surplus
    with Client(door.port) as client:
        for _ in range(3):
            assert client.send(request()).answer().status in (200, 204)
    assert upstream.connections == 3


@pytest.mark.parametrize("behind", [b"0\r\n\r\n", b"0\r\nX-Sum: 1\r\n\r\n", b"\r\n"])
def test_whatever_comes_behind_an_answer_to_head_spoils_the_connection(
    door: RunningDoor, upstream: Upstream, behind: bytes
) -> None:
    upstream.answer = lambda seen: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + behind
    with Client(door.port) as client:
        for _ in range(2):
            client.send(request(method="HEAD")).answer("HEAD")
    assert upstream.connections == 2


def test_bytes_on_an_idle_connection_end_it(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        client.send(request()).answer()
        upstream.write_to_connections(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        until(lambda: upstream.open == 0)
        assert client.send(request()).answer().body == b"ok"
    assert upstream.connections == 2


def test_a_pooled_connection_that_was_closing_costs_a_get_nothing(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        client.send(request()).answer()
        first = iter([None])
        upstream.answer = lambda seen: next(first, OK)
        assert client.send(request()).answer().status == 200
    assert upstream.connections == 2


def test_a_post_is_never_sent_twice(door: RunningDoor, upstream: Upstream) -> None:
    with Client(door.port) as client:
        client.send(request()).answer()
        upstream.answer = lambda seen: None
        got = client.send(request(method="POST", body=b"pay")).answer("POST")
    assert (got.status, got.code) == (502, "upstream_closed")
    assert [seen.method for seen in upstream.seen] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 5\r\n", b"which"), (b"Transfer-Encoding: chunked\r\n", b"5\r\nwhich\r\n0\r\n\r\n")],
    ids=["counted", "chunked"],
)
def test_a_get_whose_body_went_along_is_not_sent_again(
    door: RunningDoor, upstream: Upstream, framing: bytes, body: bytes
) -> None:
    """Nobody keeps the body: a second request would promise what never comes."""
    with Client(door.port) as client:
        client.send(request()).answer()
        upstream.answer = lambda seen: None
        got = client.send(request(lines=framing) + body).answer()
    assert (got.status, got.code) == (502, "upstream_closed")
    assert [seen.body for seen in upstream.seen] == [b"", b"which"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70_000,
    ],
    ids=["two lengths", "length and chunked", "gzip, chunked", "101 nobody asked for", "ssh", "endless head"],
)
def test_answers_with_a_doubt_are_502_and_never_forwarded(door: RunningDoor, upstream: Upstream, answer: bytes) -> None:
    upstream.answer = lambda seen: answer
    with Client(door.port) as client:
        got = client.send(request()).answer()
    assert (got.status, got.code) == (502, "upstream_malformed")


def test_an_upstream_that_fails_mid_answer_never_gives_a_clean_end(door: RunningDoor, upstream: Upstream) -> None:
    for head in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
        upstream.answer = lambda seen, head=head: (  # type: ignore[misc]  # the default binds this turn's head
            b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + b"5\r\nhello\r\n"
        )
        with Client(door.port) as client:
            client.send(request())
            assert client.sock.recv(65536)
            upstream.close_connections()
            with pytest.raises(ConnectionResetError):
                while client.sock.recv(65536):
                    pass
    assert {record["reason"] for record in door.records(2)} <= {"upstream_malformed", "upstream_closed"}


def test_a_client_that_leaves_cancels_the_upstream(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: b""  # nothing yet
    with Client(door.port) as client:
        client.send(request())
        upstream.wait_for(1)
    until(lambda: upstream.open == 0)
    assert door.records(1)[0]["reason"] == "client_gone"


def test_a_slow_reader_holds_the_upstream_back(door: RunningDoor, upstream: Upstream) -> None:
    upstream.answer = lambda seen: plain(b"z" * 50_000_000)
    with Client(door.port) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(request())
        client.sock.recv(1000)
        time.sleep(0.3)  # what could pile up has had its chance; the bound below is what is checked
        buffered = door.thread.call(
            lambda: sum(c.transport.get_write_buffer_size() for each in door.door._slices for c in each)
        )
        assert buffered < 2_000_000


# === the way upstream ===


def test_an_endpoint_that_cannot_be_reached_is_passed_over(tmp_path: Path, upstream: Upstream) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    state = tmp_path / "state"
    with (
        running_door(
            state, publish=lambda folder: publish_small_catalog(folder, url, upstream.url), settings=settings_for(state)
        ) as door,
        Client(door.port) as client,
    ):
        for n in range(20):
            assert client.send(request(f"/{n}", method="POST", body=b"x")).answer("POST").status == 200
    assert len(upstream.seen) == 20


def test_an_upstream_address_outside_the_operators_networks_is_never_connected(
    tmp_path: Path, upstream: Upstream
) -> None:
    state = tmp_path / "state"
    settings = replace(settings_for(state), environments={"prod": Environment("prod", (".test",), ("10.0.0.0/8",))})
    with (
        running_door(
            state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings
        ) as door,
        Client(door.port) as client,
    ):
        assert client.send(request()).answer().code == "upstream_refused"
    assert upstream.connections == 0


def test_an_upstream_that_does_not_answer_in_time_is_504(tmp_path: Path, upstream: Upstream) -> None:
    state = tmp_path / "state"
    upstream.answer = lambda seen: b""
    settings = settings_for(state, timeouts=Timeouts(response_s=0.2, drain_finish_s=1))
    with (
        running_door(
            state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings
        ) as door,
        Client(door.port) as client,
    ):
        got = client.send(request()).answer()
        assert (got.status, got.code) == (504, "upstream_timeout")
        until(lambda: upstream.open == 0)


def test_a_head_that_drips_in_too_slowly_is_408(tmp_path: Path, upstream: Upstream) -> None:
    state = tmp_path / "state"
    settings = settings_for(state, timeouts=Timeouts(head_s=0.3, drain_finish_s=1))
    with (
        running_door(
            state, publish=lambda folder: publish_small_catalog(folder, upstream.url), settings=settings
        ) as door,
        Client(door.port) as client,
    ):
        client.send(b"GET / HTTP/1.1\r\nHo")
        got = client.answer()
        assert (got.status, got.code) == (408, "request_timeout")


# === identity ===


def test_a_token_of_an_unknown_key_is_verified_once_control_has_read_the_keys_again(
    door: RunningDoor, upstream: Upstream
) -> None:
    door.control.after_question = {"test": (RS256, ES256)}
    fresh = request(sub=None, lines=b"Authorization: Bearer " + token(signer=ES256) + b"\r\n")
    with Client(door.port) as client:
        assert client.send(fresh * 3).answer().status == 200
        assert [client.answer().status for _ in range(2)] == [200, 200]
    assert len(door.control.wanted) == 1


def test_a_token_of_a_key_that_does_not_exist_is_401_after_one_question(door: RunningDoor) -> None:
    unknown = request(sub=None, lines=b"Authorization: Bearer " + token(signer=ES256) + b"\r\n")
    with Client(door.port) as client:
        got = client.send(unknown).answer()
    assert (got.status, got.code) == (401, "token_key_unknown")


def test_a_token_verified_before_is_refused_once_its_key_left_the_issuers_set(door: RunningDoor) -> None:
    with Client(door.port) as client:
        assert client.send(request()).answer().status == 200
        door.control.publish(test=(ES256,))
        assert client.send(request()).answer().code == "token_key_unknown"


def test_expired_and_broken_tokens_are_told_apart(door: RunningDoor) -> None:
    now = int(time.time())
    for made, code in (
        (token(exp=now - 1000, iat=now - 2000), "token_expired"),
        (token()[:-16] + b"A" * 16, "token_signature"),
        (b"junk", "token_malformed"),
    ):
        with Client(door.port) as client:
            got = client.send(request(sub=None, lines=b"Authorization: Bearer " + made + b"\r\n")).answer()
            assert (got.status, got.code) == (401, code)
            assert 'error="invalid_token"' in got.headers["www-authenticate"]


def test_losing_a_team_takes_effect_on_the_next_request_of_an_open_connection(
    door: RunningDoor, upstream: Upstream
) -> None:
    with Client(door.port) as client:
        assert client.send(request(host="team.test")).answer().status == 200
        publish_small_catalog(door.state, upstream.url, jane_in_team=False)
        door.follow_base()
        got = client.send(request(host="team.test")).answer()
    assert (got.status, got.code) == (403, "no_rule")


def test_a_subject_that_was_cut_off_is_refused_on_open_connections_whatever_the_catalog_says(
    door: RunningDoor, upstream: Upstream
) -> None:
    with Client(door.port) as client:
        assert client.send(request()).answer().status == 200
        door.control.denied = ["group:default/team"]
        door.control.publish()
        assert client.send(request()).answer().code == "denied"
        assert client.send(request(sub="joe")).answer().status == 200
        door.control.denied = []
        door.control.publish()
        assert client.send(request()).answer().status == 200


def test_a_peer_that_a_reload_no_longer_trusts_is_not_believed(door: RunningDoor, upstream: Upstream) -> None:
    forwarded = b"X-Forwarded-For: 203.0.113.7\r\n"

    def client_seen(*trusted: str) -> str | None:
        listener = replace(door.door.settings.listeners[0], trusted_peers=trusted)
        frame = f"settings-{len(trusted)}.frame"
        (door.state / frame).write_bytes(encode(replace(door.door.settings, listeners=(listener,))))
        door.tell(f"settings {frame}")
        until(lambda: door.door.settings.listeners[0] == listener)
        with Client(door.port) as client:
            assert client.send(request(lines=forwarded)).answer().status == 200
        return upstream.seen[-1].header("x-forwarded-for")

    assert client_seen("127.0.0.0/8") == "203.0.113.7"
    assert client_seen() == "127.0.0.1"


@pytest.mark.parametrize("sub", ["jane", "nobody", None], ids=["permitted", "unknown", "without identity"])
def test_the_record_names_the_client_behind_a_trusted_peer(tmp_path: Path, upstream: Upstream, sub: str | None) -> None:
    """Of what was refused, too: that is where somebody asks who it was."""
    state = tmp_path / "state"
    trusting = settings_for(state).listeners[0]
    settings = settings_for(state, listeners=(replace(trusting, trusted_peers=("127.0.0.0/8",)),))
    with (
        running_door(state, publish=lambda into: publish_small_catalog(into, upstream.url), settings=settings) as door,
        Client(door.port) as client,
    ):
        client.send(request(sub=sub, lines=b"X-Forwarded-For: 198.51.100.1, 203.0.113.7\r\n")).answer()
        (record,) = door.records(1)
    assert (record["peer"], record["client"]) == ("127.0.0.1", "203.0.113.7")


# === faults of our own ===


def test_nothing_is_permitted_while_the_audit_trail_cannot_be_written(
    door: RunningDoor, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer tries the disk again by itself: here no try goes well."""
    monkeypatch.setattr(door.door.audit, "_recover", lambda: False)
    door.door.audit.failed = True
    with Client(door.port) as client:
        got = client.send(request()).answer()
    assert (got.status, got.code) == (503, "audit_unavailable")
    assert upstream.seen == []
    door.door.audit.failed = False


@pytest.mark.slow
def test_before_the_first_base_everything_is_503(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with (
        running_door(state, publish=lambda folder: None, settings=settings_for(state)) as door,
        Client(door.port) as client,
    ):
        assert client.send(request()).answer().code == "policy_unavailable"


# === how long a connection lasts ===

BY_WHOM = {
    "the service": lambda: request(),
    "a refusal": lambda: request(sub=None),
    "the door itself": lambda: request("/.stagedoor/jwks.json"),
}


@pytest.mark.parametrize("whose", BY_WHOM)
@pytest.mark.parametrize("by_age", [True, False], ids=["of age", "of many requests"])
def test_a_connection_that_served_long_enough_ends_behind_its_next_answer(
    door: RunningDoor, whose: str, by_age: bool
) -> None:
    """Whoever gives that answer: a client that is only ever refused would stay with one worker for good."""
    with Client(door.port) as client:
        assert "connection" not in client.send(BY_WHOM[whose]()).answer().headers
        (connection,) = door.door.connections()
        if by_age:
            door.thread.call(lambda: setattr(connection, "retire_s", door.door.tick_s))
            until(lambda: connection.requests >= RETIRE_REQUESTS)
        else:
            door.thread.call(lambda: setattr(connection, "requests", RETIRE_REQUESTS - 1))
        assert client.send(BY_WHOM[whose]()).answer().headers["connection"] == "close"
        assert client.ended()


# === draining ===


def test_a_draining_door_finishes_what_runs_and_ends_what_idles(door: RunningDoor, upstream: Upstream) -> None:
    release = threading.Event()
    upstream.gate = release
    with Client(door.port) as idle, Client(door.port) as busy:
        idle.send(request())
        release.set()
        idle.answer()
        release.clear()
        busy.send(request())
        upstream.wait_for(2)
        door.tell("drain")
        assert idle.ended()
        release.set()
        got = busy.answer()
        assert (got.status, got.headers["connection"]) == (200, "close")
        assert busy.ended()
    with door.connect(0.3) as late, pytest.raises(TimeoutError):
        late.sendall(request())
        late.recv(1)  # it waits in the listening socket, which stays open, for a successor
