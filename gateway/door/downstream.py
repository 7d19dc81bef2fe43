"""One client connection: bytes in, exchanges in order, answers out.

llhttp (through httptools) finds the message boundaries, `door.framing` those it cannot find; `http1.head` decides
what a head may say. This file keeps what lies between: which message the next body bytes belong to, the order of
pipelined answers, reading pauses, and how a connection ends.

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
from collections import deque
from random import Random
from traceback import format_exception
from typing import TYPE_CHECKING, Final, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from gateway import telemetry
from gateway.door.ending import reset
from gateway.door.exchange import RETIRE_REQUESTS, Exchange
from gateway.door.faults import client_gone, deadline_passed
from gateway.door.framing import (
    TOO_MANY_TRAILERS,
    UNREAD_LINE_BYTES,
    after_upgrade,
    fields_incomplete,
    head_incomplete,
    hold_early,
    not_tunnelled,
    raw_body,
    take_trailers,
    unreadable,
    upgrade_asked,
)
from gateway.door.health import HEALTH_TARGET, asked_for_health, health_alone, is_probe
from gateway.door.holds import FULL_READ, HOLD_END, HOLD_PACE, HOLD_PIPELINE, HOLD_TURN
from gateway.errors import Refused
from gateway.http1.head import read_head
from gateway.http1.lines import NOT_PLAIN, Lines
from gateway.http1.parser import parser_refusal
from gateway.http1.request import Head, unread_head
from gateway.http1.values import CHUNKED

if TYPE_CHECKING:
    from gateway.door.listener import Listening
    from gateway.door.peer import Peer
    from gateway.door.turns import Share
    from gateway.door.worker import Door

NEVER: Final = float("inf")
PIPELINED: Final = 256  # requests that may wait for earlier answers
HEADS_SLICE: Final = 4 * 1024  # of what arrived at once is read before others have their turn, if requests wait in it
BODY_SLICE: Final = 16 * 1024  # the same while a chunked body arrives
CRUMBS: Final = 64  # chunks in one slice: a slice of so many is short
LINGER_BYTES: Final = 256 * 1024
LINGER_S: Final = 1.0
RAW_BODY_BYTES: Final = 64 * 1024  # bodies at least this long bypass the parser by counting
RETIRE_S: Final = 600.0
DRAIN_IDLE_S: Final = 0.5
_RANDOM: Final = Random()  # our own: another user of the module's shared one must not see or seed it


class Downstream:
    """A client's connection: an `asyncio.Protocol` by shape, because compiled classes inherit from compiled ones
    alone. Owned by its transport; the worker holds it for the sweep."""

    __slots__ = (
        "listening", "door", "transport", "peer", "parser", "lines", "exchange", "queue", "receiving", "deadline_s",
        "fields", "pieces", "target", "in_head", "head_started", "head_pending", "crumbs", "raw_left", "skip_head",
        "upgrading", "holds", "deaf", "unread", "lingering", "requests", "retire_s", "advancing", "write_paused",
        "arrived", "turn", "least_turn", "aside", "offering", "early", "share", "caller",
    )  # fmt: skip

    def __init__(self, listening: Listening, peer: Peer, share: Share) -> None:
        # for the connection's life
        self.listening = listening
        self.arrived = False  # a connection was made: its handshake is over
        self.door: Door = listening.door
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)  # from connection_made to its end
        self.peer: Peer = peer
        self.share = share
        self.caller = self.door.callers.anonymous  # who asked last: whose turn the next request takes
        self.requests = 0
        self.retire_s = self.door.tick_s + RETIRE_S * _RANDOM.uniform(0.8, 1.2)
        self.deadline_s = NEVER
        # the order of exchanges
        self.exchange: Exchange | None = None  # whose answer is being written
        self.queue: deque[Exchange] | None = None  # pipelined ones behind it; made when first needed
        self.receiving: Exchange | None = None  # whose body is arriving
        self.advancing = False  # or about to, in the next turn of the loop
        self.turn = 0  # exchanges that were begun in this turn of the loop
        self.least_turn = 0  # where counting begins: TURN_REQUESTS while none may begin (`limits.pace`)
        self.aside = b""  # what arrived behind pipelined requests that wait
        # the message that is arriving
        self.parser: HttpRequestParser | None = None
        self.lines = Lines()
        self.fields: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []  # of the body
        self.target = b""
        self.in_head = False
        self.head_started = False
        self.head_pending = 0
        self.crumbs = False  # the body comes in tiny chunks
        self.raw_left = 0
        self.skip_head = False
        self.upgrading = False
        self.offering: Exchange | None = None  # which may become a tunnel: what comes now may be its first bytes
        self.early = b""  # those bytes
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
        self.arrived = True
        self.peer = self.listening.shown(self.peer, transport)
        door.keep(self)
        self.deadline_s = door.tick_s + door.timeouts.head_s

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.dismiss(self)
        self.deaf = True
        self.deadline_s = NEVER
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            client_gone(exchange)
        if self.queue:
            for waiting in self.queue:
                client_gone(waiting)
            self.queue.clear()
        self.aside = b""
        # INVARIANT: nothing below points back here after the end, so no collector is needed to free it.
        self.offering = None
        self.parser = None
        self.receiving = None

    def eof_received(self) -> bool:
        """A client that ends its side while an answer is due has gone: the upstream is cancelled.

        FIN does not say whether the client still reads; nginx and Envoy read it the same way. Among others its end
        waits for its client's turn, because hundreds may leave in one moment. TLS ends by itself.
        """
        share = self.share
        if not share.turns.crowded or share.connections == 1 or not self.transport.can_write_eof():
            return False
        self.deaf = True
        self.hold(HOLD_END)
        share.line_up(self._leave, self.who())
        return True

    def _leave(self) -> None:
        self.share.use_up()  # its end is worked off in the next turn of the loop
        if not self.transport.is_closing():
            self.transport.close()

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
        elif not self.advancing:
            self.advance()

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
        """Read it now, or once it is this client's turn."""
        share = self.share
        if self.aside:
            self.aside += data
            if len(self.aside) >= FULL_READ:
                self.hold(HOLD_PIPELINE)
        elif not share.turns.crowded or (share.connections == 1 and len(data) <= HEADS_SLICE):
            self.read(data)
        elif share.begin():
            self.read(data)
            share.end()
            share.moved(len(data))
        else:
            self.aside = data
            if not self.advancing:
                self.advancing = True
                share.line_up(self._next_turn, self.who())

    def read(self, data: bytes) -> None:
        self.turn = self.least_turn
        if len(data) >= FULL_READ:
            self._await_turn()
        while data:  # once, but for what follows a counted body or an ignored upgrade, and for much at once
            if self.raw_left:
                data = raw_body(self, data)
                continue
            if self.deaf:
                self._linger(len(data))
                return
            if self.offering is not None:
                hold_early(self, data)
                return
            later = b""
            size = BODY_SLICE if self.receiving is not None and not self.crumbs else HEADS_SLICE
            if len(data) > size:
                if self.queue or self.share.is_over():
                    self._put_aside(data)
                    return
                data, later = data[:size], data[size:]
            parser = self.parser
            if parser is None:
                parser = self.parser = HttpRequestParser(self)
            in_head = self.in_head
            receiving = self.receiving
            body_bytes = receiving.bytes_in if receiving is not None else 0
            self.head_started = False
            lines = self.lines
            try:
                if receiving is None:
                    rest = lines.feed(parser, data, 0)
                else:
                    rest = lines.feed(parser, data, CHUNKED if receiving.chunked else receiving.body_left)
            except HttpParserUpgrade as stop:
                rest = after_upgrade(self, data[stop.args[0] :])
            except HttpParserCallbackError as error:
                self._fault(error)
                return
            except HttpParserError as error:
                unreadable(self, *parser_refusal(error))
                return
            if self.pieces:
                self.feed_pieces()
            if self.unread and self.receiving is None:
                lines.drop()  # no request more is read
            elif self.in_head:
                lines.hold_head()
                head_incomplete(self, len(data), in_head and not self.head_started)
            elif self.receiving is not None:
                lines.hold_body(self.receiving.chunked)
                if len(self.fields) > self.listening.limits.fields:
                    unreadable(self, "request_head_too_large", TOO_MANY_TRAILERS)
                elif self.lingering >= 0:
                    pass  # refused by now: what else comes of it is dropped
                elif self.receiving.body_left >= RAW_BODY_BYTES:
                    self.raw_left = self.receiving.body_left
                elif self.receiving is not receiving or receiving.bytes_in > body_bytes:
                    self.head_pending = 0
                else:
                    fields_incomplete(self, len(data))
            elif not lines.hold():
                unreadable(self, "request_malformed", NOT_PLAIN)
            data = rest + later if later else rest
            if rest and self.receiving is not None and (self.queue or self.share.is_over()):
                self._put_aside(data)
                return

    def _put_aside(self, data: bytes) -> None:
        """To be read in a later turn, behind the requests that wait."""
        self.aside = data
        self.hold(HOLD_PIPELINE)
        if not self.queue and not self.advancing:
            self._later()

    # === parser callbacks ===

    def on_url(self, url: bytes) -> None:
        # the first sign of a message; a method alone is not one, and waits no longer than an idle connection may
        if not self.in_head:
            self.in_head = self.head_started = True
        self.target = self.target + url if self.target else url

    def on_header(self, name: bytes, value: bytes) -> None:
        # trailers arrive here too, after the body
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self.skip_head:  # the made-up head that lets a fresh parser read a body (`after_upgrade`)
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
        plain = self.lines.is_plain(len(method), len(target))
        version = "1.1" if self.lines.is_11 else parser.get_http_version()
        if target == HEALTH_TARGET and is_probe(self.lines, plain, method, version, fields):
            exchange = asked_for_health(self, method)
        else:
            head = read_head(method, target, version, fields, self.listening.rules, self.peer.trusted)
            if not plain and not isinstance(head, Refused):
                head = Refused("request_malformed", NOT_PLAIN)
            if self.listening.health_only:
                head = health_alone(head)
            if not isinstance(head, Head):
                unread = unread_head(method.decode("latin-1"), target[:UNREAD_LINE_BYTES], fields)
                exchange = Exchange(self, unread)
                exchange.unreadable(head)
                self.deaf = self.unread = True
            else:
                exchange = Exchange(self, head)
                if not parser.should_keep_alive():
                    exchange.keep_alive = False  # llhttp reads Proxy-Connection too, and takes no more after this
                if head.upgrade:
                    upgrade_asked(self, exchange, head, parser.should_upgrade())
        if not exchange.body_done:
            self.receiving = exchange
            self.lines.has_body(CHUNKED if exchange.chunked else exchange.body_left, fields)
        elif not exchange.keep_alive:
            self.deaf = True
        if self.exchange is None and not self.write_paused and not self.queue and self.turn < self.share.turns.requests:
            self.turn += 1
            self.exchange = exchange
            exchange.begin()
        else:
            self.wait_turn(exchange)

    def on_body(self, chunk: bytes) -> None:
        self.pieces.append(chunk)

    def feed_pieces(self) -> None:
        """What one read brought of a body goes on as one piece, however many chunks it came in."""
        pieces, self.pieces = self.pieces, []
        self.crumbs = len(pieces) >= CRUMBS
        if self.receiving is not None:
            self.receiving.feed(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def on_message_complete(self) -> None:
        receiving = self.receiving
        if receiving is None or (self.upgrading and receiving.body_left):
            return  # llhttp ends an upgrade request before its body (`after_upgrade` reads that)
        self.lines.ended = True
        if self.pieces:
            self.feed_pieces()
        if self.fields and not take_trailers(self, receiving):
            return
        self.receiving = None
        receiving.fed()
        self.body_ended(receiving)

    def body_ended(self, exchange: Exchange) -> None:
        if not exchange.keep_alive:
            self.deaf = True

    def hand_over(self) -> bytes:
        """The connection becomes a tunnel's. Returns what the client has sent of it."""
        early, self.early, self.aside = self.early + self.aside, b"", b""
        self.exchange = self.offering = self.parser = None
        self.holds = 0
        self.door.hand_over(self)
        return early

    def _fault(self, error: BaseException) -> None:
        """A bug of ours, not a client's: said in the log, and nothing of this connection goes on."""
        cause = error.__context__ or error
        telemetry.log("door_fault", level="error", why=repr(cause), stack="".join(format_exception(cause)))
        self.cut()

    # === the order of exchanges ===

    def wait_turn(self, exchange: Exchange) -> None:
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
            self.advance()

    def exchange_ended(self, close: bool) -> None:
        """The answer is written whole. The next waiting request begins, or the connection idles or ends."""
        if self.exchange is not None:
            self.caller = self.exchange.caller
        self.exchange = None
        if close:
            self.close()
        elif self.queue:
            if not self.advancing:
                self._follow()
        elif self.door.draining and self.receiving is None:
            self.close()
        elif not self.write_paused:
            self._idle()
        if self.offering is not None and self.offering.ended:
            not_tunnelled(self)

    def _idle(self) -> None:
        """Between two exchanges. A head may have begun while the last one ran, or a refused one's body still comes."""
        timeouts = self.door.timeouts
        wait_s = timeouts.keepalive_s
        if self.in_head or self.receiving is not None:
            wait_s = timeouts.head_s if self.in_head else timeouts.body_s
        self.deadline_s = self.door.tick_s + wait_s

    def advance(self) -> None:
        """Begin what waits, in a flat loop: a thousand pipelined refusals must not nest a thousand frames. Nor may
        they be one turn of the event loop: after a few, the other connections have theirs."""
        self.advancing = True
        try:
            most = self.share.turns.requests
            while self.queue and self.exchange is None and not self.write_paused and self.turn < most:
                self.turn += 1
                following = self.queue.popleft()
                self.exchange = following
                following.begin()
        finally:
            self.advancing = False
        if not self.queue:
            if self.aside:
                self._later()
            else:
                self.release(HOLD_PIPELINE)
            if self.exchange is None and not self.transport.is_closing():
                self._idle()
        elif self.exchange is None and not self.write_paused:
            self._later()

    def _follow(self) -> None:
        """An answer was written, and the next request waits: for its client's turn while others are here."""
        if self.share.turns.crowded:
            self._later()
        else:
            self.advance()

    def _later(self) -> None:
        self.advancing = True
        self.hold(HOLD_PIPELINE)
        self.share.line_up(self._next_turn, self.who(), self.in_head)

    def who(self) -> str:
        """For whom it works now, or did last; "" = nobody who is known."""
        exchange = self.exchange
        principal = (self.caller if exchange is None else exchange.caller).principal
        return principal.ref or principal.subject

    def _next_turn(self) -> None:
        self.advancing = False
        self.turn = self.least_turn
        if self.queue:
            if not self.least_turn:
                self.advance()
            return
        aside, self.aside = self.aside, b""
        if aside:
            self.share.moved(len(aside))
            self.read(aside)
        if not self.queue and not self.aside:
            self.release(HOLD_PIPELINE)

    def _await_turn(self) -> None:
        """Read no more before it is this client's turn."""
        if not self.holds & HOLD_TURN:
            self.hold(HOLD_TURN)
            self.share.line_up(self._read_on, self.who())

    def _read_on(self) -> None:
        self.share.use_up()
        self.release(HOLD_TURN)

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
                client_gone(waiting)
            self.queue.clear()
        self.aside = self.early = b""
        self.offering = None
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
        if self.share.turns.crowded:
            self._await_turn()
        self.release(self.holds & ~(HOLD_PACE | HOLD_TURN))  # who asks too much is not even read that fast
        if transport.can_write_eof():
            transport.write_eof()

    def _linger(self, dropped: int) -> None:
        if self.lingering < 0:
            self.unread = True  # it goes on behind its last request: there may be more yet
            return
        self.lingering = max(self.lingering - dropped, 0)
        if not self.lingering:
            self.hold(HOLD_END)  # a reset now could take the answer from a client that is still writing
        elif self.share.turns.crowded:
            self._await_turn()

    def cut(self) -> None:
        """End with a reset: the client must never take half an answer for a whole one."""
        self.deaf = True
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            reset(self.transport)

    def on_deadline(self) -> None:
        """Called by the sweep once `deadline_s` has passed."""
        self.deadline_s = NEVER
        if self.exchange is not None:
            deadline_passed(self.exchange)
        elif self.lingering >= 0 or self.write_paused or self.transport.is_closing():
            if self.transport.get_write_buffer_size():
                reset(self.transport)  # half an answer is in there
            else:
                self.transport.abort()
        elif self.in_head and not self.deaf:
            unreadable(self, "request_timeout")
        else:
            self.close()

    def drain(self) -> None:
        """A busy connection ends after its answer. An idle one is given a moment, because its next request may be on
        the way and would be reset; a new one as long as any client has for its first head."""
        if self.exchange is not None or self.queue or self.in_head or self.lingering >= 0 or not self.requests:
            return
        if self.transport.is_closing():
            return
        if self.write_paused:
            self.close()
        else:
            self.deadline_s = min(self.deadline_s, self.door.tick_s + DRAIN_IDLE_S)
