"""One chain's files on disk: finds where the chain ends, appends whole blocks, opens the next segment.

This is the only place that knows about files, and it decides two things. *Where to go on*: from the last
complete block of the newest segment that has one; everything after that block is an incomplete tail and stays
untouched, to be declared in the next segment. *What a failed write leaves*: the bytes are taken back by
truncation, and where even that fails, the segment is given up and declared the same way.

INVARIANT: after `append` returns, the segment ends with that block; after it raises, the chain on disk is the
one before, perhaps followed by bytes that `torn` names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from gateway.audit.blocks import GENESIS, SEGMENT_NAME, Head, Tail, last_block, segment_name
from gateway.audit.disk import Disk

_WINDOW = 4 * 1024 * 1024  # the last block of a segment lies within it unless its tail is damaged
_LANES = "abcdefghijklmnopqrstuvwxyz"


class Segments:
    """The segments of one chain, claimed by this process."""

    def __init__(self, folder: Path, name: str, disk: Disk) -> None:
        self._folder = folder
        self._name = name
        self._disk = disk
        self._lock: int | None = None
        # The chain.
        self.chain = ""
        self.head: Head = GENESIS
        self.stopped = True  # the run before ended as it should, or there was none
        self.torn: list[dict[str, object]] = []  # incomplete tails the next segment must declare
        # The open segment.
        self.number = 0
        self.length = 0
        self._fd: int | None = None
        self._excess = False  # bytes of a failed write may follow `length`

    @property
    def is_open(self) -> bool:
        return self._fd is not None

    def find_end(self) -> None:
        """Claims a chain and reads where it ends. A chain is claimed once; a repeated call reads again."""
        self._disk.make_folder(self._folder)
        if self._lock is None:
            self._claim()
        existing = self._existing()
        self.number = max(existing, default=0)
        self.head, self.stopped, self.torn = GENESIS, True, []
        for number in sorted(existing, reverse=True):
            tail = self._tail(existing[number])
            self._declare(existing[number], tail.end if tail else 0)
            if tail is not None:
                self.head, self.stopped = tail.head, tail.stopped
                break
        self.torn.reverse()

    def _claim(self) -> None:
        # A planned restart lets the successor of a door run beside it for a while, so a name has several
        # lanes, each a chain of its own: door-0a, door-0b …
        for lane in _LANES:
            chain = f"{self._name}{lane}"
            fd = self._disk.claim(self._folder / f"{chain}.lock")
            if fd is not None:
                self._lock, self.chain = fd, chain
                return
        raise BlockingIOError(f"all {len(_LANES)} chains of `{self._name}` are being written by other processes")

    def _existing(self) -> dict[int, Path]:
        found = {}
        for path in self._folder.glob("*.jsonl"):
            name = SEGMENT_NAME.fullmatch(path.name)
            if name is not None and name["chain"] == self.chain:
                found[int(name["segment"])] = path
        return found

    def _tail(self, path: Path) -> Tail | None:
        start = max(0, self._disk.size(path) - _WINDOW)
        tail = last_block(self._disk.read(path, start), start)
        return last_block(self._disk.read(path, 0)) if tail is None and start else tail

    def _declare(self, path: Path, end: int) -> None:
        tail = self._disk.read(path, end)
        if tail:
            self.torn.append({"file": path.name, "bytes": len(tail), "sha256": hashlib.sha256(tail).hexdigest()})

    def open_next(self, *, durable: bool) -> None:
        """Begins the next segment."""
        self.end()
        self._disk.make_folder(self._folder)
        path = self._folder / segment_name(self.chain, self.number + 1)
        try:
            fd = self._disk.create(path)
        except FileExistsError:
            self.number += 1  # left by an attempt that failed just after creating it
            raise
        self._fd, self.number, self.length, self._excess = fd, self.number + 1, 0, False
        if durable:
            try:
                self._disk.sync_folder(self._folder)
            except OSError:
                self.end()  # stays behind empty; the next attempt takes the next number
                raise

    def append(self, block: bytes, head: Head) -> None:
        """Writes one block to the open segment."""
        if self._fd is None:
            raise RuntimeError("no segment is open")
        if self._excess:
            self._take_back()
        rest = memoryview(block)
        self._excess = True
        while rest:
            rest = rest[self._disk.write(self._fd, rest) :]
        self._excess = False
        self.length += len(block)
        self.head = head

    def _take_back(self) -> None:
        """Removes what a failed write left; a segment that cannot be cut is given up and declared."""
        assert self._fd is not None
        try:
            self._disk.truncate(self._fd, self.length)
        except OSError:
            self._declare(self._folder / segment_name(self.chain, self.number), self.length)
            self.end()
            raise
        self._excess = False

    def sync(self) -> None:
        if self._fd is not None:
            self._disk.sync(self._fd)

    def end(self) -> None:
        """Closes the open segment; nothing will be added to it."""
        if self._fd is not None:
            self._disk.close(self._fd)
            self._fd = None

    def release(self) -> None:
        """Closes everything and lets another process continue the chain."""
        self.end()
        if self._lock is not None:
            self._disk.close(self._lock)
            self._lock = None
