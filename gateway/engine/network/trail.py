"""The audit trail of device changes: a chain of its own beside the doors', each event fsynced before the next step.

An apply leaves two events: what is about to be sent, before the first byte, and how it ended. Without the first there
is no apply; a process that dies in between leaves an apply without an end, which the next look at the device tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.audit.disk import Disk
from gateway.audit.record import event_line
from gateway.audit.trail import Trail
from gateway.errors import StagedoorError

CHAIN: Final = "devices-"
SEGMENT_BYTES: Final = 64 * 1024 * 1024
BEGUN: Final = "device_apply_begun"
ENDED: Final = "device_apply_ended"


class Untold(StagedoorError):
    """The audit trail cannot be written: nothing is changed then."""


class DeviceTrail:
    """Blocks on the disk: for a worker thread. Opens nothing before the first event."""

    def __init__(self, folder: Path, now_ms: Callable[[], int]) -> None:
        self._folder = folder
        self._now_ms = now_ms
        self._trail: Trail | None = None

    def note(self, event: str, fields: Mapping[str, object]) -> None:
        """On the disk when this returns. Raises `Untold`."""
        try:
            trail = self._trail = self._trail or self._opened()
            trail.add([event_line(event, self._now_ms(), fields)])
            trail.write()
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
