"""The audit trail of device changes: a chain of its own beside the doors', each event fsynced before the next step.

An apply leaves two events: what is about to be sent, before the first byte, and how it ended. Without the first there
is no apply; a process that dies in between leaves an apply without an end, which the next look at the device tells.
The last few applies of each environment are remembered for readers, over restarts as far as the newest files tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.audit.disk import Disk
from gateway.audit.record import event_line, timestamp
from gateway.audit.trail import Trail
from gateway.errors import StagedoorError

CHAIN: Final = "devices-"
SEGMENT_BYTES: Final = 64 * 1024 * 1024
BEGUN: Final = "device_apply_begun"
ENDED: Final = "device_apply_ended"
REMEMBERED: Final = 20  # applies of one environment
READ_BYTES: Final = 4 * 1024 * 1024  # of the newest files, for those of earlier runs
_SAID: Final = ("time", "by", "ticket", "plan", "version", "result", "why", "task")
_TEXT_LENGTH: Final = 600
_MOST_REMOVED: Final = 20


class Untold(StagedoorError):
    """The audit trail cannot be written: nothing is changed then."""


class DeviceTrail:
    """Blocks on the disk: for a worker thread. Opens nothing before the first event."""

    def __init__(self, folder: Path, now_ms: Callable[[], int]) -> None:
        self._folder = folder
        self._now_ms = now_ms
        self._trail: Trail | None = None
        self._applies: dict[tuple[str, str], deque[dict[str, Any]]] = {}

    def recent(self, device: str, environment: str) -> list[dict[str, Any]]:
        """The last applies, the newest first; ``result`` is "" of one whose end is not in the trail. From any thread,
        without waiting."""
        return list(reversed(tuple(self._applies.get((device, environment), ()))))

    def recall(self) -> None:
        """Read what earlier runs have noted, before the first note. What cannot be read is left out: the trail is the
        proof, not this."""
        for said in _events_in(self._folder):
            self._remember(said)

    def note(self, event: str, fields: Mapping[str, object]) -> None:
        """On the disk when this returns. Raises `Untold`."""
        try:
            trail = self._trail = self._trail or self._opened()
            trail.add([event_line(event, self._now_ms(), fields)])
            trail.write()
            if event in (BEGUN, ENDED):
                self._remember({"event": event, "time": timestamp(self._now_ms()), **fields})
        except OSError as fault:
            if self._trail is not None:
                self._trail.drop_block()
            raise Untold(f"the audit trail in `{self._folder}` cannot be written: {fault.strerror or fault}") from None

    def close(self) -> None:
        trail, self._trail = self._trail, None
        if trail is None:
            return
        try:
            trail.stop()
        except OSError:
            return  # the next run says that this one did not end as it should
        finally:
            trail.release()

    def _opened(self) -> Trail:
        return Trail(self._folder, CHAIN, "batch", Disk(), self._now_ms, SEGMENT_BYTES)

    def _remember(self, said: Mapping[str, Any]) -> None:
        key = (str(said.get("device", "")), str(said.get("environment", "")))
        applies = self._applies.setdefault(key, deque(maxlen=REMEMBERED))
        apply = _apply_of(said)
        if said["event"] == ENDED and applies and not applies[-1]["result"] and applies[-1]["plan"] == apply["plan"]:
            applies[-1] = {**apply, "begun": applies[-1]["begun"]}
        else:
            applies.append(apply)


def _apply_of(said: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: str(said.get(name, ""))[:_TEXT_LENGTH] for name in _SAID}
    removed, steps = said.get("removed"), said.get("steps")
    if said["event"] == BEGUN:
        texts |= {"result": "", "why": "", "task": ""}
    return {
        **texts,
        "steps": steps if type(steps) is int else 0,
        "begun": texts["time"],
        "removed": [str(each)[:_TEXT_LENGTH] for each in removed[:_MOST_REMOVED]] if isinstance(removed, list) else [],
        "removals_approved": said.get("removals_approved") is True,
        "adopts": said.get("adopts") is True,
    }


def _events_in(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Of applies, in the order in which they were written."""
    left = READ_BYTES
    parts: list[bytes] = []
    for path in _newest(folder.glob(f"{CHAIN}*.jsonl")):
        if left <= 0:
            break
        try:
            with path.open("rb") as opened:
                size = opened.seek(0, 2)
                opened.seek(max(0, size - left))
                parts.append(opened.read(left))
        except OSError:
            continue
        left -= len(parts[-1])
    for line in b"\n".join(reversed(parts)).splitlines():
        if b'"device_apply_' not in line:
            continue
        try:
            said = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(said, dict) and said.get("event") in (BEGUN, ENDED):
            yield said


def _newest(paths: Iterable[Path]) -> list[Path]:
    """By when they were written to last; a file that goes meanwhile is the oldest."""

    def written_s(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(paths, key=lambda path: (written_s(path), path.name), reverse=True)
