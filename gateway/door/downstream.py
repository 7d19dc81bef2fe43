"""One client connection: bytes in, exchanges in order, answers out.

llhttp (through httptools) finds the message boundaries; `http1.head` decides what a head may say. This file
keeps what lies between: which message the next body bytes belong to, the order of pipelined answers, the
limits that must hold while a head is still arriving, reading pauses, and how a connection ends.

Everything is a synchronous callback of the event loop: no task, no await, no timer of its own. Deadlines are
a number that the worker's sweep compares (`deadline_s`, on the worker's `tick_s` clock).

Rules that keep it honest:
- a message's body never reaches anybody but the exchange its head made; a refused head makes the
  connection deaf, so that no byte after a framing doubt is ever read as a request;
- answers leave in the order of the requests, whatever finishes first;
- a cut answer is followed by a reset, never by a clean end (`cut`).

On the list of hot files: a request runs through it from the first byte to the last.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from random import Random
from traceback import format_exception
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from gateway import telemetry
from gateway.door.exchange import RETIRE_REQUESTS, Exchange
from gateway.door.health import is_probe
from gateway.door.holds import HOLD_PIPELINE
from gateway.errors import Refused
from gateway.http1.head import read_head
from gateway.http1.parser import parser_refusal
from gateway.http1.request import unread_head

if TYPE_CHECKING:
    from gateway.door.listener import Arrival, Listening

HEALTH_TARGET: Final = b"/.stagedoor/bigip/health"
NEVER: Final = float("inf")
PIPELINED: Final = 256  # requests that may wait for earlier answers
LINGER_BYTES: Final = 256 * 1024
LINGER_S: Final = 1.0
RAW_BODY_BYTES: Final = 64 * 1024  # bodies at least this long bypass the parser by counting
UNREAD_LINE_BYTES: Final = 256  # of a line that was no request, this much goes into the record
RETIRE_S: Final = 600.0
DRAIN_IDLE_S: Final = 0.5
_RANDOM: Final = Random()  # our own: another user of the module's shared one must not see or seed it
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER {on, 0 s}: close answers with RST


class Peer(NamedTuple):
    """Facts about the hop, for the connection's whole life: identity belongs to requests, never here."""

    address: str
    trusted: bool
    forwarded: bytes  # the X-Forwarded-* lines of a peer whose own are not read


class Downstream:
    """A client's connection: an `asyncio.Protocol` by shape, because compiled classes inherit from compiled ones
    alone. Owned by its transport; the worker holds it for the sweep."""

    __slots__ = (
        "listening", "door", "transport", "peer", "parser", "exchange", "queue", "receiving", "deadline_s",
        "fields", "target", "in_head", "head_started", "head_pending", "raw_left", "skip_head", "upgrading",
        "holds", "deaf", "unread", "lingering", "requests", "retire_s", "advancing", "write_paused", "arrival",
    )  # fmt: skip

    def __init__(self, listening: Listening) -> None:
        # for the connection's life
        self.listening = listening
        self.arrival: Arrival | None = listening.accepted()
        self.door = listening.door
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)  # from connection_made to its end
        self.peer = Peer("", False, b"")
        self.requests = 0
        self.retire_s = self.door.tick_s + RETIRE_S * _RANDOM.uniform(0.8, 1.2)
        self.deadline_s = NEVER
        # the order of exchanges
        self.exchange: Exchange | None = None  # whose answer is being written
        self.queue: deque[Exchange] | None = None  # pipelined ones behind it; made when first needed
        self.receiving: Exchange | None = None  # whose body is arriving
        self.advancing = False
        # the message that is arriving
        self.parser: HttpRequestParser | None = None
        self.fields: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.in_head = False
        self.head_started = False
        self.head_pending = 0
        self.raw_left = 0
        self.skip_head = False
        self.upgrading = False
        # reading and ending
        self.holds = 0
        self.write_paused = False
        self.deaf = False  # no further byte is read as a request
        self.unread = False  # the client may still be sending what nobody reads
        self.lingering = -1  # bytes still dropped before the end, -1 = not lingering

    # === the connection ===

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        door = self.door
        self.arrival = None
        self.listening.arrived()
        peername = transport.get_extra_info("peername")
        self.peer = self.listening.peer_of(peername[0] if peername else "")
        if not door.admit(self):
            self.deaf = True
            self.transport.abort()
            return
        self.deadline_s = door.tick_s + door.timeouts.head_s

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.dismiss(self)
        self.deaf = True
        self.deadline_s = NEVER
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone()
        if self.queue:
            for waiting in self.queue:
                waiting.client_gone()
            self.queue.clear()
        # INVARIANT: nothing below points back here after the end, so no collector is needed to free it.
        self.parser = None
        self.receiving = None

    def eof_received(self) -> bool:
        """A client that ends its side while an answer is due has gone: the upstream is cancelled.

        FIN does not say whether the client still reads; nginx and Envoy read it the same way.
        """
        return False

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered: the upstream waits, and so do later requests."""
        self.write_paused = True
        self.deadline_s = self.door.tick_s + self.door.timeouts.idle_s
        if self.exchange is not None:
            self.exchange.pause_upstream()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.resume_upstream()
        elif self.lingering >= 0:
            self.deadline_s = self.door.tick_s + LINGER_S
        else:
            self._advance()

    def hold(self, bit: int) -> None:
        if not self.holds and not self.transport.is_closing():
            self.transport.pause_reading()
        self.holds |= bit

    def release(self, bits: int) -> None:
        if self.holds & bits:
            self.holds &= ~bits
            if not self.holds and not self.transport.is_closing():
                self.transport.resume_reading()

    # === bytes in ===

    def data_received(self, data: bytes) -> None:
        while data:  # once, but for what follows a counted body or an ignored upgrade
            if self.raw_left:
                data = self._raw_body(data)
                continue
            if self.deaf:
                self._linger(len(data))
                return
            parser = self.parser
            if parser is None:
                parser = self.parser = HttpRequestParser(self)
            in_head = self.in_head
            receiving = self.receiving
            body_bytes = receiving.bytes_in if receiving is not None else 0
            self.head_started = False
            try:
                parser.feed_data(data)
                rest = b""
            except HttpParserUpgrade as stop:
                rest = self._after_upgrade(data[stop.args[0] :])
            except HttpParserCallbackError as error:
                self._fault(error)
                return
            except HttpParserError as error:
                self._unreadable(*parser_refusal(error))
                return
            if self.in_head:
                self._head_incomplete(len(data), in_head and not self.head_started)
            elif self.receiving is not None:
                if len(self.fields) > self.listening.limits.fields:
                    self._unreadable("request_head_too_large", "it has too many trailers")
                elif self.receiving.body_left >= RAW_BODY_BYTES:
                    self.raw_left = self.receiving.body_left
                elif self.receiving is not receiving or receiving.bytes_in > body_bytes:
                    self.head_pending = 0
                else:
                    self._fields_incomplete(len(data))
            data = rest

    def _raw_body(self, data: bytes) -> bytes:
        """Body bytes by counting; what follows the body is returned. The parser is replaced at its end."""
        receiving = self.receiving
        assert receiving is not None
        left = self.raw_left
        if len(data) < left:
            self.raw_left = left - len(data)
            receiving.feed(data)
            return b""
        self.raw_left = 0
        self.parser = None
        receiving.feed(data if len(data) == left else data[:left])
        self.receiving = None
        receiving.fed()
        self._body_ended(receiving)
        return data[left:]

    def _head_incomplete(self, arrived: int, same_head: bool) -> None:
        """A head may take `head_s` and `head_bytes`, however slowly its bytes drip in.

        The piece a head begins in may hold earlier messages, so its bytes are judged by `read_head` once the
        head is whole; only pieces that hold nothing else are counted here.
        """
        if not same_head:
            self.head_pending = 0
            if self.exchange is None:
                self.deadline_s = self.door.tick_s + self.door.timeouts.head_s
            return
        self._fields_incomplete(arrived)

    def _fields_incomplete(self, arrived: int) -> None:
        """Bytes of a head, or of a chunked body that bring none of the body: trailers, which the parser keeps."""
        self.head_pending += arrived
        if self.head_pending > self.listening.limits.head_bytes:
            self._unreadable("request_head_too_large")

    # === parser callbacks ===

    def on_url(self, url: bytes) -> None:
        # the first sign of a message; a method alone is not one, and waits no longer than an idle connection may
        if not self.in_head:
            self.in_head = self.head_started = True
        self.target = self.target + url if self.target else url

    def on_header(self, name: bytes, value: bytes) -> None:
        # trailers arrive here too, after their head: they are dropped with the next head
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self.skip_head:  # the made-up head that lets a fresh parser read a body (`_after_upgrade`)
            self.skip_head = False
            self.in_head = False
            self.fields = []
            self.target = b""
            return
        self.in_head = False
        fields, target = self.fields, self.target
        self.fields, self.target = [], b""
        if self.deaf:
            return
        self.requests += 1
        parser = cast(HttpRequestParser, self.parser)
        method = parser.get_method()
        if target == HEALTH_TARGET and is_probe(method, fields):
            exchange = Exchange(self, unread_head(method.decode("latin-1"), target))
            exchange.health(parser.get_http_version(), fields)
        else:
            head = read_head(method, target, parser.get_http_version(), fields, self.listening.rules, self.peer.trusted)
            if isinstance(head, Refused):
                exchange = Exchange(self, unread_head(method.decode("latin-1"), target[:UNREAD_LINE_BYTES]))
                exchange.unreadable(head)
                self.deaf = self.unread = True
            else:
                exchange = Exchange(self, head)
                if not parser.should_keep_alive():
                    exchange.keep_alive = False  # llhttp reads Proxy-Connection too, and takes no more after this
                if head.upgrade and parser.should_upgrade():
                    self.upgrading = True
        if not exchange.body_done:
            self.receiving = exchange
        elif not exchange.keep_alive:
            self.deaf = True
        if self.exchange is None and not self.write_paused and not self.queue:
            self.exchange = exchange
            exchange.begin()
        else:
            self._wait_turn(exchange)

    def on_body(self, chunk: bytes) -> None:
        if self.receiving is not None:
            self.receiving.feed(chunk)

    def on_message_complete(self) -> None:
        receiving = self.receiving
        if receiving is None or (self.upgrading and receiving.body_left):
            return  # llhttp ends an upgrade request before its body (`_after_upgrade` reads that)
        self.receiving = None
        if self.fields:  # trailers
            if any(name.lower() in (b"connection", b"proxy-connection") for name, _ in self.fields):
                receiving.keep_alive = False  # llhttp obeys it there as well
            self.fields = []
        receiving.fed()
        self._body_ended(receiving)

    def _body_ended(self, exchange: Exchange) -> None:
        if not exchange.keep_alive:
            self.deaf = True

    def _after_upgrade(self, rest: bytes) -> bytes:
        """No upgrade is offered here, so RFC 9110 §7.8 lets us ignore it and go on as HTTP/1.1.

        llhttp stops at any `Upgrade`. A fresh parser reads on; where the request has a body, it is told so by
        a made-up head whose framing is the one that `read_head` accepted.
        """
        self.upgrading = False
        self.parser = HttpRequestParser(self)
        receiving = self.receiving
        if receiving is not None and receiving.body_left:
            framing = b"Content-Length: %d" % receiving.body_left
            if receiving.chunked:
                framing = b"Transfer-Encoding: chunked"
            self.skip_head = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        return rest

    def _unreadable(self, code: str, detail: str = "") -> None:
        """The bytes are no request. Earlier requests get their answers first, then this one, then the end."""
        if self.deaf:
            return
        self.deaf = self.unread = True
        self.fields = []
        receiving, self.receiving = self.receiving, None
        if receiving is not None and not receiving.ended:
            receiving.body_broken(code, detail)
            return
        exchange = Exchange(self, unread_head("", self.target[:UNREAD_LINE_BYTES]))
        exchange.unreadable(Refused(code, detail))
        self._wait_turn(exchange)

    def _fault(self, error: BaseException) -> None:
        """A bug of ours, not a client's: said in the log, and nothing of this connection goes on."""
        cause = error.__context__ or error
        telemetry.log("door_fault", level="error", why=repr(cause), stack="".join(format_exception(cause)))
        self.cut()

    # === the order of exchanges ===

    def _wait_turn(self, exchange: Exchange) -> None:
        """Behind the exchanges that came before; at once if there are none."""
        if self.queue is None:
            self.queue = deque()
        self.queue.append(exchange)
        if len(self.queue) > PIPELINED and not self.deaf:
            self.deaf = self.unread = True
            self.receiving = None
            exchange.unreadable(Refused("overloaded", "too many requests wait on this connection"))
        if self.exchange is not None or self.write_paused:
            self.hold(HOLD_PIPELINE)
        elif not self.advancing:
            self._advance()

    def exchange_ended(self, close: bool) -> None:
        """The answer is written whole. The next waiting request begins, or the connection idles or ends."""
        self.exchange = None
        if close:
            self.close()
        elif self.queue:
            if not self.advancing:
                self._advance()
        elif self.door.draining and self.receiving is None:
            self.close()
        elif not self.write_paused:
            self._idle()

    def _idle(self) -> None:
        """Between two exchanges. A head may have begun while the last one ran."""
        timeouts = self.door.timeouts
        self.deadline_s = self.door.tick_s + (timeouts.head_s if self.in_head else timeouts.keepalive_s)

    def _advance(self) -> None:
        """Begin what waits, in a flat loop: a thousand pipelined refusals must not nest a thousand frames."""
        self.advancing = True
        try:
            while self.queue and self.exchange is None and not self.write_paused:
                following = self.queue.popleft()
                self.exchange = following
                following.begin()
        finally:
            self.advancing = False
        if not self.queue:
            self.release(HOLD_PIPELINE)
            if self.exchange is None and not self.transport.is_closing():
                self._idle()

    def retire(self) -> None:
        """Called by the sweep once `retire_s` has passed: few long connections load the workers unevenly, so each
        ends after a while, between two requests."""
        self.requests = max(self.requests, RETIRE_REQUESTS)
        self.retire_s = NEVER

    # === the end ===

    def close(self) -> None:
        """End after what is written has left; a client still sending is read (and dropped) a little first,
        because closing with unread bytes resets the connection and may take the answer with it."""
        self.deaf = True
        if self.queue:
            for waiting in self.queue:
                waiting.client_gone()
            self.queue.clear()
        transport = self.transport
        if transport.is_closing():
            return
        if self.receiving is None and not self.unread:
            self.deadline_s = self.door.tick_s + self.door.timeouts.idle_s
            transport.close()
            return
        self.raw_left = 0
        self.lingering = LINGER_BYTES
        self.deadline_s = self.door.tick_s + (self.door.timeouts.idle_s if self.write_paused else LINGER_S)
        self.release(self.holds)
        if transport.can_write_eof():
            transport.write_eof()

    def _linger(self, dropped: int) -> None:
        if self.lingering < 0:
            return
        self.lingering -= dropped
        if self.lingering <= 0:
            self.transport.abort()

    def cut(self) -> None:
        """End with a reset: the client must never take half an answer for a whole one."""
        self.deaf = True
        if self.transport.is_closing():
            return
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def on_deadline(self) -> None:
        """Called by the sweep once `deadline_s` has passed."""
        self.deadline_s = NEVER
        if self.exchange is not None:
            self.exchange.on_deadline()
        elif self.lingering >= 0 or self.write_paused or self.transport.is_closing():
            self.transport.abort()
        elif self.in_head and not self.deaf:
            self._unreadable("request_timeout")
        else:
            self.close()

    def drain(self) -> None:
        """A busy connection ends after its answer. An idle one is given a moment, because its next request may be on
        the way and would be reset; a new one as long as any client has for its first head."""
        if self.exchange is None and not self.in_head and self.lingering < 0 and self.requests:
            self.deadline_s = min(self.deadline_s, self.door.tick_s + DRAIN_IDLE_S)
