"""Whatever comes in, what goes out is well-formed, single, and free of what the door strips. h11 is the judge.

h11 is a second, strict HTTP/1.1 parser that shares no line with llhttp or with us. The promises:

* `out_is_one_request`, `out_is_one_answer`: a head we write parses as exactly one message, which ends where its
  framing says, and nothing is left over;
* `aliases_never_pass`, `hop_by_hop_never_passes`: for any field names and values;
* `accepted_is_a_subset`: a request that we accept, h11 accepts too, and reads the same out of it;
* `one_reading`: a path we accept has no second reading by decoding, normalising or reading it again.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from urllib.parse import quote, unquote

import h11
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gateway.config import Limits
from gateway.errors import FAULTS, Refused
from gateway.http1.forward import (
    SENT_CHUNKED,
    SENT_NONE,
    Answer,
    AnswerRules,
    answer_head,
    body_framing,
    read_answer,
    request_head,
)
from gateway.http1.forwarded import forwarded_block
from gateway.http1.head import METHODS, HeadRules, read_head
from gateway.http1.names import HOP_BY_HOP, fold
from gateway.http1.pages import challenge, refusal
from gateway.http1.request import Head
from gateway.http1.target import Target, read_target
from gateway.http1.trailers import last_chunk
from tests.support.examples import examples
from tests.support.http_golden import RULES, Reader

ANSWER_RULES = AnswerRules()
NO_LIMITS = HeadRules(Limits(head_bytes=1 << 20, target_bytes=1 << 20, fields=1000))
IDENTITY = b"X-Stagedoor-User: user:default/jane\r\nX-Stagedoor-Groups: group:default/payments\r\n"
OURS = (b"x-stagedoor-user", b"x-stagedoor-groups", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
IDENTITY_ALIAS = re.compile(rb"x-stagedoor.*|x-forwarded-.*|x-auth-request-.*|remote-user|x-remote-.*|x-team|proxy")

NAMES = [
    "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "Authorization", "Cookie",
    "Origin", "Accept", "Via", "traceparent", "tracestate", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Proto",
    "X-Forwarded-User", "X-Stagedoor-User", "X-Auth-Request-Email", "Remote-User", "X-Team", "Keep-Alive", "TE",
    "Trailer", "Proxy-Connection", "Set-Cookie", "Content-Type", "X-Kept", "Alt-Svc", "X-Hop-Cert", "Proxy",
]  # fmt: skip
VALUES = [
    b"", b"app.test", b"evil.test:8443", b"5", b"05", b"-5", b"5, 5", b"chunked", b"Chunked", b"gzip, chunked",
    b"close", b"keep-alive, X-Kept", b"Upgrade", b"host, content-length, x-stagedoor-user", b"websocket", b"h2c",
    b"100-continue", b"Bearer a.b.c", b"bearer", b"Basic eDp5",
    b"a=1; __Host-stagedoor=x; BIGipServerp=1.2.3", b"1.1 stagedoor",
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"192.0.2.1, 198.51.100.2", b"https", b"trailers",
]  # fmt: skip

DAMAGE = [b"", b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"\x80", b"Host: b\r\n"]

TOKEN_OCTETS = b"!#$%&'*+-.^_`|~0123456789abcXYZ"
VALUE_OCTETS = bytes([9, *range(32, 127), *range(128, 256)])


def octets(alphabet: bytes, min_size: int = 0, max_size: int = 30) -> st.SearchStrategy[bytes]:
    table = bytes(alphabet[octet % len(alphabet)] for octet in range(256))
    return st.binary(min_size=min_size, max_size=max_size).map(lambda drawn: drawn.translate(table))


@st.composite
def names(draw: st.DrawFn) -> bytes:
    """A name llhttp would deliver: one that matters, in any case and with any punctuation, or any token."""
    if draw(st.integers(0, 4)) == 0:
        return draw(octets(TOKEN_OCTETS, min_size=1, max_size=12))
    name = draw(st.sampled_from(NAMES)).encode("ascii")
    change = draw(st.sampled_from(["none", "none", "lower", "upper", "swap", "_", ".", "~"]))
    changed = {"lower": name.lower(), "upper": name.upper(), "swap": name.swapcase(), "none": name}
    return changed.get(change, name.replace(b"-", change.encode("ascii")))


values = st.one_of(st.sampled_from(VALUES), octets(VALUE_OCTETS, max_size=30).map(lambda value: value.lstrip(b" \t")))
# Most drawn heads should be accepted, or nothing is learnt of what goes out: plain targets, and at most one
# occurrence of the fields that are refused twice.
SINGLE = {b"authorization", b"content-length", b"transfer-encoding", b"origin", b"expect", b"host"}


def mild(sent: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields with one good Host, and the framing fields with values that mean something."""
    good = {b"content-length": b"5", b"transfer-encoding": b"chunked", b"expect": b"100-continue"}
    kept = {name.lower() if name.lower() in SINGLE else (name, value): (name, value) for name, value in sent}
    if b"content-length" in kept:
        kept.pop(b"transfer-encoding", None)
    kept.pop(b"host", None)
    return [(b"Host", b"app.test"), *((name, good.get(name.lower(), value)) for name, value in kept.values())]


fields = st.lists(st.tuples(names(), values), max_size=10)
usual_fields = fields.map(mild)

PIECES = [
    "/", "/", "/", "a", "b", "Z", ".", "..", "%2e", "%2E", "%2f", "%2F", "%5c", "\\", "%25", "%252f", "%", ";", "%3b",
    "?", "#", "%00", "%c3%a9", "%c0%af", "%e9", "é", "%20", " ", "*", ":", "@", "//", "http://app.test", "=", "&", "~",
    "%41", "[", "|", "{", "<", '"', "%7f", "%c2%85", "x.y", "...", ".a", "%2", "%u002f",
]  # fmt: skip
LIKELY = ["/a", "/", ".b", "%C3%A9", "%20", "~", "/x.y", ";p", "%2F", ":", "@", "[", "?q", "=%2f", "&//..", "..."]
targets = st.one_of(
    st.lists(st.sampled_from(LIKELY), max_size=8).map(lambda pieces: ("/a" + "".join(pieces)).encode()),
    st.sampled_from([b"/", b"/a/b?c=d", b"/caf%C3%A9/", b"/a//b", b"/a;b/c", b"/a%2Fb", b"http://app.test/a"]),
    st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: ("/" + "".join(pieces)).encode()),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map(lambda pieces: "".join(pieces).encode()),
    octets(bytes(range(256)), max_size=20),
)
methods = st.sampled_from([*METHODS, *METHODS, *METHODS, b"CONNECT", b"TRACE", b"get", b"MOVE"])
versions = st.sampled_from([*["1.1"] * 8, *["1.0"] * 4, "0.9", "2.0"])


def the_only_request(head: bytes, body: bytes) -> h11.Request:
    """The request that a strict server reads in these bytes; fails if there is not exactly one, or a rest."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 21)
    connection.receive_data(head + body)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
    assert connection.trailing_data[0] == b""
    return request


def body_of(head: Head) -> bytes:
    return b"5\r\nhello\r\n0\r\n\r\n" if head.length < 0 else b"x" * head.length


@settings(max_examples=examples(200))
@given(methods, targets, versions, st.one_of(usual_fields, fields), st.booleans())
@example(b"GET", b"/", "1.1", [(b"Host", b"app.test"), (b"Connection", b"host, x-forwarded-for, via")], True)
@example(b"POST", b"/a", "1.1", [(b"Host", b"app.test"), (b"Transfer-Encoding", b"chunked")], False)
def test_out_is_one_request_without_aliases_or_hop_by_hop_fields(
    method: bytes, target: bytes, version: str, sent: list[tuple[bytes, bytes]], trusted: bool
) -> None:
    head = read_head(method, target, version, sent, RULES, trusted)
    if isinstance(head, Refused):
        assert head.code in FAULTS
        return
    assume(head.length < 10_000)
    out = request_head(head, IDENTITY, forwarded_block("192.0.2.9", "https"), b"req-1")
    request = the_only_request(out, body_of(head))

    assert request.method == method
    assert request.target == head.target.raw
    got = [name for name, _ in request.headers]
    assert got.count(b"host") == 1
    assert got.count(b"content-length") + got.count(b"transfer-encoding") <= 1
    assert (b"transfer-encoding" in got) == (head.length < 0)
    assert not HOP_BY_HOP.difference({b"transfer-encoding"}).intersection(got)
    assert [name for name in got if IDENTITY_ALIAS.fullmatch(fold(name))] == list(OURS)
    assert got.count(b"x-request-id") == 1
    assert not any(fold(name) == b"content-length" and name != b"content-length" for name in got)
    cookies = b"; ".join(value for name, value in request.headers if name == b"cookie").lower()
    assert not re.search(rb"(^|;)[ \t]*(__host-stagedoor[ \t]*(=|;|$)|bigipserver)", cookies)


@settings(max_examples=examples(200))
@given(st.one_of(usual_fields, fields), targets, st.data())
def test_accepted_is_a_subset_of_what_h11_accepts(
    sent: list[tuple[bytes, bytes]], target: bytes, data: st.DataObject
) -> None:
    """Bytes on the wire, damaged at up to three places. The one exception: empty lines before a request (RFC 9112,
    2.2), which h11 does not skip."""
    raw = b"GET " + target + b" HTTP/1.1\r\n" + b"".join(n + b": " + v + b"\r\n" for n, v in sent) + b"\r\n"
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(raw)))
        damage = data.draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"\x80", b"Host: b\r\n"])
        )
        raw = raw[:place] + damage + raw[place + data.draw(st.integers(0, 2)) :]
    reader = Reader(NO_LIMITS)
    reader.feed(iter((raw,)))
    if not reader.heads:
        return
    head = reader.heads[0]

    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 21)
    connection.receive_data(re.sub(rb"\A(\r\n)+", b"", raw))
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert request.method == head.method.encode("ascii")
    assert request.target in (b"http://" + head.authority + head.target.raw, head.target.raw) or head.target.authority
    assert [value for name, value in request.headers if name == b"host"] == [head.authority]


LINES = [b"%b /a HTTP/1.1", b"%b http://app.test/a HTTP/1.1", b"\r\n\r\n%b /a HTTP/1.1"]
NO_LINES = [b"%b  /a HTTP/1.1", b"%b /a  HTTP/1.1", b"%b /a RTSP/1.0", b"\n%b /a HTTP/1.1", b"\r%b /a HTTP/1.1",
            b"\r\n\r%b /a HTTP/1.1", b"%b\t/a HTTP/1.1", b"%b /a HTTP/1.1 ", b" %b /a HTTP/1.1"]  # fmt: skip
BODIES = [
    (b"POST", b"Content-Length: 0\r\n\r\n"),
    (b"POST", b"Content-Length: 3\r\n\r\n\r\nG"),
    (b"PUT", b"Content-Length: 19\r\nX:a\r\n\r\n\r\n\r\nGET /b HTTP/1.1"),
    (b"PUT", b"Content-Length:4\r\n\r\n\r\n\r\n"),
    (b"POST", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (b"POST", b"Transfer-Encoding: chunked\r\n\r\n0004;a=b\r\n\r\n\r\n\r\n8\r\n\r\n0\r\n\r\nG\r\n0\r\n\r\n"),
    (b"PATCH", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0;z\r\nX-A: b\r\nX-C:\r\n\r\n"),
]
messages = st.tuples(
    st.sampled_from([*[LINES] * 7, NO_LINES]).flatmap(st.sampled_from),
    st.one_of(st.tuples(st.sampled_from([b"GET", b"DELETE", b"OPTIONS"]), st.just(b"\r\n")), st.sampled_from(BODIES)),
)


@settings(max_examples=examples(200))
@given(st.lists(messages, min_size=1, max_size=6), st.lists(st.integers(0, 700), max_size=12), st.integers(0, 4))
def test_each_request_line_is_judged_wherever_pieces_end(
    sent: list[tuple[bytes, tuple[bytes, bytes]]], cuts: list[int], size: int
) -> None:
    """However messages share pieces and are cut: every plain line before the first that is none is a request, and
    that one is refused. Bodies hold what looks like the end of a head, or like a line."""
    plain = next((at for at, (line, _) in enumerate(sent) if line in NO_LINES), len(sent))
    raw = b""
    for line, (method, rest) in sent:
        raw += line % method + b"\r\nHost: app.test\r\n" + rest
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw)), *range(0, len(raw), size or len(raw))})
    reader = Reader(NO_LIMITS)
    reader.feed(raw[begin:end] for begin, end in itertools.pairwise(places))
    assert len(reader.heads) == plain
    assert (reader.refused is None) == (plain == len(sent))


@settings(max_examples=examples(200))
@given(targets)
def test_one_reading(raw: bytes) -> None:
    target = read_target(raw, "GET")
    if isinstance(target, Refused):
        return
    path = target.raw.partition(b"?")[0].decode("ascii")
    assert not target.path.startswith("//")
    assert all(segment.partition(";")[0].rstrip(" ") not in (".", "..") for segment in target.segments)
    assert len(target.segments) == path.count("/")
    if target.odd:
        return
    assert target.path == unquote(path, errors="strict") == "/" + "/".join(target.segments)
    assert posixpath.normpath(target.path) == (target.path.rstrip("/") or "/"), "a normaliser reads another path"
    assert unquote(target.path) == target.path or "%" in target.path
    again = read_target(quote(target.path).encode("ascii"), "GET")
    assert isinstance(again, Refused) or again.segments == target.segments


@given(targets, st.sampled_from(["GET", "OPTIONS"]))
def test_a_remembered_target_is_the_same_target(raw: bytes, method: str) -> None:
    first, second = read_target(raw, method), read_target(raw, method)
    if isinstance(first, Target) and isinstance(second, Target):
        slots = [name for name in dir(Target) if not name.startswith("_")]
        assert {"raw", "segments"} <= set(slots)
        assert all(getattr(first, slot) == getattr(second, slot) for slot in slots)
    else:
        assert first == second


def the_only_answer(head: bytes, body: bytes, method: str, ends: bool) -> h11.Response:
    """The answer that a strict client reads; fails if there is not exactly one, or a rest."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 21)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "app.test")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(head + body)
    if ends:
        connection.receive_data(b"")
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
    assert connection.trailing_data[0] == b""
    return response


def answer_body(answer: Answer, version: int) -> bytes:
    framing = body_framing(answer, version)
    if framing == SENT_NONE:
        return b""
    return b"5\r\nhello\r\n0\r\n\r\n" if framing == SENT_CHUNKED else b"x" * max(answer.length, 0)


@settings(max_examples=examples(200))
@given(
    st.sampled_from([200, 201, 204, 206, 301, 304, 404, 418, 500, 599]),
    st.sampled_from(["1.1", "1.0"]),
    fields,
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from([10, 11]),
    st.booleans(),
)
def test_out_is_one_answer(
    status: int, version: str, sent: list[tuple[bytes, bytes]], method: str, client_version: int, close: bool
) -> None:
    answer = read_answer(status, version, sent, method, ANSWER_RULES)
    if isinstance(answer, Refused):
        assert answer.code == "upstream_malformed"
        return
    assume(answer.length < 10_000)
    out = answer_head(answer, client_version, close, b"req-1", b"X-Stagedoor-Why: x\r\n")
    response = the_only_answer(out, answer_body(answer, client_version), method, ends=b"\r\nConnection: close" in out)
    got = [name for name, _ in response.headers]
    assert response.status_code == status
    assert got.count(b"content-length") + got.count(b"transfer-encoding") <= 1
    assert got.count(b"x-request-id") == got.count(b"x-stagedoor-why") == 1
    assert not HOP_BY_HOP.difference({b"transfer-encoding", b"connection"}).intersection(got)
    assert b"alt-svc" not in got
    for name, value in response.headers:
        assert name != b"set-cookie" or not value.lower().lstrip(b" \t=").startswith(b"__host-stagedoor=")


@given(st.lists(st.tuples(names(), values), max_size=5), st.frozensets(st.sampled_from([b"x-kept", b"host"])))
def test_only_trailers_on_the_list_pass(sent: list[tuple[bytes, bytes]], allowed: frozenset[bytes]) -> None:
    chunk = last_chunk(sent, allowed, frozenset())
    assert chunk.startswith(b"0\r\n") and chunk.endswith(b"\r\n\r\n") and chunk.count(b"\r\n\r\n") == 1
    assert {line.partition(b":")[0].lower() for line in chunk.split(b"\r\n")[1:-2]} <= allowed


@given(
    st.sampled_from(sorted(FAULTS)),
    st.text(max_size=40),
    octets(bytes(range(256)), max_size=30),
    st.sampled_from([b"", b"*/*", b"text/html", b"application/json"]),
    st.sampled_from([10, 11]),
    st.booleans(),
    st.lists(st.text(max_size=10), max_size=3),
)
def test_a_refusal_is_one_answer(
    code: str, detail: str, request_id: bytes, accept: bytes, version: int, head_only: bool, need: list[str]
) -> None:
    out = refusal(
        FAULTS[code],
        request_id=request_id,
        detail=detail,
        accept=accept,
        version=version,
        head_only=head_only,
        www_authenticate=challenge(code, tuple(need)),
    )
    head, _, body = out.partition(b"\r\n\r\n")
    response = the_only_answer(head + b"\r\n\r\n", body, "HEAD" if head_only else "GET", ends=False)
    assert response.status_code == FAULTS[code].status
    assert dict(response.headers)[b"cache-control"] == b"no-store"
    assert body == b"" if head_only else len(body) == int(dict(response.headers)[b"content-length"])
