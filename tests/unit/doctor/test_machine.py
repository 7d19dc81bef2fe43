"""The machine: folders that can be written durably by us alone, and enough descriptors."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest

from gateway import config
from gateway.doctor import machine
from gateway.doctor.lines import Line
from gateway.doctor.machine import descriptors, folders
from tests.support.catalogs import settings


def folder_lines(folder: Path, audit: str = "") -> dict[str, Line]:
    lines = folders(settings(folder, audit=config.Audit(audit)))
    assert {line.check for line in lines} == {"disk"}
    return {line.subject: line for line in lines}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def test_a_folder_of_ours_is_well_and_nothing_stays_in_it(tmp_path: Path, state: Path) -> None:
    lines = folder_lines(tmp_path)
    assert {line.verdict for line in lines.values()} == {"OK"}
    assert "writes are durable" in lines["state folder"].found
    assert "made at the first start" in lines["audit folder"].found
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(("mode", "verdict"), [(0o777, "FAIL"), (0o720, "FAIL"), (0o755, "WARN"), (0o750, "WARN")])
def test_a_folder_that_others_may_enter_is_told_with_its_remedy(
    tmp_path: Path, state: Path, mode: int, verdict: str
) -> None:
    state.chmod(mode)
    line = folder_lines(tmp_path)["state folder"]
    assert line.verdict == verdict
    assert f"{mode:o}" in line.found
    assert f"chmod 700 {state}" in line.fix


def test_another_users_folder_fails_unless_root_looks(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: state.stat().st_uid + 1)
    line = folder_lines(tmp_path)["state folder"]
    assert line.verdict == "FAIL"
    assert "same user" in line.fix
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert folder_lines(tmp_path)["state folder"].verdict == "OK"


def test_a_folder_that_cannot_be_made_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    line = folder_lines(tmp_path, audit=str(tmp_path / "file"))["audit folder"]
    assert (line.verdict, "is no folder" in line.found) == ("FAIL", True)
    line = folder_lines(tmp_path, audit=str(tmp_path / "file" / "audit"))["audit folder"]
    assert (line.verdict, "may not be written" in line.found) == ("FAIL", True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    line = folder_lines(tmp_path, audit=str(tmp_path / "audit"))["audit folder"]
    assert (line.verdict, "install -d -m 700" in line.fix) == ("FAIL", True)


def test_a_disk_that_fails_to_sync_fails(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    line = folder_lines(tmp_path)["state folder"]
    assert (line.verdict, "Input/output error" in line.found) == ("FAIL", True)
    assert list(state.iterdir()) == []


def test_a_disk_that_is_slow_warns(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((0.0, 0.7))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    assert "0.7 s" in folder_lines(tmp_path)["state folder"].found


@pytest.mark.parametrize(
    ("free", "inodes", "verdict"),
    [(50 << 20, 9, "FAIL"), (500 << 20, 9, "WARN"), (5 << 30, 9, "OK"), (5 << 30, 0, "FAIL")],
)
def test_free_space_is_judged(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, free: int, inodes: int, verdict: str
) -> None:
    room = os.statvfs_result((4096, 4096, 1 << 30, free // 4096, free // 4096, 100, inodes, inodes, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda folder: room)
    line = folder_lines(tmp_path)["state folder"]
    assert line.verdict == verdict
    assert ("audit trail" in line.fix) is (verdict != "OK")


# === descriptors ===


@pytest.mark.parametrize(
    ("soft", "hard", "verdict"),
    [
        (3_000, 3_000, "OK"),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, "OK"),
        (1_024, 524_288, "OK"),  # `serve` raises it
        (1_024, resource.RLIM_INFINITY, "OK"),
        (1_024, 1_100, "WARN"),
        (1_100, 1_100, "WARN"),
        (900, 900, "FAIL"),
    ],
)
def test_the_limit_is_compared_with_the_connections_that_are_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, verdict: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    (line,) = descriptors(settings(tmp_path, limits=config.Limits(connections=1_000)))
    assert (line.check, line.verdict) == ("descriptors", verdict)
    assert "1,000 per worker" in line.found
    assert ("LimitNOFILE=2200" in line.fix) is (verdict != "OK")


def test_a_running_nodes_own_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "supervisor_of", lambda state: os.getpid())
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    (line,) = descriptors(settings(tmp_path))
    assert "of the running node" in line.found
    assert f"{soft:,} descriptors" in line.found or soft == resource.RLIM_INFINITY
