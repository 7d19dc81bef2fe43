"""Golden files of requests: how they are written, and a small door that reads their bytes with the real parser.

A file holds what the attack is, fields of its own (``expect:``, ``peer:``), a line of ten dashes, and the bytes
as one text: ends of physical lines do not count, ``\\r \\n \\t \\0 \\\\ \\xHH`` are escapes and ``\\{A*9000}``
repeats. Files below `refused/` name the answer::

    expect: 400 request_host close        status, code; `close`: the connection must end, `keep`: it need not

Files below `stripped/` have a third part after another line of dashes: the head that goes upstream, without
the lines that the door itself writes. Whatever must not arrive there holds the word ``evil``.

The same files can be run over a socket: send `Golden.raw`, read an answer, compare status, `code` and the end of
the connection; or compare what an upstream received with `Golden.upstream` after :func:`without_door_lines`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httptools

from gateway.config import Limits
from gateway.errors import Refused
from gateway.http1.head import HeadRules, read_head
from gateway.http1.lines import NOT_PLAIN, Lines
from gateway.http1.parser import parser_refusal
from gateway.http1.request import Head
from gateway.http1.values import CHUNKED

FOLDER = Path(__file__).parents[1] / "golden" / "http"
SEPARATOR = "----------"

RULES = HeadRules(Limits(), identity_headers=("X-Team",), client_certificate_header="X-Hop-Cert")

#: Lower-case names of the lines that the door writes into every upstream head.
DOOR_NAMES = frozenset((b"x-stagedoor-user", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
DOOR_NAMES |= frozenset((b"x-request-id", b"via", b"traceparent"))


class Golden(NamedTuple):
    name: str
    about: str
    raw: bytes
    status: int
    code: str
    closes: bool
    trusted: bool
    upstream: bytes


def load(path: Path) -> Golden:
    """Read one golden file."""
    parts = path.read_text(encoding="ascii").split(f"\n{SEPARATOR}\n")
    fields = dict(line.split(": ", 1) for line in parts[0].splitlines() if re.match(r"(expect|peer): ", line))
    status, code, end = fields.get("expect", "0 - keep").split()
    upstream = decode(parts[2]) if len(parts) > 2 else b""
    trusted = fields.get("peer") == "trusted"
    return Golden(path.stem, parts[0], decode(parts[1]), int(status), code, end == "close", trusted, upstream)


def goldens(kind: str) -> list[Golden]:
    """All golden files of a kind (`refused`, `stripped`), by name."""
    return [load(path) for path in sorted((FOLDER / kind).glob("*.txt"))]


def decode(text: str) -> bytes:
    """The bytes that a golden text stands for."""
    flat = text.replace("\n", "")
    return b"".join(_octets(mark) for mark in re.findall(r"\\x..|\\\{[^}]*\}|\\.|[^\\]", flat))


def _octets(mark: str) -> bytes:
    if len(mark) == 1:
        return mark.encode("ascii")
    if mark.startswith("\\x"):
        return bytes((int(mark[2:], 16),))
    if mark.startswith("\\{"):
        text, _, times = mark[2:-1].rpartition("*")
        return text.encode("ascii") * int(times)
    return {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}[mark[1]]


class Reader:
    """A connection that only reads: every message's `Head`, up to the first refusal."""

    def __init__(self, rules: HeadRules = RULES, trusted: bool = False) -> None:
        self.rules = rules
        self.trusted = trusted
        self.heads: list[Head] = []
        self.refused: Refused | None = None
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self._fields: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._in_head = False
        self._missing = 0  # of the body that is arriving
        self._lines = Lines()
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            rest = piece
            while rest and self.refused is None:
                try:
                    rest = self._lines.feed(self._parser, rest, self._missing)
                except httptools.HttpParserUpgrade:
                    return  # what follows is read by a fresh parser, or not at all
                except httptools.HttpParserError as error:
                    self.refused = parser_refusal(error)
                    return
                self._hold()

    def _hold(self) -> None:
        if self._in_head:
            self._lines.hold_head()
        elif self._missing:
            self._lines.hold_body(self._missing == CHUNKED)
        elif self.refused is None and not self._lines.hold():
            self.refused = Refused("request_malformed", NOT_PLAIN)

    def on_url(self, url: bytes) -> None:
        self._in_head = True
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        fields, target = self._fields, self._target
        self._fields, self._target = [], b""
        self._in_head = False
        if self.refused is not None:
            return
        method, version = self._parser.get_method(), self._parser.get_http_version()
        plain = self._lines.is_plain(len(method), len(target))
        head = read_head(method, target, version, fields, self.rules, self.trusted)
        if isinstance(head, Refused):
            self.refused = head
        elif not plain:
            self.refused = Refused("request_malformed", NOT_PLAIN)
        else:
            self.heads.append(head)
            self._missing = head.length
            if head.length:
                self._lines.has_body(head.length, fields)

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk
        if self._missing != CHUNKED:
            self._missing -= len(chunk)

    def on_message_complete(self) -> None:
        self._lines.ended = True
        self._missing = 0
        self.trailers, self._fields = self._fields, []


def read_whole(raw: bytes, trusted: bool = False) -> Reader:
    """Read the bytes in one piece."""
    reader = Reader(trusted=trusted)
    reader.feed(iter((raw,)))
    return reader


def read_bytewise(raw: bytes, trusted: bool = False) -> Reader:
    """Read the same bytes one at a time: nothing may depend on where pieces end."""
    reader = Reader(trusted=trusted)
    reader.feed(bytes((octet,)) for octet in raw)
    return reader


def without_door_lines(head: bytes) -> bytes:
    """An upstream head without the lines that the door writes; what is left came from the client."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not _is_door_line(line))


def _is_door_line(line: bytes) -> bool:
    name, _, value = line.partition(b":")
    return name.lower() in DOOR_NAMES and (name.lower() != b"via" or value.strip() == b"1.1 stagedoor")
