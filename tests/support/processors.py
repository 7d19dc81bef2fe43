"""What others leave of the processors to a test: a promise of time or throughput is held to that part of them.

The clock measures the machine as well as the product. So it is set beside processor time: what this process gets of it
now, or what all programs but the test's own got of it meanwhile. What nobody used was there for the test.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

SAMPLE_S: Final = 0.3  # of processor time


def slowdown() -> float:
    """How much longer something takes now than if nobody else wanted the processors: 1.0 on an idle machine."""
    began, spent = time.perf_counter(), time.process_time()
    while time.process_time() - spent < SAMPLE_S:
        pass
    return max(1.0, (time.perf_counter() - began) / SAMPLE_S)


class Processors:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._usable = os.sched_getaffinity(0)
        self._began_s, self._others_s = time.monotonic(), self._of_others_s()

    def part(self) -> float:
        """0.0 to 1.0; 1.0: others used none since then. One's own processes have ended and were waited for."""
        whole_s = (time.monotonic() - self._began_s) * len(self._usable)
        return min(1.0, max(0.0, 1.0 - (self._of_others_s() - self._others_s) / whole_s))

    def _of_others_s(self) -> float:
        ticks = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name.startswith("cpu") and name != "cpu" and int(name[3:]) in self._usable:
                user, nice, system, *_, stolen = map(int, fields[:8])
                ticks += user + nice + system + stolen
        own = os.times()
        return ticks / os.sysconf("SC_CLK_TCK") - own.user - own.system - own.children_user - own.children_system
