"""HTTP/1 as a device on the way reads it: the head, where the body ends, and bytes passed on as they came.

Nothing is rewritten that nobody asked to: order, spelling and trailers stay. Where two readers could see two ends of a
message, nobody gets anything (`Unanswered`): what follows on the connection could be another person's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LARGEST_HEAD: Final = 32 * 1024
READ_AHEAD: Final = 64 * 1024
LONGEST_CHUNK_LINE: Final = 4096
UNTIL_CLOSE: Final = -2
CHUNKED: Final = -1
Field = tuple[bytes, bytes]


class Unanswered(Exception):
    """The client is reset; the text is for the log."""


class Incoming(asyncio.StreamReader):
    """``on_end`` is called once when the other side ends, whatever is still to be read."""

    on_end: Callable[[], None] | None = None

    def feed_eof(self) -> None:
        super().feed_eof()
        self._tell()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._tell()

    def _tell(self) -> None:
        tell, self.on_end = self.on_end, None
        if tell is not None:
            tell()


@dataclass(frozen=True)
class Head:
    """``start``: the first line. Names and values as they came, blanks around values aside."""

    start: bytes
    fields: tuple[Field, ...]

    def all(self, name: bytes) -> list[bytes]:
        return [value for held, value in self.fields if held.lower() == name]

    def words(self, name: bytes) -> set[bytes]:
        """What the lists of all fields of that name hold, in small letters."""
        return {word.strip().lower() for value in self.all(name) for word in value.split(b",")}

    def keeps_alive(self) -> bool:
        """Whether another message may follow on this connection, as its sender says."""
        said = self.words(b"connection")
        return b"close" not in said and (b"HTTP/1.1" in self.start or b"keep-alive" in said)

    def written(self) -> bytes:
        lines = [self.start, *(name + b": " + value for name, value in self.fields)]
        return b"\r\n".join(lines) + b"\r\n\r\n"


async def read_head(reader: asyncio.StreamReader, most: int = LARGEST_HEAD) -> Head | None:
    """None where the connection ended before its first byte. ``most``: bytes of the head. Empty lines before it are
    passed over (RFC 9112 section 2.2)."""
    try:
        raw = b""
        while not raw:
            raw = (await reader.readuntil(b"\r\n\r\n")).lstrip(b"\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial.strip(b"\r\n"):
            return None
        raise Unanswered("it ended amid a head") from None
    except asyncio.LimitOverrunError:
        raise Unanswered(f"a head is longer than {READ_AHEAD} bytes") from None
    if len(raw) > most:
        raise Unanswered(f"a head has {len(raw)} bytes, and {most} may pass")
    start, *lines = raw[:-4].split(b"\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise Unanswered("a line of a head is no field")
        fields.append((name, value.strip(b" \t")))
    return Head(start, tuple(fields))


# === where a body ends ===


def length_of(head: Head, *, otherwise: int) -> int:
    """Bytes, or `CHUNKED`; ``otherwise`` where the head says nothing. Raises `Unanswered` on doubt."""
    coding, lengths = head.all(b"transfer-encoding"), set(head.all(b"content-length"))
    if coding:
        if [word.lower() for word in coding] != [b"chunked"] or lengths or b"HTTP/1.1" not in head.start:
            raise Unanswered("nobody can say where a body ends")
        return CHUNKED
    if not lengths:
        return otherwise
    (said, *others) = lengths
    if others or not said.isdigit() or len(said) > 18:
        raise Unanswered("nobody can say how long a body is")
    return int(said)


def answer_length(head: Head, method: bytes) -> int:
    status = status_of(head)
    if method == b"HEAD" or status in (204, 304) or status < 200:
        return 0
    return length_of(head, otherwise=UNTIL_CLOSE)


def status_of(head: Head) -> int:
    """Raises `Unanswered` where an answer has none."""
    words = head.start.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit() or len(words[1]) != 3:
        raise Unanswered("what a member said is no answer")
    return int(words[1])


# === bytes on their way ===


async def pass_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    """No faster than the other side takes it. Raises `Unanswered` when it ends too early."""
    if length == CHUNKED:
        await _pass_chunks(reader, writer)
        return
    left = length
    while left:
        piece = await reader.read(READ_AHEAD if left < 0 else min(left, READ_AHEAD))
        if not piece:
            if length == UNTIL_CLOSE:
                return
            raise Unanswered("a body ended too early")
        left -= len(piece) if left > 0 else 0
        writer.write(piece)
        await writer.drain()


async def _pass_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        line = await _line(reader)
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 15 or digits.translate(None, b"0123456789abcdefABCDEF"):
            raise Unanswered("a chunk has no length")
        writer.write(line + b"\r\n")
        size = int(digits, 16)
        if not size:
            break
        await pass_body(reader, writer, size)
        if await _line(reader):
            raise Unanswered("a chunk is longer than it says")
        writer.write(b"\r\n")
    while trailer := await _line(reader):
        writer.write(trailer + b"\r\n")
    writer.write(b"\r\n")
    await writer.drain()


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = (await reader.readuntil(b"\r\n"))[:-2]
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise Unanswered("a chunk ended too early") from None
    if len(line) > LONGEST_CHUNK_LINE:
        raise Unanswered("a line between chunks is too long")
    return line
