"""Whether a request line is what RFC 9112, 3, says: method SP target SP "HTTP/1.x" CRLF, and not a space more.

llhttp, in its strictest mode, skips further spaces between the parts, a lone CR or LF before the line, and reads RTSP's
lines as HTTP's. Another reader could find another target in such a line, so the door looks at the bytes themselves.
llhttp vouches for all else: that the method and the target that it found are there, in this order, with spaces between
and before "HTTP/", "RTSP/" or "ICE/", and CRLF behind the version. That leaves four octets to be looked at
(`is_plain`), once it is known where the line begins, which llhttp does not say.

Most often it begins where a piece does. Of what follows in the same piece the beginning is found from the framing of
what came before, and only if something follows: the first empty line ends a head, a length or chunks the body. A body
in chunks that began in an earlier piece is fed up to each empty line by itself, since one of them ends the message.
What came of a head that is not whole yet is held, so that a line that came octet by octet is judged like any other.

On the list of hot files: every read of a client's connection runs through it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.http1.values import CHUNKED

if TYPE_CHECKING:
    from httptools import HttpRequestParser

NOT_PLAIN: Final = "its request line is not `method target HTTP/1.x` with one space between and nothing before"
UNREAD: Final = -2
METHOD_BYTES: Final = 64  # no method is as long, so nothing that is longer and no target yet begins a line
EMPTY_LINE: Final = b"\r\n\r\n"
FEEDS: Final = 32  # at once, of a piece of chunks with many empty lines in it
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n){2,}")
_LF: Final = 10
_CR: Final = 13
_SP: Final = 32
_1: Final = 49
_H: Final = 72


class Lines:
    """Where the requests of one connection begin, in what its parser is being fed."""

    __slots__ = ("at", "ended", "held", "is_11", "least", "length", "piece")

    def __init__(self) -> None:
        self.held = b""  # of a head that is not whole yet: all; of a chunked body: the last three octets
        self.piece = b""  # what was held and what is being fed
        self.at = 0  # in it: where the message begins whose head was read last, or where the next one will
        self.length = UNREAD  # of that message's body, or `CHUNKED`; `UNREAD`: no head was read in this piece
        self.least = 0  # octets of that message's head, if it has a body, or fewer
        self.ended = False  # the body that was being fed
        self.is_11 = False  # the line that `is_plain` looked at last says HTTP/1.1

    def feed(self, parser: HttpRequestParser, data: bytes, missing: int) -> bytes:
        """Feed ``data``, of which the first ``missing`` octets belong to a body; `CHUNKED`: as many as its chunks say.
        What is returned is still to be fed. Raises what the parser raises."""
        if missing == CHUNKED:
            return self._feed_chunks(parser, data)
        self.piece = self.held + data if self.held else data
        self.at = missing
        self.length = UNREAD
        parser.feed_data(data)
        return b""

    def _feed_chunks(self, parser: HttpRequestParser, data: bytes) -> bytes:
        """Up to the end of the message and the empty lines behind it, or of ``data``, or as much as is fed at once."""
        at = len(self.held)
        self.piece = piece = self.held + data
        self.ended = False
        feeds = 0
        while at < len(piece) and not self.ended and feeds < FEEDS:
            empty = _EMPTY_LINES.search(piece, max(at - 3, 0))
            end = len(piece) if empty is None else empty.end()
            parser.feed_data(piece[at:end])
            at = end
            feeds += 1
        self.piece = piece[:at]
        self.at = at
        self.length = UNREAD
        return piece[at:]

    def is_plain(self, method: int, target: int) -> bool:
        """Whether the line is plain of the head that was just read, by the lengths of what the parser found."""
        if self.length != UNREAD:
            self.at = self._end_in(self.piece)
        piece = self.piece
        size = len(piece)
        first = self.at + method
        while first < size and piece[first - method] == _CR and piece[first - method + 1] == _LF:
            first += 2
        last = first + target + 2
        self.at = first - method
        self.length = self.least = 0
        plain = last < size and piece[first] == _SP and piece[first + 1] != _SP and piece[last] == _H
        # -- shortcut: the parser says the same, formatting a text for it (0.15 us)
        self.is_11 = plain and last + 7 < size and piece[last + 5] == piece[last + 7] == _1
        # -- end of shortcut
        return plain

    def is_simple(self, method: bytes, target: bytes) -> bool:
        """Whether the line that `is_plain` looked at last is one of HTTP/0.9, to the octet: no version, no second
        space (RFC 1945, 5: Simple-Request)."""
        return self.piece.startswith(method + b" " + target + b"\r\n", self.at)

    def has_body(self, length: int, fields: list[tuple[bytes, bytes]]) -> None:
        """The head that was just read says so: of ``length`` octets, or `CHUNKED`."""
        self.length = length
        for name, value in fields:
            self.least += len(name) + len(value) + 3

    # === after each piece: what is kept of it ===

    def hold(self) -> bool:
        """Between two messages, or within a line whose target has not begun. False: what came begins no line."""
        piece = self.piece
        self.piece = b""
        if _ends_in_empty_line(piece):  # so what is behind the last message, if anything, is empty lines
            self.held = b""
            return True
        at = self.at if self.length == UNREAD else self._end_in(piece)
        while piece.startswith(b"\r\n", at):
            at += 2
        self.held = held = piece[at:]
        return len(held) <= METHOD_BYTES and (held == b"\r" or not held.startswith((b"\r", b"\n")))

    def hold_head(self) -> None:
        """Within a head."""
        piece = self.piece
        self.piece = b""
        self.held = piece[self.at if self.length == UNREAD else self._end_in(piece) :]

    def hold_body(self, chunked: bool) -> None:
        """Within a body."""
        self.held = self.piece[-3:] if chunked else b""
        self.piece = b""

    def drop(self) -> None:
        """What is fed next begins a message or the octets of a body, or no more is fed."""
        self.held = self.piece = b""

    def _end_in(self, piece: bytes) -> int:
        """Where the message ends whose head was read last; if it does not end in ``piece``, where that ends."""
        size = len(piece)
        end = piece.find(EMPTY_LINE, self.at + self.least)
        if end < 0:
            return size
        end += 4
        if self.length != CHUNKED:
            return min(end + self.length, size)
        while True:
            line_end = piece.find(b"\r\n", end)
            octets = _chunk_size(piece[end:line_end]) if line_end >= 0 else -1
            if octets < 0:
                return size
            if not octets:
                end = piece.find(EMPTY_LINE, line_end)
                return size if end < 0 else end + 4
            end = line_end + octets + 4


def _chunk_size(line: bytes) -> int:
    """-1: it is none."""
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        return -1


def _ends_in_empty_line(piece: bytes) -> bool:
    """In one, and not in several, of which the first might be something else."""
    size = len(piece)
    if size < 5 or piece[size - 5] == _LF or piece[size - 5] == _CR:
        return False
    return piece[size - 1] == piece[size - 3] == _LF and piece[size - 2] == piece[size - 4] == _CR
