"""Programs beside a door, each a process on a core of its own, until its input ends.

One machine stands for several: what a greedy client and its service compute is not to be taken from the door or from
another client, who would have cores of their own elsewhere. So the door is on one core and they are on the other; and
where the system allows it, who measures goes before all other programs of its core. What is left to see is what the
door does. With a single core, all are on that one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORES = sorted(os.sched_getaffinity(0))
DOOR_CORE, OTHERS_CORE = CORES[0], CORES[-1]


class Party:
    """``words`` are a module and its arguments; ``urgent`` ones go before all others of ``core``."""

    def __init__(self, core: int, *words: str, urgent: bool = False) -> None:
        self.words = words
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, "-m", *words], preexec_fn=_first if urgent else None,
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def says(self) -> str:
        """Its next line; raises `SystemExit` where it ended instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"`{' '.join(self.words)}` ended without a word")
        return line

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.says()

    def __enter__(self) -> Party:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=20)


def keep_on(core: int, pid: int) -> None:
    """Keep a running program, with all its threads, on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {core})


def _first() -> None:
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
