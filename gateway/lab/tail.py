"""The newest decisions, read from the end of the audit trail's files as the doors write them.

The start page shows what the audit trail says and nothing it had to be told separately: if a decision is not on
record it is not on the page. Lines about the trail itself (blocks, starts) and the page's own requests are left
out. A line is read once it is complete; a file that shrinks or goes is read from its beginning or forgotten.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any, Final

import orjson

KEPT: Final = 10
FIRST_LOOK_BYTES: Final = 256 * 1024  # of a file that is already there
SEGMENTS: Final = "*.jsonl"

Decision = dict[str, Any]


class Tail:
    """Follows all files of a folder. ``newest`` holds the last decisions, oldest first."""

    def __init__(self, folder: Path, leave_out: str) -> None:
        self._folder = folder
        self._leave_out = leave_out  # prefix of exposures that are no news
        self._read_to: dict[Path, int] = {}
        self.newest: deque[Decision] = deque(maxlen=KEPT)

    def read(self) -> list[Decision]:
        """What has been decided since the last call, oldest first, at most as many as are kept."""
        fresh: list[Decision] = []
        for path in sorted(self._folder.glob(SEGMENTS)):
            for line in self._lines(path):
                decision = _decision(line)
                if decision is not None and not str(decision.get("exposure", "")).startswith(self._leave_out):
                    fresh.append(decision)
        fresh.sort(key=lambda decision: str(decision.get("time", "")))
        del fresh[:-KEPT]
        self.newest.extend(fresh)
        return fresh

    def _lines(self, path: Path) -> list[bytes]:
        try:
            size = path.stat().st_size
            start = self._read_to.get(path, max(0, size - FIRST_LOOK_BYTES))
            if start > size:
                start = 0
            if start == size:
                return []
            with path.open("rb") as file:
                file.seek(start)
                piece = file.read(size - start)
        except FileNotFoundError:
            self._read_to.pop(path, None)
            return []
        whole = piece.rfind(b"\n") + 1
        self._read_to[path] = start + whole
        return piece[:whole].splitlines()


def _decision(line: bytes) -> Decision | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:  # the first look may begin inside a line
        return None
    return record if isinstance(record, dict) and "decision" in record else None
