"""Ports that nobody uses, and that nobody is given before the test binds them.

A port the kernel has picked is anybody's again once its socket is closed. These lie below the range it picks from, and
a counter that all processes share goes round: none is given twice until thousands of others were.
"""

from __future__ import annotations

import fcntl
import socket
import tempfile
from pathlib import Path
from typing import Final

FIRST: Final = 20_000
BEYOND: Final = 32_000


def free_port() -> int:
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of some in a row."""
    with (Path(tempfile.gettempdir()) / "stagedoor-test-ports").open("a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        first = int(counter.read() or FIRST)
        for _ in range(BEYOND - FIRST):
            if first + count > BEYOND:
                first = FIRST
            if all(map(_is_free, range(first, first + count))):
                counter.truncate(0)
                counter.write(str(first + count))
                return first
            first += 1
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("", port))
        except OSError:
            return False
    return True
