"""What was applied last outlives everything but its own file, and a bad file is as good as none."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.engine.network.history.ledger import Applied, Ledger

APPLIED = Applied({"a.test": "component:default/a"}, "d1", "base1", "f1", 1_800_000_000.5, "jane", "CHG-1", "task-1")


def test_what_was_written_is_read_by_the_next_process(tmp_path: Path) -> None:
    Ledger(tmp_path).write("lb1", "prod", APPLIED)
    assert Ledger(tmp_path).read("lb1", "prod") == APPLIED
    assert Ledger(tmp_path).read("lb1", "dev") is None


def test_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    Ledger(tmp_path).write("../../lb", "a/b", APPLIED)
    assert Ledger(tmp_path).read("../../lb", "a/b") == APPLIED
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "devices"]


@pytest.mark.parametrize("damage", [b"", b"x", b"stagedoor-applied 1 00\n{}"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, damage: bytes) -> None:
    ledger = Ledger(tmp_path)
    ledger.write("lb1", "prod", APPLIED)
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(damage)
    assert ledger.read("lb1", "prod") is None
    file.write_bytes(file.read_bytes()[:-1])
    assert ledger.read("lb1", "prod") is None
    ledger.write("lb1", "prod", APPLIED)
    assert ledger.read("lb1", "prod") == APPLIED


def test_a_disk_that_refuses_leaves_the_old_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write("lb1", "prod", APPLIED)
    (file,) = tmp_path.rglob("*.json")
    before = file.read_bytes()
    folder = tmp_path / "devices"
    folder.rename(tmp_path / "aside")
    folder.write_text("a file where the folder was")
    with pytest.raises(OSError, match="devices"):
        ledger.write("lb1", "prod", APPLIED)
    folder.unlink()
    (tmp_path / "aside").rename(folder)
    assert file.read_bytes() == before
