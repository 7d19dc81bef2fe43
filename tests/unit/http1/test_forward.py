"""Heads that go out: one framing, our lines in their places, and answers that say clearly where they end."""

from __future__ import annotations

import pytest

from gateway.errors import Refused
from gateway.http1.forward import (
    SENT_CHUNKED,
    SENT_LENGTH,
    SENT_NONE,
    SENT_UNTIL_CLOSE,
    Answer,
    AnswerRules,
    answer_head,
    body_framing,
    interim_head,
    read_answer,
    request_head,
)
from gateway.http1.forwarded import forwarded_block
from gateway.http1.head import read_head
from gateway.http1.request import Head
from tests.support.http_golden import RULES

FORWARDED = forwarded_block("203.0.113.9", "https")


def head_of(method: bytes, *fields: tuple[bytes, bytes]) -> Head:
    head = read_head(method, b"/a?b", "1.1", [(b"Host", b"App.test:8443"), *fields], RULES, True)
    assert isinstance(head, Head), head
    return head


def test_the_whole_request_head() -> None:
    head = head_of(b"GET", (b"User-Agent", b"x"), (b"X-Forwarded-For", b"evil"), (b"Via", b"1.0 fred"))
    assert request_head(head, b"X-Stagedoor-User: user:default/jane\r\n", FORWARDED, b"req-1", b"00-a-b-01") == (
        b"GET /a?b HTTP/1.1\r\n"
        b"Host: App.test:8443\r\n"
        b"User-Agent: x\r\n"
        b"Via: 1.0 fred\r\n"
        b"X-Stagedoor-User: user:default/jane\r\n"
        b"X-Forwarded-For: 203.0.113.9\r\n"
        b"X-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Host: App.test:8443\r\n"
        b"Via: 1.1 stagedoor\r\n"
        b"X-Request-Id: req-1\r\n"
        b"traceparent: 00-a-b-01\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize(
    ("method", "fields", "end"),
    [
        (b"GET", [], b"req-1\r\n\r\n"),
        (b"DELETE", [], b"req-1\r\n\r\n"),
        (b"POST", [], b"req-1\r\nContent-Length: 0\r\n\r\n"),
        (b"PUT", [(b"Content-Length", b"0")], b"req-1\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", [(b"Content-Length", b"007")], b"req-1\r\nContent-Length: 7\r\n\r\n"),
        (b"POST", [(b"Transfer-Encoding", b"Chunked")], b"req-1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
)
def test_the_framing_is_written_anew(method: bytes, fields: list[tuple[bytes, bytes]], end: bytes) -> None:
    assert request_head(head_of(method, *fields), b"", FORWARDED, b"req-1").endswith(end)


def test_a_tunnel_is_asked_for_only_when_the_caller_says_so() -> None:
    head = head_of(b"GET", (b"Connection", b"upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", b"x"))
    assert b"pgrade" not in request_head(head, b"", FORWARDED, b"req-1")
    asked = request_head(head, b"", FORWARDED, b"req-1", upgrade=head.tunnel)
    assert asked.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert b"\r\nSec-WebSocket-Key: x\r\n" in asked


def test_the_clients_own_trace_is_kept() -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    out = request_head(head_of(b"GET", (b"traceparent", trace)), b"", FORWARDED, b"req-1", b"ours")
    assert b"\r\ntraceparent: " + trace + b"\r\n" in out
    assert b"ours" not in out


def test_the_target_can_be_replaced() -> None:
    assert request_head(head_of(b"GET"), b"", FORWARDED, b"req-1", raw_target=b"/").startswith(b"GET / HTTP/1.1\r\n")


ANSWER_RULES = AnswerRules(fields=20, head_bytes=2000)


def read(
    status: int, *fields: tuple[bytes, bytes], method: str = "GET", version: str = "1.1", upgrade: bytes = b""
) -> Answer:
    answer = read_answer(status, version, list(fields), method, ANSWER_RULES, upgrade)
    assert isinstance(answer, Answer), answer
    return answer


FIVE = (b"Content-Length", b"5")
CHUNKED = (b"Transfer-Encoding", b"chunked")


def test_the_whole_answer_head() -> None:
    answer = read(200, (b"Content-Type", b"text/plain"), FIVE, (b"Connection", b"x-a"), (b"X-A", b"1"))
    assert answer_head(answer, 11, False, b"req-1", b"Proxy-Status: x\r\nX-B: 2\r\n") == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Request-Id: req-1\r\nProxy-Status: x\r\nX-B: 2\r\n"
        b"Content-Length: 5\r\n\r\n"
    )
    assert answer_head(answer, 11, True, b"req-1").endswith(b"req-1\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
    assert answer_head(answer, 10, False, b"req-1").endswith(b"Content-Length: 5\r\nConnection: keep-alive\r\n\r\n")


@pytest.mark.parametrize(
    ("fields", "version", "framing", "end"),
    [
        ([FIVE], 11, SENT_LENGTH, b"\r\nContent-Length: 5\r\n\r\n"),
        ([FIVE], 10, SENT_LENGTH, b"\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"),
        ([CHUNKED], 11, SENT_CHUNKED, b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ([CHUNKED], 10, SENT_UNTIL_CLOSE, b"req-1\r\nConnection: close\r\n\r\n"),
        ([], 11, SENT_CHUNKED, b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ([], 10, SENT_UNTIL_CLOSE, b"req-1\r\nConnection: close\r\n\r\n"),
        ([(b"Content-Length", b"0")], 11, SENT_NONE, b"\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_a_body_is_framed_for_its_client(
    fields: list[tuple[bytes, bytes]], version: int, framing: int, end: bytes
) -> None:
    answer = read(200, *fields)
    assert body_framing(answer, version) == framing
    assert answer_head(answer, version, False, b"req-1").endswith(end)


@pytest.mark.parametrize(
    ("status", "method", "fields", "end"),
    [
        (200, "HEAD", [FIVE], b"\r\nContent-Length: 5\r\n\r\n"),
        (200, "HEAD", [CHUNKED], b"req-1\r\n\r\n"),
        (200, "HEAD", [], b"req-1\r\n\r\n"),
        (204, "GET", [(b"Content-Length", b"0")], b"req-1\r\n\r\n"),
        (304, "GET", [FIVE], b"req-1\r\n\r\n"),
        (103, "GET", [(b"Content-Length", b"0")], b"req-1\r\n\r\n"),
    ],
)
def test_an_answer_without_a_body_never_promises_one(
    status: int, method: str, fields: list[tuple[bytes, bytes]], end: bytes
) -> None:
    answer = read(status, *fields, method=method)
    assert answer.no_body
    assert body_framing(answer, 11) == body_framing(answer, 10) == SENT_NONE
    assert answer_head(answer, 11, False, b"req-1").endswith(end)


@pytest.mark.parametrize(
    ("version", "fields", "stays"),
    [
        ("1.1", [FIVE], True),
        ("1.1", [CHUNKED], True),
        ("1.1", [], False),
        ("1.1", [FIVE, (b"Connection", b"Close")], False),
        ("1.1", [FIVE, (b"Connection", b"x"), (b"Connection", b"close")], False),
        ("1.0", [FIVE], False),
        ("1.0", [FIVE, (b"Connection", b"keep-alive")], True),
    ],
)
def test_an_upstream_connection_is_used_again_only_if_its_end_is_certain(
    version: str, fields: list[tuple[bytes, bytes]], stays: bool
) -> None:
    assert read(200, *fields, version=version).keep_alive is stays


@pytest.mark.parametrize(
    ("status", "version", "fields"),
    [
        (200, "1.1", [FIVE, FIVE]),
        (200, "1.1", [FIVE, (b"content-length", b"6")]),
        (200, "1.1", [FIVE, CHUNKED]),
        (200, "1.1", [CHUNKED, CHUNKED]),
        (200, "1.1", [(b"Content-Length", b"5, 5")]),
        (200, "1.1", [(b"Content-Length", b"")]),
        (200, "1.1", [(b"Transfer-Encoding", b"gzip, chunked")]),
        (200, "1.0", [CHUNKED]),
        (200, "2.0", []),
        (99, "1.1", []),
        (600, "1.1", []),
        (101, "1.1", [(b"Upgrade", b"websocket")]),
        (200, "1.1", [(b"X-A", b"1")] * 21),
        (200, "1.1", [(b"X-A", b"a" * 2000)]),
        (200, "1.1", [(b"X-A", b"a\r\nX-Evil: 1")]),
        (200, "1.1", [(b"X-A", b"a\0")]),
        (200, "1.1", [(b"X A", b"1")]),
        (200, "1.1", [(b"X" * 200, b"1")]),
    ],
)
def test_an_answer_with_two_readings_is_no_answer(status: int, version: str, fields: list[tuple[bytes, bytes]]) -> None:
    answer = read_answer(status, version, fields, "GET", ANSWER_RULES)
    assert isinstance(answer, Refused)
    assert answer.code == "upstream_malformed"


def test_a_head_near_its_limit_is_measured_to_the_octet() -> None:
    rules = AnswerRules(head_bytes=len(b"X-A: abc\r\n"))
    assert isinstance(read_answer(200, "1.1", [(b"X-A", b"abc")], "GET", rules), Answer)
    assert isinstance(read_answer(200, "1.1", [(b"X-A", b"abcd")], "GET", rules), Refused)


def test_what_belongs_to_the_hop_or_the_door_does_not_pass() -> None:
    stopped = [
        (b"Connection", b"x-hop, keep-alive"), (b"X-Hop", b"1"), (b"Keep-Alive", b"timeout=5"), (b"Alt-Svc", b"h3"),
        (b"X-Request-Id", b"theirs"), (b"X-Stagedoor-User", b"evil"), (b"x_stagedoor_user", b"evil"),
        (b"Set-Cookie", b"__Host-stagedoor=evil; Path=/"), (b"set-cookie", b"=__Host-stagedoor=evil"),
        (b"Trailer", b"X-A"), (b"Upgrade", b"h2c"),
    ]  # fmt: skip
    answer = read(200, *stopped, (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), FIVE)
    assert answer.lines == b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"


def test_a_service_clears_no_cookies() -> None:
    clearing = ((b"Clear-Site-Data", b'"cookies"'), (b"clear-site-data", b'"cookies", "cache"'))
    answer = read(200, *clearing, (b"Clear_Site_Data", b'"*"'), (b"Connection", b"x"), (b"X", b"1"), FIVE)
    assert answer.lines == b'HTTP/1.1 200 OK\r\nClear-Site-Data: "cache"\r\n'


def test_a_service_does_not_speak_as_the_door() -> None:
    """Who reads `Proxy-Status` (RFC 9209) knows by it that no service was asked."""
    said = [
        (b"Proxy-Status", b"stagedoor; error=http_request_denied"), (b"proxy-status", b"StageDoor, cdn; error=x"),
        (b"Proxy-Status", b'"stagedoor.example"; error=x'), (b"Proxy_Status", b"stagedoor"),
        (b"Proxy-Status", b'a; details="x, \\", stagedoor; y", stagedoor-2, b'), (b"Proxy-Status", b'a; details="x'),
    ]  # fmt: skip
    answer = read(403, *said, FIVE)
    assert answer.lines == (
        b"HTTP/1.1 403 Forbidden\r\nProxy-Status: cdn; error=x\r\n"
        b'Proxy-Status: a; details="x, \\", stagedoor; y", b\r\n'
    )


def test_the_own_service_sets_our_cookies() -> None:
    answer = read_answer(200, "1.1", [(b"Set-Cookie", b"__Host-stagedoor=x"), FIVE], "GET", AnswerRules(own=True))
    assert isinstance(answer, Answer)
    assert b"Set-Cookie: __Host-stagedoor=x\r\n" in answer.lines


def test_a_switch_of_protocols_answers_the_one_that_was_asked_for() -> None:
    asked = [(b"Connection", b"Upgrade"), (b"Upgrade", b"WebSocket"), (b"Sec-WebSocket-Accept", b"x")]
    answer = read(101, *asked, upgrade=b"websocket")
    assert (answer.no_body, answer.keep_alive, answer.upgrade) == (True, False, b"websocket")
    assert answer_head(answer, 11, False, b"req-1") == (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nX-Request-Id: req-1\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    assert isinstance(read_answer(101, "1.1", asked, "GET", ANSWER_RULES, b"other"), Refused)
    assert isinstance(read_answer(101, "1.0", asked, "GET", ANSWER_RULES, b"websocket"), Refused)
    for framing in (FIVE, CHUNKED):
        assert isinstance(read_answer(101, "1.1", [*asked, framing], "GET", ANSWER_RULES, b"websocket"), Refused)


def test_an_interim_answer_goes_on_without_framing() -> None:
    answer = read(103, (b"Link", b"</a>; rel=preload"))
    assert answer.no_body
    assert interim_head(answer) == b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"


@pytest.mark.parametrize("status", [100, 103, 104, 150, 199])
def test_an_interim_answer_that_announces_a_body_is_none(status: int) -> None:
    """llhttp takes that body off the wire for statuses it does not know: it would become the final answer's."""
    for framing in ((b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")):
        assert isinstance(read_answer(status, "1.1", [framing], "GET", ANSWER_RULES), Refused)
    assert read(status, (b"Content-Length", b"0")).no_body


def test_an_unknown_status_has_an_empty_phrase() -> None:
    assert read(299, FIVE).lines == b"HTTP/1.1 299 \r\n"
