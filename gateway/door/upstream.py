"""One connection to an upstream: the request's bytes out, the answer's bytes in.

llhttp finds the boundaries of the answer, `http1.forward.read_answer` decides what its head may say. An
answer is delivered once per piece read, not once per parser callback: callbacks collect, `_deliver` hands over.

No response queue poisoning: the connection goes back to the pool only when the answer ended exactly where
its framing said, the request was sent whole, and not one byte came that nobody asked for. Everything else
closes it. So does an Authorization that counts for a connection (NTLM, Negotiate): the next request is somebody else's.

On the list of hot files: every answer runs through it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.door.answering import over_bigip_limits
from gateway.door.balance import CONNECT_FAILURES
from gateway.door.ending import left_of
from gateway.door.faults import can_repeat, upstream_failed
from gateway.door.holds import FULL_READ, HOLD_UPSTREAM
from gateway.door.limits import upload_resumes
from gateway.egress.trust import full_reason
from gateway.http1.dates import date_line
from gateway.http1.forward import Answer, AnswerRules, read_answer
from gateway.http1.lines import EMPTY_LINE
from gateway.http1.trailers import are_too_large
from gateway.http1.values import CHUNKED, UNTIL_CLOSE, idle_seconds

if TYPE_CHECKING:
    from gateway.door.endpoint import Endpoint
    from gateway.door.exchange import Exchange

INTERIMS: Final = 16  # 1xx answers before one that is final
HEAD_BYTES: Final = 64 * 1024  # of an answer's head that is still arriving
FEW_FIELDS: Final = 48  # of an answer; with more it is looked at whether a BIG-IP would take it, ours come on top
FEW_BYTES: Final = 24 * 1024  # likewise
RAW_BODY_BYTES: Final = 16 * 1024  # answers with at least this much to come bypass the parser by counting


class Upstream:
    """An `asyncio.Protocol` by shape, as `Downstream` is. Owned by its transport; the endpoint holds it while it is
    idle, the exchange while it answers."""

    __slots__ = (
        "endpoint", "rules", "transport", "adopted", "retire_s", "idle_limit_s", "idle_since_s", "exchange", "parser",
        "fields", "answer", "pieces", "head_bytes", "raw_left", "complete", "surplus", "begun", "interims", "is_11",
        "eof", "paused", "aside",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, rules: AnswerRules) -> None:
        # for the connection's life
        self.endpoint = endpoint
        self.rules = rules
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)  # from connection_made to its end
        self.adopted = False  # the endpoint counts it
        self.retire_s = 0.0  # not given another request from then on
        self.idle_limit_s = 0.0
        self.idle_since_s = 0.0
        # for one answer
        self.exchange: Exchange | None = None
        self.parser: HttpResponseParser | None = None
        self.fields: list[tuple[bytes, bytes]] = []
        self.answer: Answer | None = None
        self.pieces: list[bytes] = []
        self.head_bytes = 0
        self.raw_left = 0
        self.begun = False
        self.complete = False
        self.surplus = False
        self.is_11 = False  # the piece that is being read begins with a status line of HTTP/1.1
        self.interims = 0
        self.eof = False
        self.paused = False
        self.aside = b""  # what arrived and waits for its client's turn

    # === the connection ===

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def eof_received(self) -> bool:
        self.eof = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.aside:
            self.eof = True  # nobody is given this connection any more
            self._read_aside()
        if exc is not None and self.exchange is not None and self.exchange.bytes_in:
            # It took no more of the request, most likely because it has answered: a 413 before the reset.
            self.eof = True
            left = left_of(self.transport)
            if left:
                self._read(self.exchange, left)
        self.endpoint.lost(self)
        self.parser = None
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        answer = self.answer
        if exc is None and self.eof and answer is not None and answer.length == UNTIL_CLOSE:
            exchange.upstream = None
            self.endpoint.busy -= 1
            exchange.answer_more(b"", True)
        elif answer is None and not self.head_bytes and not self.interims:
            self._closed(exchange, exc)
        else:
            self._failed(exchange, "the answer ended early")

    def _closed(self, exchange: Exchange, exc: Exception | None) -> None:
        """No byte of an answer came. From a connection that idled, that says nothing about the endpoint."""
        if isinstance(exc, ssl.SSLError):  # with TLS 1.3 a refusal of our certificate comes after the handshake
            why = full_reason(exc)
            self.endpoint.failed(why, CONNECT_FAILURES)
            upstream_failed(exchange, "upstream_closed", why)
            return
        if not exchange.reused:
            self.endpoint.failed("closes without an answer")
        upstream_failed(exchange, "upstream_closed")

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.client.hold(HOLD_UPSTREAM)

    def resume_writing(self) -> None:
        if self.exchange is not None:
            upload_resumes(self.exchange)
            self.exchange.client.release(HOLD_UPSTREAM)

    def pause(self) -> None:
        if not self.paused:
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def _read_on(self) -> None:
        if self.exchange is not None:
            self.exchange.client.share.use_up()
        if not self.paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def abandon(self) -> None:
        """Nobody waits for the answer any more: the upstream may stop working on it."""
        self.exchange = None
        self.transport.abort()

    # === bytes in ===

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.transport.abort()  # a byte nobody asked for
            return
        client = exchange.client
        share = client.share
        if len(data) + len(self.aside) >= FULL_READ:
            self.transport.pause_reading()
            share.line_up(self._read_on, client.who())
        if self.aside:
            self.aside += data
        elif not share.turns.crowded or share.connections == 1 or exchange.upgrade:
            self._read(exchange, data)
        elif share.begin():
            self._read(exchange, data)
            share.end()
            share.moved(len(data))
        else:
            self.aside = data
            share.line_up(self._read_aside, client.who())

    def _read_aside(self) -> None:
        """It is the client's turn, or the end of the connection, which comes behind what it brought."""
        aside, self.aside = self.aside, b""
        exchange = self.exchange
        if aside and exchange is not None:
            exchange.client.share.moved(len(aside))
            self._read(exchange, aside)

    def _read(self, exchange: Exchange, data: bytes) -> None:
        if self.raw_left:
            left = self.raw_left
            size = len(data)
            if size < left:
                self.raw_left = left - size
                exchange.answer_more(data, False)
                return
            self.raw_left = 0
            self.parser = None
            self._complete(exchange, surplus=size > left)
            exchange.answer_more(data if size == left else data[:left], True)
            return
        parser = self.parser
        if parser is None:
            parser = self.parser = HttpResponseParser(self)
        # -- shortcut: the parser says the same, formatting a text for it (0.15 us)
        self.is_11 = self.answer is None and not self.head_bytes and data.startswith(b"HTTP/1.1 ")
        # -- end of shortcut
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as stop:
            if self.exchange is not None:  # else a callback has failed it already
                self._switched(exchange, data[stop.args[0] :])
            return
        except HttpParserError as error:
            # bytes behind a complete answer spoil the connection, not the answer
            if self.exchange is None:  # a callback has failed it already
                return
            if not self.complete:
                self._fail(exchange, str(error))
                return
            self.surplus = True
        body_here = bool(self.pieces)
        if self.answer is not None:
            if self.complete and not _ends_with(data, self.pieces, self.answer.length):
                self.surplus = True  # the parser passes over empty lines, or took it for the beginning of a body
            self._deliver(exchange, self.answer)
            if self.exchange is exchange and not body_here:
                self.head_bytes += len(data)
                if self.head_bytes > HEAD_BYTES:
                    self._fail(exchange, "its trailers are too large")
        elif self.exchange is not None:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self._fail(exchange, "its head is too large")

    def _switched(self, exchange: Exchange, rest: bytes) -> None:
        """llhttp stops behind a 101 alone, and `read_answer` lets none pass that was not asked for."""
        answer = cast(Answer, self.answer)
        self.exchange = self.answer = self.parser = None
        exchange.switched(answer, self, rest)

    def _deliver(self, exchange: Exchange, answer: Answer) -> None:
        """Hand over what one piece brought. True on entry: the answer's head was read and accepted."""
        pieces = self.pieces
        body = b"" if not pieces else pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if pieces:
            self.pieces = []
        complete = self.complete
        first = not self.begun
        if complete:
            self._complete(exchange, surplus=self.surplus)
        elif first:
            self.begun = True
            left = answer.length - len(body)
            if answer.length > 0 and left >= RAW_BODY_BYTES:
                self.raw_left = left
        if first:
            exchange.answer_begun(answer, body, complete)
        elif body or complete:
            self.head_bytes = 0
            exchange.answer_more(body, complete)

    def _complete(self, exchange: Exchange, surplus: bool) -> None:
        """The answer is whole: back to the pool before the client's next request may look for a connection."""
        answer = cast(Answer, self.answer)
        self.exchange = None
        exchange.upstream = None
        self.answer = None
        if answer.kept is not None:
            self._limit_idling(answer, answer.kept)
        self.begun = self.complete = self.surplus = False
        self.head_bytes = self.interims = 0
        if not exchange.body_done or self.transport.get_write_buffer_size():
            self.transport.abort()  # it may never read the rest
            self.endpoint.discard(self)
        elif surplus or not answer.keep_alive or self.eof or exchange.head.binds:
            self.transport.close()
            self.endpoint.discard(self)
        else:
            if self.paused:
                self.resume()
            self.endpoint.give_back(self)

    def _limit_idling(self, answer: Answer, kept: bytes) -> None:
        """The upstream said how long it leaves an idle connection open: ours ends before that."""
        idle_s = idle_seconds(kept)
        if idle_s < 0:
            answer.keep_alive = False
        elif idle_s:
            self.idle_limit_s = min(idle_s, self.endpoint.pool.door.timeouts.pool_idle_s)

    def _fail(self, exchange: Exchange, detail: str) -> None:
        self.exchange = None
        self.transport.abort()
        self._failed(exchange, detail)

    def _failed(self, exchange: Exchange, detail: str) -> None:
        self.endpoint.failed(detail)
        upstream_failed(exchange, "upstream_malformed", detail)

    def _is_late(self, answer: Answer, exchange: Exchange) -> bool:
        """RFC 9110, 15.5.9: a connection that idled too long may be ended with a 408, which crosses the request."""
        return answer.status == 408 and not answer.keep_alive and can_repeat(exchange, "upstream_closed")

    # === parser callbacks ===

    def on_message_begin(self) -> None:
        if self.complete:
            self.surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        # trailers arrive here too, after the body
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        fields, self.fields = self.fields, []
        exchange = self.exchange
        if exchange is None or self.complete:
            return
        parser = cast(HttpResponseParser, self.parser)
        version = "1.1" if self.is_11 else parser.get_http_version()
        self.is_11 = False  # another head in the same piece may say otherwise
        answer = read_answer(parser.get_status_code(), version, fields, exchange.method, self.rules, exchange.upgrade)
        if not isinstance(answer, Answer):
            self._fail(exchange, answer.detail)
            return
        if not answer.dated and answer.status >= 200:
            answer.lines += date_line(self.endpoint.pool.door.now)
        if (len(fields) > FEW_FIELDS or len(answer.lines) > FEW_BYTES) and (why := over_bigip_limits(exchange, answer)):
            self.exchange = None
            self.transport.abort()
            upstream_failed(exchange, "upstream_malformed", why)  # no fault of the endpoint: others can read it
            return
        if answer.status >= 200 or answer.upgrade:
            if answer.upgrade and not parser.should_upgrade():
                self._fail(exchange, "it switches protocols and `Connection` does not say so")
                return
            if not parser.should_keep_alive():
                answer.keep_alive = False  # llhttp reads Proxy-Connection too, and takes no more after this
            if answer.status >= self.endpoint.notable:
                if self._is_late(answer, exchange):
                    self.exchange = None
                    self.transport.abort()
                    upstream_failed(exchange, "upstream_closed")
                    return
                self.endpoint.judge(answer.status)
            self.answer = answer
            if answer.no_body and exchange.method == "HEAD":
                # llhttp would take what follows a HEAD's answer for its body: a fresh parser reads the next one
                self.complete = True
                self.parser = None
            return
        self.interims += 1
        if self.interims > INTERIMS:
            self._fail(exchange, "it never comes to its final answer")
        else:
            exchange.interim(answer)

    def on_body(self, chunk: bytes) -> None:
        if self.complete:
            self.surplus = True
        else:
            self.pieces.append(chunk)

    def on_message_complete(self) -> None:
        if self.fields and not self._take_trailers():
            return
        answer = self.answer
        if answer is not None:
            if self.complete and answer.length == CHUNKED:
                self.surplus = True  # the last chunk of a body that an answer to HEAD does not have
            self.complete = True

    def _take_trailers(self) -> bool:
        """What came behind a chunked body. False: it was too much, and the answer has failed."""
        fields, self.fields = self.fields, []
        self.parser = None  # llhttp obeys a Connection among them, so a fresh parser reads the next answer
        exchange, answer = self.exchange, self.answer
        if exchange is None or answer is None or self.complete or not exchange.route.trailers:
            return True
        if are_too_large(fields, self.rules.fields, self.rules.head_bytes):
            self.answer = None
            self._fail(exchange, "its trailers are too large")
            return False
        exchange.answer_trailers(answer, fields)
        return True


def _ends_with(data: bytes, body: list[bytes], length: int) -> bool:
    """Whether the piece that completed an answer holds nothing behind it: it ends with the last of its body, or with
    the one empty line behind a head or a last chunk."""
    if body and length > 0:
        return data.endswith(body[-1])
    return (data.endswith(EMPTY_LINE) and data[-5:-4] not in (b"\r", b"\n")) or EMPTY_LINE.endswith(data)
