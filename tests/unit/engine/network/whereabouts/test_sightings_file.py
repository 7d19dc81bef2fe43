"""The file of sightings: whole or not at all, its owner's alone, and without the time that nobody was there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.engine.network.whereabouts.sightings_file import SightingsFile

SEEN = {"pay.internal": {"10.0.0.1": 900, "2001:db8::1": 1000}}


def test_what_was_written_is_read_as_if_no_time_had_gone_by(tmp_path: Path) -> None:
    SightingsFile(tmp_path).write(SEEN, 1000)
    assert SightingsFile(tmp_path).read(5000) == {"pay.internal": {"10.0.0.1": 4900, "2001:db8::1": 5000}}


def test_a_clock_that_went_back_ages_nothing_into_the_future(tmp_path: Path) -> None:
    SightingsFile(tmp_path).write(SEEN, 1000)
    assert SightingsFile(tmp_path).read(500) == {"pay.internal": {"10.0.0.1": 400, "2001:db8::1": 500}}


def test_it_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    SightingsFile(tmp_path).write(SEEN, 1000)
    path = tmp_path / "devices" / "whereabouts"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("damage", [b"", b"x", b"{}\n{}", b"\xff\n\xff"], ids=str)
def test_what_is_damaged_is_nothing_and_is_said(
    tmp_path: Path, damage: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    file = SightingsFile(tmp_path)
    file.write(SEEN, 1000)
    path = tmp_path / "devices" / "whereabouts"
    path.write_bytes(path.read_bytes()[:-1] + damage if damage else b"")
    assert file.read(1000) == {}
    assert "whereabouts_unreadable" in capfd.readouterr().err


def test_what_cannot_be_written_leaves_the_old_file_and_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "devices").write_text("no folder")
    SightingsFile(tmp_path).write(SEEN, 1000)
    assert (tmp_path / "devices").read_text() == "no folder"
    assert "whereabouts_not_saved" in capfd.readouterr().err
