"""How soon a worker that was killed is replaced by one that serves people's sessions, from the client's side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import NamedTuple

from tests.support.door import until
from tests.support.signing_in import SigningIn
from tests.support.surfing import Surfer

SERVED_S = 1.0
PEOPLE = 4
SETTLED_S = 12.0  # a worker that lived this long is replaced without a longer pause


class Replaced(NamedTuple):
    """``took``: seconds from the kill until everybody who asked at once was served; inf: somebody was not.
    ``slowness``: how many times longer than its own work a program took to start just before, because others had the
    processors."""

    took: float
    slowness: float


def replaced(place: SigningIn, kills: int, settle_s: float = SETTLED_S) -> list[Replaced]:
    """Kill the node's only worker, again and again."""
    people = [place.browser() for _ in range(PEOPLE)]
    for surfer in people:
        assert place.sign_in(surfer).status == 200
    return [_one(place, people, settle_s) for _ in range(kills)]


def _one(place: SigningIn, people: list[Surfer], settle_s: float) -> Replaced:
    killed = place.node.children("door")[0]
    ends = time.monotonic() + settle_s
    while time.monotonic() < ends:  # as people do, so that what they have does not grow old
        assert {surfer.get(f"{place.app}/").status for surfer in people} == {200}
        threading.Event().wait(min(1.0, max(0.0, ends - time.monotonic())))
    slowness = _slowness()
    began = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    until(lambda: _is_gone(killed), 30)
    with ThreadPoolExecutor(PEOPLE) as pool:
        served = list(pool.map(lambda surfer: surfer.get(f"{place.app}/").status, people))
    took = time.monotonic() - began if set(served) == {200} else inf
    assert place.node.children("door")[0] != killed
    return Replaced(took, slowness)


def _slowness() -> float:
    began = time.monotonic()
    started = subprocess.Popen([sys.executable, "-P", "-c", "import gateway.door.worker"])
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    assert started.returncode == 0
    return max(1.0, (time.monotonic() - began) / (used.ru_utime + used.ru_stime))


def _is_gone(pid: int) -> bool:
    """It holds no socket any more; its supervisor may not have looked yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as said:
            return said.read().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True
