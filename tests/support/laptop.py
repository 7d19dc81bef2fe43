"""Somebody's own machine: the command line as a process, with a home of its own and a browser that opens nothing."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.node import ROOT

PATIENCE_S = 60.0
Reading = Callable[[], None]


class _Command:
    """A process that somebody listens to. ``shown``: what it has said so far, where people look."""

    def __init__(self, process: subprocess.Popen[str] | subprocess.Popen[bytes], readers: list[Reading]) -> None:
        self.process = process
        self.shown = ""
        self._changed = threading.Condition()
        self._heard = len(readers)  # of its streams, those that are open
        self._readers = [threading.Thread(target=self._listen, args=(each,), daemon=True) for each in readers]
        for reader in self._readers:
            reader.start()

    def wait_for(self, pattern: str) -> str:
        """The first group of what it shows, once it does."""
        with self._changed:
            self._changed.wait_for(lambda: re.search(pattern, self.shown) or not self._heard, PATIENCE_S)
        found = re.search(pattern, self.shown)
        assert found is not None, f"it never said `{pattern}`:\n{self.shown}"
        return found[1] if found.groups() else found[0]

    def end(self) -> int:
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()

    def _listen(self, reader: Reading) -> None:
        try:
            reader()
        finally:
            with self._changed:
                self._heard -= 1
                self._changed.notify_all()

    def _show(self, text: str) -> None:
        with self._changed:
            self.shown += text
            self._changed.notify_all()


class Running(_Command):
    """A command that waits for somebody, who reads its stderr. ``out``: its stdout, once it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.out = ""
        self._pipes = process
        super().__init__(process, [self._read_told, self._read_out])

    def _read_told(self) -> None:
        assert self._pipes.stderr is not None
        for line in self._pipes.stderr:
            self._show(line)
        self._pipes.stderr.close()

    def _read_out(self) -> None:
        assert self._pipes.stdout is not None
        self.out = self._pipes.stdout.read()
        self._pipes.stdout.close()


class Terminal(_Command):
    """A command with somebody in front of it: its stdin, stdout and stderr are one terminal."""

    def __init__(self, words: tuple[str | Path, ...], cwd: Path, environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", *map(str, words)], cwd=cwd, env=environment, stdin=theirs,
            stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        super().__init__(process, [self._read])

    def type_in(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        super().__exit__(kind, error, _)
        os.close(self._ours)

    def _read(self) -> None:
        with suppress(OSError):  # that is how the last one's leaving shows on a terminal
            while piece := os.read(self._ours, 65536):
                self._show(piece.decode("utf-8", "replace").replace("\r\n", "\n"))


class Laptop:
    """``folder``: becomes its home. Its browser writes down what it should open, and opens nothing."""

    def __init__(self, folder: Path, more: Mapping[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.home = folder
        self.opened = folder / "opened"
        browser = folder / "browser"
        browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{self.opened}"\n')
        browser.chmod(0o700)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environment = {
            **kept, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT),
            "BROWSER": f"{browser} %s", "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", **(more or {}),
        }  # fmt: skip

    @property
    def sign_ins(self) -> Path:
        return self.home / "state" / "stagedoor" / "sign-ins"

    def start(self, *words: str | Path) -> Running:
        return Running(self._popen(words, subprocess.DEVNULL))

    def sit(self, *words: str | Path) -> Terminal:
        return Terminal(words, self.home, self.environment)

    def run(self, *words: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
        process = self._popen(words, subprocess.PIPE)
        out, told = process.communicate(typed, PATIENCE_S)
        return subprocess.CompletedProcess([str(word) for word in words], process.returncode, out, told)

    def _popen(self, words: tuple[str | Path, ...], stdin: int) -> subprocess.Popen[Any]:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", *map(str, words)], cwd=self.home, env=self.environment,
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
