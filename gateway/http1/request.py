"""A request's head as the door acts on it: the value that `http1.head` reads and everything after it takes.

Fields that this step does not need are as if they were absent, so that a head is whole from its first moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.http1.target import Target
from gateway.http1.values import NOTHING


class Head:
    """A request's head as the door acts on it. Field values are bytes as sent; b"" means absent."""

    __slots__ = (
        "accept", "authority", "bearer", "binds", "client_certificate", "ends_here", "expects_continue",
        "forwarded_for", "forwarded_proto", "host", "keep_alive", "length", "method", "named", "origin", "own_cookies",
        "passed", "request_id", "session", "takes_trailers", "target", "traceparent", "tunnel", "upgrade", "version",
    )  # fmt: skip

    def __init__(self, method: str, target: Target, version: int) -> None:
        self.method = method
        self.target = target
        self.version = version  # 10 | 11
        self.host = ""  # lower case, without port
        self.authority = b""  # Host as sent
        self.length = 0  # of the body; 0 = none, -1 = chunked
        self.keep_alive = version == 11
        self.expects_continue = False
        self.ends_here = False  # it may take no hop more
        self.upgrade = b""  # the Upgrade field in lower case: llhttp stops behind this message if it is not empty
        self.tunnel = b""  # the one protocol that may be offered upstream, b"" if none may
        self.bearer = b""  # the token of `Authorization: Bearer`
        self.binds = False  # its Authorization may count for whatever follows on the same connection
        self.session = b""  # the session cookie's value; b"" if there are two
        self.own_cookies = b""  # all of ours, as they came
        self.passed: list[bytes] = []  # whole lines that may go upstream as they are
        self.forwarded_for = b""  # of a trusted peer: all X-Forwarded-For lines, joined
        self.forwarded_proto = b""  # of a trusted peer: b"http" | b"https"
        self.client_certificate = b""  # of a trusted peer: the one configured field
        self.request_id = b""  # of a trusted peer, if it looks like one
        self.traceparent = b""  # if well-formed
        self.named = NOTHING  # lower-case names of the fields that end with this hop, by the Connection field
        self.takes_trailers = False
        self.origin = b""
        self.accept = b""


def unread_head(method: str, line: bytes, fields: Iterable[tuple[bytes, bytes]] = ()) -> Head:
    """Stands for a head that has no reading: what could be seen of it, for the record, and whether a person looks at
    the answer. Nothing in it is acted on."""
    head = Head(method, Target(line, line.decode("latin-1"), ()), 11)
    head.keep_alive = False
    for name, value in fields:
        if name.lower() == b"accept":
            head.accept = value
    return head
