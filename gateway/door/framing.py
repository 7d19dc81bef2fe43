"""Where a request ends that llhttp alone cannot say: the rarer half of reading a connection.

`Downstream` feeds the parser and takes its callbacks. Here is what surrounds them: limits that must hold while a head
or trailers are still arriving, long bodies that are counted instead of parsed, an upgrade that is ignored or that may
become a tunnel, and the end of reading where the bytes are no request. The rule is that a framing doubt makes the
connection deaf: not one byte behind it is ever read as a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from httptools import HttpRequestParser

from gateway.door.exchange import Exchange
from gateway.door.faults import body_broken
from gateway.door.health import SIMPLE_PROBE, simple_probe
from gateway.door.holds import HOLD_EARLY
from gateway.errors import Refused
from gateway.http1.request import unread_head
from gateway.http1.trailers import are_too_large

if TYPE_CHECKING:
    from gateway.door.downstream import Downstream
    from gateway.http1.request import Head

EARLY_BYTES: Final = 64 * 1024  # behind a request that may become a tunnel; reading pauses then
UNREAD_LINE_BYTES: Final = 256  # of a line that was no request, this much goes into the record
TOO_MANY_TRAILERS: Final = "it has too many trailers"


# === what is still arriving ===


def head_incomplete(client: Downstream, arrived: int, same_head: bool) -> None:
    """A head may take `head_s` and `head_bytes`, however slowly its bytes drip in.

    The piece a head begins in may hold earlier messages, so its bytes are judged by `read_head` once the
    head is whole; only pieces that hold nothing else are counted here.
    """
    if client.lines.held == SIMPLE_PROBE:
        simple_probe(client)
        return
    if same_head:
        fields_incomplete(client, arrived)
        return
    client.head_pending = 0
    if client.exchange is None:
        client.deadline_s = client.door.tick_s + client.door.timeouts.head_s


def fields_incomplete(client: Downstream, arrived: int) -> None:
    """Bytes of a head, or of a chunked body that bring none of the body: trailers, which the parser keeps."""
    client.head_pending += arrived
    if client.head_pending > client.listening.limits.head_bytes:
        unreadable(client, "request_head_too_large")


def take_trailers(client: Downstream, receiving: Exchange) -> bool:
    """What came behind a chunked body goes with its exchange. False: it was too much, and the request is refused."""
    fields, client.fields = client.fields, []
    limits = client.listening.limits
    if are_too_large(fields, limits.fields, limits.head_bytes):
        unreadable(client, "request_head_too_large", TOO_MANY_TRAILERS)
        return False
    for name, _ in fields:
        if name.lower() in (b"connection", b"proxy-connection"):
            receiving.keep_alive = False  # llhttp obeys it there as well
    receiving.trailers = fields
    return True


def raw_body(client: Downstream, data: bytes) -> bytes:
    """Body bytes by counting; what follows the body is returned. The parser is replaced at its end."""
    receiving = client.receiving
    assert receiving is not None
    left = client.raw_left
    if len(data) < left:
        client.raw_left = left - len(data)
        receiving.feed(data)
        return b""
    client.raw_left = 0
    client.parser = None
    receiving.feed(data if len(data) == left else data[:left])
    client.receiving = None
    receiving.fed()
    client.body_ended(receiving)
    return data[left:]


# === upgrades ===


def upgrade_asked(client: Downstream, exchange: Exchange, head: Head, stops: bool) -> None:
    """``stops``: llhttp will end behind this message, as it does where `Connection` names the upgrade."""
    client.upgrading = stops
    if not stops or not exchange.keep_alive:
        head.tunnel = b""
    elif head.tunnel:
        client.offering = exchange


def after_upgrade(client: Downstream, rest: bytes) -> bytes:
    """Where no tunnel may begin, RFC 9110 §7.8 lets us ignore the upgrade and go on as HTTP/1.1.

    llhttp stops at any `Upgrade`. A fresh parser reads on; where the request has a body, it is told so by
    a made-up head whose framing is the one that `read_head` accepted. Where a tunnel may begin, what follows is
    no request until the answer is known (`hold_early`).
    """
    client.upgrading = False
    client.lines.drop()
    if client.offering is not None:
        client.parser = None
        return rest
    client.parser = HttpRequestParser(client)
    receiving = client.receiving
    if receiving is not None and receiving.body_left:
        framing = b"Content-Length: %d" % receiving.body_left
        if receiving.chunked:
            framing = b"Transfer-Encoding: chunked"
        client.skip_head = True
        client.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
    return rest


def hold_early(client: Downstream, data: bytes) -> None:
    """Bytes behind a request that may become a tunnel."""
    client.early += data
    if len(client.early) > EARLY_BYTES:
        client.hold(HOLD_EARLY)


def not_tunnelled(client: Downstream) -> None:
    """The exchange ended like any other: what came behind it is the next request."""
    client.offering = None
    early, client.early = client.early, b""
    client.release(HOLD_EARLY)
    if early:
        client.data_received(early)


# === what cannot be read ===


def unreadable(client: Downstream, code: str, detail: str = "") -> None:
    """The bytes are no request. Earlier requests get their answers first, then this one, then the end."""
    if client.deaf:
        return
    client.deaf = client.unread = True
    fields, client.fields = client.fields, []
    receiving, client.receiving = client.receiving, None
    if receiving is not None and not receiving.ended:
        body_broken(receiving, code, detail)
        return
    exchange = Exchange(client, unread_head("", client.target[:UNREAD_LINE_BYTES], fields))
    exchange.unreadable(Refused(code, detail))
    client.wait_turn(exchange)
