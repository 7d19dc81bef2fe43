"""What a door decides from: the base and the overlay as one value, and the loader that follows published bases.

`BaseLoader` turns manifests into tables inside a serving loop: it works in slices, so that replacing ten thousand
services delays no request by more than a slice, and it lets go of the old table in slices too, because freeing a
million small objects at once stalls as much as making them. A loader that meets a missing or damaged frame keeps
the table it has and says so in `fault`: a base is taken whole or not at all.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from gateway.frames import (
    FrameStore,
    Manifest,
    SnapshotFault,
    frame_body,
    frame_hash,
    interned,
    read_manifest,
    reading_manifest,
    write_manifest,
)
from gateway.view import Snapshot
from policy.table import Table
from policy.table_builder import TableBuilder

__all__ = [
    "WHY", "BaseLoader", "FrameStore", "Manifest", "Snapshot", "SnapshotFault", "frame_body", "frame_hash",
    "read_manifest", "write_manifest",
]  # fmt: skip

SLICE_S = 0.00025  # of one step: what is left of half a millisecond covers the unit of work that ends it
WHY = "why/"  # sentences and sources: read by explanations, never by a door
_ALONE = ("people/", "keys/")  # frames whose keys are one person's, or one value of a person
_UNIT_NAMES = 500  # names compared between two looks at the clock
_ATTEMPTS = 3  # readings of a manifest that is replaced while it is read


class _Change(NamedTuple):
    """Taken apart while it is worked on: whatever is freed as a whole at the end would be one stall."""

    base: str
    put: deque[tuple[str, str]]
    drop: deque[str]


class BaseLoader:
    """Follows the published base: `begin` says that there is news, `step` works on it for a slice.

    INVARIANT: `table`, `base` and `names` belong to one manifest and change together, when a load is complete.
    """

    def __init__(self, folder: Path, *, with_why: bool = False, clock: Callable[[], float] = perf_counter) -> None:
        self.table = Table.allow_none()
        self.base = ""
        self.names: dict[str, str] = {}
        self.why: dict[str, Any] = {}  # the frames of sentences and sources, where they are wanted
        self.fault = ""
        self._folder = folder
        self._store = FrameStore(folder)
        self._with_why = with_why
        self._clock = clock
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._run: Iterator[Table | None] | None = None

    @property
    def busy(self) -> bool:
        return self._run is not None or bool(self._waiting)

    def begin(self, message: Mapping[str, Any] | None = None) -> None:
        """Take a `base` message: the delta from a base, or (also with no message) the whole manifest on disk."""
        self._waiting.append(message if message is not None else {"full": True})

    def step(self, budget_s: float = SLICE_S) -> Table | None:
        """Work for about ``budget_s``. Returns the new table once it is complete; `busy` says if more is to do.

        The collector rests meanwhile and then looks at what this slice made, alone: left to itself it would walk
        the work of ten slices at once, which takes longer than three of them.
        """
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._work(self._clock() + budget_s)
        finally:
            gc.collect(1)
            if collecting:
                gc.enable()

    def _work(self, until: float) -> Table | None:
        if self._run is None:
            if not self._waiting:
                return None
            self._run = self._follow()
        for made in self._run:
            if made is not None:
                return made
            if self._clock() >= until:
                return None
        self._run = None
        return None

    def load(self) -> Table:
        """Everything at once, for the time before a process serves."""
        self.begin()
        while self.busy:
            self.step(1.0)
        return self.table

    def _follow(self) -> Iterator[Table | None]:
        while self._waiting:
            message = self._waiting.popleft()
            if self._waiting:  # several changes behind: the manifest on disk holds them all
                self._waiting.clear()
                message = {"full": True}
            for _ in range(_ATTEMPTS):
                try:
                    yield from self._take(message)
                    self.fault = ""
                    break
                except SnapshotFault as fault:
                    self.fault = str(fault)
                    message = {"full": True}  # perhaps collected meanwhile: what is published now?
                    yield None

    def _take(self, message: Mapping[str, Any]) -> Iterator[Table | None]:
        change = yield from self._change(message)
        if change is None:
            return
        yield None
        builder = TableBuilder(self.table)
        yield None
        names, why = dict(self.names), dict(self.why)
        leaving = _Leaving(self.table, self.names)
        yield None
        while change.drop:
            name = change.drop.popleft()
            names.pop(name, None)
            if name.startswith(WHY):
                why.pop(name, None)
            else:
                leaving.keep(name)
                builder.drop(name)
            yield None
        while change.put:
            name, digest = change.put.popleft()
            frame = yield from self._decoded(name, digest)
            if name.startswith(WHY):
                why[name] = frame
            else:
                leaving.keep(name)
                _put(builder, name, frame)
            names[name] = digest
            del frame
            yield None
        self.table, self.base, self.names, self.why = builder.finish(), change.base, names, why
        del builder
        yield self.table
        yield from leaving.release()

    def _decoded(self, name: str, digest: str) -> Generator[None, None, Any]:
        """A frame's data; a long mapping is interned in several units. What is said of one person alone is not: a
        hundred thousand more interned strings would save little, and stall for 15 ms when their table grows."""
        frame = self._store.read_plain(digest)
        if name.startswith(_ALONE):
            return frame if type(frame) is not dict else {ref: _teams(said) for ref, said in frame.items()}
        if type(frame) is not dict or len(frame) <= _UNIT_NAMES:
            return interned(frame)
        yield
        shared = {}
        for position, (key, value) in enumerate(frame.items()):
            shared[interned(key)] = interned(value)
            if position % _UNIT_NAMES == 0:
                yield
        return shared

    def _change(self, message: Mapping[str, Any]) -> Generator[None, None, _Change | None]:
        """What to put and drop; None when nothing is published yet."""
        if _is_delta(message) and message.get("from") == self.base and self.base:
            put = deque((str(name), str(digest)) for name, digest in message["set"].items() if self._wanted(name))
            return _Change(str(message["base"]), put, deque(name for name in message["drop"] if name in self.names))
        manifest = yield from reading_manifest(self._folder, self.names, "" if self._with_why else WHY)
        if manifest is None:
            return None
        put, drop = deque[tuple[str, str]](), deque[str]()
        for position, (name, digest) in enumerate(manifest.frames.items()):
            if self.names.get(name) != digest:
                put.append((name, digest))
            if position % _UNIT_NAMES == 0:
                yield
        for position, name in enumerate(self.names):
            if name not in manifest.frames:
                drop.append(name)
            if position % _UNIT_NAMES == 0:
                yield
        return _Change(manifest.base, put, drop)

    def _wanted(self, name: str) -> bool:
        return self._with_why or not name.startswith(WHY)


def _teams(said: Any) -> Any:
    return interned(said) if type(said) is tuple else said


def _put(builder: TableBuilder, name: str, frame: Any) -> None:
    """Sound bytes may still be another version's: whatever does not fit is a fault, and what is served stays."""
    try:
        builder.put(name, frame)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as misfit:
        raise SnapshotFault(f"frame `{name}` does not fit this program: {misfit}") from None


def _is_delta(message: Mapping[str, Any]) -> bool:
    return not message.get("full") and isinstance(message.get("set"), dict) and isinstance(message.get("drop"), list)


class _Leaving:
    """Holds what a change replaces until it can be let go of bit by bit: the last reference to ten thousand
    exposures at once would free them all in one stall, and so would their names."""

    def __init__(self, table: Table, names: Mapping[str, str]) -> None:
        self._exposures = table.exposures
        self._sites = table.sites
        self._names = names
        self._directory = table.directory.frames()
        self._held: list[object] = []

    def keep(self, name: str) -> None:
        kind, _, key = name.partition("/")
        if kind == "exposure":
            exposure = self._exposures.get(key)
            if exposure is not None:
                self._held += (exposure, self._sites.get(exposure.host))
        elif name in self._directory:
            self._held.append(self._directory.pop(name))

    def release(self) -> Iterator[None]:
        """Called when nothing but this holds the old table."""
        self._held += self._names.values()
        del self._names
        yield
        self._held += self._exposures
        del self._exposures
        yield
        self._held += self._sites
        del self._sites, self._directory
        while self._held:
            yield
            self._held.pop()
