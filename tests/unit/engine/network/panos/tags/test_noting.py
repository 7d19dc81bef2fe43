"""What a firewall was told is in the audit trail, and what the trail's absence holds up and what not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.engine.network.faults import Busy
from gateway.engine.network.history.trail import Untold
from gateway.engine.network.panos.tags.noting import NAMED, TOLD
from tests.support.tag_scenes import HOSTS, MARK, PAY, alone, wish
from tests.support.tag_worker import Worked


class Trail:
    def __init__(self) -> None:
        self.said: list[Mapping[str, object]] = []
        self.is_full = False

    async def write(self, event: str, fields: Mapping[str, object]) -> None:
        if self.is_full:
            raise Untold("the disk is full")
        assert event == TOLD
        self.said.append(fields)


def test_what_is_told_is_counted_and_who_is_cut_off_is_named(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        trail = Trail()
        worked.worker.notes.write = trail.write
        people = {f"p{number:03}": {PAY} for number in range(NAMED + 3)}
        await worked.settled(wish({"bob": {PAY}, **people}, {"192.0.2.1": {HOSTS}}))
        await worked.settled(wish(addresses={"192.0.2.1": {HOSTS}}, cut=frozenset(people)))
        head = {"device": "edge", "unit": worked.firewall.url, "version": "v1"}
        gave, took = trail.said
        assert gave == {**head, "given": {"addresses": 1, "users": len(people) + 1}}
        who = {"who": sorted(people)[:NAMED], "more": 3}
        counts = {"revoked": {"addresses": 0, "users": len(people)}, "removed": {"addresses": 0, "users": 1}}
        assert took == {**head, **counts, **who}

    alone(scene, tmp_path, removed_share=1.0)


def test_without_the_trail_revocations_go_on_and_nothing_is_given(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        trail = Trail()
        worked.worker.notes.write = trail.write
        await worked.settled(wish({"ann": {PAY}, "bob": {PAY}}))
        trail.is_full = True
        with pytest.raises(Busy, match="the disk is full"):
            await worked.settled(wish({"cy": {PAY}, "bob": {PAY}}, cut=frozenset({"ann"})))
        assert worked.tags("ann") == worked.tags("cy") == set()
        trail.is_full = False
        await worked.settled()
        assert worked.tags("cy") == {PAY, MARK}

    alone(scene, tmp_path)
