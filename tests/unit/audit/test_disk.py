"""What the trail asks of the file system, and to whom its files belong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.audit.disk import Disk


def test_folder_and_files_belong_to_this_user_alone(tmp_path: Path) -> None:
    disk = Disk()
    folder = tmp_path / "state" / "audit"
    disk.make_folder(folder)
    disk.close(disk.create(folder / "a"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o600


def test_an_existing_file_is_never_opened_for_writing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        Disk().create(tmp_path / "a")


def test_what_was_written_can_be_read_from_any_offset_and_cut(tmp_path: Path) -> None:
    disk = Disk()
    fd = disk.create(tmp_path / "a")
    assert disk.write(fd, memoryview(b"0123456789")) == 10
    disk.sync(fd)
    disk.sync_folder(tmp_path)
    disk.truncate(fd, 6)
    assert disk.size(tmp_path / "a") == 6
    assert disk.read(tmp_path / "a", 2) == b"2345"
    disk.close(fd)
    disk.close(fd)  # closing a closed file changes nothing


def test_a_disk_does_not_vouch_for_a_file_that_was_removed(tmp_path: Path) -> None:
    disk = Disk()
    fd = disk.create(tmp_path / "a")
    disk.write(fd, memoryview(b"lost"))
    (tmp_path / "a").unlink()
    with pytest.raises(FileNotFoundError, match="its file was removed"):
        disk.sync(fd)
    disk.close(fd)


def test_a_claim_excludes_others_until_it_is_closed(tmp_path: Path) -> None:
    disk = Disk()
    first = disk.claim(tmp_path / "lock")
    assert first is not None
    assert disk.claim(tmp_path / "lock") is None
    disk.close(first)
    again = disk.claim(tmp_path / "lock")
    assert again is not None
    disk.close(again)


def test_a_claim_does_not_reach_child_processes(tmp_path: Path) -> None:
    fd = Disk().claim(tmp_path / "lock")
    assert fd is not None
    assert not os.get_inheritable(fd)
    os.close(fd)
