"""Where a chain goes on, and what a failed write leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit import segment as segment_module
from gateway.audit.blocks import GENESIS, Batch, Head
from gateway.audit.disk import Disk
from gateway.audit.segment import Segments
from tests.support.disk import FailingDisk, SlowDisk
from tests.support.records import LINE


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
def segments(tmp_path: Path, disk: FailingDisk) -> Iterator[Segments]:
    opened = Segments(tmp_path, "door-0", disk)
    yield opened
    opened.release()


def write(segments: Segments, records: int = 1, event: str = "") -> Head:
    batch = Batch(segments.head)
    for _ in range(records):
        batch.add([LINE])
    if event:
        batch.add_event(event, 0, {})
    segments.append(*batch.sealed())
    return segments.head


def reopened(folder: Path, disk: Disk | None = None) -> Segments:
    found = Segments(folder, "door-0", disk or Disk())
    found.find_end()
    return found


def test_an_empty_folder_begins_a_chain(segments: Segments) -> None:
    segments.find_end()
    assert (segments.chain, segments.head, segments.stopped, segments.torn) == ("door-0a", GENESIS, True, [])


def test_a_chain_goes_on_after_its_last_block(tmp_path: Path, segments: Segments) -> None:
    segments.find_end()
    segments.open_next(durable=True)
    write(segments)
    head = write(segments, 3, "stop")
    segments.release()
    again = reopened(tmp_path)
    assert (again.head, again.stopped, again.torn, again.number) == (head, True, [], 1)
    again.release()


def test_a_second_process_gets_a_chain_of_its_own(tmp_path: Path, segments: Segments) -> None:
    segments.find_end()
    other = reopened(tmp_path)
    assert (segments.chain, other.chain) == ("door-0a", "door-0b")
    other.release()


def test_lanes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "_LANES", "a")
    first = reopened(tmp_path)
    with pytest.raises(BlockingIOError):
        reopened(tmp_path)
    first.release()


def test_an_incomplete_tail_stays_and_is_declared(tmp_path: Path, segments: Segments) -> None:
    segments.find_end()
    segments.open_next(durable=False)
    head = write(segments)
    segments.release()
    path = tmp_path / "door-0a.000001.jsonl"
    path.write_bytes(path.read_bytes() + b'{"seq":2')
    before = path.read_bytes()
    again = reopened(tmp_path)
    assert again.head == head
    assert not again.stopped
    assert [(torn["file"], torn["bytes"]) for torn in again.torn] == [(path.name, 8)]
    again.open_next(durable=False)
    assert path.read_bytes() == before
    again.release()


def test_segments_without_a_block_are_passed_over_and_declared_in_order(tmp_path: Path, segments: Segments) -> None:
    segments.find_end()
    segments.open_next(durable=False)
    head = write(segments)
    segments.release()
    (tmp_path / "door-0a.000002.jsonl").write_bytes(b"half")
    (tmp_path / "door-0a.000003.jsonl").write_bytes(b"")
    (tmp_path / "door-0a.000004.jsonl").write_bytes(b"hal")
    (tmp_path / "door-1a.000009.jsonl").write_bytes(b"of another chain")
    again = reopened(tmp_path)
    assert (again.head, again.number) == (head, 4)
    assert [torn["bytes"] for torn in again.torn] == [4, 3]
    again.release()


def test_a_last_block_far_from_the_end_is_found(
    tmp_path: Path, segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_module, "_WINDOW", 64)
    segments.find_end()
    segments.open_next(durable=False)
    head = write(segments)
    segments.release()
    path = tmp_path / "door-0a.000001.jsonl"
    path.write_bytes(path.read_bytes() + b"x" * 500)
    again = reopened(tmp_path)
    assert again.head == head
    again.release()


def test_a_write_in_pieces_is_finished(tmp_path: Path) -> None:
    segments = reopened(tmp_path, SlowDisk())
    segments.open_next(durable=False)
    head = write(segments, 3)
    segments.release()
    again = reopened(tmp_path)
    assert (again.head, again.torn) == (head, [])
    again.release()


def test_what_a_failed_write_left_is_taken_back_before_the_next(
    tmp_path: Path, segments: Segments, disk: FailingDisk
) -> None:
    segments.find_end()
    segments.open_next(durable=False)
    head = write(segments)
    disk.refuse("write")
    with pytest.raises(OSError, match="No space left"):
        write(segments)
    assert segments.head == head
    after = write(segments)
    assert (after.block, segments.torn) == (2, [])
    segments.release()
    again = reopened(tmp_path)
    assert (again.head, again.torn) == (after, [])
    again.release()


def test_a_segment_that_cannot_be_cut_is_given_up_and_declared(
    tmp_path: Path, segments: Segments, disk: FailingDisk
) -> None:
    segments.find_end()
    segments.open_next(durable=False)
    write(segments)
    disk.refuse("write")
    disk.refuse("truncate")
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            write(segments)
    assert not segments.is_open
    assert [torn["file"] for torn in segments.torn] == ["door-0a.000001.jsonl"]
    with pytest.raises(RuntimeError):
        write(segments)
    segments.open_next(durable=False)
    assert write(segments).block == 2


def test_a_segment_whose_name_is_not_durable_is_not_used(segments: Segments, disk: FailingDisk) -> None:
    segments.find_end()
    disk.refuse("sync_folder")
    with pytest.raises(OSError, match="No space left"):
        segments.open_next(durable=True)
    assert not segments.is_open
    segments.open_next(durable=True)
    assert segments.number == 2


def test_a_name_taken_meanwhile_is_skipped(tmp_path: Path, segments: Segments) -> None:
    segments.find_end()
    (tmp_path / "door-0a.000001.jsonl").touch()
    with pytest.raises(FileExistsError):
        segments.open_next(durable=False)
    segments.open_next(durable=False)
    assert segments.number == 2


def test_sync_without_an_open_segment_asks_nothing(segments: Segments, disk: FailingDisk) -> None:
    segments.sync()
    assert "sync" not in disk.calls
