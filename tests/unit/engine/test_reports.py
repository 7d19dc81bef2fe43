"""What the engine tells control each second goes on, whatever one report held."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.engine import catalogs
from gateway.engine.catalogs import Reports
from gateway.link import LinkServer, Message

HARNESS_S = 60.0


@pytest.mark.parametrize("spoilt", ["x" * 2_000, "\ud800"], ids=["too long", "no text"])
def test_a_report_that_cannot_be_sent_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], spoilt: str
) -> None:
    monkeypatch.setattr(catalogs, "REPORT_S", 0.01)
    heard: list[Message] = []
    states: list[dict[str, Any]] = [{"device": "good"}]
    asked = 0

    def devices() -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        return states

    async def scene() -> None:
        server = LinkServer(tmp_path / "control.sock", lambda _, message: heard.append(message), lambda _: None)
        await server.start()
        reports = Reports(tmp_path, list, devices)
        reports.start()

        async def until_told(name: str) -> None:
            while not any(each.get("devices") == [{"device": name}] for each in heard):
                await asyncio.sleep(0.005)

        async with asyncio.timeout(HARNESS_S):
            await until_told("good")
            assert reports._client._link is not None
            reports._client._link._limit = 1_000
            states[:] = [{"device": spoilt}]
            before = asked
            while asked < before + 3:
                await asyncio.sleep(0.005)
            states[:] = [{"device": "better"}]
            await until_told("better")
        reports.close()
        server.close()

    asyncio.run(scene())
    assert capfd.readouterr().err.count("report_untold") == 1
