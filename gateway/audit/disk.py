"""The writer's view of the file system: seven calls, one class.

They are gathered here so that a test can let any single one of them fail, the way a full or dying disk does,
and so that everything the trail asks of a disk can be read in one place. Files belong to this user alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path


class Disk:
    """Plain calls of the operating system. Every one of them may raise OSError."""

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, path: Path) -> int:
        """A new file for appending; an existing one is never opened again for writing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def write(self, fd: int, data: memoryview) -> int:
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        """What was written stays, and can be found: a file that was removed takes everything, and keeps nothing."""
        os.fsync(fd)
        if not os.fstat(fd).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "its file was removed")

    def sync_folder(self, folder: Path) -> None:
        """Makes a created file's name durable."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, fd: int, length: int) -> None:
        os.ftruncate(fd, length)

    def read(self, path: Path, offset: int) -> bytes:
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read()

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def close(self, fd: int) -> None:
        with contextlib.suppress(OSError):  # what was not written by now was reported by write or sync
            os.close(fd)

    def claim(self, path: Path) -> int | None:
        """An exclusive lock that ends with this process however it ends; None when another process has it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            raise
        return fd
