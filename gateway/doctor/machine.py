"""The machine: room and rights on the disk that the node writes, and descriptors for the connections it may hold."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.config import Settings
from gateway.doctor.lines import Line, fail, ok, warn
from gateway.node.asking import supervisor_of
from gateway.supervisor import raised_descriptors

DISK: Final = "disk"
DESCRIPTORS: Final = "descriptors"
FULL_BYTES: Final = 100 * 1024 * 1024
TIGHT_BYTES: Final = 1024 * 1024 * 1024
SLOW_S: Final = 0.5
PROBE_BYTES: Final = 64 * 1024
SPARE: Final = 200  # a worker's own: listeners, links, audit files, libraries


def folders(settings: Settings) -> Sequence[Line]:
    state = Path(settings.state_folder)
    audit = Path(settings.audit.folder) if settings.audit.folder else state / "audit"
    return [
        _folder_line("state folder", state, "state.folder"),
        _folder_line("audit folder", audit, "audit.folder"),
    ]


def _folder_line(name: str, folder: Path, setting: str) -> Line:
    if not folder.exists():
        return _absent_line(name, folder, setting)
    if not folder.is_dir():
        return fail(DISK, name, f"`{folder}` is no folder", f"point `{setting}` at one")
    return _rights_line(name, folder) or _write_line(name, folder) or _room_line(name, folder)


def _absent_line(name: str, folder: Path, setting: str) -> Line:
    parent = next((each for each in folder.parents if each.exists()), Path("/"))
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        found = f"`{folder}` is not there, and `{parent}` may not be written"
        return fail(DISK, name, found, f"make it (`install -d -m 700`) for the node's user, or correct `{setting}`")
    return ok(DISK, name, f"`{folder}` is made at the first start")


def _rights_line(name: str, folder: Path) -> Line | None:
    """Whether the folder is ours alone; None when it is."""
    state = folder.stat()
    us = os.geteuid()
    if state.st_mode & 0o022:
        found = f"`{folder}` may be written by others (mode {state.st_mode & 0o777:o})"
        return fail(DISK, name, found, f"run `chmod 700 {folder}`")
    if us not in (0, state.st_uid):
        found = f"`{folder}` belongs to uid {state.st_uid}, and this is uid {us}"
        return fail(DISK, name, found, "run node and doctor as the same user, or `chown` the folder")
    if state.st_mode & 0o055:
        found = f"`{folder}` may be read by others (mode {state.st_mode & 0o777:o})"
        return warn(DISK, name, found, f"run `chmod 700 {folder}`")
    return None


def _write_line(name: str, folder: Path) -> Line | None:
    """Whether a file can be written and made durable in time; None when it can."""
    probe = folder / f".doctor.{os.getpid()}"
    began = time.monotonic()
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, bytes(PROBE_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            probe.unlink()
    except OSError as error:
        fix = "free or remount the disk, or give the node's user the right to write there"
        return fail(DISK, name, f"`{folder}` cannot be written: {error.strerror}", fix)
    took_s = time.monotonic() - began
    if took_s > SLOW_S:
        fix = "use a faster disk: audit records wait for it"
        return warn(DISK, name, f"`{folder}` took {took_s:.1f} s to make one write durable", fix)
    return None


def _room_line(name: str, folder: Path) -> Line:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    found = f"`{folder}` has {_size(free)} free"
    fix = "free some, or move it to a larger disk: a full one ends the audit trail, and then requests are refused"
    if free < FULL_BYTES or (room.f_files and not room.f_favail):
        return fail(DISK, name, found if free < FULL_BYTES else f"`{folder}` has no inode left", fix)
    return warn(DISK, name, found, fix) if free < TIGHT_BYTES else ok(DISK, name, f"{found}, writes are durable")


def _size(size: int) -> str:
    for unit, word in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if size >= unit:
            return f"{size / unit:.1f} {word}"
    return f"{size // 1024} KiB"


def descriptors(settings: Settings) -> Sequence[Line]:
    """A client's connection takes one, and another while it waits for a service. A node raises what it starts with."""
    supervisor = supervisor_of(Path(settings.state_folder))
    limits = _limits_of(supervisor) if supervisor is not None else None
    whose = "a worker of the running node" if limits else "a worker of a node started from here"
    soft, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits is None:
        soft = raised_descriptors(soft, hard)
    connections = settings.limits.connections
    found = f"{whose} may have {_number(soft)}; `limits.connections` is {connections:,} per worker"
    needed = 2 * connections + SPARE
    if _holds(soft, needed):
        return [ok(DESCRIPTORS, "workers", found)]
    fix = f"set `LimitNOFILE={needed}` in the unit (or `ulimit -Hn {needed}`), or lower `limits.connections`"
    verdict = warn if _holds(hard, connections) else fail
    return [verdict(DESCRIPTORS, "workers", found, fix)]


def _limits_of(pid: int) -> tuple[int, int] | None:
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        soft, hard = next(line for line in lines if line.startswith("Max open files")).split()[3:5]
    except (OSError, ValueError, StopIteration):
        return None
    return _limit(soft), _limit(hard)


def _limit(text: str) -> int:
    return resource.RLIM_INFINITY if text == "unlimited" else int(text)


def _holds(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed


def _number(limit: int) -> str:
    return "any number of descriptors" if limit == resource.RLIM_INFINITY else f"{limit:,} descriptors"
