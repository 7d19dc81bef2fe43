"""Which name led to which addresses and when, in one file of the state folder, replaced whole.

Nothing depends on it to be safe: without it a firewall's members are learnt anew before it is told anything. Blocks on
the disk: for a worker thread, but for the reading at the start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import orjson

from gateway import telemetry

FOLDER: Final = "devices"
FILE: Final = "whereabouts"
VERSION: Final = 1

Sightings = Mapping[str, Mapping[str, int]]  # name → address → when it was answered last, epoch seconds


class SightingsFile:
    def __init__(self, state_folder: Path) -> None:
        self._path = state_folder / FOLDER / FILE

    def read(self, now: int) -> dict[str, dict[str, int]]:
        """As if no time had gone by since it was written; {} where nothing readable is left."""
        try:
            head, _, body = self._path.read_bytes().partition(b"\n")
            if head != _head(body):
                raise ValueError("it is damaged, or of another version")
            said = orjson.loads(body)
            away = now - int(said["written"])
            return {str(name): _aged(seen, away, now) for name, seen in said["names"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
            telemetry.log("whereabouts_unreadable", level="warning", file=str(self._path), why=str(fault))
            return {}

    def write(self, sightings: Sightings, now: int) -> None:
        """What cannot be written is told in the log: the old file stays as it was."""
        body = orjson.dumps({"written": now, "names": sightings}, option=orjson.OPT_SORT_KEYS)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.writelines((_head(body), b"\n", body))
                out.flush()
                os.fsync(out.fileno())
            draft.rename(self._path)
        except OSError as fault:
            with suppress(OSError):
                draft.unlink()
            telemetry.log("whereabouts_not_saved", level="error", file=str(self._path), why=str(fault))


def _aged(seen: Mapping[str, Any], away: int, now: int) -> dict[str, int]:
    return {str(ip_address(address)): min(int(at) + away, now) for address, at in seen.items()}


def _head(body: bytes) -> bytes:
    return f"stagedoor-whereabouts {VERSION} {blake2b(body, digest_size=16).hexdigest()}".encode()
