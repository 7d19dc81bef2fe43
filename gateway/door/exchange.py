"""One request and its one answer: from a read head to a written record.

    begin → decide (identity may wait for a key) → forward → answer_begun → answer_more → end → Record

Who asks, and whether they may, is decided in `door.decision`. Each step takes the value the step before made, and
`Route.send` takes the `Permit`, so no path leads upstream without one. When token, principal and an upstream
connection are at hand, all of it happens inside the `data_received` call that brought the request's last head byte.

An exchange ends exactly once (`end`), however it ends, and leaves exactly one audit record. It reads the
snapshot once; a policy swapped in while its answer streams does not concern it. What becomes of it when its client,
its upstream or time fails it is decided in `door.faults`.

On the list of hot files: every request runs through it.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from gateway import telemetry
from gateway.counters import (
    OUTCOME,
    REQUEST_BYTES,
    RESPONSE_BYTES,
    RESPONSES,
)
from gateway.door.answering import FORGET_SESSION, answer, has_unread
from gateway.door.assertions import asserted
from gateway.door.callers import Caller
from gateway.door.cors import readable
from gateway.door.decision import decide
from gateway.door.faults import body_broken
from gateway.door.held_facts import Gone
from gateway.door.holds import HOLD_BODY, HOLD_UPSTREAM
from gateway.door.limits import (
    give_back,
    host_is_over,
    is_asked_in_vain,
    judge_upload,
    refusal_is_over,
    upload_resumes,
)  # fmt: skip
from gateway.door.own import away, is_arrival, turn_away
from gateway.door.recording import record_of
from gateway.door.signing_in import visitor_of
from gateway.door.tunnel import begin_tunnel
from gateway.door.tunnels import offered_upgrade
from gateway.door.vouching import vouched, with_own_cookies
from gateway.errors import FAULTS, Refused, fault_of
from gateway.http1.dates import date_line
from gateway.http1.forward import (
    LAST_CHUNK,
    SENT_CHUNKED,
    SENT_UNTIL_CLOSE,
    Answer,
    answer_head,
    body_framing,
    interim_head,
    request_head,
)
from gateway.http1.pages import ALLOW, challenge, refusal
from gateway.http1.target import below_prefix
from gateway.http1.trailers import WELCOME, last_chunk
from policy.facts import Permit, Refusal

if TYPE_CHECKING:
    from gateway.door.downstream import Downstream
    from gateway.door.endpoint import Endpoint
    from gateway.door.pool import Route
    from gateway.door.rates import Limiter
    from gateway.door.upstream import Upstream
    from gateway.http1.request import Head
    from policy.table import Match

RETIRE_REQUESTS: Final = 10_000  # of one client connection, which ends then between two of them
HELD_BODY_BYTES: Final = 64 * 1024  # body bytes kept while the way upstream is being made
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

NOT_DECIDED: Final = Refusal("")


class Exchange:
    """State of one request. Every field is per request; the connection's state is in `Downstream`."""

    __slots__ = (
        "client", "door", "head", "prepared", "request_id", "began_ns", "version", "match", "caller", "permit",
        "refused", "route", "endpoint", "tried", "upstream", "upstream_head", "client_address", "body_left",
        "chunked", "body_done", "body_limit", "held", "held_bytes", "keep_alive", "closes", "status", "bytes_in",
        "bytes_out", "begun", "ended", "waited", "retried", "reused", "answer_chunked", "method", "allow", "seats",
        "window_s", "window_bytes", "upgrade", "trailers", "answer_end", "own", "gone",
    )  # fmt: skip

    route: Route  # from `forward` on
    window_s: float  # from `connected` on, while a body arrives: until when a part of it is judged
    window_bytes: int  # what had come when that part began

    def __init__(self, client: Downstream, head: Head) -> None:
        self.client = client
        self.door = client.door
        self.head = head
        self.method = head.method
        self.began_ns = perf_counter_ns()
        self.prepared = b""  # a whole answer of our own that needs no decision
        self.request_id = b""
        self.version = self.door.snapshot.version  # of the snapshot that decided; the snapshot itself is let go
        self.match: Match | None = None
        self.caller: Caller = self.door.callers.anonymous
        self.permit: Permit | None = None
        self.refused = NOT_DECIDED
        self.endpoint: Endpoint | None = None
        self.tried: list[Endpoint] | None = None
        self.upstream: Upstream | None = None
        self.upstream_head = b""
        self.upgrade = b""  # the protocol that the service is asked to switch to
        self.allow = b""  # lines that let a script of another origin read the answer
        self.client_address = client.peer.address
        self.body_limit = 0
        self.held: list[bytes] | None = None  # framed body bytes that wait for the upstream connection
        self.held_bytes = 0
        self.seats: list[tuple[Limiter, str]] | None = None  # to be given back
        self.trailers: list[tuple[bytes, bytes]] | None = None  # behind the request's body
        self.answer_end: bytes = LAST_CHUNK  # of a chunked answer
        self.own = 0  # which of the door's own paths it is for
        self.gone: Gone | None = None  # what is wrong with the session cookie that came
        self.closes = False
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.begun = False  # the answer's head is on its way to the client
        self.ended = False
        self.waited = 0  # for what: each happens once
        self.retried = False
        self.reused = False
        self.answer_chunked = False
        self.keep_alive = head.keep_alive
        self.chunked = head.length < 0
        self.body_left = head.length if head.length >= 0 else 1
        self.body_done = head.length == 0

    # === answers that need no decision ===

    def unreadable(self, refused: Refused) -> None:
        """What arrived is no request we may act on: the answer is known, its turn may still have to come."""
        fault = FAULTS[refused.code]
        self.refused = Refusal(fault.code)
        self.status = fault.status
        self.closes = True
        self.request_id = self.door.next_request_id()
        if is_arrival(self.head.target.raw):
            self.status = 303
            self.prepared = away(self.request_id, self.door.now)
            return
        self.prepared = refusal(
            fault, request_id=self.request_id, detail=refused.detail, accept=self.head.accept,
            head_only=self.method == "HEAD", close=True, extra=date_line(self.door.now),
        )  # fmt: skip

    # === the decision ===

    def begin(self) -> None:
        """True on entry: every earlier exchange of this connection has ended."""
        if self.prepared:
            self.answer_prepared()
        else:
            decide(self)

    def key_arrived(self) -> None:
        """Control has asked the issuer for what was not known about this token: one more look."""
        if not self.ended:
            self.begin()

    # === the way upstream ===

    def forward(self, match: Match, permit: Permit) -> None:
        """True on entry: `permit` is set. Sends at once when a pooled connection is at hand."""
        door = self.door
        client = self.client
        head = self.head
        exposure = match.exposure
        if door.guard.hosts_limited and host_is_over(self):
            return
        if head.ends_here:
            answer(self, 204, ALLOW)
            return
        try:
            route = self.route = door.pool.route(exposure)
        except (OSError, ValueError) as error:  # an address that is none, a certificate that cannot be read
            telemetry.log("route_refused", level="error", exposure=exposure.key, why=str(error))
            self.refuse("upstream_connect", type(error).__name__)
            return
        self.body_limit = route.body_limit
        if self.body_limit and max(head.length, self.bytes_in) > self.body_limit:
            self.refuse("request_too_large")
            return
        peer = client.peer
        forwarded = peer.forwarded
        if peer.trusted:
            self.client_address, forwarded = client.listening.client_behind(
                peer.address, head.forwarded_for, head.forwarded_proto
            )
        raw_target = b""
        if exposure.depth and "strip-prefix" in exposure.options:
            stripped = below_prefix(head.target, exposure.depth)
            if isinstance(stripped, Refused):
                self.refuse(stripped.code, stripped.detail)
                return
            raw_target = stripped
        if head.tunnel:
            offered = offered_upgrade(self, route)
            if isinstance(offered, Refused):
                self.refuse(offered.code, offered.detail)
                return
            self.upgrade = offered
        if head.takes_trailers and route.trailers and not self.upgrade:
            forwarded += WELCOME
        self.request_id = head.request_id or door.next_request_id()
        identity = self.caller.block
        if route.own:
            identity += vouched(self)
            head.passed = with_own_cookies(head)
        elif route.asserts:
            identity += asserted(self)
            if self.ended:
                return
        self.upstream_head = request_head(
            head, identity, forwarded, self.request_id, raw_target=raw_target, upgrade=self.upgrade
        )
        client.deadline_s = door.tick_s + route.response_s
        route.send(permit, self)

    def connected(self, upstream: Upstream, reused: bool) -> None:
        """`Endpoint` has a connection: the head goes out, with what has arrived of the body."""
        self.upstream = upstream
        self.reused = reused
        upstream.exchange = self
        out = self.upstream_head
        if self.held is not None:
            held, self.held = self.held, None
            out += b"".join(held)
            self.client.release(HOLD_BODY)
        if self.chunked and self.body_done:
            out += self._body_end()
        upstream.transport.write(out)
        if self.head.expects_continue and not self.bytes_in and not self.retried:
            # RFC 9110 §10.1.1: the decision is made and somebody is there to take the body
            self.client.transport.write(CONTINUE)
        if not self.body_done:
            upload_resumes(self)
            self._await_answer()
        if self.client.write_paused:
            upstream.pause()

    def _await_answer(self) -> None:
        door = self.door
        self.client.deadline_s = door.tick_s + (self.route.response_s if self.body_done else door.timeouts.body_s)

    # === the request's body ===

    def feed(self, chunk: bytes) -> None:
        """A piece of the body, in order. After the exchange's end it is dropped: where much was to come, the answer has
        ended the connection (`has_unread`)."""
        size = len(chunk)
        self.bytes_in += size
        if not self.chunked:
            self.body_left -= size
        if self.ended:
            return
        if self.body_limit and self.bytes_in > self.body_limit:
            body_broken(self, "request_too_large", "")
            return
        if self.chunked:
            chunk = b"%x\r\n%b\r\n" % (size, chunk)
        upstream = self.upstream
        if upstream is not None:
            upstream.transport.write(chunk)
            if not self.begun:
                tick_s = self.door.tick_s
                self.client.deadline_s = tick_s + self.door.timeouts.body_s
                if tick_s >= self.window_s:
                    judge_upload(self)
            return
        if self.held is None:
            self.held = []
        self.held.append(chunk)
        self.held_bytes += size
        if self.held_bytes > HELD_BODY_BYTES:
            self.client.hold(HOLD_BODY)

    def fed(self) -> None:
        """The body is complete."""
        self.body_done = True
        self.body_left = 0
        upstream = self.upstream
        if self.ended or upstream is None:  # `connected` will send the end of the body
            return
        if self.chunked:
            upstream.transport.write(self._body_end())
        if not self.begun:
            self._await_answer()

    def _body_end(self) -> bytes:
        """The last chunk, with the trailers that the operator lets through to this service."""
        if self.trailers is None:
            return LAST_CHUNK
        return last_chunk(self.trailers, self.route.trailers, self.head.named)

    # === the answer ===

    def interim(self, answer: Answer) -> None:
        """A 1xx of the upstream goes on to clients that know HTTP/1.1; it never ends the exchange."""
        if self.head.version >= 11 and answer.status != 100 and not self.begun:
            self.client.transport.write(interim_head(answer))

    def answer_begun(self, answer: Answer, body: bytes, complete: bool) -> None:
        """The upstream's head, with what came of the body in the same piece."""
        client = self.client
        door = self.door
        version = self.head.version
        self.begun = True
        self.status = answer.status
        if not self.body_done or self.is_last():
            self.closes = True
        if answer.length < 0:
            framing = body_framing(answer, version)
            self.answer_chunked = framing == SENT_CHUNKED
            self.closes = self.closes or framing == SENT_UNTIL_CLOSE
        if self.allow:
            answer.lines = readable(answer.lines, self.allow)
        out = answer_head(answer, version, self.closes, self.request_id)
        if body:
            self.bytes_out = len(body)
            out = b"%b%x\r\n%b\r\n" % (out, len(body), body) if self.answer_chunked else out + body
        if not complete:
            client.transport.write(out)
            client.deadline_s = door.tick_s + self.route.idle_s
            return
        client.transport.write(out + self.answer_end if self.answer_chunked else out)
        self.end()

    def switched(self, answer: Answer, upstream: Upstream, rest: bytes) -> None:
        """The upstream's 101, and what came right behind it: from here on both connections are a tunnel's."""
        self.upstream = None
        self.client.exchange = None
        self.begun = True
        self.status = answer.status
        head = answer_head(answer, self.head.version, False, self.request_id)
        begin_tunnel(self, upstream, head, rest)
        self.end()

    def answer_trailers(self, answer: Answer, fields: list[tuple[bytes, bytes]]) -> None:
        """What came behind the body goes on if the client welcomes it and the operator lets it through."""
        if self.head.takes_trailers:
            self.answer_end = last_chunk(fields, self.route.trailers, answer.named)

    def answer_more(self, chunk: bytes, complete: bool) -> None:
        """A further piece of the answer's body."""
        client = self.client
        if chunk:
            self.bytes_out += len(chunk)
            if self.answer_chunked:
                chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
        if complete:
            if self.answer_chunked:
                chunk += self.answer_end
            if chunk:
                client.transport.write(chunk)
            self.end()
            return
        client.transport.write(chunk)
        client.deadline_s = self.door.tick_s + self.route.idle_s

    # === refusals ===

    def refuse(self, code: str, detail: str = "", need: tuple[str, ...] = (), retry_s: int = 0) -> None:
        """Answer ourselves. Only before an answer has begun; afterwards the connection is cut."""
        if self.ended:
            return
        if is_arrival(self.head.target.raw):
            turn_away(self, code)
            return
        fault = fault_of(code, workload=self.caller.principal.kind == "workload")
        if self.caller is self.door.callers.anonymous and is_asked_in_vain(fault) and refusal_is_over(self):
            return
        head = self.head
        if not self.refused.reason:
            self.refused = Refusal(code)
        self.status = fault.status
        self.begun = True
        self.closes = fault.close or has_unread(self) or self.is_last()
        if not self.request_id:
            self.request_id = head.request_id or self.door.next_request_id()
        lines = date_line(self.door.now) + self.allow
        if self.gone is not None and self.gone.anew_s < 0:
            lines += FORGET_SESSION
        said = refusal(
            fault,
            request_id=self.request_id,
            detail=detail,
            accept=head.accept,
            version=head.version,
            head_only=self.method == "HEAD",
            www_authenticate=challenge(code, need),
            close=self.closes,
            extra=lines,
            retry_s=retry_s,
            visitor=visitor_of(self),
        )
        self.client.transport.write(said)
        self.end()

    def answer_prepared(self) -> None:
        self.client.transport.write(self.prepared)
        if self.ended:  # a health answer: counted, not recorded
            self.client.exchange_ended(not self.keep_alive)
        else:
            self.begun = True
            self.end()

    def is_last(self) -> bool:
        """Whether the client's connection ends behind the answer, whatever that is and whoever gives it."""
        return not self.keep_alive or self.door.draining or self.client.requests >= RETIRE_REQUESTS

    # === flow control ===

    def pause_upstream(self) -> None:
        if self.upstream is not None:
            self.upstream.pause()

    def resume_upstream(self) -> None:
        if self.upstream is not None:
            self.upstream.resume()
            self.client.deadline_s = self.door.tick_s + self.route.idle_s

    # === the end ===

    def end(self) -> None:
        """Exactly once: the record, the counters, and the client's next exchange."""
        self.ended = True
        self.held = None
        if self.seats is not None:
            give_back(self.seats)
        client = self.client
        if client.holds:
            client.release(HOLD_BODY | HOLD_UPSTREAM)
        spent_us = (perf_counter_ns() - self.began_ns) // 1000
        permit = self.permit
        reason = self.refused.reason or (permit.reason if permit is not None else "")
        door = self.door
        door.append_record(record_of(self, reason, spent_us))
        values = door.values
        values[OUTCOME[reason]] += 1
        values[RESPONSES + self.status // 100] += 1
        values[REQUEST_BYTES] += self.bytes_in
        values[RESPONSE_BYTES] += self.bytes_out
        door.counters.observe(spent_us)
        if client.exchange is self:
            client.exchange_ended(self.closes or not self.keep_alive)
