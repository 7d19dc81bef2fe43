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
from collections import deque
from random import Random
from traceback import format_exception
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from gateway import telemetry
from gateway.door.ending import reset
from gateway.door.exchange import RETIRE_REQUESTS, Exchange
from gateway.door.health import is_probe, prepare_health
from gateway.door.holds import FULL_READ, HOLD_EARLY, HOLD_PACE, HOLD_PIPELINE, HOLD_TURN
from gateway.errors import Refused
from gateway.http1.head import read_head
from gateway.http1.parser import parser_refusal
from gateway.http1.request import unread_head

if TYPE_CHECKING:
    from gateway.door.listener import Listening
    from gateway.door.worker import Door
    from gateway.http1.request import Head
    from gateway.identity.client_certificates import ClientCertificate

HEALTH_TARGET: Final = b"/.stagedoor/bigip/health"
NEVER: Final = float("inf")
PIPELINED: Final = 256  # requests that may wait for earlier answers
TURN_REQUESTS: Final = 8  # of one connection are begun in one turn of the loop, which others wait for
HEADS_SLICE: Final = 4 * 1024  # of what arrived at once is read before others have their turn, if requests wait in it
BODY_SLICE: Final = 16 * 1024  # the same while a chunked body arrives
LINGER_BYTES: Final = 256 * 1024
LINGER_S: Final = 1.0
EARLY_BYTES: Final = 64 * 1024  # behind a request that may become a tunnel; reading pauses then
RAW_BODY_BYTES: Final = 64 * 1024  # bodies at least this long bypass the parser by counting
UNREAD_LINE_BYTES: Final = 256  # of a line that was no request, this much goes into the record
RETIRE_S: Final = 600.0
DRAIN_IDLE_S: Final = 0.5
_RANDOM: Final = Random()  # our own: another user of the module's shared one must not see or seed it


class Peer(NamedTuple):
    """Facts about the hop, for the connection's whole life: identity belongs to requests, never here, but where the
    hop is the client."""

    address: str
    trusted: bool
    forwarded: bytes  # the X-Forwarded-* lines of a peer whose own are not read
    network: str  # by which its connections are counted
    certificate: ClientCertificate | None = None  # on a `direct` listener, where the peer is the client


class Downstream:
    """A client's connection: an `asyncio.Protocol` by shape, because compiled classes inherit from compiled ones
    alone. Owned by its transport; the worker holds it for the sweep."""

    __slots__ = (
        "listening", "door", "transport", "peer", "parser", "exchange", "queue", "receiving", "deadline_s",
        "fields", "target", "in_head", "head_started", "head_pending", "raw_left", "skip_head", "upgrading",
        "holds", "deaf", "unread", "lingering", "requests", "retire_s", "advancing", "write_paused", "arrived",
        "turn", "least_turn", "aside", "offering", "early",
    )  # fmt: skip

    def __init__(self, listening: Listening, peer: Peer) -> None:
        # for the connection's life
        self.listening = listening
        self.arrived = False  # a connection was made: its handshake is over
        self.door: Door = listening.door
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)  # from connection_made to its end
        self.peer: Peer = peer
        self.requests = 0
        self.retire_s = self.door.tick_s + RETIRE_S * _RANDOM.uniform(0.8, 1.2)
        self.deadline_s = NEVER
        # the order of exchanges
        self.exchange: Exchange | None = None  # whose answer is being written
        self.queue: deque[Exchange] | None = None  # pipelined ones behind it; made when first needed
        self.receiving: Exchange | None = None  # whose body is arriving
        self.advancing = False  # or about to, in the next turn of the loop
        self.turn = 0  # exchanges that were begun in this turn of the loop
        self.least_turn = 0  # where counting begins: TURN_REQUESTS while none may begin (`pace`)
        self.aside = b""  # what arrived behind pipelined requests that wait
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
            exchange.client_gone()
        if self.queue:
            for waiting in self.queue:
                waiting.client_gone()
            self.queue.clear()
        self.aside = b""
        # INVARIANT: nothing below points back here after the end, so no collector is needed to free it.
        self.offering = None
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
        elif not self.advancing:
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
        if self.aside:
            self.aside += data
            return
        self.turn = self.least_turn
        if len(data) >= FULL_READ:
            self.hold(HOLD_TURN)
            self.door.loop.call_soon(self.release, HOLD_TURN)
        while data:  # once, but for what follows a counted body or an ignored upgrade, and for much at once
            if self.raw_left:
                data = self._raw_body(data)
                continue
            if self.deaf:
                self._linger(len(data))
                return
            if self.offering is not None:
                self._hold_early(data)
                return
            later = b""
            size = HEADS_SLICE if self.receiving is None else BODY_SLICE
            if len(data) > size:
                if self.queue:
                    self.aside = data
                    self.hold(HOLD_PIPELINE)
                    return
                data, later = data[:size], data[size:]
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
            data = rest + later if later else rest

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
            prepare_health(exchange, parser.get_http_version(), fields)
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
                if head.upgrade:
                    self._upgrade_asked(exchange, head, parser.should_upgrade())
        if not exchange.body_done:
            self.receiving = exchange
        elif not exchange.keep_alive:
            self.deaf = True
        if self.exchange is None and not self.write_paused and not self.queue and self.turn < TURN_REQUESTS:
            self.turn += 1
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

    # === upgrades ===

    def _upgrade_asked(self, exchange: Exchange, head: Head, stops: bool) -> None:
        """``stops``: llhttp will end behind this message, as it does where `Connection` names the upgrade."""
        self.upgrading = stops
        if not stops or not exchange.keep_alive:
            head.tunnel = b""
        elif head.tunnel:
            self.offering = exchange

    def _after_upgrade(self, rest: bytes) -> bytes:
        """Where no tunnel may begin, RFC 9110 §7.8 lets us ignore the upgrade and go on as HTTP/1.1.

        llhttp stops at any `Upgrade`. A fresh parser reads on; where the request has a body, it is told so by
        a made-up head whose framing is the one that `read_head` accepted. Where a tunnel may begin, what follows is
        no request until the answer is known (`_hold_early`).
        """
        self.upgrading = False
        if self.offering is not None:
            self.parser = None
            return rest
        self.parser = HttpRequestParser(self)
        receiving = self.receiving
        if receiving is not None and receiving.body_left:
            framing = b"Content-Length: %d" % receiving.body_left
            if receiving.chunked:
                framing = b"Transfer-Encoding: chunked"
            self.skip_head = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        return rest

    def _hold_early(self, data: bytes) -> None:
        self.early += data
        if len(self.early) > EARLY_BYTES:
            self.hold(HOLD_EARLY)

    def _not_tunnelled(self) -> None:
        """The exchange ended like any other: what came behind it is the next request."""
        self.offering = None
        early, self.early = self.early, b""
        self.release(HOLD_EARLY)
        if early:
            self.data_received(early)

    def hand_over(self) -> bytes:
        """The connection becomes a tunnel's. Returns what the client has sent of it."""
        early, self.early = self.early, b""
        self.exchange = self.offering = self.parser = None
        self.holds = 0
        self.door.hand_over(self)
        return early

    # === what cannot be read ===

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

    def pace(self) -> None:
        """Its caller has been told to slow down: the next request has to wait. Not of a trusted peer, whose
        connection brings those of others, too."""
        if not self.peer.trusted and not self.least_turn and self.door.paced.add(self.door.tick_s, self):
            self.turn = self.least_turn = TURN_REQUESTS
            self.hold(HOLD_PACE)

    def unpace(self) -> None:
        """Called by the worker some time after `pace`."""
        self.turn = self.least_turn = 0
        self.release(HOLD_PACE)
        if self.queue and not self.advancing:
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
        if self.offering is not None and self.offering.ended:
            self._not_tunnelled()

    def _idle(self) -> None:
        """Between two exchanges. A head may have begun while the last one ran, or a refused one's body still comes."""
        timeouts = self.door.timeouts
        wait_s = timeouts.keepalive_s
        if self.in_head or self.receiving is not None:
            wait_s = timeouts.head_s if self.in_head else timeouts.body_s
        self.deadline_s = self.door.tick_s + wait_s

    def _advance(self) -> None:
        """Begin what waits, in a flat loop: a thousand pipelined refusals must not nest a thousand frames. Nor may
        they be one turn of the event loop: after a few, the other connections have theirs."""
        self.advancing = True
        try:
            while self.queue and self.exchange is None and not self.write_paused and self.turn < TURN_REQUESTS:
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

    def _later(self) -> None:
        self.advancing = True
        self.hold(HOLD_PIPELINE)
        self.door.loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self.advancing = False
        self.turn = self.least_turn
        if self.queue:
            if not self.least_turn:
                self._advance()
            return
        aside, self.aside = self.aside, b""
        if aside:
            self.data_received(aside)
        if not self.queue and not self.aside:
            self.release(HOLD_PIPELINE)

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
        self.release(self.holds & ~HOLD_PACE)  # who asks too much is not even read that fast
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
        if not self.transport.is_closing():
            reset(self.transport)

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
