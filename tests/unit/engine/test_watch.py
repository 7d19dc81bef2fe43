"""Changes below watched folders become hints, also when a folder comes late or is replaced by another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.engine.watch import Watch

SOON_S = 10.0


class Hints:
    def __init__(self) -> None:
        self._event = threading.Event()
        self.touched: set[str] = set()

    def __call__(self, touched: frozenset[str] | None) -> None:
        self.touched |= touched or set()
        self._event.set()

    def come_after(self, act: object) -> bool:
        """Acts again until a hint comes: when a watch is armed is the kernel's business."""
        assert callable(act)
        self._event.clear()
        for number in range(int(SOON_S / 0.2)):
            act(number)
            if self._event.wait(0.2):
                return True
        return False


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def watch(hints: Hints) -> Iterator[Watch]:
    watch = Watch(hints, lambda: None)
    yield watch
    watch.close()


def test_a_file_far_below_a_deep_folder_is_noticed(tmp_path: Path, hints: Hints, watch: Watch) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    watch.start([tmp_path], [])
    assert hints.come_after(lambda number: (tmp_path / "a/b/c.yaml").write_text(str(number)))
    assert hints.touched == {str(tmp_path / "a/b/c.yaml")}


def test_a_file_in_a_flat_folder_is_noticed(tmp_path: Path, hints: Hints, watch: Watch) -> None:
    watch.start([], [tmp_path])
    assert hints.come_after(lambda number: (tmp_path / "c.yaml").write_text(str(number)))


def test_a_folder_that_comes_later_is_watched_then(tmp_path: Path, hints: Hints, watch: Watch) -> None:
    folder = tmp_path / "late"
    watch.start([folder], [])

    def write(number: int) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "c.yaml").write_text(str(number))

    assert hints.come_after(write)


def test_a_folder_that_takes_the_place_of_another_is_watched(tmp_path: Path, hints: Hints, watch: Watch) -> None:
    folder = tmp_path / "catalog"
    folder.mkdir()
    watch.start([folder], [])
    assert hints.come_after(lambda number: (folder / "c.yaml").write_text(str(number)))
    folder.rename(tmp_path / "old")
    folder.mkdir()
    assert hints.come_after(lambda number: (folder / "d.yaml").write_text(str(number)))


def test_it_looks_again_whatever_was_told(tmp_path: Path, hints: Hints) -> None:
    """Network mounts tell nothing."""
    looked = threading.Semaphore(0)
    watch = Watch(hints, looked.release)
    with patch("gateway.engine.watch.LOOK_AGAIN_S", 0.01):
        watch.start([tmp_path], [])
        assert looked.acquire(timeout=SOON_S)
        assert looked.acquire(timeout=SOON_S)
        watch.close()
