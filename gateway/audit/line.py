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
_dumps: Final = orjson.dumps
SMALL: Final = 10_000
_SMALL: Final = [b"%d" % value for value in range(SMALL)]
_MILLIS: Final = [b'.%03dZ",' % value for value in range(1000)]


def text(value: str) -> bytes:
    """What stands between the quotes of a JSON string; lone surrogates are spelled out."""
    try:
        return _dumps(value)[1:-1]
    except TypeError:
        return _dumps(value.encode("utf-8", "backslashreplace").decode("utf-8"))[1:-1]


class _Last:
    """What the last line said and the next one nearly always says too: its second, its snapshot. Each with its answer
    in one value, so that a line made in another thread never gets half of it."""

    __slots__ = ("second", "snapshot")

    def __init__(self) -> None:
        self.second: tuple[int, bytes] = (-1, b"")
        self.snapshot: tuple[str, bytes] = ("", b'"snapshot":""')


_LAST: Final = _Last()


def _second(seconds: int) -> bytes:
    known = _LAST.second
    if known[0] != seconds:
        known = _LAST.second = (seconds, timestamp(seconds * 1000).removesuffix(".000Z").encode())
    return known[1]


def caller_piece(subject: str, issuer: str, sub: str, client_id: str, key_id: str) -> bytes:
    """Made once per caller."""
    values = (text(subject), text(issuer), text(sub), text(client_id), text(key_id))
    return b'"subject":"%b","issuer":"%b","sub":"%b","client_id":"%b","key_id":"%b"' % values


def asked_piece(method: str, host: str) -> bytes:
    return b'"method":"%b","host":"%b"' % (text(method), text(host))


def decided_piece(decision: str, reason: str, rule: str, operation: str, exposure: str) -> bytes:
    values = (text(decision), text(reason), text(rule), text(operation), text(exposure))
    return b'"decision":"%b","reason":"%b","rule":"%b","operation":"%b","exposure":"%b"' % values


def snapshot_piece(version: str) -> bytes:
    known = _LAST.snapshot
    if known[0] != version:
        known = _LAST.snapshot = (version, b'"snapshot":"%b"' % text(version))
    return known[1]


@lru_cache(REMEMBERED)
def way_piece(peer: str, client: str, upstream: str) -> bytes:
    return b'"peer":"%b","client":"%b","upstream":"%b"' % (text(peer), text(client), text(upstream))


class Repeated:
    """What the records of one exposure's permits say again and again: what the last one said, for the next.

    It is one small object, because of thousands of exposures each is asked seldom and has left the processor's caches
    by then: looking up a piece in dicts by method and by operation took longer than making it of what is at hand.
    """

    __slots__ = ("_asked", "_before", "_behind", "_host", "_method", "_reason", "_rule")

    def __init__(self, exposure: str, host: str) -> None:
        self._method = ""
        self._host = host
        self._asked = asked_piece("", host)
        self._rule = self._reason = ""
        self._before = permitted_before("", "")  # the operation
        self._behind = b'","exposure":"%b"' % text(exposure)

    def asked(self, method: str, host: str) -> bytes:
        if host is not self._host and host != self._host:  # one of a wildcard's
            return asked_piece(method, host)
        if method != self._method:
            self._method = method
            self._asked = asked_piece(method, host)
        return self._asked

    def permitted(self, reason: str, rule: str, operation: str) -> bytes:
        """``reason`` is the permit's, or why it came to nothing: an upstream's failure."""
        if rule != self._rule or reason != self._reason:
            self._rule = rule
            self._reason = reason
            self._before = permitted_before(reason, rule)
        return b"%b%b%b" % (self._before, text(operation), self._behind)


def permitted_before(reason: str, rule: str) -> bytes:
    """What a permit's `decided_piece` says before the operation."""
    return b'"decision":"permit","reason":"%b","rule":"%b","operation":"' % (text(reason), text(rule))


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
    return (
        b'"time":"%b%b"request_id":"%b",%b,%b,"path":"%b",%b,%b,%b,"status":%b,"bytes_in":%b,"bytes_out":%b,'
        b'"duration_us":%b,"trace":"%b"}\n'
    ) % (
        _second(seconds), _MILLIS[time_ms - 1000 * seconds], request_id, caller, asked, text(path), decided, snapshot,
        way, number(status), number(bytes_in), number(bytes_out), number(duration_us), trace,
    )  # fmt: skip


def number(value: int) -> bytes:
    """In decimal; statuses, sizes and durations are mostly small."""
    return _SMALL[value] if 0 <= value < SMALL else b"%d" % value


def behind(line: bytes, hop: str) -> bytes:
    """The line of a request whose connection a PROXY header named the peer of; ``hop`` sent that header."""
    return b'%b,"hop":"%b"}\n' % (line[:-2], text(hop))


def of_tunnel(line: bytes, tunnel: str) -> bytes:
    """The line as one of a tunnel's two records."""
    return b'%b,"tunnel":"%b"}\n' % (line[:-2], text(tunnel))
