"""The lab's own child processes beside Stagedoor: the identity provider and the example applications.

Each is given the reading end of a pipe as standard input and says `ready` when it listens. Closing the pipe asks
it to end; so does this process's death, whatever killed it. Being children of the lab and not of the supervisor,
they never see the terminal's Ctrl-C: the applications answer until the door has finished.
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from gateway.lab.child import READY
from gateway.lab.folder import LabError

READY_S: Final = 8.0
END_S: Final = 1.5


class Children:
    """A context that ends every child it started."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[subprocess.Popen[bytes]] = []
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start `python -m gateway.lab.NAME`; its messages go to a log file of that name."""
        log = (self._logs / f"{name}.log").open("ab")
        self._files.append(log)
        child = subprocess.Popen(
            [sys.executable, "-m", f"gateway.lab.{name}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,  # several lines may come at once, and `select` sees none that was read ahead
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
        )
        self._running.append(child)

    def wait_until_ready(self) -> None:
        """All that were started listen, or `LabError`."""
        for child in self._running:
            assert child.stdout is not None
            said = b" "
            while said and said.strip() != READY.encode():
                readable, _, _ = select.select([child.stdout], [], [], READY_S)
                said = child.stdout.readline() if readable else b""
            if not said:
                name = str(child.args[2]) if isinstance(child.args, list) else "child"
                raise LabError(f"`{name}` did not start: see `{self._logs}`")

    def end(self) -> None:
        for child in self._running:
            if child.stdin is not None:
                child.stdin.close()
        for child in self._running:
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()
        for file in self._files:
            file.close()
        self._running.clear()
        self._files.clear()
