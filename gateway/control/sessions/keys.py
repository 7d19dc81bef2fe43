"""The keys of sessions: from the operator's file, or made here, kept, and changed every thirty days.

A key that this program made is of one node alone. It lies in the state folder, readable by its owner, and stays there
until nothing that it sealed can be in use any more. The operator's file is read with each reload. Doors get the ring
with their greeting and when it changes.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson

from gateway import telemetry
from gateway.config import Settings
from gateway.control.sessions.sealing import Sealer
from gateway.control.whole_files import write_whole
from gateway.errors import StateError
from gateway.identity.session import SessionKeys
from gateway.link import Message
from gateway.session_key_files import KEY_BYTES, read_session_keys

FILE: Final = "session-keys.json"
VERSION: Final = 1
ROTATE_S: Final = 30 * 86400


class KeyRing:
    """``now``: epoch seconds. `settle` first; it raises `StateError` where no key can be kept."""

    def __init__(self, folder: Path, now: Callable[[], int]) -> None:
        self._path = folder / FILE
        self._now = now
        self._keys: tuple[tuple[str, bytes], ...] = ()
        self.sessions = SessionKeys(())

    @property
    def sealer(self) -> Sealer:
        return Sealer(self._keys)

    def message(self) -> Message:
        """For the doors: the first one seals."""
        return {"t": "session_keys", "keys": [[name, b64encode(key).decode()] for name, key in self._keys]}

    def settle(self, settings: Settings) -> bool:
        """Follow the settings and the calendar; whether the ring is another one than before. Where that cannot be done
        the ring stays as it was; without one nobody could stay signed in, and it is a `StateError`."""
        try:
            keys = self._wanted(settings)
        except StateError as fault:
            if not self._keys:
                raise
            telemetry.log("session_keys_not_changed", level="error", why=str(fault))
            return False
        changed, self._keys = keys != self._keys, keys
        if changed:
            self.sessions = SessionKeys(keys)
        return changed

    def _wanted(self, settings: Settings) -> tuple[tuple[str, bytes], ...]:
        file = settings.sessions.keys_file
        if not file:
            return self._made(settings.sessions.absolute_s)
        try:
            return read_session_keys(file)
        except (OSError, ValueError) as error:
            raise StateError(f"cannot use the keys of sessions in `{file}`: {error}") from None

    def _made(self, absolute_s: float) -> tuple[tuple[str, bytes], ...]:
        now = self._now()
        kept = _read(self._path)
        listed = [each for each in kept if now - each["at"] < 2 * ROTATE_S + absolute_s]
        if not listed or now - listed[0]["at"] >= ROTATE_S:
            fresh = {"kid": secrets.token_hex(4), "key": b64encode(secrets.token_bytes(KEY_BYTES)).decode(), "at": now}
            listed.insert(0, fresh)
        if listed != kept:
            _write(self._path, listed)
        return tuple((each["kid"], b64decode(each["key"])) for each in listed)


def _read(path: Path) -> list[dict[str, Any]]:
    """The keys of a former life, the newest first. A file that is none is an end of all sessions, and said."""
    try:
        stored = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, orjson.JSONDecodeError) as error:
        telemetry.log("session_keys_not_read", level="error", why=type(error).__name__)
        return []
    listed = stored.get("keys") if isinstance(stored, dict) and stored.get("version") == VERSION else None
    if not isinstance(listed, list) or not all(map(_is_key, listed)):
        telemetry.log("session_keys_not_read", level="error", why="unknown form or version")
        return []
    return listed


def _is_key(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or type(entry.get("at")) is not int:
        return False
    try:
        return len(b64decode(entry.get("key", ""), validate=True)) == KEY_BYTES
    except (ValueError, TypeError):
        return False


def _write(path: Path, listed: list[dict[str, Any]]) -> None:
    """Whole or not at all. Raises `StateError`: a key that is not kept would end every session with this process."""
    try:
        write_whole(path, [orjson.dumps({"version": VERSION, "keys": listed})])
    except OSError as error:
        raise StateError(f"cannot keep the keys of sessions in `{path}`: {error.strerror}") from None
