"""Who came to the doors: of each subject of an issuer what its last token said, for `stagedoor people report`.

Doors tell each verified token once, at first sight. What is kept is the last word of each subject: the claims that its
issuer's `match` asks about, address and names by which a reader knows the person, groups, whom the door found, when.
Never a token, and nothing of programs. These are personal data: they end `state.sightings` after the last token (90
days unless the operator says otherwise; `0s` keeps none), and with their issuer in the configuration.

Bounded: so many subjects of an issuer, so many bytes of all; who was not seen for longest goes first, and of several
issuers the one that takes most gives way, so that nobody pushes out another issuer's people by making up subjects.

The file is written whole by a thread, privately, from time to time and at the end; a damaged one is an empty one, and
that is said. The command line has control write it and reads it, so that no large answer ever holds up the doors.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

import orjson

from gateway import telemetry
from gateway.control.whole_files import write_whole
from gateway.identity.strict import is_clean

FILE: Final = "sightings.jsonl"
VERSION: Final = 1
SUBJECTS: Final = 50_000  # of one issuer
HELD_BYTES: Final = 32 * 1024 * 1024  # of all issuers
ENTRY_BYTES: Final = 64 * 1024
FILE_BYTES: Final = 2 * HELD_BYTES
CLAIMS: Final = 32
SAVED_EACH_S: Final = 120.0
LATEST: Final = 2**53


class Seen(NamedTuple):
    """The last word of one subject. ``groups`` None: the token did not say; ``more_groups`` found no room."""

    issuer: str
    subject: str
    claims: Mapping[str, str]
    email_verified: bool
    groups: tuple[str, ...] | None
    more_groups: int
    ref: str  # whom the door found, "" = nobody
    refusal: str
    at: int  # epoch seconds


class Remembered(NamedTuple):
    """A file of sightings. Times in epoch seconds; ``left_out`` came when there was no room."""

    since: int
    saved_at: int
    left_out: int
    issuers: Mapping[str, str]  # name to address
    seen: tuple[Seen, ...]


class SightingsFault(Exception):
    """The file cannot be used; says why."""


class _Kept:
    """One issuer's subjects, the one that was seen last at the end: time and the rest of the entry as JSON."""

    __slots__ = ("address", "bytes", "subjects")

    def __init__(self, address: str) -> None:
        self.address = address
        self.subjects: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self.bytes = 0

    def put(self, subject: str, at: int, entry: bytes) -> None:
        before = self.subjects.pop(subject, None)
        self.bytes += len(entry) - (len(before[1]) if before is not None else 0)
        self.subjects[subject] = (at, entry)

    def drop_oldest(self) -> None:
        _, (_, entry) = self.subjects.popitem(last=False)
        self.bytes -= len(entry)


class Sightings:
    """Control's memory of them. ``wall`` gives epoch seconds."""

    def __init__(self, folder: Path, wall: Callable[[], float]) -> None:
        self._path = folder / FILE
        self._wall = wall
        self._keep_s = 0.0
        self._kept: dict[str, _Kept] = {}
        self._since = int(wall())
        self._left_out = 0
        self._changed = False
        self._saving = asyncio.Lock()
        self._restore()

    def __len__(self) -> int:
        return sum(len(kept.subjects) for kept in self._kept.values())

    def configure(self, addresses: Mapping[str, str], keep_s: float) -> None:
        """Follow these issuers, by name and address, and keep what they say for ``keep_s`` seconds; 0: nothing."""
        self._keep_s = keep_s
        stale = [name for name, kept in self._kept.items() if not keep_s or addresses.get(name) != kept.address]
        for name in stale:
            del self._kept[name]
        self._changed = self._changed or bool(stale)
        for name, address in addresses.items() if keep_s else ():
            self._kept.setdefault(name, _Kept(address))
        if not keep_s:
            self._since = int(self._wall())
            with suppress(OSError):
                self._path.unlink()
        self._forget_old()

    def take(self, message: Mapping[str, Any]) -> None:
        """What a door tells. Entries that are not exactly entries are nothing."""
        seen, left_out = message.get("seen"), message.get("left_out")
        if not self._keep_s or not isinstance(seen, list):
            return
        self._left_out = min(LATEST, self._left_out + (left_out if type(left_out) is int and left_out > 0 else 0))
        now = int(self._wall())
        for entry in map(seen_in, seen):
            if entry is not None and entry.issuer in self._kept:
                self._put(entry._replace(at=min(entry.at, now)))
        self._forget_old()

    async def save(self) -> str:
        """Write what has changed. Why that could not be done; "" when it was, or there was no need."""
        async with self._saving:
            if not self._changed or not self._keep_s:
                return ""
            self._forget_old()
            self._changed = False
            lines = [entry for kept in self._kept.values() for entry in kept.subjects.values()]
            try:
                await asyncio.to_thread(self._write, self._head(len(lines)), lines)
            except OSError as error:
                self._changed = True
                telemetry.log("sightings_not_saved", level="error", why=str(error))
                return str(error)
            return ""

    async def keep_saved(self) -> None:
        """For as long as control runs."""
        while True:
            await asyncio.sleep(SAVED_EACH_S)
            await self.save()

    # === inside ===

    def _put(self, seen: Seen) -> None:
        entry = orjson.dumps({name: value for name, value in seen._asdict().items() if name != "at"})
        kept = self._kept[seen.issuer]
        if len(entry) > ENTRY_BYTES:
            self._left_out += 1
            return
        kept.put(seen.subject, seen.at, entry)
        self._changed = True
        if len(kept.subjects) > SUBJECTS:
            kept.drop_oldest()
        while sum(each.bytes for each in self._kept.values()) > HELD_BYTES:
            max(self._kept.values(), key=lambda each: each.bytes).drop_oldest()

    def _forget_old(self) -> None:
        oldest = self._wall() - self._keep_s
        for kept in self._kept.values():
            while kept.subjects and next(iter(kept.subjects.values()))[0] < oldest:
                kept.drop_oldest()
                self._changed = True

    def _head(self, entries: int) -> bytes:
        head = {
            "version": VERSION,
            "since": self._since,
            "saved_at": int(self._wall()),
            "left_out": self._left_out,
            "issuers": {name: kept.address for name, kept in self._kept.items()},
            "entries": entries,
        }
        return orjson.dumps(head)

    def _write(self, head: bytes, entries: Iterable[tuple[int, bytes]]) -> None:
        """In a thread: whole or not at all, readable by its owner alone."""
        lines = (b'{"at":%d,%b\n' % (at, entry[1:]) for at, entry in entries)
        write_whole(self._path, chain((head + b"\n",), lines))

    def _restore(self) -> None:
        try:
            remembered = read_sightings(self._path)
        except FileNotFoundError:
            return
        except (OSError, SightingsFault) as error:
            telemetry.log("sightings_not_read", level="warning", why=str(error), fix="none are remembered from before")
            return
        self._since, self._left_out = remembered.since, remembered.left_out
        self._kept = {name: _Kept(address) for name, address in remembered.issuers.items()}
        for seen in sorted(remembered.seen, key=lambda each: each.at):
            self._put(seen)
        self._changed = False


def read_sightings(path: Path) -> Remembered:
    """Raises `FileNotFoundError`, `OSError`, or `SightingsFault` when the file is damaged or of another version."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        content = file.read(FILE_BYTES + 1)
    if len(content) > FILE_BYTES:
        raise SightingsFault(f"`{path}` is larger than {FILE_BYTES >> 20} MiB")
    first, *lines = content.splitlines() or [b""]
    try:
        head = orjson.loads(first)
        seen = [seen_in(orjson.loads(line)) for line in lines]
    except orjson.JSONDecodeError:
        raise SightingsFault(f"`{path}` is damaged") from None
    if not isinstance(head, dict) or head.get("version") != VERSION:
        raise SightingsFault(f"`{path}` is of another version")
    issuers, entries = head.get("issuers"), head.get("entries")
    known = [each for each in seen if each is not None]
    if not _is_texts(issuers) or entries != len(known) or len(known) != len(seen):
        raise SightingsFault(f"`{path}` is damaged")
    if not issuers.keys() >= {each.issuer for each in known}:
        raise SightingsFault(f"`{path}` is damaged")
    since, saved_at, left_out = (head.get(name) for name in ("since", "saved_at", "left_out"))
    if not (_is_count(since) and _is_count(saved_at) and _is_count(left_out)):
        raise SightingsFault(f"`{path}` is damaged")
    return Remembered(since, saved_at, left_out, issuers, tuple(known))


def seen_in(entry: object) -> Seen | None:
    """What an entry says, or None: every field must be there as `Seen` has it, short and without control characters."""
    if not isinstance(entry, dict):
        return None
    issuer, subject, claims = entry.get("issuer"), entry.get("subject"), entry.get("claims")
    groups, verified = entry.get("groups"), entry.get("email_verified")
    more, ref, refusal, at = (entry.get(name) for name in ("more_groups", "ref", "refusal", "at"))
    if not (is_clean(issuer) and is_clean(subject) and _is_texts(claims) and len(claims) <= CLAIMS):
        return None
    if groups is not None and not (isinstance(groups, list) and all(map(is_clean, groups))):
        return None
    if type(verified) is not bool or not _is_count(more) or not _is_count(at):
        return None
    if not all(isinstance(text, str) and (text == "" or is_clean(text)) for text in (ref, refusal)):
        return None
    told = None if groups is None else tuple(groups)
    return Seen(str(issuer), str(subject), claims, verified, told, more, str(ref), str(refusal), at)


def _is_texts(value: object) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(is_clean(name) and is_clean(text) for name, text in value.items())


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= LATEST
