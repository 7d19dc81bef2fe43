"""Where requests begin, by framing alone: a line is judged at its true place, and little is kept of what came."""

from __future__ import annotations

import httptools
import pytest

from gateway.http1.lines import FEEDS, Lines
from gateway.http1.values import CHUNKED
from tests.support.http_golden import Reader, read_bytewise, read_whole

GET = b"GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n"
WIDE = b"GET  /b HTTP/1.1\r\nHost: app.test\r\n\r\n"
CHUNKS = b"POST /c HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b"a\r\n\r\n\r\nGET / \r\n5;x=y\r\n0\r\n\r\n\r\n0\r\nX-A: b\r\n\r\n"
COUNTED = b"PUT /d HTTP/1.1\r\nHost:app.test\r\nContent-Length: 10\r\n\r\n\r\n\r\nGET  /"


class Told:
    """A parser's listener that notes where heads end, and asks about each line."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.parser = httptools.HttpRequestParser(self)
        self.target = b""
        self.plain: list[bool] = []
        self.is_11: list[tuple[bool, str]] = []  # and what the parser says

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_headers_complete(self) -> None:
        self.plain.append(self.lines.is_plain(len(self.parser.get_method()), len(self.target)))
        self.is_11.append((self.lines.is_11, self.parser.get_http_version()))
        self.target = b""


def test_every_line_of_a_piece_is_judged_at_its_place() -> None:
    told = Told()
    assert told.lines.feed(told.parser, GET + WIDE + GET + b"\r\n\r\n" + GET + WIDE, 0) == b""
    assert told.plain == [True, False, True, True, False]


@pytest.mark.parametrize("line", [b"GET   /H HTTP/1.1", b"GET /a  HTTP/1.1", b"GET    /aHb HTTP/1.1"])
def test_no_letter_of_a_target_passes_for_the_version(line: bytes) -> None:
    """However many spaces there are, and wherever the `H` of the target comes to stand."""
    told = Told()
    told.lines.feed(told.parser, line + b"\r\nHost: app.test\r\n\r\n", 0)
    assert told.plain == [False]


def test_the_version_is_the_one_of_its_own_line() -> None:
    """An HTTP/1.0 client behind others on one connection, in one piece or in two, is never taken for a newer one."""
    old = b"GET /a HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n"
    whole = GET + old + b"\r\n" + GET + old
    for at in range(len(whole)):
        told = Told()
        for piece in (whole[:at], whole[at:]):
            told.lines.feed(told.parser, piece, 0)
            if told.target:
                told.lines.hold_head()
            else:
                assert told.lines.hold()
        assert told.is_11 == [(True, "1.1"), (False, "1.0")] * 2, at


def test_bodies_are_passed_over() -> None:
    for bodies in (CHUNKS + BODY, COUNTED, COUNTED + CHUNKS + BODY + COUNTED):
        for read in (read_whole, read_bytewise):
            assert read(bodies + GET).refused is None
            reader = read(bodies + GET + WIDE + GET)
            assert reader.refused is not None
            assert reader.heads[-1].target.raw == b"/a"


@pytest.mark.parametrize("at", range(1, len(BODY)))
def test_a_line_behind_chunks_that_began_earlier_is_judged(at: int) -> None:
    """Wherever the body is cut, and whatever in it looks like an end."""
    reader = Reader()
    reader.feed(iter((CHUNKS + BODY[:at], BODY[at:] + GET + WIDE)))
    assert [head.target.raw for head in reader.heads] == [b"/c", b"/a"]
    assert reader.refused is not None


def test_what_is_left_behind_chunks_is_given_back() -> None:
    told = Told()
    told.lines.feed(told.parser, CHUNKS, 0)
    told.lines.has_body(CHUNKED, [])
    told.lines.hold_body(True)
    reader = httptools.HttpRequestParser(Ender(told.lines))
    reader.feed_data(CHUNKS)
    assert told.lines.feed(reader, BODY + WIDE, CHUNKED) == WIDE


def test_so_many_empty_lines_of_chunks_are_fed_at_once_and_the_rest_is_given_back() -> None:
    """Each is a call of the parser: a piece full of them must not be one turn of the loop."""
    told = Told()
    told.lines.feed(told.parser, CHUNKS, 0)
    told.lines.has_body(CHUNKED, [])
    told.lines.hold_body(True)
    chunks = b"5\r\na\r\n\r\n\r\n" * (FEEDS + 3)
    assert told.lines.feed(told.parser, chunks, CHUNKED) == b"5\r\na\r\n\r\n\r\n" * 3


class Ender:
    """Says when a body has ended, as a client's connection does."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def on_message_complete(self) -> None:
        self.lines.ended = True


def test_nothing_is_kept_between_messages() -> None:
    """An idle connection holds no bytes of what came."""
    told = Told()
    told.lines.feed(told.parser, GET + GET, 0)
    assert told.lines.hold()
    assert told.lines.held == told.lines.piece == b""


@pytest.mark.parametrize("flood", [b"GET" + b" " * 500, b"\r" * 500, b"\n", b"\r\n\r\r", b"\r\n" * 200 + b"\n"])
def test_what_can_begin_no_line_is_not_kept_for_ever(flood: bytes) -> None:
    """Spaces and line ends that the parser skips in silence end the connection instead of filling memory."""
    reader = read_bytewise(flood)
    assert reader.refused is not None
    assert reader.refused.code == "request_malformed"


@pytest.mark.parametrize("odd", [b"\n", b"\r"])
@pytest.mark.parametrize("before", [b"", GET])
def test_what_stands_before_empty_lines_is_not_forgotten(before: bytes, odd: bytes) -> None:
    """A read that ends in an empty line ends a message, unless something else stands between."""
    reader = read_whole(before + odd + b"\r\n\r\n")
    assert reader.refused is not None
    assert reader.refused.code == "request_malformed"


def test_empty_lines_are_not_kept() -> None:
    told = Told()
    for octet in b"\r\n" * 5000:
        told.lines.feed(told.parser, bytes((octet,)), 0)
        assert told.lines.hold()
        assert len(told.lines.held) <= 1
