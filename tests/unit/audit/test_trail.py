"""Which events open a block, and what the trail says about a disk that refused."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.chain import verify_paths
from gateway.audit.trail import Sync, Trail
from tests.support.disk import FailingDisk
from tests.support.records import LINE


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


class Runs:
    """Trails of one folder, one after the other."""

    def __init__(self, folder: Path, disk: FailingDisk) -> None:
        self.folder = folder
        self.disk = disk
        self._open: list[Trail] = []

    def trail(self, sync: Sync = "batch", segment_bytes: int = 10**6) -> Trail:
        trail = Trail(self.folder, "door-0", sync, self.disk, lambda: 1_795_300_000_000, segment_bytes)
        self._open.append(trail)
        return trail

    def lines(self) -> list[dict[str, Any]]:
        for trail in self._open:
            trail.release()
        paths = sorted(self.folder.glob("*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines() if "event" in line]


@pytest.fixture
def runs(tmp_path: Path, disk: FailingDisk) -> Iterator[Runs]:
    made = Runs(tmp_path, disk)
    yield made
    made.lines()


def test_a_run_opens_with_start_and_ends_with_stop(runs: Runs) -> None:
    trail = runs.trail()
    trail.add([LINE])
    trail.write()
    trail.stop()
    trail.release()
    assert runs.events() == ["start", "stop"]
    assert runs.lines()[0] | {"version": 1, "chain": "door-0a", "segment": 1, "after_block": 0} == runs.lines()[0]


def test_a_run_after_an_orderly_end_opens_with_start(runs: Runs) -> None:
    for _ in range(2):
        trail = runs.trail()
        trail.stop()
        trail.release()
    assert runs.events() == ["start", "stop", "start", "stop"]
    assert verify_paths([runs.folder]).ok


def test_a_run_after_a_killed_one_says_so_and_names_the_last_block(runs: Runs) -> None:
    trail = runs.trail()
    trail.add([LINE])
    trail.write()
    trail.add([LINE])
    trail.release()  # what a kill leaves: the second block never reached the disk
    again = runs.trail()
    again.begin()
    again.write()
    assert runs.events() == ["start", "unclean_start"]
    unclean = runs.lines()[-2]
    block = runs.lines()[2]
    assert (unclean["after_block"], unclean["after_sha256"], unclean["seq"]) == (1, block["sha256"], 3)


def test_a_full_segment_is_followed_by_the_next(runs: Runs) -> None:
    trail = runs.trail("second", segment_bytes=2000)
    for _ in range(5):
        trail.add([LINE, LINE])
        trail.write()
    trail.stop()
    assert [line["segment"] for line in runs.lines() if "segment" in line] == [1, 2, 3]
    assert verify_paths([runs.folder]).chains[0].records == 10 + 4
    assert verify_paths([runs.folder]).ok


@pytest.mark.parametrize(("sync", "asked"), [("batch", 3), ("second", 0), ("off", 0)])
def test_each_sync_mode_asks_the_disk_as_often_as_it_says(
    runs: Runs, disk: FailingDisk, sync: Sync, asked: int
) -> None:
    trail = runs.trail(sync)
    for _ in range(3):
        trail.add([LINE])
        trail.write()
        trail.sync_if_due()
    assert disk.calls.get("sync", 0) == asked
    assert disk.calls.get("sync_folder", 0) == (sync != "off")


def test_second_syncs_once_a_second_and_only_when_there_is_something(runs: Runs, disk: FailingDisk) -> None:
    trail = runs.trail("second")
    trail.add([LINE])
    trail.write()
    trail._synced_at -= 1.0  # one second later
    trail.sync_if_due()
    trail._synced_at -= 1.0
    trail.sync_if_due()
    assert disk.calls["sync"] == 1


def test_an_orderly_end_is_synced(runs: Runs, disk: FailingDisk) -> None:
    trail = runs.trail("second")
    trail.stop()
    assert disk.calls["sync"] == 1


def test_the_records_of_a_block_that_was_not_written_are_handed_back_unnumbered(runs: Runs, disk: FailingDisk) -> None:
    trail = runs.trail()
    trail.add([LINE])
    trail.write()
    disk.refuse("write")
    trail.add([LINE, LINE])
    with pytest.raises(OSError, match="No space left"):
        trail.write()
    assert trail.held == 2
    assert trail.drop_block() == [LINE, LINE]
    trail.add([LINE])
    trail.write()
    assert [line["seq"] for line in runs.lines() if "seq" in line] == [1, 2, 3]


def test_the_first_block_after_a_failure_says_since_when_why_and_what_was_lost(runs: Runs) -> None:
    trail = runs.trail()
    trail.note_failure("No space left on device", lost=3)
    trail.note_failure("Input/output error", lost=4)
    trail.begin()
    trail.write()
    trail.begin()
    trail.write()
    event = next(line for line in runs.lines() if line.get("event") == "disk_failed")
    assert (event["since"], event["error"], event["lost"]) == ("2026-11-21T22:26:40.000Z", "Input/output error", 7)
    assert runs.events() == ["start", "disk_failed"]
    assert "lost 7" in next(note.text for note in verify_paths([runs.folder]).notes if note.kind == "disk_failed")


def test_after_a_refused_fsync_the_segment_is_given_up_and_its_blocks_are_named(runs: Runs, disk: FailingDisk) -> None:
    trail = runs.trail("second")
    trail.add([LINE])
    trail.write()
    trail.sync()
    for _ in range(2):
        trail.add([LINE])
        trail.write()
    disk.refuse("sync", error=errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        trail.sync()
    trail.note_failure("Input/output error")
    trail.add([LINE])
    trail.write()
    trail.sync()
    event = next(line for line in runs.lines() if line.get("event") == "disk_failed")
    assert event["unsynced_blocks"] == [2, 3]
    assert len(list(runs.folder.glob("*.jsonl"))) == 2
    assert verify_paths([runs.folder]).ok


def test_a_block_is_due_by_size_or_by_age(runs: Runs) -> None:
    trail = runs.trail()
    assert not trail.is_due(1, 0.0)
    trail.add([LINE])
    assert trail.is_due(1, 3600)
    assert trail.is_due(10**6, 0.0)
    assert not trail.is_due(10**6, 3600)


def test_writing_without_a_block_writes_nothing(runs: Runs, disk: FailingDisk) -> None:
    runs.trail().write()
    assert disk.calls == {}
