"""Reads a trail as a stranger would, and says exactly where it does not hold.

A *finding* is damage: a block whose lines do not hash to what it says, a number that is missing, a block that
does not follow the one before. A *note* is something true that a reader must know and that is no damage: a
start after a crash, a declared gap, and always the sentence that nothing in the folder vouches for its end.
Each names its file and line. After damage the reading goes on from what the file itself says, so that one
changed byte is one finding and not one for every block that follows.

Knows nothing of processes or devices: it opens files for reading and keeps at most one block in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gateway.audit import blocks
from gateway.audit.blocks import BLOCK_PREFIX, GENESIS, SEGMENT_NAME, BlockLine, Head

_LONGEST_LINE = 4 * 1024 * 1024  # far above any record: a head is at most 32 KiB by default
_OPENING_EVENTS = ("start", "unclean_start", "segment")
_GAP_EVENTS = ("unclean_start", "disk_failed")


class Finding(NamedTuple):
    """One sentence about one place. `line` 0 means the file as a whole."""

    kind: str
    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class ChainReport(NamedTuple):
    """What one chain holds and what is wrong with it."""

    name: str
    records: int  # numbered lines: exchanges and events
    head: Head
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]


class Report(NamedTuple):
    """All chains that were found under the given paths."""

    chains: tuple[ChainReport, ...]
    strays: tuple[Finding, ...] = ()  # paths that hold no trail

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.strays, *(finding for each in self.chains for finding in each.findings))

    @property
    def notes(self) -> tuple[Finding, ...]:
        return tuple(note for each in self.chains for note in each.notes)

    @property
    def ok(self) -> bool:
        return not self.findings


def verify_paths(paths: Iterable[Path]) -> Report:
    """Verifies every chain in the given segment files and folders."""
    chains: dict[str, dict[int, Path]] = {}
    strays: list[Finding] = []
    for path in paths:
        files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not files:
            strays.append(Finding("no_trail", str(path), 0, "holds no audit segment"))
        for file in files:
            name = SEGMENT_NAME.fullmatch(file.name)
            if name is None or not file.is_file():
                strays.append(Finding("no_trail", str(file), 0, "is no audit segment (`NAME.NNNNNN.jsonl`)"))
            else:
                chains.setdefault(name["chain"], {})[int(name["segment"])] = file
    return Report(tuple(_verify_files(name, chains[name]) for name in sorted(chains)), tuple(strays))


def _verify_files(name: str, segments: dict[int, Path]) -> ChainReport:
    reading = ChainReading(name)
    for number in sorted(segments):
        file = segments[number]
        try:
            with file.open("rb") as stream:
                reading.read_segment(str(file), number, _lines(stream))
        except OSError as error:
            reading.unreadable(str(file), error.strerror or type(error).__name__)
    return reading.report()


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(_LONGEST_LINE):
        yield line


class Torn(NamedTuple):
    """Bytes after the last block of a segment: no block vouches for them."""

    file: str
    line: int
    tail: bytes

    def __str__(self) -> str:
        return f"{len(self.tail)} bytes ({_lines_text(self.tail.count(bytes([10])))} complete)"

    def declaration(self) -> dict[str, object]:
        """What the next segment says about them."""
        digest = hashlib.sha256(self.tail).hexdigest()
        return {"file": Path(self.file).name, "bytes": len(self.tail), "sha256": digest}


class ChainReading:
    """One pass over the segments of one chain, in order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._findings: list[Finding] = []
        self._notes: list[Finding] = []
        self._records = 0
        self._head = GENESIS
        self._late = False  # the chain's beginning is not here, so its first block has nothing to continue
        # Where the reading is.
        self._segment = 0
        self._file = ""
        self._line = 0
        self._next_seq = 1
        # The block being read: its lines, where it began, and what was already named inside it.
        self._open: list[bytes] = []
        self._open_line = 1
        self._broken = False
        self._damaged_block_lines = 0
        # Incomplete tails of earlier segments, until a later one has declared them.
        self._torn: list[Torn] = []

    def read_segment(self, file: str, number: int, lines: Iterable[bytes]) -> None:
        self._begin_segment(file, number)
        for self._line, line in enumerate(lines, 1):
            block = blocks.read_block_line(line)
            if block is not None:
                self._close_block(block)
            else:
                self._add_line(line)
        if self._open:
            self._torn.append(Torn(file, self._open_line, b"".join(self._open)))

    def unreadable(self, file: str, why: str) -> None:
        self._find("unreadable", f"cannot be read: {why}", file=file, line=0)

    def report(self) -> ChainReport:
        """Closes the reading. The end of a chain is never proven from inside."""
        for torn in self._torn:
            text = f"{torn} after the last block: the writer is running or was killed"
            self._note("open_tail", text, torn.file, torn.line)
        self._note(
            "unprovable_end",
            f"the chain ends at block {self._head.block} (seq {self._head.seq}, sha256 {self._head.sha256[:16]}…); "
            "blocks cut off after it would leave no trace here: compare with a head kept elsewhere",
        )
        return ChainReport(self._name, self._records, self._head, tuple(self._findings), tuple(self._notes))

    # ------------------------------------------------------------------------------------- segments

    def _begin_segment(self, file: str, number: int) -> None:
        before = self._segment
        if before == 0 and number != 1:
            self._late = True
            text = f"the chain begins with segment {number}; what came before is not here"
            self._note("late_beginning", text, file, 0)
        elif number != before + 1:
            gone = f"segment {before + 1}" if number == before + 2 else f"segments {before + 1} to {number - 1}"
            self._find("segment_missing", f"{gone} of the chain missing before this file", file=file, line=0)
        self._segment, self._file, self._line = number, file, 0
        self._begin_block()
        self._next_seq = self._head.seq + 1

    def _begin_block(self) -> None:
        self._open, self._open_line = [], self._line + 1
        self._broken, self._damaged_block_lines = False, 0

    # --------------------------------------------------------------------------------------- lines

    def _add_line(self, line: bytes) -> None:
        self._open.append(line)
        if line.startswith(BLOCK_PREFIX):
            if line.endswith(b"\n"):  # else it is the end of an incomplete tail
                self._find("block_line", "is damaged: no block line as the writer writes it")
                self._broken = True
                self._damaged_block_lines += 1
            return
        seq = blocks.seq_of(line)
        if seq is None:  # the block's hash will say that it was changed
            self._next_seq += 1
            return
        unknown = self._late and len(self._open) == 1
        if seq != self._next_seq and not self._broken and not unknown:
            self._find("sequence", _sequence_text(self._next_seq, seq))
            self._broken = True
        self._next_seq = seq + 1

    def _close_block(self, block: BlockLine) -> None:
        self._records += len(self._open) - self._damaged_block_lines
        if not self._broken:
            self._check_lines(block)
        self._check_place(block)
        self._read_events()
        self._head = block.head
        self._next_seq = self._head.seq + 1
        self._late = False
        self._begin_block()

    def _check_lines(self, block: BlockLine) -> None:
        body = self._open
        where = f"block {block.block} (lines {self._open_line} to {self._line - 1})"
        first = blocks.seq_of(body[0]) if body else None
        if len(body) != block.lines:
            self._find("count", f"{where} says {_lines_text(block.lines)} and has {len(body)}")
        elif first is not None and first != block.first_seq:
            self._find("sequence", f"{where} says it begins with seq {block.first_seq} and begins with {first}")
        elif blocks.digest(block.prev, b"".join(body)) != block.sha256:
            self._find("content", f"{where} was changed: its lines do not hash to what it says")

    def _check_place(self, block: BlockLine) -> None:
        head = self._head
        if self._late:
            return
        gone = block.block - head.block - 1 - self._damaged_block_lines
        if gone:
            text = f"{gone} missing or moved" if gone > 0 else "it was moved or repeated"
            self._find("block_order", f"block {block.block} follows block {head.block}: {text}")
        elif block.prev != head.sha256 and not self._damaged_block_lines:
            self._find("link", f"block {block.block} does not continue block {head.block}: `prev` is not its hash")

    # -------------------------------------------------------------------------------------- events

    def _read_events(self) -> None:
        for at, line in enumerate(self._open, self._open_line):
            event = blocks.event_of(line)
            kind = event.get("event")
            if kind in _OPENING_EVENTS and event.get("chain") != self._name:
                self._find("renamed", f"the file belongs to chain `{event.get('chain')}`", line=at)
            if kind in _GAP_EVENTS:
                self._note(str(kind), _gap_text(event), self._file, at)
            if event.get("torn"):
                self._settle_torn(event["torn"], at)
        for torn in self._torn:
            text = f"{torn} that no block covers and no later start declares"
            self._find("uncovered", text, file=torn.file, line=torn.line)
        self._torn = []

    def _settle_torn(self, declared: object, at: int) -> None:
        """The segment declares incomplete tails of earlier ones; they must still be those tails."""
        found = [torn.declaration() for torn in self._torn]
        if declared != found:
            self._find("torn", f"declares incomplete tails {declared} and the files hold {found}", line=at)
        self._torn = []

    # ------------------------------------------------------------------------------------ findings

    def _find(self, kind: str, text: str, *, file: str = "", line: int | None = None) -> None:
        self._findings.append(Finding(kind, file or self._file, self._line if line is None else line, text))

    def _note(self, kind: str, text: str, file: str = "", line: int | None = None) -> None:
        self._notes.append(Finding(kind, file or self._file, self._line if line is None else line, text))


def _sequence_text(expected: int, found: int) -> str:
    if found > expected:
        gone = found - expected
        return f"seq {found} follows seq {expected - 1}: {_lines_text(gone)} missing or moved"
    return f"seq {found} follows seq {expected - 1}: the line was moved or repeated"


def _lines_text(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _gap_text(event: Mapping[str, object]) -> str:
    said = ", ".join(f"{key} {value}" for key, value in event.items() if key not in ("seq", "event", "time"))
    return f"{event['event']} at {event.get('time')}: {said}"
