"""One run's view of a chain: which events open a block, when a segment is full, what the disk has vouched for.

Every method may raise OSError and leaves the trail such that the same call can be made again: sequence numbers,
block numbers and the head move only when a block is on disk, and the records of a block that was not are
handed back by `drop_block`.

Events are lines of the chain like records. ``start`` and ``unclean_start`` open a run, ``segment`` a further
file, ``stop`` ends a run, ``disk_failed`` says when the disk refused, how many records had to be dropped and
which blocks it may have lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from gateway.audit.blocks import FORMAT_VERSION, Batch
from gateway.audit.disk import Disk
from gateway.audit.record import timestamp
from gateway.audit.segment import Segments

Sync = Literal["batch", "second", "off"]


class Trail:
    """Blocks in the making and the segments they go to."""

    def __init__(
        self, folder: Path, name: str, sync: Sync, disk: Disk, now_ms: Callable[[], int], segment_bytes: int
    ) -> None:
        self._segments = Segments(folder, name, disk)
        self._sync = sync
        self._now_ms = now_ms
        self._segment_bytes = segment_bytes
        # The run.
        self._found = False  # the end of the chain was read
        self._begun = False  # the run's opening event is on disk
        self._synced_block = 0
        self._synced_at = time.monotonic()
        # The block in the making.
        self._batch: Batch | None = None
        self._records: list[bytes] = []
        self._due_at = 0.0
        # What the next block must tell about a disk that refused.
        self._failure = ""
        self._failed_since_ms = 0
        self._lost = 0
        self._unsynced: tuple[int, int] | None = None

    @property
    def chain(self) -> str:
        return self._segments.chain

    @property
    def held(self) -> int:
        """Records in the block in the making."""
        return len(self._records)

    def is_due(self, block_bytes: int, block_s: float) -> bool:
        batch = self._batch
        return batch is not None and (batch.size >= block_bytes or time.monotonic() >= self._due_at + block_s)

    # ----------------------------------------------------------------------------------------- blocks

    def add(self, records: Sequence[bytes]) -> None:
        batch = self._batch or self._begin_block()
        self._records += records
        batch.add(records)

    def begin(self) -> None:
        """Makes sure that a block is in the making, with the events that open it."""
        if self._batch is None:
            self._begin_block()

    def _begin_block(self) -> Batch:
        segments = self._segments
        if not self._found:
            segments.find_end()
            self._found = True
            self._synced_block = segments.head.block
        if segments.is_open and segments.length >= self._segment_bytes:
            if self._sync != "off":
                self.sync()
            segments.end()
        if not segments.is_open:
            segments.open_next(durable=self._sync != "off")
        self._batch = batch = Batch(segments.head)
        self._due_at = time.monotonic()
        self._open_with_events(batch)
        return batch

    def _open_with_events(self, batch: Batch) -> None:
        segments = self._segments
        if segments.length == 0:
            if self._begun:
                kind = "segment"
            else:
                kind = "start" if segments.stopped and not segments.torn else "unclean_start"
            fields: dict[str, object] = {
                "version": FORMAT_VERSION,
                "chain": segments.chain,
                "segment": segments.number,
                "after_block": segments.head.block,
                "after_sha256": segments.head.sha256,
            }
            if segments.torn:
                fields["torn"] = segments.torn
            batch.add_event(kind, self._now_ms(), fields)
        if self._failure:
            fields = {"since": timestamp(self._failed_since_ms), "error": self._failure, "lost": self._lost}
            if self._unsynced is not None:
                fields["unsynced_blocks"] = list(self._unsynced)
            batch.add_event("disk_failed", self._now_ms(), fields)

    def write(self) -> None:
        """Puts the block on disk."""
        batch = self._batch
        if batch is None:
            return
        block, head = batch.sealed()
        self._segments.append(block, head)
        self._batch = None
        self._records = []
        self._begun = True
        self._segments.torn = []
        self._failure, self._failed_since_ms, self._lost, self._unsynced = "", 0, 0, None
        if self._sync == "batch":
            self.sync()

    def drop_block(self) -> list[bytes]:
        """The records of a block that was not written; their numbers were never used."""
        records = self._records
        self._batch, self._records = None, []
        return records

    # ----------------------------------------------------------------------------------- durability

    def sync_if_due(self) -> None:
        if self._sync == "second" and time.monotonic() - self._synced_at >= 1.0:
            self.sync()

    def sync(self) -> None:
        """Asks the disk to vouch for all blocks so far.

        A refused fsync is never asked for again on the same file: the kernel may have dropped the pages and
        would report success. The segment is closed, and the next one names the blocks in doubt.
        """
        if self._sync == "off":
            return
        block = self._segments.head.block
        self._synced_at = time.monotonic()
        if block == self._synced_block:
            return
        try:
            self._segments.sync()
        except OSError:
            first = self._unsynced[0] if self._unsynced else self._synced_block + 1
            self._unsynced = (first, block)
            self._synced_block = block
            self._segments.end()
            raise
        self._synced_block = block

    def note_failure(self, error: str, lost: int = 0) -> None:
        """Kept until a block says it."""
        self._failure = error
        self._failed_since_ms = self._failed_since_ms or self._now_ms()
        self._lost += lost

    def stop(self) -> None:
        """The mark of an orderly end."""
        self.begin()
        assert self._batch is not None
        self._batch.add_event("stop", self._now_ms(), {})
        self.write()
        self.sync()

    def release(self) -> None:
        self._segments.release()
