"""Frames from one version to the next: what is the same as last time is the very same object, and costs nothing.

`policy.compile.compile_frames` says the same of one version alone and is the definition; a property test holds the two
together over random histories of changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from policy.blocks import DirectoryFrames
from policy.compile import frames_of, roles_frame
from policy.derive import Derived
from policy.facts import Catalog, KeyField
from policy.frames import Frame
from policy.rule import Published
from policy.tracking import differing


class Frames:
    """For one set of settings. A call that failed half-way is not built upon."""

    def __init__(self, key_fields: Iterable[KeyField], environments: tuple[str, ...]) -> None:
        self._key_fields = tuple(key_fields)
        self._environments = environments
        self._forget_all()

    def _forget_all(self) -> None:
        self._is_sound = True
        self._directory = DirectoryFrames(self._key_fields, self._environments)
        self._published: dict[str, Published] = {}
        self._frames: dict[str, Frame] = {}

    def compiled(self, catalog: Catalog, derived: Derived) -> Mapping[str, Frame]:
        """Every frame by name, in order of names. Nobody changes what is returned."""
        if not self._is_sound:
            self._forget_all()
        self._is_sound = False
        changes: dict[str, Frame | None] = {**self._directory.take(catalog), "roles": roles_frame(derived)}
        published = {each.key: each for each in derived.published}
        for key in differing(self._published, published):
            known, each = self._published.get(key), published.get(key)
            if each is None:
                changes |= {f"exposure/{key}": None, f"why/{key}": None}
            elif known is not None and known == each:
                published[key] = known
            else:
                changes |= frames_of(each)
        self._published = published
        self._take(changes)
        self._is_sound = True
        return self._frames

    def _take(self, changes: Mapping[str, Frame | None]) -> None:
        known = self._frames
        fresh = {name: frame for name, frame in changes.items() if frame is not None and known.get(name) != frame}
        gone = [name for name, frame in changes.items() if frame is None and name in known]
        if not fresh and not gone:
            return
        frames = {**known, **fresh}
        for name in gone:
            del frames[name]
        self._frames = dict(sorted(frames.items())) if any(name not in known for name in fresh) else frames
