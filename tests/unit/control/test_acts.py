"""Promises about acts: one counts as live when every door of the node has said so, and not before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.control import acts as module
from gateway.control.acts import Acts
from gateway.control.cuts import Cuts
from gateway.control.doors import Doors
from gateway.control.overlay import Overlay
from gateway.control.signin.pins import Pins
from gateway.control.store import Store
from gateway.link import PeerCredentials

CUT = {"t": "cut", "kind": "person", "ref": "jane", "because": "a laptop is lost"}


def answered(folder: Path, connected: int, behind: int) -> dict[str, Any]:
    """What a cut is answered on a node of two doors, of which so many are here, ``behind`` the newest overlay."""

    async def ask() -> dict[str, Any]:
        overlay = Overlay(folder, lambda message: None)
        cuts = Cuts(folder, overlay, cast("Store", SimpleNamespace()), lambda: 1_800_000_000.0)

        class Following:
            @property
            def live_seq(self) -> int:
                return overlay.seq - behind

        doors = Following()
        doors.connected, doors.overlay = connected, overlay  # type: ignore[attr-defined]  # as `Doors` has them
        acts = Acts(cuts, cast("Pins", SimpleNamespace()), cast("Doors", doors), 2)
        return await acts.answer(CUT, PeerCredentials(1, 0, 0))

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("connected", "behind", "live"), [(2, 0, True), (3, 0, True), (1, 0, False), (0, 0, False), (2, 1, False)]
)
def test_a_door_that_is_not_here_has_acknowledged_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connected: int, behind: int, live: bool
) -> None:
    """A restarted control meets one door after the other: those it has not met go on with what they knew."""
    monkeypatch.setattr(module, "LIVE_S", 0.02)
    said = answered(tmp_path, connected, behind)
    assert (said["t"], said["live"], said["doors"]) == ("cut_done", live, 2)
