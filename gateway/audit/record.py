"""One record for each exchange: who asked for what, what was decided and why, what happened.

A record is rendered as one line of JSON. Everything a client chose (path, host, claims) is text inside a JSON
string: orjson escapes quotes, backslashes and control characters, so no request can end its line or add a
field. A record holds no token, no cookie and no query value; `path` is the decoded path alone.

INVARIANT: `render` never raises. A record that could not be written would be an exchange nobody can see, so
text that is no valid Unicode (lone surrogates) is spelled out instead of refused.

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
    method: str
    host: str
    path: str  # canonical, once decoded, without the query
    decision: Literal["permit", "refusal"]
    reason: str
    rule: str
    operation: str
    exposure: str
    snapshot: str  # "base.seq"
    peer: str  # address of the connection
    client: str  # address behind trusted peers
    upstream: str
    status: int
    bytes_in: int
    bytes_out: int
    duration_us: int
    key_id: str
    trace: str


def render(record: Record, seq: int) -> bytes:
    """The record as one line. Field order is fixed; `seq` comes first so that a reader finds it without parsing."""
    (
        time_ms, request_id, subject, issuer, sub, client_id, method, host, path, decision, reason, rule,
        operation, exposure, snapshot, peer, client, upstream, status, bytes_in, bytes_out, duration_us,
        key_id, trace,
    ) = record  # fmt: skip
    line = {
        "seq": seq,
        "time": timestamp(time_ms),
        "request_id": request_id,
        "subject": subject,
        "issuer": issuer,
        "sub": sub,
        "client_id": client_id,
        "method": method,
        "host": host,
        "path": path,
        "decision": decision,
        "reason": reason,
        "rule": rule,
        "operation": operation,
        "exposure": exposure,
        "snapshot": snapshot,
        "peer": peer,
        "client": client,
        "upstream": upstream,
        "status": status,
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        "duration_us": duration_us,
        "key_id": key_id,
        "trace": trace,
    }
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return _spelled_out(line)


def render_event(event: str, seq: int, time_ms: int, fields: Mapping[str, object]) -> bytes:
    """A line about the trail itself: a start, a stop, a gap. It is numbered and chained like a record."""
    line = {"seq": seq, "time": timestamp(time_ms), "event": event, **fields}
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return _spelled_out(line)


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


def _spelled_out(line: Mapping[str, object]) -> bytes:
    """The line with every value JSON cannot carry written as text: lone surrogates, integers beyond 64 bits."""
    return orjson.dumps({key: _sayable(value) for key, value in line.items()}, option=orjson.OPT_APPEND_NEWLINE)


def _sayable(value: object) -> str | int:
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
