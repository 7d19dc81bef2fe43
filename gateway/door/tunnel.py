"""A tunnel: the two connections of an exchange whose service switched protocols, joined byte for byte.

    GET with Upgrade → Permit → offered upstream → 101 → first Record → tunnel → its end → second Record

What arrives on one side is written to the other and nothing else happens to it: no parser, no copy, no deadline per
piece. When one side takes less than comes, reading from the other pauses, so a tunnel holds a bounded number of
bytes. The end of one direction is passed on where both sides can say it (TCP can, TLS cannot); a reset is passed on
as a reset behind what came before it, so that nobody takes half a stream for a whole one.

A permit is not for ever: the registry (`door.tunnels`) has each tunnel ask again whether it would be given now
(`door.standing`). When it would not, both connections are reset: between two frames of a protocol that is not read
here, there is no place to say goodbye.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, cast

from gateway.counters import (
    BY_CLIENT,
    BY_DRAIN,
    BY_IDLE,
    BY_PERMIT,
    BY_TOKEN,
    BY_UPSTREAM,
    REQUEST_BYTES,
    RESPONSE_BYTES,
    TUNNEL_ENDS,
)
from gateway.door.callers import Caller
from gateway.door.ending import break_off, reset
from gateway.door.holds import HOLD_UPSTREAM
from gateway.door.limits import give_back
from gateway.door.standing import STANDS, Standing
from gateway.errors import Refused
from policy.facts import Refusal

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.door.upstream import Upstream
    from gateway.snapshot import Snapshot

AGAIN_S: Final = 60.0  # what only time changes, such as how fresh a sign-in is, counts within this
ANSWER_S: Final = 3  # of control, about a token whose issuer has to be asked again
QUESTIONS: Final = 2  # for a key, and for what the token is worth
OF_IDENTITY: Final = ("token_", "session_")  # how the reasons begin for which somebody is nobody any more
NOBODY: Final = -1
CLOSED: Final = 0  # after what was written has left
BROKEN: Final = 1  # likewise, with a reset: what came was not all
CUT: Final = 2  # now


def begin_tunnel(exchange: Exchange, upstream: Upstream, head: bytes, rest: bytes) -> None:
    """Join the connections. ``head`` is the 101 for the client, ``rest`` what the service sent right behind it."""
    client = exchange.client
    held, stalled = client.holds, client.write_paused
    early = client.hand_over()
    tunnel = Tunnel(exchange, client.transport, upstream.transport)
    tunnel.bytes_in, tunnel.bytes_out = len(early), len(rest)
    upstream.endpoint.part_with(upstream)
    client.transport.set_protocol(cast(asyncio.Protocol, tunnel))
    upstream.transport.set_protocol(cast(asyncio.Protocol, ServiceSide(tunnel)))
    exchange.door.tunnels.add(tunnel)
    # Who was paused because the other side's buffer was full stays so: that side says when there is room.
    if held and not held & HOLD_UPSTREAM:
        _resume(client.transport)
    if upstream.paused and not stalled:
        _resume(upstream.transport)
    client.transport.write(head + rest)
    if early:
        upstream.transport.write(early)


def _resume(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()


class Tunnel:
    """What is left of an exchange whose service switched protocols. By shape it is the protocol of the client's
    connection; its two connections and the registry hold it."""

    __slots__ = (
        "door", "standing", "client", "upstream", "endpoint", "bytes_in", "bytes_out", "counted_in", "counted_out",
        "half", "ended", "client_lost", "upstream_lost", "moved_s", "limit_s", "again_s", "until", "asked", "began_ns",
        "seats",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, client: asyncio.Transport, upstream: asyncio.Transport) -> None:
        door = self.door = exchange.door
        assert exchange.match is not None
        assert exchange.permit is not None
        assert exchange.endpoint is not None
        self.standing = Standing(exchange, exchange.match, exchange.permit)
        self.client = client
        self.upstream = upstream
        self.endpoint = exchange.endpoint
        self.began_ns = exchange.began_ns
        self.seats, exchange.seats = exchange.seats, None  # its request is under way until the tunnel ends
        self.bytes_in = 0
        self.bytes_out = 0
        self.counted_in = 0  # of them, in the metrics
        self.counted_out = 0
        self.half = NOBODY  # who has sent all it has to send
        self.ended = False
        self.client_lost = False
        self.upstream_lost = False
        self.moved_s = door.tick_s
        self.limit_s: float = exchange.route.tunnel_idle_s
        self.again_s = door.tick_s + AGAIN_S
        # of the token or the session, epoch seconds; 0 = without
        self.until = door.sessions.end_of(exchange.caller, exchange.match.exposure.environment)
        self.asked = 0  # since then, what the token is worth

    # === the client's connection ===

    def data_received(self, data: bytes) -> None:
        self.bytes_in += len(data)
        self.upstream.write(data)

    def pause_writing(self) -> None:
        if not self.upstream_lost:
            self.upstream.pause_reading()

    def resume_writing(self) -> None:
        if self.half != BY_UPSTREAM and not self.upstream_lost:
            _resume(self.upstream)

    def eof_received(self) -> bool:
        return self.said_all(BY_CLIENT, self.client, self.upstream)

    def connection_lost(self, exc: Exception | None) -> None:
        self.client_lost = True
        self.door.depart(self.standing.peer)
        self._lost(BY_CLIENT, exc)

    def upstream_gone(self, exc: Exception | None) -> None:
        self.upstream_lost = True
        self.endpoint.tunnel_ended()
        self._lost(BY_UPSTREAM, exc)

    # === how it ends ===

    def said_all(self, who: int, side: asyncio.Transport, other: asyncio.Transport) -> bool:
        """One side will send no more. True while the other one may still answer."""
        if self.ended or other.is_closing() or not (side.can_write_eof() and other.can_write_eof()):
            self.end(who)
            return False
        if self.half != NOBODY:
            self.end(self.half)
            return False
        self.half = who
        self.limit_s = min(self.limit_s, self.door.timeouts.idle_s)  # most likely it is gone altogether
        other.write_eof()
        return True

    def end_with_worker(self) -> None:
        self.end(BY_DRAIN, how=CUT)

    def _lost(self, who: int, exc: Exception | None) -> None:
        self.end(who if self.half == NOBODY else self.half, how=CLOSED if exc is None else BROKEN)
        if self.client_lost and self.upstream_lost:
            self.door.tunnels.forget(self)
            # INVARIANT: nothing points in a circle after the end, so no collector is needed to free it.
            self.client = self.upstream = cast(asyncio.Transport, None)

    def end(self, by: int, refused: Refusal = STANDS, how: int = CLOSED) -> None:
        """End both connections; the first call counts and writes the record."""
        if not self.ended:
            self.ended = True
            self.moved_s = self.door.tick_s
            self._count()
            if self.seats is not None:
                give_back(self.seats)
            spent_us = (perf_counter_ns() - self.began_ns) // 1000
            record = self.standing.record(refused, TUNNEL_ENDS[by], self.bytes_in, self.bytes_out, spent_us)
            self.door.append_record(record)
            self.door.tunnels.ended(by)
        if not self.client_lost:
            _end(self.client, how)
        if not self.upstream_lost:
            _end(self.upstream, how)

    # === from time to time ===

    def _count(self) -> bool:
        """Bring the metrics up to date. True if anything moved since the last time."""
        came, went = self.bytes_in - self.counted_in, self.bytes_out - self.counted_out
        if not came and not went:
            return False
        values = self.door.values
        values[REQUEST_BYTES] += came
        values[RESPONSE_BYTES] += went
        self.counted_in, self.counted_out = self.bytes_in, self.bytes_out
        return True

    def look(self, tick_s: float, now: int) -> None:
        """Called by the registry about once a second."""
        if self.ended:
            if tick_s - self.moved_s >= self.door.timeouts.idle_s:
                self.end(BY_IDLE, how=CUT)  # it is closing, and somebody does not take the rest
            return
        if self._count():
            self.moved_s = tick_s
        if self.until and now >= self.until:
            self._token_ended(now)
        elif tick_s - self.moved_s >= self.limit_s:
            self.end(BY_IDLE)
        elif tick_s >= self.again_s:
            self.decide_again(self.door.snapshot)

    # === whether it may go on ===

    def decide_again(self, snapshot: Snapshot) -> None:
        """End the tunnel unless its permit would be given now."""
        if self.ended:
            return
        self.again_s = self.door.tick_s + AGAIN_S
        refused = self.standing.decide(snapshot)
        if refused.reason:
            self.end(BY_TOKEN if refused.reason.startswith(OF_IDENTITY) else BY_PERMIT, refused, how=CUT)

    def _token_ended(self, now: int) -> None:
        """`exp` is past, or the issuer's word about the token counts no longer: then it is asked again."""
        if not self.standing.token:
            self.refuse("session_ended" if self.standing.caller.session else "token_expired")
        elif self.asked:
            self.refuse("issuer_unavailable")
        else:
            self.until = now + ANSWER_S
            self.key_arrived()

    def key_arrived(self) -> None:
        """Control has asked the issuer, or has yet to: one more look at the token."""
        if self.ended:
            return
        token = self.standing.token
        found = self.door.callers.find(token, self.door.snapshot)
        if isinstance(found, Caller):
            self.asked = 0
            self.until = found.until
            self.standing.become(found, token)
            self.decide_again(self.door.snapshot)
        elif isinstance(found, Refused):
            self.refuse(found.code)
        elif self.asked == QUESTIONS:
            self.refuse(found.refusal.code)
        else:
            self.asked += 1
            self.door.callers.wait(found, self)

    def refuse(self, code: str, detail: str = "") -> None:
        """The token counts no more."""
        self.end(BY_TOKEN, Refusal(code), how=CUT)


class ServiceSide:
    """The protocol of the service's connection."""

    __slots__ = ("tunnel",)

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel

    def data_received(self, data: bytes) -> None:
        tunnel = self.tunnel
        tunnel.bytes_out += len(data)
        tunnel.client.write(data)

    def pause_writing(self) -> None:
        if not self.tunnel.client_lost:
            self.tunnel.client.pause_reading()

    def resume_writing(self) -> None:
        tunnel = self.tunnel
        if tunnel.half != BY_CLIENT and not tunnel.client_lost:
            _resume(tunnel.client)

    def eof_received(self) -> bool:
        tunnel = self.tunnel
        return tunnel.said_all(BY_UPSTREAM, tunnel.upstream, tunnel.client)

    def connection_lost(self, exc: Exception | None) -> None:
        self.tunnel.upstream_gone(exc)


def _end(transport: asyncio.Transport, how: int) -> None:
    if how == CUT:
        reset(transport)
    elif how == BROKEN:
        break_off(transport)
    elif not transport.is_closing():
        transport.close()
