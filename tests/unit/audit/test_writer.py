"""The writer thread: nothing taken is lost without a word, whatever the disk or a signal does."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.chain import verify_paths
from gateway.audit.record import line_of
from gateway.audit.writer import AuditWriter
from tests.support.disk import FailingDisk
from tests.support.records import RECORD


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


class Writers:
    """Writers of one folder; every one that was started is closed at the end."""

    def __init__(self, folder: Path, disk: FailingDisk) -> None:
        self.folder = folder
        self.disk = disk
        self.started: list[AuditWriter] = []

    def start(self, **options: Any) -> AuditWriter:
        options = {"block_s": 0.002, "retry_s": 0.005} | options
        writer = AuditWriter(self.folder, "door-0", disk=self.disk, **options)
        self.started.append(writer)
        writer.start()
        return writer

    def lines(self) -> list[dict[str, Any]]:
        """Complete lines; an incomplete tail is the verifier's business."""
        found = []
        for path in sorted(self.folder.glob("*.jsonl")):
            found += [json.loads(line) for line in path.read_bytes().splitlines(True) if line.endswith(b"}\n")]
        return found

    def paths_of(self) -> list[str]:
        return [line["path"] for line in self.lines() if "path" in line]


@pytest.fixture
def writers(tmp_path: Path, disk: FailingDisk) -> Iterator[Writers]:
    made = Writers(tmp_path / "audit", disk)
    yield made
    disk.works_again()
    for writer in made.started:
        writer.close()


def until(condition: Callable[[], object], why: str) -> None:
    """Waits for another thread's doing, and fails by name when it does not come."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(0.001)


def append_numbered(writer: AuditWriter, first: int, count: int) -> None:
    for number in range(first, first + count):
        writer.append(line_of(RECORD._replace(path=f"/{number}")))


def test_append_is_the_list_append_itself(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path, "door-0")
    assert getattr(writer.append, "__self__", None) is writer._pending


def test_a_writer_that_was_never_started_has_failed_and_can_be_closed(tmp_path: Path) -> None:
    writer = AuditWriter(tmp_path, "door-0")
    assert writer.failed
    writer.close()


def test_records_reach_the_disk_in_order_without_being_asked(writers: Writers) -> None:
    writer = writers.start()
    assert not writer.failed
    assert writer.chain == "door-0a"
    append_numbered(writer, 0, 500)
    until(lambda: not writer.queued, "records stay in memory")
    until(lambda: len(writers.paths_of()) == 500, "records are not in the file")
    assert writers.paths_of() == [f"/{number}" for number in range(500)]


def test_close_writes_everything_and_the_mark_of_an_orderly_end(writers: Writers) -> None:
    writer = writers.start(block_s=3600.0)
    append_numbered(writer, 0, 2000)
    writer.close()
    assert writer.queued == 0
    assert writers.lines()[-2]["event"] == "stop"
    assert len(writers.paths_of()) == 2000
    report = verify_paths([writers.folder])
    assert report.ok
    assert report.chains[0].head.block >= 2000 * 600 // (64 * 1024 * 2)


def test_blocks_stay_near_their_size(writers: Writers) -> None:
    writer = writers.start(block_s=3600.0)
    append_numbered(writer, 0, 1000)
    writer.close()
    counts = [line["count"] for line in writers.lines() if "block" in line]
    assert max(counts) < 2 * 64 * 1024 // 500


def test_a_second_run_continues_the_chain(writers: Writers) -> None:
    for first in (0, 10):
        writer = writers.start()
        append_numbered(writer, first, 10)
        writer.close()
    report = verify_paths([writers.folder])
    assert report.ok
    assert report.chains[0].records == 20 + 4
    assert [note.kind for note in report.notes] == ["unprovable_end"]


def test_two_writers_of_one_name_write_two_chains(writers: Writers) -> None:
    writer, successor = writers.start(), writers.start()
    append_numbered(writer, 0, 5)
    append_numbered(successor, 5, 5)
    writer.close()
    successor.close()
    assert [chain.name for chain in verify_paths([writers.folder]).chains] == ["door-0a", "door-0b"]
    assert verify_paths([writers.folder]).ok


@pytest.mark.parametrize("call", ["make_folder", "claim", "create", "sync_folder", "write", "sync"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_at_the_start_fails_closed_and_recovers(
    writers: Writers, disk: FailingDisk, call: str, error: int
) -> None:
    disk.refuse(call, 1, times=3, error=error)
    writer = writers.start()
    assert writer.failed
    assert writer.failure
    append_numbered(writer, 0, 3)
    until(lambda: not writer.failed, "the writer does not recover")
    writer.close()
    assert writers.paths_of() == ["/0", "/1", "/2"]
    report = verify_paths([writers.folder])
    assert report.ok, report.findings
    assert "disk_failed" in [note.kind for note in report.notes]


def test_the_log_says_once_why_nothing_can_be_written_and_once_when_it_can(
    writers: Writers, disk: FailingDisk, capfd: pytest.CaptureFixture[str]
) -> None:
    disk.refuse("write", 1, times=3)
    writer = writers.start()
    until(lambda: not writer.failed, "the writer does not recover")
    writer.close()
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [each["event"] for each in said] == ["audit_unwritable", "audit_written_again"]
    assert (said[0]["why"], said[0]["folder"]) == ("No space left on device", str(writers.folder))


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_one_refused_call_anywhere_fails_then_recovers_and_loses_nothing(
    writers: Writers, disk: FailingDisk, call: str, nth: int, error: int
) -> None:
    writer = writers.start(sync="batch", segment_bytes=20_000)
    disk.refuse(call, nth, error=error)
    for first in range(0, 200, 10):
        append_numbered(writer, first, 10)
        until(lambda: not writer.queued, "records stay in memory")
    until(lambda: not writer.failed, "the writer does not recover")
    writer.close()
    assert disk.refused == [call]
    assert writers.paths_of() == [f"/{number}" for number in range(200)]
    report = verify_paths([writers.folder])
    assert report.ok, report.findings
    assert [note.kind for note in report.notes].count("disk_failed") == 1


def test_a_segment_that_can_be_neither_written_nor_cut_is_declared_and_left(
    writers: Writers, disk: FailingDisk
) -> None:
    writer = writers.start()
    disk.refuse("write", error=errno.EIO)
    disk.refuse("truncate", error=errno.EIO)
    append_numbered(writer, 0, 10)
    until(lambda: not writer.queued and not writer.failed, "the writer does not recover")
    writer.close()
    report = verify_paths([writers.folder])
    assert report.ok, report.findings
    second = (writers.folder / "door-0a.000002.jsonl").read_bytes().splitlines()
    assert [torn["file"] for torn in json.loads(second[0])["torn"]] == ["door-0a.000001.jsonl"]


def test_a_folder_that_was_removed_is_made_again_and_the_gap_is_named(writers: Writers) -> None:
    writer = writers.start(sync="batch")
    append_numbered(writer, 0, 1)
    until(lambda: writers.paths_of() == ["/0"], "the first record")
    shutil.rmtree(writers.folder)
    append_numbered(writer, 1, 1)
    until(lambda: any(line.get("event") == "disk_failed" for line in writers.lines()), "another segment")
    until(lambda: not writer.failed, "the writer's recovery")
    append_numbered(writer, 2, 1)
    until(lambda: writers.paths_of() == ["/2"], "the record after it")
    (failed,) = [line for line in writers.lines() if line.get("event") == "disk_failed"]
    assert failed["error"] == "its file was removed"
    assert failed["unsynced_blocks"], "the blocks that went with the file"
    writer.close()
    assert verify_paths(sorted(writers.folder.glob("*.jsonl"))).ok


def test_while_the_disk_refuses_the_writer_stays_failed_and_holds_a_bounded_number(
    writers: Writers, disk: FailingDisk
) -> None:
    writer = writers.start(held_records=50)
    disk.refuse("write", 1, times=10**6)
    append_numbered(writer, 0, 200)
    until(lambda: writer.failed, "the refusal is not seen")
    until(lambda: writer.queued == 50, "the excess is kept")
    assert writer.failure == "No space left on device"
    disk.works_again()
    until(lambda: not writer.failed, "the writer does not recover")
    writer.close()
    assert writers.paths_of() == [f"/{number}" for number in range(50)]
    assert [line["lost"] for line in writers.lines() if line.get("event") == "disk_failed"] == [150]
    assert verify_paths([writers.folder]).ok


def test_closing_on_a_refusing_disk_ends_and_stays_failed(writers: Writers, disk: FailingDisk) -> None:
    writer = writers.start()
    disk.refuse("write", 1, times=10**6)
    append_numbered(writer, 0, 5)
    writer.close()
    assert writer.failed
    assert not writer._thread.is_alive()


def test_a_defect_in_the_thread_fails_closed(writers: Writers, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    writer = writers.start()
    monkeypatch.setattr(writer, "_take_slice", lambda: 1 / 0)
    until(lambda: seen, "the thread goes on")
    until(lambda: writer.failed, "the writer claims to work")


WRITING = """
import sys
from pathlib import Path
from gateway.audit.writer import AuditWriter
from gateway.audit.record import line_of
from tests.support.records import RECORD
writer = AuditWriter(Path(sys.argv[1]), "door-0", sys.argv[2], block_s=0.005)
writer.start()
number = 0
while True:
    for _ in range(20):
        writer.append(line_of(RECORD._replace(path=f"/{number}")))
        number += 1
    while writer.queued:
        pass
    print(number, flush=True)
"""


@pytest.mark.parametrize("sync", ["second", "off"])
def test_a_killed_process_loses_at_most_the_open_block_and_the_next_start_says_so(writers: Writers, sync: str) -> None:
    written = 0
    for run in range(1, 4):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITING, str(writers.folder), sync],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        assert child.stdout is not None
        for _ in range(run * 5):
            promised = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        child.wait()
        promised = max([promised, *(int(line) for line in child.stdout if line.endswith("\n"))])
        child.stdout.close()
        now = len(writers.paths_of())
        assert now - written >= promised, "a record that was on disk is gone"
        written = now
    writers.start().close()
    report = verify_paths([writers.folder])
    assert report.ok, report.findings
    assert [note.kind for note in report.notes].count("unclean_start") == 3
