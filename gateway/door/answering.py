"""Answers of the door itself that refuse nothing: redirects, and what its own endpoints say.

Each goes to the client as every other answer does and leaves its record. No cache keeps it unless it says so itself:
nearly all are about one person.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from gateway.http1.cookies import SESSION_COOKIE
from gateway.http1.dates import date_line
from gateway.http1.forward import Answer, answer_head

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange

DROPPED_BODY_BYTES: Final = 64 * 1024  # an unread body up to this size is read and dropped, the connection lives on
_ALWAYS: Final = b"X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n"
_KEPT: Final = b"; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"
_LEAVES_BODY: Final = frozenset((204, 304))
# An http profile of BIG-IP resets the connection at an answer with more (maximum header count and size, as shipped).
BIGIP_FIELDS: Final = 64
BIGIP_BYTES: Final = 32 * 1024


def cookie_line(name: bytes, value: bytes, lasts_s: int = 0) -> bytes:
    """A cookie of ours; without ``lasts_s`` it ends with the browser."""
    age = b"; Max-Age=%d" % lasts_s if lasts_s else b""
    return b"Set-Cookie: " + name + b"=" + value + age + _KEPT


def forget_line(name: bytes) -> bytes:
    return b"Set-Cookie: " + name + b"=; Max-Age=0" + _KEPT


FORGET_SESSION: Final = forget_line(SESSION_COOKIE)


def has_unread(exchange: Exchange) -> bool:
    """Whether more of the request's body may come than is worth reading for nothing."""
    rest = exchange.chunked or exchange.head.expects_continue or exchange.body_left > DROPPED_BODY_BYTES
    return not exchange.body_done and rest


def answer(exchange: Exchange, status: int, lines: bytes, body: bytes = b"") -> None:
    """The whole answer, and the exchange's end. ``lines`` are further whole lines of its head."""
    head = exchange.head
    exchange.status = status
    exchange.begun = True
    exchange.closes = has_unread(exchange) or exchange.is_last()
    if not exchange.request_id:
        exchange.request_id = head.request_id or exchange.door.next_request_id()
    connection = b"" if head.version >= 11 else b"Connection: keep-alive\r\n"
    stored = b"" if b"Cache-Control:" in lines else b"Cache-Control: no-store\r\n"
    quiet = b"" if b"Referrer-Policy:" in lines else b"Referrer-Policy: no-referrer\r\n"
    exchange.client.transport.write(b"".join((
        b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode("ascii")),
        date_line(exchange.door.now), lines, stored, _ALWAYS, quiet,
        b"X-Request-Id: ", exchange.request_id, b"\r\n",
        b"Connection: close\r\n" if exchange.closes else connection,
        b"" if status in _LEAVES_BODY else b"Content-Length: %d\r\n" % len(body), b"\r\n",
        b"" if head.method == "HEAD" else body,
    )))  # fmt: skip
    exchange.bytes_out = len(body)
    exchange.end()


def redirect(exchange: Exchange, to: str, lines: bytes = b"") -> None:
    """See other, by GET (RFC 9110, 15.4.4). True on entry: ``to`` is visible ASCII."""
    answer(exchange, 303, b"Location: " + to.encode("ascii") + b"\r\n" + lines)


def over_bigip_limits(exchange: Exchange, answer: Answer) -> str:
    """Why a BIG-IP in front would not take the head of a service's answer; "" where it would, or none is there."""
    if not exchange.client.listening.bigip:
        return ""
    head = answer_head(answer, exchange.head.version, True, exchange.request_id, exchange.allow)
    fields = head.count(b"\r\n") - 2  # the status line and the empty one are none
    if fields > BIGIP_FIELDS:
        return f"the answer would have {fields} fields, and the BIG-IP in front takes {BIGIP_FIELDS}"
    if len(head) >= BIGIP_BYTES:
        return f"the answer's head would have {len(head)} bytes, and the BIG-IP in front takes {BIGIP_BYTES}"
    return ""
