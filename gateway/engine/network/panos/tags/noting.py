"""What a firewall was told of tags, in the audit trail.

What is taken away is noted after it was told, also where nobody knows whether it was taken: a trail that cannot be
written delays no revocation. What is given is noted before: without the trail nothing is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from gateway import telemetry
from gateway.engine.network.faults import Busy
from gateway.engine.network.history.trail import Untold
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.userid import Entry, What
from gateway.engine.network.panos.tags.allowing import WORDS
from gateway.engine.network.panos.tags.delta import Delta

TOLD: Final = "device_tags_told"
NAMED: Final = 100  # who lost something by a revocation
Note = Callable[[str, Mapping[str, object]], Awaitable[None]]


async def nowhere(_event: str, _fields: Mapping[str, object]) -> None:
    return None


class Notes:
    """Of one firewall. ``write`` puts an event on the disk, and raises `Untold`."""

    def __init__(self, device: str) -> None:
        self.write: Note = nowhere
        self._device = device

    async def taken(self, client: Client, version: str, delta: Delta) -> None:
        """Raises nothing that a disk can cause."""
        if not delta.losses:
            return
        who = sorted({entry.key for entry in delta.revoked})
        counted = _counted(revoked=delta.revoked, removed=(*delta.gone, *delta.removed))
        named = {"who": who[:NAMED], "more": max(len(who) - NAMED, 0)}
        try:
            await self.write(TOLD, {**self._head(client, version), **counted, **named})
        except Untold as fault:
            telemetry.log("device_tags_untold", level="error", device=self._device, why=str(fault))

    async def given(self, client: Client, version: str, **entries: Sequence[Entry]) -> None:
        """By what it is. Raises `Busy` where it cannot be noted."""
        if not any(entries.values()):
            return
        try:
            await self.write(TOLD, {**self._head(client, version), **_counted(**entries)})
        except Untold as fault:
            raise Busy(f"`{self._device}` is given no tags: {fault}") from None

    def _head(self, client: Client, version: str) -> dict[str, object]:
        return {"device": self._device, "unit": client.unit, "version": version}


def _counted(**said: Sequence[Entry]) -> dict[str, object]:
    """How many users and addresses, by what happens to them."""
    return {
        name: {WORDS[what]: sum(1 for entry in entries if entry.what is what) for what in What}
        for name, entries in said.items()
    }
