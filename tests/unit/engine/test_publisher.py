"""Publishing: frames before manifest, small deltas, old frames kept for those who still read them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from gateway.engine.publisher import DELTA_FRAMES, KEPT_S, REMOVED_AT_ONCE, Publisher
from gateway.frames import FrameStore, read_manifest


def test_the_first_base_sends_doors_to_the_manifest(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    assert publisher.publish("one", {"teams": {}, "why/a": ()}) == {"t": "base", "base": "one", "full": True}
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.base == publisher.base == "one"
    assert FrameStore(tmp_path).read(manifest.frames["teams"]) == {}


def test_a_small_change_is_sent_as_it_is_without_sentences(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.publish("one", {"exposure/a": (1,), "exposure/b": (2,), "why/a": ("x",)})
    message = publisher.publish("two", {"exposure/a": (3,), "why/a": ("y",)})
    assert message is not None
    assert message.pop("set").keys() == {"exposure/a"}
    assert message == {"t": "base", "base": "two", "from": "one", "drop": ["exposure/b"]}


def test_a_large_change_is_read_from_the_manifest(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.publish("one", {"teams": {}})
    frames = {f"exposure/{number}": (number,) for number in range(DELTA_FRAMES + 1)}
    assert publisher.publish("two", frames) == {"t": "base", "base": "two", "full": True}


def test_equal_frames_are_nothing_new_even_after_a_restart(tmp_path: Path) -> None:
    Publisher(tmp_path).publish("one", {"teams": {"a": ()}})
    again = Publisher(tmp_path)
    assert again.base == "one"
    assert again.publish("one", {"teams": {"a": ()}}) is None
    assert again.publish("two", {"teams": {"a": ()}}) is None
    assert again.base == "one"


def test_other_frames_never_go_under_a_base_id_that_is_taken(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.publish("one", {"teams": {"a": ()}})
    message = publisher.publish("one", {"teams": {"b": ()}})
    assert message is not None
    assert message["base"] == publisher.base != "one"


def test_a_base_that_the_disk_did_not_take_is_written_whole_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published stays meanwhile, and no manifest names a frame that may be lost."""
    publisher = Publisher(tmp_path)
    publisher.publish("one", {"teams": {}})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    after = {"teams": {"a": ()}, "exposure/a": (1,)}
    with monkeypatch.context() as failing:
        failing.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            publisher.publish("two", after)
    assert publisher.base == "one"
    assert publisher.publish("two", after) is not None
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.base == publisher.base == "two"
    store = FrameStore(tmp_path)
    assert {name: store.read(digest) for name, digest in manifest.frames.items()} == after


def test_a_damaged_manifest_is_replaced_by_the_next_base(tmp_path: Path) -> None:
    Publisher(tmp_path).publish("one", {"teams": {}})
    (tmp_path / "manifest").write_bytes(b"damaged")
    publisher = Publisher(tmp_path)
    assert publisher.fault
    assert publisher.base == ""
    assert publisher.publish("one", {"teams": {}}) == {"t": "base", "base": "one", "full": True}


def test_a_frame_that_was_damaged_on_disk_is_written_again_and_doors_are_told(tmp_path: Path) -> None:
    """A door that met it has nothing, and would wait for the next change."""
    first = Publisher(tmp_path)
    first.publish("one", {"teams": {"a": ()}})
    frame = tmp_path / "frames" / first.manifest.frames["teams"]
    frame.write_bytes(frame.read_bytes()[:-1])
    again = Publisher(tmp_path)
    assert again.publish("one", {"teams": {"a": ()}}) == {"t": "base", "base": "one", "full": True}
    assert FrameStore(tmp_path).read(frame.name) == {"a": ()}


def test_mending_brings_back_what_the_disk_lost(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.publish("one", {"teams": {"a": ()}, "roles": {}, "why/a": ("x",)})
    assert publisher.mend() == 0
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    (tmp_path / "frames" / manifest.frames["roles"]).write_bytes(b"damaged")
    (tmp_path / "frames" / manifest.frames["teams"]).unlink()
    (tmp_path / "manifest").write_bytes(b"damaged")
    assert publisher.mend() == 3
    assert read_manifest(tmp_path) == manifest
    assert FrameStore(tmp_path).read(manifest.frames["teams"]) == {"a": ()}
    shutil.rmtree(tmp_path / "frames")
    (tmp_path / "manifest").unlink()
    assert publisher.mend() == 4
    assert FrameStore(tmp_path).read(manifest.frames["why/a"]) == ("x",)


def test_frames_leave_when_no_recent_manifest_names_them_and_they_are_old(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    for number in range(5):
        publisher.publish(str(number), {"teams": {"n": number}})
    written = (tmp_path / "manifest").stat().st_mtime
    assert publisher.collect(written) == 0
    assert publisher.collect(written + KEPT_S + 60) == 2
    assert len(FrameStore(tmp_path).names()) == 3
    assert publisher.publish("0", {"teams": {"n": 0}}) is not None


def test_what_others_left_goes_a_few_at_a_time_and_nothing_that_is_named(tmp_path: Path) -> None:
    left = {f"exposure/{number}": (number,) for number in range(REMOVED_AT_ONCE + 5)}
    Publisher(tmp_path).publish("one", left)
    publisher = Publisher(tmp_path)
    publisher.publish("two", {"exposure/0": (0,)})
    publisher.publish("three", {"exposure/0": (0,), "teams": {}})
    publisher.publish("four", {"exposure/0": (0,), "teams": {"a": ()}})
    late = (tmp_path / "manifest").stat().st_mtime + KEPT_S + 60
    removed = [publisher.collect(late) for _ in range(3)]
    assert removed == [REMOVED_AT_ONCE, 4, 0]
    assert set(publisher.manifest.frames.values()) < set(FrameStore(tmp_path).names())
    assert len(FrameStore(tmp_path).names()) == 3  # and the one before


def test_a_frame_that_comes_back_stays(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    for number in (0, 1, 2, 0, 3, 0):
        publisher.publish(f"base-{number}-{publisher.base}"[:40], {"teams": {"n": number}})
    late = (tmp_path / "manifest").stat().st_mtime + KEPT_S + 60
    publisher.collect(late)
    publisher.collect(late)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert FrameStore(tmp_path).read(manifest.frames["teams"]) == {"n": 0}


def test_after_a_round_that_changed_nothing_the_next_delta_is_small_again(tmp_path: Path) -> None:
    """Only what differs is looked at, also after a restart over the same frames."""
    frames = {f"exposure/{number}": (number,) for number in range(DELTA_FRAMES + 1)}
    Publisher(tmp_path).publish("one", frames)
    publisher = Publisher(tmp_path)
    assert publisher.publish("one", dict(frames)) is None
    assert publisher.manifest.frames is publisher._names
    message = publisher.publish("two", frames | {"exposure/7": (0,)})
    assert message is not None
    assert message["set"].keys() == {"exposure/7"}
