"""Tells the engine that something may have changed. It may be wrong in one direction only: a hint too many costs a
reading of file stamps. What the kernel does not tell (network mounts, links) is found by looking again every few
seconds, in a thread of its own: that takes long in a large catalog and must keep no change waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import watch

DEBOUNCE_MS = 80  # changes in one burst are one hint
QUIET_MS = 25
_TIMEOUT_MS = 1000
LOOK_AGAIN_S = 5.0  # whatever is noticed meanwhile
_MISSING_S = 1.0


class Watch:
    """Threads that wait for changes; each calls ``on_change`` from its own thread, with the paths at which something
    happened, or None: anything may have. ``look_again`` is called every few seconds, from one thread."""

    def __init__(self, on_change: Callable[[frozenset[str] | None], None], look_again: Callable[[], None]) -> None:
        self._on_change = on_change
        self._look_again = look_again
        self._stop = threading.Event()

    def start(self, deep: Iterable[Path], flat: Iterable[Path]) -> None:
        for folders, recursive in ((sorted(deep), True), (sorted(flat), False)):
            for folder in folders:
                name = f"watch {folder.name}"
                threading.Thread(target=self._follow, args=(folder, recursive), name=name, daemon=True).start()
        threading.Thread(target=self._keep_looking, name="watch again", daemon=True).start()

    def close(self) -> None:
        self._stop.set()

    def _keep_looking(self) -> None:
        while not self._stop.wait(LOOK_AGAIN_S):
            self._look_again()

    def _follow(self, folder: Path, recursive: bool) -> None:
        while not self._stop.is_set():
            if not folder.is_dir():
                self._stop.wait(_MISSING_S)
                continue
            try:
                self._until_replaced(folder, recursive)
            except (OSError, RuntimeError):
                self._stop.wait(_MISSING_S)
            self._on_change(None)

    def _until_replaced(self, folder: Path, recursive: bool) -> None:
        """Follow one folder; a folder of the same name that took its place needs a watch of its own."""
        inode = folder.stat().st_ino
        for changes in watch(
            folder,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            step=QUIET_MS,
            stop_event=self._stop,
            rust_timeout=_TIMEOUT_MS,
            yield_on_timeout=True,
            recursive=recursive,
            ignore_permission_denied=True,
            raise_interrupt=False,
        ):
            if changes:
                self._on_change(frozenset(path for _, path in changes))
            if folder.stat().st_ino != inode:
                return
