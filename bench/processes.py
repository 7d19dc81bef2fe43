"""Gateways as process trees: started pinned to one core, measured from /proc, stopped by pid.

Only processes this bench started are ever signalled. CPU is utime + stime of every process of the tree, so a
gateway pays for its logging, control and helper processes too.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.ground import ROOT, BenchFault

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command name, which may hold blanks: [state, ppid, …]."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parents() -> Iterator[tuple[int, int]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                yield int(entry), int(_stat(int(entry))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue


def tree_of(root: int) -> list[int]:
    """``root`` and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found, pending = [], [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        pending += children.get(pid, [])
    return found


def cpu_s(pids: Sequence[int]) -> float:
    total = 0
    for pid in pids:
        try:
            fields = _stat(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def rss_bytes(pids: Sequence[int]) -> int:
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def scheduled_ms(pid: int) -> dict[str, tuple[float, float]]:
    """Of each thread: how long it ran, and how long it could have run and had no processor."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        ran_ns, queued_ns, _ = (thread / "schedstat").read_text().split()
        found[thread.name] = (int(ran_ns) / 1e6, int(queued_ns) / 1e6)
    return found


def peak_mb(pid: int | str = "self") -> int:
    """The most that was ever resident."""
    return _told_mb(f"/proc/{pid}/status", "VmHWM:")


def pss_mb(pid: int | str = "self") -> int:
    """What is resident now, shared pages by their part."""
    return _told_mb(f"/proc/{pid}/smaps_rollup", "Pss:")


def _told_mb(file: str, name: str) -> int:
    (line,) = (each for each in Path(file).read_text().splitlines() if each.startswith(name))
    return int(line.split()[1]) // 1024


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def move(pid: int, core: int) -> None:
    """Every thread of it: one that began before stays where it was otherwise."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


class Tree:
    """One started command and everything it started."""

    def __init__(self, name: str, command: Sequence[str], core: int, folder: Path, env: Mapping[str, str] = {}) -> None:
        self.name = name
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **env}, preexec_fn=_die_with_parent,
            )  # fmt: skip

    @property
    def pids(self) -> list[int]:
        return tree_of(self.process.pid)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def last_lines(self, count: int = 5) -> str:
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def wait_until(self, ready: Callable[[], bool], limit_s: float) -> None:
        """Poll ``ready`` until it holds; a tree that ends first, or is late, is a fault with its last words."""
        limit = time.monotonic() + limit_s
        while not ready():
            if not self.alive:
                raise BenchFault(f"{self.name} ended at start: {self.last_lines()}")
            if time.monotonic() > limit:
                raise BenchFault(f"{self.name} was not ready after {limit_s:.0f} s: {self.last_lines()}")
            time.sleep(0.1)

    def wait_idle(self, limit_s: float = 300.0) -> None:
        """Return once the whole tree uses less than 5 % of a core, so that no start-up work enters a round."""
        limit = time.monotonic() + limit_s
        while time.monotonic() < limit:
            pids, before = self.pids, cpu_s(self.pids)
            time.sleep(1.0)
            if cpu_s(pids) - before < 0.05:
                return
        raise BenchFault(f"{self.name} never came to rest")

    def stop(self, limit_s: float = 15.0) -> None:
        pids = self.pids
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(limit_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in pids[1:]:
            _end(pid)


def _end(pid: int) -> None:
    """A descendant that outlived its root: ask, wait two seconds, insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
            for _ in range(20):
                if _stat(pid)[0] == "Z":
                    return
                time.sleep(0.1)
        except (FileNotFoundError, ProcessLookupError):
            return
