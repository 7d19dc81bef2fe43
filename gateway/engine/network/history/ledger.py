"""What was applied last, by device and environment: one file each in the state folder, replaced whole and fsynced.

It is the third of the values that drift is told from, and it outlives restarts. Nothing depends on it to be safe: a
ledger that is lost or damaged costs the word "last applied" in a drift report, and is written anew as soon as a device
is found as it should be.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from gateway import telemetry

FOLDER: Final = "devices"
VERSION: Final = 1
_DIGEST_SIZE: Final = 16


@dataclass(frozen=True, slots=True)
class Applied:
    """``content``: the `Plan.content`; ``digest``: of the plan; ``at_s``: epoch seconds; ``by``: who, or "found" when
    the device was found so."""

    content: Any
    digest: str
    version: str
    fingerprint: str
    at_s: float
    by: str
    ticket: str = ""
    task: str = ""


class Ledger:
    """Blocks on the disk: for a worker thread."""

    def __init__(self, state_folder: Path, folder: str = FOLDER) -> None:
        self._folder = state_folder / folder

    def read(self, device: str, environment: str) -> Applied | None:
        """None where nothing was applied, or nothing readable is left of it."""
        path = self.path(device, environment)
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            if head != _head(body):
                raise ValueError("it is damaged, or of another version")
            return Applied(**orjson.loads(body))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as fault:
            telemetry.log("device_ledger_unreadable", level="warning", file=str(path), why=str(fault))
            return None

    def write(self, device: str, environment: str, applied: Applied) -> None:
        """On the disk when this returns. Raises `OSError`; then the old one is there as it was."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self.path(device, environment)
        body = orjson.dumps(applied)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.writelines((_head(body), b"\n", body))
                out.flush()
                os.fsync(out.fileno())
            draft.rename(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def holds(self, device: str, environment: str) -> bool:
        """Whether there is a file, readable or not."""
        return self.path(device, environment).exists()

    def path(self, device: str, environment: str) -> Path:
        return self._folder / f"{quote(device, safe='')}@{quote(environment, safe='')}.json"


def _head(body: bytes) -> bytes:
    return f"stagedoor-applied {VERSION} {blake2b(body, digest_size=_DIGEST_SIZE).hexdigest()}".encode()
