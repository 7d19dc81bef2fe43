"""Tells this node's engine whether it is the one that acts for all nodes: on devices, one writes.

Nodes that share a database agree on a leader there; control holds the database, so it tells its own engine. Where the
store is this node's own there is nobody to agree with, and the engine leads without being told. An engine that hears
nothing any more, because control is away, leads no longer (`engine.network`).
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

from gateway.control.store import Store
from gateway.link import LinkClient, Message

SOCKET: Final = "engine.sock"
NAME: Final = "devices"


class Lead:
    """`start` inside the running loop; `close` before the store is closed."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._fence: int | None = None
        self._link = LinkClient(folder / SOCKET, self._message, lambda message: None)
        self._leadership = store.leadership(NAME, f"{platform.node()} {folder}", self._changed)

    def start(self) -> None:
        self._leadership.start()
        self._link.start()

    async def close(self) -> None:
        await self._leadership.close()
        self._link.close()

    def _changed(self, fence: int | None) -> None:
        self._fence = fence
        self._link.send(self._message())

    def _message(self) -> Message:
        return {"t": "lead", "fence": self._fence}
