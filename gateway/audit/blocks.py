"""Blocks: how records become a trail whose damage shows, and where the next block goes on.

A trail is one chain of blocks, cut into segment files ``NAME.000001.jsonl``, ``NAME.000002.jsonl`` … A block
is the lines of one batch followed by one block line::

    {"seq":41,"time":…}
    {"seq":42,"time":…}
    {"block":7,"first_seq":41,"count":2,"sha256":"…","prev":"…"}

``prev`` is the ``sha256`` of the block before, 64 zeros for the first; ``sha256`` covers ``prev``, a line feed
and the lines as they are in the file. So each block vouches for all before it, and a byte changed, a line or
block removed or moved anywhere shows in the block it belongs to. What the chain cannot show is its own end: who
can write the folder can cut the last blocks off, and a head kept elsewhere is the only witness against that.
The verifier says so instead of calling the end sound (`gateway.audit.chain`).

Segments are only ever appended to. A start, and a write that could not be taken back, open the next segment;
an incomplete tail stays where it is and the next segment declares it by name, length and hash.

Pure: bytes in, values out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from gateway.audit.record import event_line, numbered

FORMAT_VERSION = 1
NO_HASH = "0" * 64
BLOCK_PREFIX = b'{"block":'
SEQ_PREFIX = b'{"seq":'
SEGMENT_NAME = re.compile(r"(?P<chain>.+)\.(?P<segment>\d{6,})\.jsonl")
_KEYS = ("block", "first_seq", "count", "sha256", "prev")
_HASH = re.compile(r"[0-9a-f]{64}")


class Head(NamedTuple):
    """The end of a chain: its last block's number and hash, and the last sequence number used."""

    block: int
    seq: int
    sha256: str


GENESIS = Head(0, 0, NO_HASH)


class BlockLine(NamedTuple):
    """What a block line says, in the order of `_KEYS`."""

    block: int
    first_seq: int
    lines: int
    sha256: str
    prev: str

    @property
    def head(self) -> Head:
        return Head(self.block, self.first_seq + self.lines - 1, self.sha256)


class Tail(NamedTuple):
    """The last complete block of a segment, and the bytes after it."""

    head: Head
    end: int  # offset just after the block line
    stopped: bool  # the block's last line is a `stop` event: the writer ended as it should


class Batch:
    """The lines that will form the next block."""

    __slots__ = ("_lines", "_prev", "count", "next_seq", "size")

    def __init__(self, head: Head) -> None:
        self._prev = head
        self._lines: list[bytes] = []
        self.next_seq = head.seq + 1
        self.count = 0
        self.size = 0

    def add(self, records: Sequence[bytes]) -> None:
        """Lines as `record.line_of` gives them: here they get their numbers."""
        lines = [numbered(line, seq) for seq, line in enumerate(records, self.next_seq)]
        self._lines += lines
        self.next_seq += len(lines)
        self.count += len(lines)
        self.size += sum(map(len, lines))

    def add_event(self, event: str, time_ms: int, fields: Mapping[str, object]) -> None:
        line = numbered(event_line(event, time_ms, fields), self.next_seq)
        self._lines.append(line)
        self.next_seq += 1
        self.count += 1
        self.size += len(line)

    def sealed(self) -> tuple[bytes, Head]:
        """The whole block as bytes, and the head of the chain once they are written."""
        body = b"".join(self._lines)
        prev = self._prev
        line = BlockLine(prev.block + 1, prev.seq + 1, self.count, digest(prev.sha256, body), prev.sha256)
        return body + orjson.dumps(dict(zip(_KEYS, line, strict=True)), option=orjson.OPT_APPEND_NEWLINE), line.head


def digest(prev: str, body: bytes) -> str:
    """The hash a block line must carry for `body` after the block whose hash is `prev`."""
    hashed = hashlib.sha256(prev.encode("ascii") + b"\n")
    hashed.update(body)
    return hashed.hexdigest()


def read_block_line(line: bytes) -> BlockLine | None:
    """The block line's values; None when it is not one, whole and in the writer's own spelling."""
    if not (line.startswith(BLOCK_PREFIX) and line.endswith(b"}\n")):
        return None
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or tuple(found) != _KEYS:
        return None
    numbers, hashes = [found[key] for key in _KEYS[:3]], [found[key] for key in _KEYS[3:]]
    if not all(type(number) is int and number >= 1 for number in numbers):
        return None
    if not all(isinstance(text, str) and _HASH.fullmatch(text) for text in hashes):
        return None
    return BlockLine(*numbers, *hashes)


def seq_of(line: bytes) -> int | None:
    """The sequence number a line opens with; None when the line is no record. Nothing else of it is read."""
    if not line.startswith(SEQ_PREFIX):
        return None
    digits, comma, _ = line[len(SEQ_PREFIX) : len(SEQ_PREFIX) + 21].partition(b",")
    return int(digits) if comma and digits.isdigit() else None


def last_block(data: bytes, offset: int = 0) -> Tail | None:
    """The last complete block line in `data`, which begins at `offset` of its segment.

    The block's hash is not checked here: a damaged block must stay a finding of the verifier, and would stop
    being one if a writer skipped it and declared it part of an incomplete tail.
    """
    end = len(data)
    while (start := data.rfind(BLOCK_PREFIX, 0, end)) >= 0:
        line_end = data.find(b"\n", start) + 1
        at_line_start = data[start - 1 : start] == b"\n" if start else offset == 0
        block = read_block_line(data[start:line_end]) if line_end and at_line_start else None
        if block is not None:
            before = data[data.rfind(b"\n", 0, max(start - 1, 0)) + 1 : start]
            return Tail(block.head, offset + line_end, event_of(before).get("event") == "stop")
        end = start
    return None


def event_of(line: bytes) -> Mapping[str, object]:
    """The fields of an event line; empty for records and for anything unreadable."""
    if b'"event":' not in line:
        return {}
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) and "event" in found else {}


def segment_name(chain: str, segment: int) -> str:
    return f"{chain}.{segment:06d}.jsonl"
