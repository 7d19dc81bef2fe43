"""Virtual servers are read page by page: all of them, once, and never a part of them as if it were all."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

import pytest

from gateway.engine.network.bigip.device import observe
from gateway.engine.network.bigip.device.client import Client
from gateway.engine.network.faults import Busy, Unreachable

NAME = "stagedoor_prod"


class Paged:
    """A device's collections; ``ways`` change how it pages."""

    where = "`dc1`"

    def __init__(self, count: int, **ways: Any) -> None:
        self.paths = [f"/{NAME}/a{number}/vs" for number in range(count)]
        self.ways = ways
        self.asked: list[str] = []

    async def read(self, path: str) -> Any:
        await asyncio.sleep(0)
        if "/virtual?" not in path:
            return {}
        self.asked.append(path)
        found = re.search(r"\$top=(\d+)&\$skip=(\d+)", path)
        assert found
        top, skip = int(found[1]), int(found[2])
        if self.ways.get("shrinks") and skip:
            self.paths = self.paths[1:]
        if self.ways.get("shrinks once") and skip == top:
            self.paths = self.paths[1:]
        if self.ways.get("endless"):
            shown = [f"/{NAME}/a{skip + number}/vs" for number in range(top)]
        else:
            shown = self.paths if self.ways.get("ignores") else self.paths[skip : skip + top]
        more = {} if self.ways.get("silent") else {"totalItems": len(self.paths)}
        return {"items": [{"fullPath": each} for each in shown], **({} if self.ways.get("endless") else more)}


def read(device: Paged, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.setattr(observe, "PAGE", 3)
    return set(asyncio.run(observe.parts_of(cast(Client, device), NAME)))


@pytest.mark.parametrize("ways", [{}, {"silent": True}], ids=["counts", "says no total"])
@pytest.mark.parametrize(("count", "pages"), [(0, 1), (2, 1), (3, 2), (4, 2), (7, 3)])
def test_all_are_read_in_as_few_pages_as_they_fill(
    monkeypatch: pytest.MonkeyPatch, count: int, pages: int, ways: dict[str, bool]
) -> None:
    device = Paged(count, **ways)
    assert read(device, monkeypatch) == set(device.paths)
    assert len(device.asked) == pages


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_device_that_does_not_page_shows_all_at_once(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    device = Paged(count, ignores=True)
    assert read(device, monkeypatch) == set(device.paths)
    assert len(device.asked) <= 2


@pytest.mark.parametrize("how", ["shrinks", "shrinks once"])
def test_a_collection_that_changes_between_its_pages_is_read_again_later(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What moved from one page to the other would count as removed by hand, also where as many were shown as there are
    in the end: one that is gone, and not the one that moved."""
    with pytest.raises(Busy, match="changed while"):
        read(Paged(7, **{how: True}), monkeypatch)


def test_pages_without_end_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Paged(3, endless=True)
    with pytest.raises(Unreachable, match="more than are read"):
        read(device, monkeypatch)
    assert len(device.asked) == observe.PAGES
