"""A record's line from pieces that repeat: the door's way to the bytes that `record.line_of` defines.

Who asked, what was decided and where it went repeat from request to request, so their JSON is made once and
remembered, bounded: by caller and by exposure, where a request has come by anyway; a line is then one joining of
bytes. It takes a third of the time that building the `Record`, a
dict and its JSON takes, and happens in the door's thread, so that the writer's has no interpreter work to
take from it. A property test holds the two ways equal for any text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import orjson

from gateway.audit.record import timestamp

REMEMBERED: Final = 8192
SMALL: Final = 10_000
_SMALL: Final = [b"%d" % value for value in range(SMALL)]
_MILLIS: Final = [b'.%03dZ",' % value for value in range(1000)]


def text(value: str) -> bytes:
    """What stands between the quotes of a JSON string; lone surrogates are spelled out."""
    try:
        return orjson.dumps(value)[1:-1]
    except TypeError:
        return orjson.dumps(value.encode("utf-8", "backslashreplace").decode("utf-8"))[1:-1]


@lru_cache(64)
def _second(seconds: int) -> bytes:
    return timestamp(seconds * 1000).removesuffix(".000Z").encode()


def caller_piece(subject: str, issuer: str, sub: str, client_id: str, key_id: str) -> bytes:
    """Made once per caller."""
    values = (text(subject), text(issuer), text(sub), text(client_id), text(key_id))
    return b'"subject":"%b","issuer":"%b","sub":"%b","client_id":"%b","key_id":"%b"' % values


def asked_piece(method: str, host: str) -> bytes:
    return b'"method":"%b","host":"%b"' % (text(method), text(host))


def decided_piece(decision: str, reason: str, rule: str, operation: str, exposure: str) -> bytes:
    values = (text(decision), text(reason), text(rule), text(operation), text(exposure))
    return b'"decision":"%b","reason":"%b","rule":"%b","operation":"%b","exposure":"%b"' % values


@lru_cache(64)
def snapshot_piece(version: str) -> bytes:
    return b'"snapshot":"%b"' % text(version)


@lru_cache(REMEMBERED)
def way_piece(peer: str, client: str, upstream: str) -> bytes:
    return b'"peer":"%b","client":"%b","upstream":"%b"' % (text(peer), text(client), text(upstream))


class Repeated:
    """What the records of one exposure's permits say again and again. It has as many as it has operations."""

    __slots__ = ("_asked", "_decided", "_exposure", "_host")

    def __init__(self, exposure: str, host: str) -> None:
        self._exposure = exposure
        self._host = host
        self._asked: dict[str, bytes] = {}  # by method
        self._decided: dict[str, tuple[str, str, bytes]] = {}  # by operation: rule, reason, piece

    def asked(self, method: str, host: str) -> bytes:
        if host != self._host:  # one of a wildcard's
            return asked_piece(method, host)
        piece = self._asked.get(method)
        if piece is None:
            piece = self._asked[method] = asked_piece(method, host)
        return piece

    def permitted(self, reason: str, rule: str, operation: str) -> bytes:
        """``reason`` is the permit's, or why it came to nothing: an upstream's failure."""
        known = self._decided.get(operation)
        if known is None or known[0] != rule or known[1] != reason:
            known = (rule, reason, decided_piece("permit", reason, rule, operation, self._exposure))
            self._decided[operation] = known
        return known[2]


def line(
    time_ms: int,
    request_id: bytes,
    caller: bytes,
    asked: bytes,
    path: str,
    decided: bytes,
    snapshot: bytes,
    way: bytes,
    status: int,
    bytes_in: int,
    bytes_out: int,
    duration_us: int,
    trace: bytes,
) -> bytes:
    """The line without its number. ``request_id`` and ``trace`` are of shapes that need no escaping."""
    seconds = time_ms // 1000
    return b"".join(
        [
            b'"time":"', _second(seconds), _MILLIS[time_ms - 1000 * seconds], b'"request_id":"', request_id, b'",',
            caller, b",", asked, b',"path":"', text(path), b'",', decided, b",", snapshot, b",", way,
            b',"status":', number(status), b',"bytes_in":', number(bytes_in), b',"bytes_out":', number(bytes_out),
            b',"duration_us":', number(duration_us), b',"trace":"', trace, b'"}\n',
        ]
    )  # fmt: skip


def number(value: int) -> bytes:
    """In decimal; statuses, sizes and durations are mostly small."""
    return _SMALL[value] if 0 <= value < SMALL else b"%d" % value


def of_tunnel(line: bytes, tunnel: str) -> bytes:
    """The line as one of a tunnel's two records."""
    return b'%b,"tunnel":"%b"}\n' % (line[:-2], text(tunnel))
