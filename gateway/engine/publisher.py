"""Writes frames and manifest, and says what changed. The order is what keeps readers whole: frames are on disk before
the manifest names them, the manifest is replaced before anybody is told, and a frame leaves only when no recent
manifest names it. Frames that are left over go a few at a time, because the next change may be waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.engine.compilation import BASE_DIGITS, COMPILER
from gateway.snapshot import WHY, FrameStore, Manifest, SnapshotFault, frame_hash, read_manifest, write_manifest
from policy.tracking import differing

DELTA_FRAMES = 200  # a longer delta is not sent: doors read the manifest, in slices
KEPT_MANIFESTS = 3  # a door may still be reading the frames of those before the last
KEPT_S = 60.0
REMOVED_AT_ONCE = 200


class Publisher:
    """``base`` and ``frames`` are what the manifest on disk says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = FrameStore(folder)
        self.fault = ""
        try:
            self.manifest = read_manifest(folder) or Manifest("", COMPILER, {})
        except SnapshotFault as fault:
            self.fault = str(fault)
            self.manifest = Manifest("", COMPILER, {})
        self._frames: Mapping[str, Any] = {}  # the very frames that were published last
        self._names: dict[str, str] = {}  # their hashes, in order of names
        self._turn = KEPT_MANIFESTS  # counts manifests
        self._left: dict[str, int] = {}  # frames by the turn that named them no more, the oldest first
        self._is_listed = False  # whether those that others left are among them

    @property
    def base(self) -> str:
        return self.manifest.base

    def whole(self) -> dict[str, Any]:
        """The message that sends its reader to the manifest."""
        return {"t": "base", "base": self.base, "full": True}

    def publish(self, base: str, frames: Mapping[str, Any]) -> dict[str, Any] | None:
        """Make these frames the base. Returns the message for the doors, None when nothing changed."""
        changed = differing(self._frames, frames)
        hashes = {name: self._store.write(frames[name]) for name in changed if name in frames}
        names = self._names | hashes
        if len(names) > len(self._names):
            names = dict(sorted(names.items()))
        for name in changed:
            if name not in frames:
                del names[name]
        settled = self._store.settle()
        before = self.manifest
        if before.frames is not self._names:  # another process made it, or writing the last one failed
            changed = [*(before.frames.keys() | names.keys())]
        self._frames, self._names = frames, names
        if names == before.frames and before.base:
            self.manifest = before._replace(frames=names)  # the same by the very names that the next are made of
            # What had to be written was damaged on disk, and a door that met it has nothing or less.
            return self.whole() if settled else None
        if base == before.base:  # another past or another compiler made other frames of the same words
            content = "".join(f"{name} {digest}\n" for name, digest in sorted(names.items()))
            base = frame_hash(f"{base}\n{content}".encode())[:BASE_DIGITS]
        manifest = Manifest(base, COMPILER, names)
        write_manifest(self._folder, manifest)
        self.manifest = manifest
        self._turn += 1
        for name in changed:
            if (digest := before.frames.get(name)) is not None and names.get(name) != digest:
                self._left.pop(digest, None)
                self._left[digest] = self._turn
        self.fault = ""
        return self._message(before, changed)

    def frame(self, name: str) -> Any:
        """A frame of what is published now; None where there is none, or none that can be read."""
        digest = self.manifest.frames.get(name, "")
        if digest and self._names.get(name) == digest:
            return self._frames[name]
        try:
            return self._store.read(digest) if digest else None
        except SnapshotFault:
            return None

    def mend(self) -> int:
        """Write again what the disk has lost of the base; returns how many files that were. Frames that this process
        has not made yet are the next round's business."""
        for name, digest in self._names.items():
            if not self._store.is_sound(digest):
                self._store.write(self._frames[name])
        mended = self._store.settle()
        try:
            if read_manifest(self._folder) == self.manifest:
                return mended
        except SnapshotFault as fault:
            self.fault = str(fault)
        write_manifest(self._folder, self.manifest)
        return mended + 1

    def _message(self, before: Manifest, suspects: list[str]) -> dict[str, Any]:
        """``suspects``: everything that may differ."""
        after = self.manifest
        public = [name for name in suspects if not name.startswith(WHY)]
        changed = {n: after.frames[n] for n in public if n in after.frames and before.frames.get(n) != after.frames[n]}
        dropped = [name for name in public if name in before.frames and name not in after.frames]
        if not before.base or len(changed) + len(dropped) > DELTA_FRAMES:
            return self.whole()
        return {"t": "base", "base": after.base, "from": before.base, "set": changed, "drop": dropped}

    def collect(self, now: float) -> int:
        """Remove some frames that no recent manifest names; ``now`` in epoch seconds. Returns how many."""
        if not self._is_listed:
            known = self._named() | self._left.keys()
            self._left = {**dict.fromkeys((name for name in self._store.names() if name not in known), 0), **self._left}
            self._is_listed = True
        due = [name for name, turn in islice(self._left.items(), REMOVED_AT_ONCE) if self._is_due(name, turn, now)]
        named = self._named() if due else frozenset()
        for name in due:
            del self._left[name]
            if name not in named:
                self._store.remove(name)
        return sum(name not in named for name in due)

    def _is_due(self, name: str, turn: int, now: float) -> bool:
        return self._turn - turn >= KEPT_MANIFESTS - 1 and self._store.age_s(name, now) > KEPT_S

    def _named(self) -> frozenset[str]:
        return frozenset((*self.manifest.frames.values(), *self._names.values()))
