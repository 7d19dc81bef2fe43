"""The writer thread: takes records off the door's hands and puts them on disk in blocks.

The door makes each record's line and does one list append; it never waits. The thread numbers what has come in
small slices (that holds the interpreter, and the door's loop must not notice), seals a block when 64 KiB or
50 ms have come together, and appends it with one write. A killed process loses at most the open block.

When the disk refuses, `failed` turns true and stays so until a block is on disk again: the door answers
`audit_unavailable` meanwhile. Records that were taken are kept and written first when writing works again, up
to a bound; what exceeds it is counted and the count is written, so that a gap is always visible.

Threads: `append` and the attributes are for the door, all else runs in the writer's thread. List append,
slicing and slice assignment are atomic under the interpreter's lock, and the list is all that the two share.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway import telemetry
from gateway.audit.disk import Disk
from gateway.audit.trail import Sync, Trail

_SLICE = 256  # lines numbered without a pause: about 0.1 ms
_PAUSE_S = 0.0005  # between slices while a whole one is waiting
_LOOK_S = 0.01  # how often an open block's age is looked at
_LONGEST_RETRY_S = 5.0


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class AuditWriter:
    """Writes one door's records. `append(line)`, `failed` and `queued` are what the door uses."""

    def __init__(
        self,
        folder: Path,
        name: str,
        sync: Sync = "second",
        *,
        disk: Disk | None = None,
        now_ms: Callable[[], int] = _wall_ms,
        block_bytes: int = 64 * 1024,
        block_s: float = 0.05,
        segment_bytes: int = 64 * 1024 * 1024,
        held_records: int = 100_000,
        retry_s: float = 0.25,
    ) -> None:
        # What the door sees.
        self._pending: list[bytes] = []
        self.append: Callable[[bytes], None] = self._pending.append
        self.failed = True  # until the trail is open
        self.failure = ""  # what the disk said last
        # What was asked for.
        self._block_bytes = block_bytes
        self._block_s = block_s
        self._held_records = held_records
        self._first_retry_s = retry_s
        # The thread's own.
        self._folder = folder
        self._trail = Trail(folder, name, sync, disk or Disk(), now_ms, segment_bytes)
        self._retry_s = retry_s
        self._told = ""  # why nothing can be written, as the log says it
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"audit {name}", daemon=True)

    @property
    def queued(self) -> int:
        """Records that are not on disk yet."""
        return len(self._pending) + self._trail.held

    @property
    def chain(self) -> str:
        """The name this writer's segments carry; "" until one is claimed."""
        return self._trail.chain

    def start(self) -> None:
        """Opens the trail and starts the thread. A disk that refuses leaves `failed` true and is asked again."""
        self._recover()
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> None:
        """Writes what is left and the mark of an orderly end, then ends the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        else:
            self._trail.release()

    # ----------------------------------------------------------------------------------------- thread

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._stopping.wait(self._turn())
            self._finish()
        finally:
            self.failed = True  # whatever ended the thread, nothing will be written any more
            self._trail.release()

    def _turn(self) -> float:
        """One look at what is waiting; returns the seconds until the next."""
        if self.failed and not self._recover():
            self._retry_s = min(self._retry_s * 2, _LONGEST_RETRY_S)
            return self._retry_s
        more = self._attempt(self._take_slice) and len(self._pending) >= _SLICE
        if self._trail.is_due(self._block_bytes, self._block_s):
            self._attempt(self._trail.write)
        self._attempt(self._trail.sync_if_due)
        if self.failed:
            return self._retry_s
        if more:
            return _PAUSE_S
        return _LOOK_S if self._trail.held else self._block_s / 2

    def _take_slice(self) -> None:
        """Moves the oldest records into the open block."""
        taken = self._pending[:_SLICE]
        if not taken:
            return
        self._trail.begin()  # may raise: then the records are still where they were
        del self._pending[: len(taken)]
        self._trail.add(taken)

    def _recover(self) -> bool:
        """Writes and syncs one block. Only that proves that the disk works."""
        if self._attempt(self._prove):
            self.failed = False
            self._retry_s = self._first_retry_s
            self._tell("")
            return True
        return False

    def _prove(self) -> None:
        self._trail.begin()
        self._take_slice()
        self._trail.write()
        self._trail.sync()

    def _attempt(self, act: Callable[[], None]) -> bool:
        """The one place where a disk's refusal is caught."""
        try:
            act()
        except OSError as error:
            self.failed = True
            self.failure = error.strerror or type(error).__name__
            self._pending[:0] = self._trail.drop_block()
            self._trail.note_failure(self.failure, self._drop_excess())
            self._tell(self.failure)
            return False
        return True

    def _tell(self, why: str) -> None:
        """An operator reads the log first, and one worker of several may be the only one that refuses."""
        if why and why != self._told:
            telemetry.log("audit_unwritable", level="error", folder=str(self._folder), why=why)
        elif self._told and not why:
            telemetry.log("audit_written_again", chain=self.chain)
        self._told = why

    def _drop_excess(self) -> int:
        """Bounds what is held while the disk refuses. The newest go: what is held stays without a gap."""
        excess = max(0, len(self._pending) - self._held_records)
        if excess:
            del self._pending[self._held_records : self._held_records + excess]
        return excess

    def _finish(self) -> None:
        """What came before `close`, in one attempt: the process is going."""
        if self.failed and not self._recover():
            return
        while self._pending and self._attempt(self._take_slice):
            if self._trail.is_due(self._block_bytes, self._block_s) and not self._attempt(self._trail.write):
                return
        self._attempt(self._trail.stop)
