"""One record for each exchange: who asked for what, what was decided and why, what happened.

A record is written as one line of JSON. Everything a client chose (path, host, claims) is text inside a JSON
string: orjson escapes quotes, backslashes and control characters, so no request can end its line or add a
field. A record holds no token, no cookie and no query value; `path` is the decoded path alone.

INVARIANT: `line_of` never raises. A record that could not be written would be an exchange nobody can see, so
text that is no valid Unicode (lone surrogates) is spelled out instead of refused.

This is what a line is; the door makes the same bytes piece by piece (`gateway.audit.line`).

Pure: the time is a field of the record, the sequence number an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple

import orjson


class Record(NamedTuple):
    """What the door knows at the end of one exchange."""

    time_ms: int  # epoch milliseconds at which the request's head was complete
    request_id: str
    subject: str  # catalog ref, "" for anonymous
    issuer: str
    sub: str
    client_id: str
    key_id: str  # of the key that verified the caller's token
    method: str
    host: str
    path: str  # canonical, once decoded, without the query
    decision: Literal["permit", "refusal"]
    reason: str
    rule: str
    operation: str
    exposure: str
    snapshot: str  # "base.seq"
    peer: str  # address of the connection, or the one that its PROXY header names
    client: str  # address behind trusted peers
    upstream: str
    status: int
    bytes_in: int
    bytes_out: int
    duration_us: int
    trace: str
    hop: str = ""  # who sent the PROXY header that names `peer`; the line has no such field else
    tunnel: str = ""  # of a tunnel's two records alone: `opened`, then who ended it; the line has no such field else


def numbered(line: bytes, seq: int) -> bytes:
    """The whole line. The number comes first, so that a reader finds it without parsing."""
    return b'{"seq":%d,%b' % (seq, line)


def line_of(record: Record) -> bytes:
    """The record as a line that still lacks its number. Plain and slow: it defines what `gateway.audit.line` makes."""
    fields = record._asdict()
    for rare in ("hop", "tunnel"):
        if not fields[rare]:
            del fields[rare]
    return _line({"time": timestamp(fields.pop("time_ms")), **fields})


def event_line(event: str, time_ms: int, fields: Mapping[str, object]) -> bytes:
    """A line about the trail itself: a start, a stop, a gap. It is numbered and chained like a record."""
    return _line({"time": timestamp(time_ms), "event": event, **fields})


def timestamp(time_ms: int) -> str:
    """RFC 3339, UTC, milliseconds."""
    seconds, millis = divmod(time_ms, 1000)
    return f"{_second(seconds)}.{millis:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a clock far outside the calendar still leaves a record
        return f"epoch{seconds:+d}"


def _line(fields: Mapping[str, object]) -> bytes:
    """The fields without the opening brace, in whose place the number will stand."""
    try:
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)[1:]
    except TypeError:
        sayable = {key: _sayable(value) for key, value in fields.items()}
        return orjson.dumps(sayable, option=orjson.OPT_APPEND_NEWLINE)[1:]


def _sayable(value: object) -> str | int:
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
