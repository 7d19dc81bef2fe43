"""Frames and manifest: reproducible, private, checked before they are decoded, replaced as a whole."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.frames import (
    FRAME_HEAD,
    FrameStore,
    Manifest,
    SnapshotFault,
    flush_filesystem,
    frame_body,
    frame_hash,
    interned,
    read_manifest,
    reading_manifest,
    write_manifest,
)

FRAME = ("a", 1, None, True, frozenset({"x", "y", "z"}), {"k": ("v",)}, (b"b", 2.5))


def test_a_frame_comes_back_equal_under_the_hash_of_its_content(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    name = store.write(FRAME)
    assert name == frame_hash(frame_body(FRAME))
    assert FrameStore(tmp_path).read(name) == FRAME


def test_the_hash_depends_on_the_value_alone_in_every_process() -> None:
    asked = (
        "from gateway.frames import frame_body, frame_hash; "
        "print(frame_hash(frame_body((frozenset('abcdefgh'), {'a': ('x',) * 2}, 'a' + str(1)))))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", asked], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(said) == 1


def test_strings_are_shared_between_frames() -> None:
    first, second = (interned((f"scope:{word}", {f"key:{word}": ()})) for word in ("read", "read"))
    assert first[0] is second[0]
    assert next(iter(first[1])) is next(iter(second[1]))


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer", "other form", "empty"])
def test_a_damaged_frame_is_never_decoded(tmp_path: Path, damage: str) -> None:
    store = FrameStore(tmp_path)
    name = store.write(FRAME)
    file = tmp_path / "frames" / name
    whole = file.read_bytes()
    changed = {
        "cut": whole[:-1], "flipped": whole[:-1] + bytes([whole[-1] ^ 1]), "longer": whole + b"x",
        "other form": b"X" + whole[1:], "empty": b"",
    }  # fmt: skip
    file.write_bytes(changed[damage])
    with pytest.raises(SnapshotFault, match=name):
        FrameStore(tmp_path).read(name)


@pytest.mark.parametrize("body", [b"", b"(", b"\xff\xff", b"r\x00\x00\x00\x09", b"[\x01\x00\x00\x00" * 5000])
def test_a_sound_file_that_holds_no_value_is_a_fault(tmp_path: Path, body: bytes) -> None:
    store = FrameStore(tmp_path)
    name = frame_hash(body)
    file = tmp_path / "frames" / name
    file.write_bytes(FRAME_HEAD + len(body).to_bytes(8, "big") + body)
    file.chmod(0o600)
    with pytest.raises(SnapshotFault, match=name):
        store.read(name)


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    store.write(FRAME)
    shutil.rmtree(tmp_path / "frames")
    name = store.write(("another",))
    assert store.read(name) == ("another",)


def test_a_frame_is_looked_at_again_when_asked(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    name = store.write(FRAME)
    assert store.is_sound(name)
    (tmp_path / "frames" / name).write_bytes(b"damaged")
    assert not store.is_sound(name)
    assert store.write(FRAME) == name
    assert store.is_sound(name)


def test_a_frame_that_others_can_read_or_that_is_a_link_is_not_ours(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    name = store.write(FRAME)
    file = tmp_path / "frames" / name
    file.chmod(0o644)
    with pytest.raises(SnapshotFault, match="private"):
        store.read(name)
    file.chmod(0o600)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SnapshotFault):
        store.read(name)


def test_files_are_private_from_the_start(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    name = store.write(FRAME)
    write_manifest(tmp_path, Manifest("base", "1", {"a": name}))
    for file in (tmp_path / "frames" / name, tmp_path / "manifest", tmp_path / "frames"):
        assert file.stat().st_mode & 0o077 == 0


def test_a_damaged_file_of_the_same_name_is_written_again(tmp_path: Path) -> None:
    name = FrameStore(tmp_path).write(FRAME)
    (tmp_path / "frames" / name).write_bytes(b"damaged")
    assert FrameStore(tmp_path).write(FRAME) == name
    assert FrameStore(tmp_path).read(name) == FRAME


def test_a_full_disk_leaves_no_part_of_a_frame(tmp_path: Path) -> None:
    """A file under a frame's name holds the whole frame: where there is no room for it, there is none."""
    tried = (
        "import resource, signal, sys; from pathlib import Path; from gateway.frames import FrameStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: FrameStore(Path(sys.argv[1])).write(tuple(range(1000)))\n"
        "except OSError as error: print(error.strerror)"
    )
    done = subprocess.run([sys.executable, "-c", tried, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "No space left on device\n"
    assert os.listdir(tmp_path / "frames") == []


def test_the_manifest_comes_back_equal(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    manifest = Manifest("abc", "1", {f"exposure/component:default/{n}@prod": str(n) for n in range(2000)})
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_parts_of_the_manifest_can_be_left_out(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest("abc", "1", {"why/a": "1", "exposure/a": "2"}))
    reading = reading_manifest(tmp_path, without="why/")
    with pytest.raises(StopIteration) as ended:
        while True:
            next(reading)
    assert ended.value.value.frames == {"exposure/a": "2"}


@pytest.mark.parametrize("position", [0, -2, -20])
def test_a_damaged_manifest_is_not_used(tmp_path: Path, position: int) -> None:
    write_manifest(tmp_path, Manifest("abcdefghijkl", "1", {"exposure/a": "h" * 32}))
    content = bytearray((tmp_path / "manifest").read_bytes())
    content[position] ^= 1
    (tmp_path / "manifest").write_bytes(content)
    with pytest.raises(SnapshotFault):
        read_manifest(tmp_path)


def test_a_manifest_cut_short_is_not_used(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest("abc", "1", {f"exposure/{n}": "h" for n in range(10)}))
    content = (tmp_path / "manifest").read_bytes()
    (tmp_path / "manifest").write_bytes(content[: content.index(b"exposure/5")])
    with pytest.raises(SnapshotFault, match="damaged"):
        read_manifest(tmp_path)


def test_a_folder_in_the_manifests_place_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "manifest").mkdir(mode=0o700)
    with pytest.raises(SnapshotFault):
        read_manifest(tmp_path)


def test_a_manifest_that_others_can_write_is_not_ours(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest("abc", "1", {}))
    (tmp_path / "manifest").chmod(0o666)
    with pytest.raises(SnapshotFault, match="private"):
        read_manifest(tmp_path)


def test_a_removed_frame_is_gone_and_can_be_written_again(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    name = store.write(FRAME)
    store.remove(name)
    assert store.names() == []
    assert store.write(FRAME) == name
    assert store.names() == [name]
    store.settle()


@pytest.mark.parametrize("count", [3, 300])
def test_frames_that_the_disk_did_not_take_are_written_anew(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reports a lost page once; asking again would call it written."""
    store = FrameStore(tmp_path)
    frames = [{"number": number} for number in range(count)]
    names = [store.write(frame) for frame in frames]

    def lost(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr("gateway.frames.flush_filesystem", lost)
        failing.setattr("os.fsync", lost)
        with pytest.raises(OSError, match="Input/output error"):
            store.settle()
    assert store.names() == []
    assert [store.write(frame) for frame in frames] == names
    assert store.settle() == count
    assert sorted(store.names()) == sorted(names)


def test_a_flush_that_fails_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.frames._flush", lambda path, flush: flush(10**6))
    with pytest.raises(OSError, match=f"Bad file descriptor.*{tmp_path.name}"):
        flush_filesystem(tmp_path)
