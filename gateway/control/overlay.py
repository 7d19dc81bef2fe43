"""What cannot wait for a compile: issuers' keys, denied subjects, grants, ended sessions; one number, and every door
knows it.

Every change takes the next `seq` and goes to all doors as one whole message (it is small). A change is live when
every connected door has acknowledged its number. The last overlay is kept in the state folder, so that a restart
while a provider is away begins with the keys it ended with, and numbers never run backwards: a door that has seen
a higher one (the file was lost) lifts ours above it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from gateway import telemetry
from gateway.control.whole_files import write_whole
from gateway.link import Message

FILE: Final = "overlay.json"
VERSION: Final = 1
ENDED_KEPT_S: Final = 600  # a door that was away for longer asks about each session anew
LARGEST: Final = 2**53  # of numbers and times: beyond it not every reader of JSON counts exactly


class Overlay:
    """The current overlay; ``announce`` is called with each new message."""

    def __init__(self, folder: Path, announce: Callable[[Message], None]) -> None:
        self._path = folder / FILE
        self._announce = announce
        stored = _read(self._path)
        self.blank = not stored  # nothing is remembered and nothing happened yet: doors may know more
        self.seq: int = stored.get("seq", 0)
        self.keys: dict[str, dict[str, Any]] = stored.get("keys", {})
        self.denied: list[str] = stored.get("denied", [])
        self.grants: list[dict[str, Any]] = stored.get("grants", [])
        self.not_before: dict[str, int] = stored.get("not_before", {})  # by subject: what began earlier is refused
        self.shut: list[str] = stored.get("shut", [])
        self.ended: dict[str, list[int]] = stored.get("ended_at", {})  # session -> when it ended, number of the change
        self.ended_from: int = stored.get("ended_from", 0)  # a door that is behind this number has missed some

    def message(self) -> Message:
        return {
            "t": "overlay", "seq": self.seq, "keys": self.keys, "denied": self.denied, "grants": self.grants,
            "ended": list(self.ended), "ended_from": self.ended_from, "not_before": self.not_before,
            "shut": self.shut,
        }  # fmt: skip

    def put_ended(self, sids: Iterable[str], now: int) -> None:
        """These sessions are over at ``now``, epoch seconds; those that doors know to be are not told again."""
        fresh = [sid for sid in sids if sid not in self.ended]
        if not fresh:
            return
        for sid, (at, seq) in [*self.ended.items()]:
            if now - at > ENDED_KEPT_S:
                del self.ended[sid]
                self.ended_from = max(self.ended_from, seq)
        self.ended |= {sid: [now, self.seq + 1] for sid in fresh}
        self._advance()

    def put_cuts(self, denied: list[str], not_before: Mapping[str, int], shut: list[str]) -> None:
        """Who is refused; the subjects for which something counts only when it began later (epoch seconds); and the
        services and environments (`@prod`) that nobody reaches."""
        if (self.denied, self.not_before, self.shut) != (denied, not_before, shut):
            self.denied, self.not_before, self.shut = denied, dict(not_before), shut
            self._advance()

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
        """A door has already seen ``seq``: number on from there. While this overlay is blank it has nothing to tell
        that door, whose keys hold until an issuer was read again."""
        if seq > self.seq:
            self.seq = seq
            if not self.blank:
                self._advance()

    def _advance(self) -> None:
        self.seq += 1
        self.blank = False
        self._save()
        self._announce(self.message())

    def _save(self) -> None:
        """Whole or not at all, readable by its owner alone. A full disk keeps the old file and the new overlay."""
        try:
            write_whole(self._path, [orjson.dumps({**self.message(), "ended_at": self.ended, "version": VERSION})])
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
    if not isinstance(stored, dict) or stored.get("version") != VERSION or not _is_overlay(stored):
        telemetry.log("overlay_not_read", level="warning", why="unknown form or version")
        return {}
    return stored


def _is_overlay(stored: dict[str, Any]) -> bool:
    """Whether every part is what a message to the doors may hold."""
    keys, denied, grants = (stored.get(name, empty) for name, empty in (("keys", {}), ("denied", []), ("grants", [])))
    return (
        _is_count(stored.get("seq", 0))
        and isinstance(keys, dict)
        and all(map(_is_entry, keys.values()))
        and isinstance(denied, list)
        and all(isinstance(each, str) for each in denied)
        and isinstance(shut := stored.get("shut", []), list)
        and all(isinstance(each, str) for each in shut)
        and isinstance(grants, list)
        and all(isinstance(each, dict) for each in grants)
        and _is_count(stored.get("ended_from", 0))
        and _are_counts(stored.get("not_before", {}))
        and isinstance(ended := stored.get("ended_at", {}), dict)
        and all(isinstance(each, list) and len(each) == 2 and all(map(_is_count, each)) for each in ended.values())
    )


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_entry(entry: object) -> bool:
    """Keys as `put_keys` writes them."""
    if not isinstance(entry, dict) or not isinstance(entry.get("address"), str) or not _is_count(entry.get("at")):
        return False
    jwks = entry.get("jwks")
    return isinstance(jwks, list) and all(isinstance(jwk, dict) for jwk in jwks)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST
