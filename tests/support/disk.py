"""A disk whose n-th call of one kind fails, the way a full or dying one does."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from gateway.audit.disk import Disk


class FailingDisk(Disk):
    """The real disk, except for the calls it was told to refuse.

    `refuse("write", 3)` refuses the third write from now on, `refuse("write", 1, times=99)` the next 99. A refused
    write first puts half of its bytes on disk, as a disk does that becomes full under it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refusals: dict[str, tuple[int, int, int]] = {}
        self.calls: dict[str, int] = {}
        self.refused: list[str] = []

    def refuse(self, call: str, nth: int = 1, *, times: int = 1, error: int = errno.ENOSPC) -> None:
        with self._lock:
            first = self.calls.get(call, 0) + nth
            self._refusals[call] = (first, first + times, error)

    def works_again(self) -> None:
        with self._lock:
            self._refusals.clear()

    def _count(self, call: str) -> OSError | None:
        with self._lock:
            count = self.calls[call] = self.calls.get(call, 0) + 1
            first, last, error = self._refusals.get(call, (0, 0, 0))
            if not first <= count < last:
                return None
            self.refused.append(call)
            return OSError(error, os.strerror(error))

    def _ask(self, call: str) -> None:
        refusal = self._count(call)
        if refusal is not None:
            raise refusal

    def make_folder(self, folder: Path) -> None:
        self._ask("make_folder")
        super().make_folder(folder)

    def create(self, path: Path) -> int:
        self._ask("create")
        return super().create(path)

    def write(self, fd: int, data: memoryview) -> int:
        refusal = self._count("write")
        if refusal is not None:
            os.write(fd, data[: len(data) // 2])
            raise refusal
        return super().write(fd, data)

    def sync(self, fd: int) -> None:
        self._ask("sync")
        super().sync(fd)

    def sync_folder(self, folder: Path) -> None:
        self._ask("sync_folder")
        super().sync_folder(folder)

    def truncate(self, fd: int, length: int) -> None:
        self._ask("truncate")
        super().truncate(fd, length)

    def read(self, path: Path, offset: int) -> bytes:
        self._ask("read")
        return super().read(path, offset)

    def claim(self, path: Path) -> int | None:
        self._ask("claim")
        return super().claim(path)


class SlowDisk(Disk):
    """Writes at most a few bytes a call, which a disk may do."""

    def write(self, fd: int, data: memoryview) -> int:
        return super().write(fd, data[:100])
