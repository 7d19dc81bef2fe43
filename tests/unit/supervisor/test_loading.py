"""Settings come out of a short-lived child: a frame on disk, or every fault and no change."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config
from gateway.errors import ConfigError
from gateway.supervisor import loading
from gateway.supervisor.loading import drop_stale_frames, fixed_changes, keep_frame, load_frame
from gateway.supervisor.systemd import environment_of_children
from tests.support.node import ROOT, Node


def load(file: Path) -> Path:
    return asyncio.run(load_frame(file, environment_of_children(str(ROOT))))


def test_a_valid_file_becomes_a_frame_only_its_owner_reads(tmp_path: Path) -> None:
    node = Node(tmp_path)
    frame = load(tmp_path / "stagedoor.yaml")
    settings = config.decode(frame.read_bytes())
    assert frame.parent == node.state
    assert frame.stat().st_mode & 0o777 == 0o600
    assert settings.central_host == "first.example.com"
    assert load(tmp_path / "stagedoor.yaml") == frame  # the name is the content's


def test_a_faulty_file_is_told_with_its_line_and_writes_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path, central_host="not a host")
    with pytest.raises(ConfigError, match=r"stagedoor\.yaml:\d+: `central_host`"):
        load(tmp_path / "stagedoor.yaml")
    assert not list(node.state.iterdir())


def test_a_state_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Node(tmp_path, state=str(tmp_path / "file" / "state"))
    with pytest.raises(ConfigError, match="file/state"):
        load(tmp_path / "stagedoor.yaml")


def test_a_reading_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "stagedoor.yaml")  # opening it waits for a writer that never comes
    monkeypatch.setattr(loading, "LOAD_S", 0.05)
    with pytest.raises(ConfigError, match="took more than"):
        load(tmp_path / "stagedoor.yaml")


def test_what_only_a_restart_can_change_is_named(tmp_path: Path) -> None:
    Node(tmp_path)
    old = config.decode(load(tmp_path / "stagedoor.yaml").read_bytes())
    (listener,) = old.listeners
    assert fixed_changes(old, replace(old, central_host="other.example.com")) == []
    assert fixed_changes(old, replace(old, listeners=(replace(listener, bigip=True),))) == []
    moved = replace(old, listeners=(replace(listener, address="127.0.0.1:1"),))
    assert fixed_changes(old, moved) == ["`listeners[].address`"]
    assert fixed_changes(old, replace(old, workers=9, admin_address="x", state_folder="y")) == [
        "`admin.address`",
        "`workers`",
        "`state.folder`",
    ]


def test_old_frames_go_and_the_newest_stay(tmp_path: Path) -> None:
    frames = [tmp_path / f"settings-{number:02}.frame" for number in range(12)]
    for age, frame in enumerate(frames):
        frame.touch()
        os.utime(frame, (1000 + age, 1000 + age))
    drop_stale_frames(frames[-1])
    assert sorted(tmp_path.iterdir()) == frames[-loading.FRAMES_KEPT :]


def test_a_clock_that_was_set_back_costs_no_new_frame(tmp_path: Path) -> None:
    frames = [tmp_path / f"settings-{number:02}.frame" for number in range(12)]
    for age, frame in enumerate(frames):
        frame.touch()
        os.utime(frame, (4_000_000_000 - age, 4_000_000_000 - age))
    drop_stale_frames(frames[-1])
    assert sorted(tmp_path.iterdir()) == [*frames[: loading.FRAMES_KEPT - 1], frames[-1]]


def test_what_is_no_frame_and_cannot_be_removed_is_in_no_frames_way(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"settings-{number:02}.frame").mkdir()
    (tmp_path / "settings-gone.frame").symlink_to("nowhere")
    newest = tmp_path / "settings-newest.frame"
    newest.touch()
    drop_stale_frames(newest)
    assert newest.exists()


def test_a_frame_that_was_damaged_or_lost_is_there_again_for_the_next_child(tmp_path: Path) -> None:
    Node(tmp_path)
    frame = load(tmp_path / "stagedoor.yaml")
    content = frame.read_bytes()
    settings = config.decode(content)
    assert keep_frame(frame, settings)
    frame.write_bytes(content[:-1])
    assert keep_frame(frame, settings)
    assert frame.read_bytes() == content
    frame.unlink()
    assert keep_frame(frame, settings)
    assert frame.read_bytes() == content
    assert frame.stat().st_mode & 0o777 == 0o600
    assert not keep_frame(tmp_path / "absent" / frame.name, settings)
