"""A request line is judged at the door however its bytes arrive: behind bodies, in one read with others, or cut."""

from __future__ import annotations

import socket

import pytest

from tests.integration.conftest import request, token
from tests.support.door import RunningDoor
from tests.support.upstream import Upstream
from tests.support.wire import Client

CHUNKS = b"5;a=b\r\n\r\n\r\nG\r\n0\r\n\r\n"


def chunked() -> bytes:
    return (
        b"POST /one HTTP/1.1\r\nHost: echo.test\r\nAuthorization: Bearer " + token()
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 40, 400, 100_000])
def test_only_the_line_that_is_not_plain_is_refused(
    golden_door: RunningDoor, golden_upstream: Upstream, size: int
) -> None:
    """Three requests are served in their turn, with bodies that hold what ends a head; the fourth is refused."""
    sent = chunked() + request("/two", method="PUT", body=b"\r\n\r\nGET  /") + b"\r\n" + request("/three")
    sent += request("/four").replace(b" /four ", b"  /four ") + request("/five")
    before = len(golden_upstream.seen)
    with Client(golden_door.port) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(sent), size):
            try:
                client.send(sent[at : at + size])
            except OSError:
                break  # the fifth comes behind the refusal
        assert [client.answer().status for _ in range(3)] == [200, 200, 200]
        refused = client.answer()
        assert (refused.status, refused.code) == (400, "request_malformed")
        assert refused.headers["connection"] == "close"
    assert len(golden_upstream.seen) - before == 3


@pytest.mark.parametrize("line", [b"GET ", b"G", b"GET /th", b"GET /three", b"GET /three HTTP/1.1\r"])
def test_a_line_that_began_in_the_read_of_another_request_is_judged_whole(
    golden_door: RunningDoor, golden_upstream: Upstream, line: bytes
) -> None:
    """The rest comes once the first is answered: what was held of the line is all there is to judge it by."""
    good = request("/three")
    for wide in (False, True):
        second = good.replace(b" /three ", b" /three  ") if wide else good
        begun = len(line) + (wide and len(line) > len(b"GET /three"))
        with Client(golden_door.port) as client:
            client.send(request("/two", method="PUT", body=b"hello") + second[:begun])
            assert client.answer().status == 200
            client.send(second[begun:])
            assert client.answer().status == (400 if wide else 200)


def test_the_health_path_is_no_exception(golden_door: RunningDoor) -> None:
    with Client(golden_door.port) as client:
        client.send(b"GET  /.stagedoor/bigip/health HTTP/1.1\r\nHost: echo.test\r\n\r\n")
        got = client.answer()
        assert (got.status, got.code) == (400, "request_malformed")


SMALL = b"GET / HTTP/1.1\r\nHost:a\r\n\r\n"
FIRST_SLICE, QUEUED = 150, 264  # requests in the first slice of a read; those before the one that is too many


def one_too_many(last: bytes) -> bytes:
    """More requests than may wait, of which the last has a body that has not come yet."""
    wide = SMALL[:-2] + b"P:" + b"p" * (4096 - FIRST_SLICE * len(SMALL) - 4) + b"\r\n\r\n"
    return wide + SMALL * (QUEUED - 1) + last


def leading_back() -> bytes:
    """Chunks of which the first, followed beyond what has come, leads back to a field that leads to it again."""
    head = b"POST / HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:chunked\r\nX:"
    size_at = (QUEUED - FIRST_SLICE) * len(SMALL) + len(head)
    rest = b"\r\nY:" + b"y" * 40 + b"\r\n\r\n"
    return head + b"%03x" % (len(rest) - 4) + rest + b"%x0" % (size_at - 3)


@pytest.mark.parametrize(
    "last",
    [SMALL, b"POST / HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:chunked\r\n\r\n5\r\nab", leading_back()],
    ids=["a request", "begun chunks", "chunks that lead back"],
)
def test_a_request_too_many_with_a_body_to_come_ends_in_its_refusal(golden_door: RunningDoor, last: bytes) -> None:
    """Everything that waits is answered, and the next client as well: nothing is looked for in what is not there."""
    with Client(golden_door.port) as client:
        client.send(one_too_many(last))
        answers = [client.answer().status for _ in range(QUEUED + 1)]
        assert answers[-1] == 503 and set(answers[:-1]) == {404}
    with Client(golden_door.port) as client:
        assert client.send(request("/after")).answer().status == 200


def test_empty_lines_within_chunks_make_no_turn_long(golden_door: RunningDoor, golden_upstream: Upstream) -> None:
    """Each may end the message, and is fed by itself; many of them are fed in several turns, and arrive whole."""
    data = b"x\r\n\r\n" * 3_000 + b"\r\n" * 8_000
    with Client(golden_door.port) as client:
        client.send(chunked()[: -len(CHUNKS)])
        client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) + request("/behind"))
        assert [client.answer().status for _ in range(2)] == [200, 200]
    assert golden_upstream.seen[-2].body == data
