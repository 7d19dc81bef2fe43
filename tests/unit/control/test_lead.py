"""Promise to whoever runs several nodes: an engine always hears whether its node leads, and after whatever restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.control.lead import Lead
from gateway.link import Link, LinkServer, Message


class _Store:
    """Of which this test decides who leads."""

    def __init__(self) -> None:
        self.changed: Callable[[int | None], None]
        self.closed = False

    def leadership(self, name: str, node: str, changed: Callable[[int | None], None]) -> _Store:
        self.changed = changed
        return self

    def start(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True
        self.changed(None)


class _Engine:
    """What an engine hears."""

    def __init__(self, folder: Path) -> None:
        self.heard: asyncio.Queue[object] = asyncio.Queue()
        self._server = LinkServer(folder / "engine.sock", self._on_message, lambda link: None)

    def _on_message(self, link: Link, message: Message) -> None:
        assert message["t"] == "lead"
        self.heard.put_nowait(message["fence"])

    async def start(self) -> _Engine:
        await self._server.start()
        return self

    async def next(self) -> object:
        async with asyncio.timeout(20):
            return await self.heard.get()

    def close(self) -> None:
        self._server.close()


def test_an_engine_hears_of_every_change_and_of_what_holds_when_it_comes_back(tmp_path: Path) -> None:
    async def told() -> list[object]:
        store = _Store()
        lead = Lead(store, tmp_path)  # type: ignore[arg-type]  # of the store it takes this alone
        engine = await _Engine(tmp_path).start()
        lead.start()
        heard = [await engine.next()]
        for fence in (7, None, 8):
            store.changed(fence)
            heard.append(await engine.next())
        engine.close()
        again = await _Engine(tmp_path).start()
        heard.append(await again.next())
        await lead.close()
        again.close()
        assert store.closed
        return heard

    assert asyncio.run(told())[:5] == [None, 7, None, 8, 8]
