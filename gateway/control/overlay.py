"""What cannot wait for a compile: issuers' keys, denied subjects, grants; one number, and every door knows it.

Every change takes the next `seq` and goes to all doors as one whole message (it is small). A change is live when
every connected door has acknowledged its number. The last overlay is kept in the state folder, so that a restart
while a provider is away begins with the keys it ended with, and numbers never run backwards: a door that has seen
a higher one (the file was lost) lifts ours above it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from gateway import telemetry
from gateway.link import Message

FILE: Final = "overlay.json"
VERSION: Final = 1


class Overlay:
    """The current overlay; ``announce`` is called with each new message."""

    def __init__(self, folder: Path, announce: Callable[[Message], None]) -> None:
        self._path = folder / FILE
        self._announce = announce
        stored = _read(self._path)
        self.seq: int = stored.get("seq", 0)
        self.keys: dict[str, dict[str, Any]] = stored.get("keys", {})
        self.denied: list[str] = stored.get("denied", [])
        self.grants: list[dict[str, Any]] = stored.get("grants", [])

    def message(self) -> Message:
        return {"t": "overlay", "seq": self.seq, "keys": self.keys, "denied": self.denied, "grants": self.grants}

    def put_keys(self, issuer: str, address: str, jwks: Sequence[dict[str, Any]], at: int) -> None:
        """An issuer's keys as they were at ``at``. None at all: its tokens are refused as unavailable."""
        entry = {"address": address, "jwks": list(jwks), "at": at}
        if not jwks:
            if self.keys.pop(issuer, None) is None:
                return
        elif self.keys.get(issuer) == entry:
            return
        else:
            self.keys[issuer] = entry
        self._advance()

    def keep_issuers(self, addresses: dict[str, str]) -> None:
        """Forget keys of issuers that are no longer configured, or whose name now means another address."""
        for name in [name for name, entry in self.keys.items() if addresses.get(name) != entry.get("address")]:
            del self.keys[name]
            self._advance()

    def lift(self, seq: int) -> None:
        """A door has already seen ``seq``: number on from there."""
        if seq > self.seq:
            self.seq = seq
            self._advance()

    def _advance(self) -> None:
        self.seq += 1
        self._save()
        self._announce(self.message())

    def _save(self) -> None:
        """Whole or not at all, readable by its owner alone. A full disk keeps the old file and the new overlay."""
        draft = self._path.with_name(f".{FILE}.{os.getpid()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps({**self.message(), "version": VERSION}))
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self._path)
        except OSError as error:
            telemetry.log("overlay_not_saved", level="error", why=str(error))


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, orjson.JSONDecodeError) as error:
        telemetry.log("overlay_not_read", level="warning", why=str(error))
        return {}
    if not isinstance(stored, dict) or stored.get("version") != VERSION:
        telemetry.log("overlay_not_read", level="warning", why="unknown form or version")
        return {}
    return stored
