"""Frames and the manifest on disk: what the engine writes and every door and control read.

A base is one manifest (frame name → hash) and one file per frame. A frame's file name is the hash of its body, so
equal content is written once, an edit of one service changes one file, and a damaged file names itself. Files belong
to our own uid with mode 0600; length and hash are checked before a byte is decoded, because `marshal` trusts its
input. A writer settles the frames before it writes the manifest that names them.
"""

from __future__ import annotations

import ctypes
import errno
import marshal
import os
import stat
from base64 import b32encode
from collections.abc import Callable, Generator, Mapping
from hashlib import blake2b
from pathlib import Path
from sys import intern
from types import MappingProxyType
from typing import Any, NamedTuple

FRAME_HEAD = b"SDfr\x01"  # magic and version of the file form
MANIFEST_HEAD = "stagedoor-manifest 1"
MANIFEST = "manifest"
_LENGTH_SIZE = 8
_FLUSHED_ALONE = 256  # so many frames; one flush of all is cheaper than thousands
_UNIT_BYTES = 16 * 1024  # of the manifest, between two pauses of a reader that serves meanwhile


class SnapshotFault(Exception):
    """A frame or manifest on disk is missing, damaged, or not ours."""


def frame_hash(body: bytes) -> str:
    return b32encode(blake2b(body, digest_size=20).digest()).decode().lower()


def frame_body(frame: Any) -> bytes:
    """The reproducible bytes of plain data: version 2 of `marshal` depends on nothing but the value."""
    return marshal.dumps(frame, 2)


def interned(value: Any) -> Any:
    """The same plain data with every string shared: scopes, refs and methods repeat in thousands of frames."""
    kind = type(value)
    if kind is str:
        return intern(value)
    if kind is tuple:
        return tuple([interned(each) for each in value])
    if kind is dict:
        return {interned(key): interned(each) for key, each in value.items()}
    if kind is frozenset:
        return frozenset([interned(each) for each in value])
    if kind is list:
        return [interned(each) for each in value]
    return value


class FrameStore:
    """The folder of frame files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "frames"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sound: set[str] = set()  # hashes this store wrote or read whole
        self._left: set[str] | None = None  # files that others had written when this store first wrote
        self._unsettled: list[str] = []

    def write(self, frame: Any) -> str:
        """Store plain data and return its hash. A file that is already there is trusted only once it was read."""
        body = frame_body(frame)
        name = frame_hash(body)
        if self._left is None:
            self._left = set(self.names())
        if name in self._sound or (name in self._left and self._holds(name)):
            return name
        content = FRAME_HEAD + len(body).to_bytes(_LENGTH_SIZE, "big") + body
        try:
            self._put(name, content)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._put(name, content)
        self._sound.add(name)
        self._unsettled.append(name)
        return name

    def _put(self, name: str, content: bytes) -> None:
        """A new file is written in its place: nobody looks for it before a manifest names it. What replaces a damaged
        one, which somebody may be reading, is there as a whole at once."""
        path = f"{self._folder}/{name}"
        try:
            _write(path, os.O_EXCL, content)
        except FileExistsError:
            draft = f"{self._folder}/.draft-{os.getpid()}"
            _write(draft, os.O_TRUNC, content)
            os.rename(draft, path)

    def settle(self) -> int:
        """Everything written is on disk when this returns; called before a manifest names it. Returns how many
        frames that were. Raises `OSError` when the disk does not take them: they are gone then, to be written anew,
        because the kernel says once only that a page was lost (fsync(2))."""
        written, self._unsettled = self._unsettled, []
        try:
            if len(written) > _FLUSHED_ALONE:
                flush_filesystem(self._folder)
            elif written:
                for path in [*(self._folder / name for name in written), self._folder]:
                    _flush(path, os.fsync)
        except OSError:
            for name in written:
                self.remove(name)
            raise
        return len(written)

    def read(self, name: str) -> Any:
        """The plain data of a frame, strings interned; raises `SnapshotFault`."""
        return interned(self.read_plain(name))

    def read_plain(self, name: str) -> Any:
        """The same with strings as they come, for a reader that interns in its own time."""
        body = self._body(name)
        try:
            return marshal.loads(body)
        except (EOFError, ValueError, TypeError, MemoryError) as fault:
            raise SnapshotFault(f"frame `{name}` holds no value: {fault}") from None

    def is_sound(self, name: str) -> bool:
        """Whether the file is there and whole, read again whatever was known of it."""
        self._sound.discard(name)
        return self._holds(name)

    def names(self) -> list[str]:
        return [each.name for each in os.scandir(self._folder) if not each.name.startswith(".")]

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        self._sound.discard(name)

    def age_s(self, name: str, now: float) -> float:
        """How long ago the frame was written."""
        try:
            return now - (self._folder / name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _holds(self, name: str) -> bool:
        try:
            self._body(name)
        except SnapshotFault:
            return False
        self._sound.add(name)
        return True

    def _body(self, name: str) -> bytes:
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW)
        except (OSError, ValueError) as fault:
            raise SnapshotFault(f"frame `{name}` cannot be opened: {type(fault).__name__}") from None
        try:
            state = os.fstat(descriptor)
            if state.st_uid != os.getuid() or state.st_mode & 0o077 or not stat.S_ISREG(state.st_mode):
                raise SnapshotFault(f"frame `{name}` is not a private file of this user")
            content = os.read(descriptor, state.st_size + 1)
        finally:
            os.close(descriptor)
        start = len(FRAME_HEAD) + _LENGTH_SIZE
        if content[: len(FRAME_HEAD)] != FRAME_HEAD:
            raise SnapshotFault(f"frame `{name}` has an unknown form or version")
        body = content[start:]
        if int.from_bytes(content[len(FRAME_HEAD) : start], "big") != len(body) or frame_hash(body) != name:
            raise SnapshotFault(f"frame `{name}` is damaged")
        return body


def flush_filesystem(folder: Path) -> None:
    """Bring what is written to the filesystem of ``folder`` to its disk, and to no other: sync(2) would wait for every
    disk of the machine, and does not say what failed (syncfs(2), Linux 5.8). Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)

    def syncfs(descriptor: int) -> None:
        if libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))

    _flush(folder, syncfs)


def _flush(path: Path, flush: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def _write(path: str, flag: int, content: bytes) -> None:
    """Leaves no file that holds less than ``content``, unless the machine stops."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flag, 0o600)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


class Manifest(NamedTuple):
    base: str  # 12 base32 digits over catalog and access policy
    compiler: str  # version of the compiler that made the frames
    frames: Mapping[str, str]  # frame name -> hash


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest as a whole: a reader sees the old one or the new one."""
    lines = "".join([f"{line}\n" for line in map(" ".join, sorted(manifest.frames.items()))]).encode()
    check = frame_hash(lines)
    head = f"{MANIFEST_HEAD} {manifest.base} {manifest.compiler} {len(manifest.frames)} {check}\n".encode()
    draft = folder / f".{MANIFEST}-{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as out:
        out.write(head + lines)
        out.flush()
        os.fsync(out.fileno())
    draft.rename(folder / MANIFEST)
    _flush(folder, os.fsync)


def read_manifest(folder: Path) -> Manifest | None:
    """The current manifest; None when there is none yet; raises `SnapshotFault` when it is damaged."""
    reading = reading_manifest(folder)
    while True:
        try:
            next(reading)
        except StopIteration as done:
            manifest: Manifest | None = done.value
            return manifest


def reading_manifest(
    folder: Path, known: Mapping[str, str] = MappingProxyType({}), without: str = ""
) -> Generator[None, None, Manifest | None]:
    """Reads the manifest with a pause after each unit of lines, names that start with ``without`` left out. Strings
    that ``known`` holds already are shared with it: letting go of the manifest then costs next to nothing."""
    try:
        descriptor = os.open(folder / MANIFEST, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise SnapshotFault(f"manifest cannot be opened: {type(fault).__name__}") from None
    state = os.fstat(descriptor)
    if state.st_uid != os.getuid() or state.st_mode & 0o077 or not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise SnapshotFault("manifest is not a private file of this user")
    with open(descriptor, "rb") as source:
        head = source.readline(1024).decode("utf-8", "replace").split()
        if " ".join(head[:2]) != MANIFEST_HEAD or len(head) != 6:
            raise SnapshotFault("manifest has an unknown form or version")
        _, _, base, compiler, count, check = head
        digest, counted, skipped = blake2b(digest_size=20), 0, without.encode() or b"\0"
        frames: dict[str, str] = {}
        while lines := source.readlines(_UNIT_BYTES):
            digest.update(b"".join(lines))
            counted += len(lines)
            for line in lines:
                if not line.startswith(skipped):
                    name, _, value = line.decode("utf-8", "replace").rstrip("\n").rpartition(" ")
                    held = known.get(name)
                    frames[intern(name)] = held if held == value else value
            yield
        if b32encode(digest.digest()).decode().lower() != check or str(counted) != count:
            raise SnapshotFault("manifest is damaged")
    return Manifest(base, compiler, frames)
