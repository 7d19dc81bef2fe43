"""What becomes of an exchange that its client, its upstream or time fails.

Three outcomes, in this order of preference: another try, where sending twice cannot do harm; a refusal of ours, as
long as no byte of an answer has left; else the client's connection is cut, because half an answer must never look
like a whole one. The upstream connection is let go of first, whichever it is, so that a service does not go on
working for nobody and never takes half a request for a whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.counters import UPSTREAM_RETRIES, UPSTREAM_RETRIES_WITHHELD
from gateway.door.holds import HOLD_UPSTREAM
from gateway.door.sessions import WAITED_FOR_SESSION
from gateway.errors import FAULTS, Refused
from policy.facts import Refusal

if TYPE_CHECKING:
    from gateway.door.endpoint import Endpoint
    from gateway.door.exchange import Exchange


# === the upstream ===


def not_connected(exchange: Exchange, code: str, detail: str) -> None:
    """No connection to its endpoint: nothing was sent, so any method may try another one."""
    endpoint, permit = exchange.endpoint, exchange.permit
    assert endpoint is not None
    assert permit is not None
    exchange.tried = [*(exchange.tried or ()), endpoint]
    if len(exchange.tried) < len(exchange.route.endpoints):
        exchange.route.send(permit, exchange)
    else:
        exchange.refuse(code, detail)


def upstream_failed(exchange: Exchange, code: str, detail: str = "") -> None:
    """The connection failed under the exchange. Another try where that cannot do harm twice."""
    endpoint, permit = exchange.endpoint, exchange.permit
    assert endpoint is not None
    assert permit is not None
    exchange.upstream = None
    endpoint.busy -= 1
    if exchange.begun:
        exchange.refused = Refusal(code)
        exchange.client.cut()
    elif can_repeat(exchange, code) and _is_granted(exchange, endpoint):
        exchange.retried = True
        exchange.route.send(permit, exchange, fresh=True)
    else:
        exchange.refuse(code, detail)


def can_repeat(exchange: Exchange, code: str) -> bool:
    """RFC 9110 §9.2.2: a pooled connection may have been closing when the request was sent on it."""
    return (
        code == "upstream_closed"
        and exchange.reused
        and not exchange.retried
        and exchange.method in exchange.route.repeatable
        and not exchange.bytes_in
        and not exchange.chunked
    )


def _is_granted(exchange: Exchange, endpoint: Endpoint) -> bool:
    granted = endpoint.budget.grant(endpoint.taken)
    exchange.door.values[UPSTREAM_RETRIES if granted else UPSTREAM_RETRIES_WITHHELD] += 1
    return granted


def _let_go(exchange: Exchange) -> None:
    """Of the way upstream, whether it is busy with this exchange or still being made."""
    upstream, exchange.upstream = exchange.upstream, None
    endpoint = exchange.endpoint
    if endpoint is None:
        return
    if upstream is not None:
        upstream.abandon()
        endpoint.busy -= 1
    elif not exchange.begun:
        endpoint.forget(exchange)


# === the client ===


def body_broken(exchange: Exchange, code: str, detail: str) -> None:
    """The body cannot be taken to its end: the upstream must not take what came for a whole request."""
    if exchange.client.exchange is not exchange:
        exchange.unreadable(Refused(code, detail))  # an earlier answer is still due
        return
    _let_go(exchange)
    if exchange.begun:
        exchange.refused = Refusal(code)
        exchange.client.cut()
        return
    exchange.keep_alive = False
    exchange.refuse(code, detail)


def client_gone(exchange: Exchange) -> None:
    """The client's connection ended first: whatever the upstream is doing for it stops."""
    if exchange.ended:
        return
    _let_go(exchange)
    if not exchange.refused.reason:
        exchange.refused = Refusal("client_gone")
    if not exchange.status:
        exchange.status = FAULTS["client_gone"].status
    exchange.end()


# === time ===


def deadline_passed(exchange: Exchange) -> None:
    """True on entry: nothing has moved for as long as this stage allows."""
    client, upstream = exchange.client, exchange.upstream
    if exchange.begun:
        if not client.write_paused and exchange.endpoint is not None:
            exchange.endpoint.failed("stops within an answer")
        exchange.refused = Refusal("client_gone" if client.write_paused else "upstream_timeout")
        client.cut()
    elif exchange.permit is None and exchange.waited & WAITED_FOR_SESSION:
        exchange.refuse("session_unavailable", "control did not answer in time")
    elif exchange.permit is None:
        exchange.refuse("issuer_unavailable", "the issuer could not be asked in time")
    else:
        taken = upstream is not None and not client.holds & HOLD_UPSTREAM
        waits_for_client = taken and not exchange.body_done
        if upstream is not None and not waits_for_client:
            upstream.endpoint.failed("no answer in time")
        _let_go(exchange)
        exchange.refuse("request_timeout" if waits_for_client else "upstream_timeout")
