"""The node's health in the words a BIG-IP monitor looks for.

bigd, which asks, speaks HTTP by rote: it sends the text that somebody typed, with an empty line more behind it, and
searches the octets that come back, the head included, for a regular expression. So this one path is answered whatever
the version (none, as HTTP/0.9 has it, too), the Host, or its absence; no text is found in the answer of another state;
and each is in the head as well, because HEAD has nothing else. Up and draining are both 200: what tells them apart is
the text that `recv` and `recv-disable` of the monitor ask for. Every answer is its connection's last, small and without
a cookie.

The state is the node's, set by the supervisor. That a worker is replaced, or a provider, a catalog or a database is
away, never shows here, because every node would leave the pool at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.child import DRAINING, FAILING, STARTING, UP
from gateway.counters import HEALTH_REQUESTS
from gateway.door.exchange import Exchange
from gateway.errors import Refused
from gateway.http1.head import VERSIONS
from gateway.http1.request import Head, unread_head

if TYPE_CHECKING:
    from gateway.door.downstream import Downstream
    from gateway.http1.lines import Lines

HEALTH_TARGET: Final = b"/.stagedoor/bigip/health"
SIMPLE_PROBE: Final = b"GET " + HEALTH_TARGET + b"\r\n"  # a whole request of HTTP/0.9; not every monitor sends more
HEALTH_ALONE: Final = "this port answers health and nothing else"

_OK: Final = b"200 OK"
_UNAVAILABLE: Final = b"503 Service Unavailable"
_STATES: Final = {
    UP: (_OK, b"stagedoor-state: up"),
    STARTING: (_UNAVAILABLE, b"stagedoor-state: starting"),
    DRAINING: (_OK, b"stagedoor-state: draining"),
    FAILING: (_UNAVAILABLE, b"stagedoor-state: failing"),
}
_NO_PROBE: Final = frozenset((b"content-length", b"transfer-encoding", b"upgrade", b"expect"))


def _page(status: bytes, text: bytes, *, head_only: bool) -> bytes:
    return (
        b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n%b\r\n\r\n%b" % (status, len(text) + 1, text, b"" if head_only else text + b"\n")
    )


_PAGES: Final = {
    (state, head_only): _page(status, text, head_only=head_only)
    for state, (status, text) in _STATES.items()
    for head_only in (False, True)
}


def health_answer(state: int, *, head_only: bool) -> bytes:
    """The whole answer for a node state; an unknown state counts as failing."""
    return _PAGES[state if state in _STATES else FAILING, head_only]


def is_probe(lines: Lines, plain: bool, method: bytes, version: str, fields: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request for the path is a monitor's: it has no body and asks for no upgrade. Whatever has is read like
    any other request, because here nobody looks at where its body ends. ``plain`` is what `lines` said of its line."""
    known = version in VERSIONS if plain else version == "0.9" and lines.is_simple(method, HEALTH_TARGET)
    return known and method in (b"GET", b"HEAD") and not any(name.lower() in _NO_PROBE for name, _ in fields)


def asked_for_health(client: Downstream, method: bytes) -> Exchange:
    """The node's state, on every listener, whatever the Host; counted, no Record. The connection ends behind it."""
    exchange = Exchange(client, unread_head(method.decode("ascii"), HEALTH_TARGET))
    exchange.keep_alive = False
    exchange.prepared = health_answer(client.door.node.value, head_only=method == b"HEAD")
    client.door.values[HEALTH_REQUESTS] += 1
    exchange.ended = True  # leaves no record
    # bigd's empty line may still be on its way: arriving at a closed socket it would reset the answer out of it.
    client.unread = client.transport.can_write_eof()
    return exchange


def simple_probe(client: Downstream) -> None:
    """A monitor asked by a line alone; what may come behind it says nothing. Earlier requests are answered first."""
    client.requests += 1
    client.deaf = True
    client.in_head = False
    client.target = b""
    client.wait_turn(asked_for_health(client, b"GET"))


def health_alone(head: Head | Refused) -> Refused:
    """On a `health_only` listener: what was asked for, if it could be read, is not here."""
    return head if isinstance(head, Refused) else Refused("path_unknown", HEALTH_ALONE)
