"""What goes out: the head of the request to the upstream, and the head of its answer to the client.

Out of these functions come only well-formed heads, whatever went in: one Host, one framing, no hop-by-hop field,
no alias of an identity header but our own lines. That is why framing, Host, Via, X-Request-Id, X-Forwarded-* and
traceparent are written here and never copied.

Answers: the status line is ours, the upstream's reason phrase is not read (it is optional in HTTP/1.1, gone since
HTTP/2, and a place to write into). An answer whose framing two readers could read differently is no answer:
`upstream_malformed`. So is a 101 that nobody asked for. What would speak for the whole origin stops here (see
`names.answer_names`), and so does what only the door may say: `X-Stagedoor-*`, cookies by our names, members of
`Proxy-Status` in our name. A `Clear-Site-Data` of a service clears no cookies.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from gateway.errors import Refused
from gateway.http1.cookies import line_about_cookies
from gateway.http1.head import METHODS
from gateway.http1.names import IS_NO_NAME, NAME_BYTES, NameTable, answer_names
from gateway.http1.request import Head
from gateway.http1.values import (
    NOTHING,
    UNCLEAR,
    UNTIL_CLOSE,
    body_length,
    breaks_a_line,
    connection_of,
    octets_of,
    of_others,
    without,
)

#: How an answer's body goes to the client, see `body_framing`.
SENT_NONE: Final = 0
SENT_LENGTH: Final = 1
SENT_CHUNKED: Final = 2
SENT_UNTIL_CLOSE: Final = 3
LAST_CHUNK: Final = b"0\r\n\r\n"

_EXPECT_CONTENT: Final = frozenset(("POST", "PUT", "PATCH"))
_STARTS: Final = {name: octets + b" " for octets, name in METHODS.items()}
_STATUS_LINES: Final = {
    status: b"HTTP/1.1 %d %b\r\n"
    % (status, HTTPStatus(status).phrase.encode() if status in HTTPStatus._value2member_map_ else b"")
    for status in range(100, 600)
}

_LENGTH: Final = 1
_CODING: Final = 2
_CONNECTION: Final = 3
_COOKIE: Final = 4
_UPGRADE: Final = 5
_KEEP_ALIVE: Final = 6
_CLEARING: Final = 7
_SPOKEN: Final = 8
_DATE: Final = 9
_PLACES: Final = {
    b"content-length": _LENGTH, b"transfer-encoding": _CODING, b"connection": _CONNECTION,
    b"set-cookie": _COOKIE, b"upgrade": _UPGRADE, b"keep-alive": _KEEP_ALIVE,
    b"clear-site-data": _CLEARING, b"proxy-status": _SPOKEN, b"date": _DATE,
}  # fmt: skip


# === the request ===


def request_head(
    head: Head,
    identity: bytes,
    forwarded: bytes,
    request_id: bytes,
    traceparent: bytes = b"",
    *,
    raw_target: bytes = b"",
    upgrade: bytes = b"",
) -> bytes:
    """The whole head for the upstream.

    `identity` and `forwarded` are whole lines, ours; `traceparent` stands in where the client sent none;
    `raw_target` replaces the target (see `target.below_prefix`); `upgrade` asks for a tunnel, and may only be
    `head.tunnel`. `Expect` never goes up: the door itself says when the body may come.
    """
    length = head.length
    if length > 0:
        framing = b"\r\nContent-Length: %d\r\n\r\n" % length
    elif length < 0:
        framing = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    elif upgrade:
        framing = b"\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n"
    elif head.method in _EXPECT_CONTENT:
        framing = b"\r\nContent-Length: 0\r\n\r\n"
    else:
        framing = b"\r\n\r\n"
    authority = head.authority
    trace = head.traceparent or traceparent
    return b"%b%b HTTP/1.1\r\nHost: %b\r\n%b%b%bX-Forwarded-Host: %b\r\nVia: 1.1 stagedoor\r\nX-Request-Id: %b%b%b" % (
        _STARTS[head.method], raw_target or head.target.raw, authority, b"".join(head.passed), identity, forwarded,
        authority, request_id, b"\r\ntraceparent: " + trace if trace else b"", framing,
    )  # fmt: skip


# === the answer ===


class AnswerRules:
    """What `read_answer` needs beside the answer: limits and names. Made once per settings."""

    __slots__ = ("fields", "head_bytes", "names", "own")

    def __init__(self, *, fields: int = 100, head_bytes: int = 64 * 1024, own: bool = False) -> None:
        self.fields = fields
        self.head_bytes = head_bytes
        self.own = own  # Stagedoor's own service: it alone may set our cookies
        self.names: NameTable = answer_names(_PLACES)


class Answer:
    """An answer's head, read. Below 200 (but 101) it is interim and another one follows."""

    __slots__ = ("dated", "keep_alive", "kept", "length", "lines", "named", "no_body", "status", "upgrade")

    def __init__(
        self, status: int, lines: bytes, length: int, no_body: bool, keep_alive: bool, upgrade: bytes = b"",
        kept: bytes | None = None, named: frozenset[bytes] = NOTHING, dated: bool = True,
    ) -> None:  # fmt: skip
        self.status = status
        self.lines = lines  # status line and fields, ready to send but for framing, connection and the empty line
        self.length = length  # of the body, or what HEAD would have had; CHUNKED, UNTIL_CLOSE
        self.no_body = no_body  # whatever `length` says; a body that comes all the same is seen by the caller alone
        self.keep_alive = keep_alive  # the upstream connection may be used again after the body
        self.upgrade = upgrade  # of a 101: the protocol that begins
        self.kept = kept  # the Keep-Alive field
        self.named = named  # lower-case names of the fields that end with this hop
        self.dated = dated  # it says when it was made


def read_answer(
    status: int, version: str, fields: list[tuple[bytes, bytes]], request_method: str, rules: AnswerRules,
    upgrade: bytes = b"",
) -> Answer | Refused:  # fmt: skip
    """Read what llhttp delivered for one answer; `upgrade` is what `request_head` asked for."""
    if not 100 <= status < 600 or version not in ("1.1", "1.0") or len(fields) > rules.fields:
        return _malformed("the answer's status or version is none of HTTP/1.1, or its fields are too many")
    lines = [_STATUS_LINES[status]]
    seen = []
    length = coding = connection = protocol = kept = None
    dated = False
    kinds = rules.names.kinds
    for name, value in fields:
        seen.append(value)
        kind = kinds.get(name)
        if kind is None:
            kind = rules.names.judge(name)
        if not kind:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == _DATE:
            dated = True
            lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == _LENGTH:
            if length is not None:
                return _malformed("the answer has two lengths")
            length = value
        elif kind == _CONNECTION:
            connection = value if connection is None else connection + b"," + value
        elif kind == _CODING:
            coding = value if coding is None else coding + b"," + value
        elif kind in (_COOKIE, _CLEARING, _SPOKEN):
            if passed := of_others(value) if kind == _SPOKEN else line_about_cookies(kind == _COOKIE, value, rules.own):
                lines.append(passed)
        elif kind == _UPGRADE:
            protocol = value.strip(b" \t").lower()
        elif kind == _KEEP_ALIVE:
            kept = value
        elif kind == IS_NO_NAME:
            return _malformed("a field of the answer has no valid name")
    if why := _unfit(b"".join(seen), fields, rules):
        return _malformed(why)
    keep_alive, named = version == "1.1", NOTHING
    if connection is not None:
        closes, keeps, _, named = connection_of(connection)
        keep_alive = not closes and (keeps or keep_alive)
        if named:
            lines[1:] = without(lines[1:], named)
    if status == 101:
        framed = (length, coding) != (None, None) or version != "1.1"
        return _switched(b"".join(lines), protocol, upgrade, framed)
    size = body_length(length, coding, 11 if version == "1.1" else 10)
    if size == UNCLEAR:
        return _malformed("the answer does not say clearly where its body ends")
    if status < 200 and size not in (0, UNTIL_CLOSE):
        # RFC 9112, 6.3: it has no body. llhttp reads one all the same where it does not know the status.
        return _malformed("an interim answer of the service announces a body")
    if request_method == "HEAD" or status in (204, 304) or status < 200:
        return Answer(status, b"".join(lines), size, True, keep_alive, b"", kept, NOTHING, dated)
    keep_alive = keep_alive and size != UNTIL_CLOSE
    return Answer(status, b"".join(lines), size, size == 0, keep_alive, b"", kept, named, dated)


def _switched(lines: bytes, protocol: bytes | None, asked: bytes, framed: bool) -> Answer | Refused:
    if protocol is None or protocol != asked or framed:
        return _malformed("the service switches protocols, which nobody asked for, or not so")
    return Answer(101, lines, 0, True, False, protocol)


def _unfit(octets: bytes, fields: list[tuple[bytes, bytes]], rules: AnswerRules) -> str:
    """Why the values, joined, cannot be passed on; "" if they can."""
    if len(octets) + (NAME_BYTES + 4) * len(fields) > rules.head_bytes and octets_of(fields) > rules.head_bytes:
        return "the answer's head is too large"
    return "a field of the answer holds a control character" if breaks_a_line(octets) else ""


def _malformed(detail: str) -> Refused:
    return Refused("upstream_malformed", detail)


def body_framing(answer: Answer, version: int) -> int:
    """How the body goes to a client of this version. SENT_UNTIL_CLOSE obliges the door to close behind it."""
    if answer.no_body:
        return SENT_NONE
    if answer.length >= 0:
        return SENT_LENGTH
    return SENT_CHUNKED if version >= 11 else SENT_UNTIL_CLOSE


def answer_head(answer: Answer, version: int, close: bool, request_id: bytes, extra: bytes = b"") -> bytes:
    """The whole head for the client. `extra`: further whole lines of ours. `close`: the connection ends after it."""
    length = answer.length
    if answer.no_body:
        framing = _bodiless_framing(answer)
    elif length >= 0:
        framing = b"\r\nContent-Length: %d\r\n" % length
    elif version >= 11:
        framing = b"\r\nTransfer-Encoding: chunked\r\n"
    else:
        framing = b"\r\n"
        close = True
    if close:
        framing += b"Connection: close\r\n\r\n"
    elif version >= 11:
        framing += b"\r\n"
    else:
        framing += b"Connection: keep-alive\r\n\r\n"
    return b"%bX-Request-Id: %b%b%b" % (answer.lines, request_id, b"\r\n" + extra[:-2] if extra else b"", framing)


def _bodiless_framing(answer: Answer) -> bytes:
    """HEAD keeps the length that GET would have had (RFC 9110, 8.6); 204 and 1xx must not name one, 304 need not."""
    if answer.status == 101:
        return b"\r\nUpgrade: " + answer.upgrade + b"\r\nConnection: Upgrade\r\n"
    if answer.length >= 0 and answer.status >= 200 and answer.status not in (204, 304):
        return b"\r\nContent-Length: %d\r\n" % answer.length
    return b"\r\n"


def interim_head(answer: Answer) -> bytes:
    """A 1xx other than 101, for clients that know HTTP/1.1."""
    return answer.lines + b"\r\n"
