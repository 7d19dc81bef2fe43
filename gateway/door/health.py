"""The node's health in the words a BIG-IP monitor looks for.

No text may contain another (a monitor's receive string is searched anywhere in the answer), and a node that
is not up is never 200. The state is the node's, set by the supervisor; a provider, a catalog or a database
away never shows here, because every node would leave the pool at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.child import DRAINING, FAILING, STARTING, UP
from gateway.counters import HEALTH_REQUESTS

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange

_STATES = {
    UP: (b"200 OK", b"stagedoor-up\n"),
    STARTING: (b"503 Service Unavailable", b"stagedoor-starting\n"),
    DRAINING: (b"503 Service Unavailable", b"stagedoor-draining\n"),
    FAILING: (b"503 Service Unavailable", b"stagedoor-failing\n"),
}


def _page(status: bytes, text: bytes, head_only: bool, close: bool) -> bytes:
    return (
        b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: %d\r\n%b\r\n%b"
        % (status, len(text), b"Connection: close\r\n" if close else b"", b"" if head_only else text)
    )


_PAGES = {
    (state, head_only, close): _page(status, text, head_only, close)
    for state, (status, text) in _STATES.items()
    for head_only in (False, True)
    for close in (False, True)
}


_NO_PROBE = frozenset((b"content-length", b"transfer-encoding", b"upgrade", b"expect"))


def prepare_health(exchange: Exchange, version: str, fields: list[tuple[bytes, bytes]]) -> None:
    """The node's state for BIG-IP monitors, on every listener, whatever the Host; counted, no Record."""
    close = version == "1.0" or any(
        name.lower() == b"connection" and b"close" in value.lower() for name, value in fields
    )
    exchange.keep_alive = not close
    exchange.prepared = health_answer(exchange.door.node.value, head_only=exchange.method == "HEAD", close=close)
    exchange.door.values[HEALTH_REQUESTS] += 1
    exchange.ended = True  # leaves no record


def health_answer(state: int, *, head_only: bool, close: bool) -> bytes:
    """The whole answer for a node state; an unknown state counts as failing."""
    return _PAGES[state if state in _STATES else FAILING, head_only, close]


def is_probe(method: bytes, fields: list[tuple[bytes, bytes]]) -> bool:
    """A monitor's request has no body and asks for no upgrade. Whatever has is read like any other request, because
    here nobody looks at where its body ends."""
    return method in (b"GET", b"HEAD") and not any(name.lower() in _NO_PROBE for name, _ in fields)
