"""A worker does not return to the kernel what it needs again at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource
from gateway.door.tuning import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        pieces = [bytes(bytearray(b"x") * 262144) for _ in range(4)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if {kept}:
    if not keep_freed_memory():
        raise SystemExit("none here")
faults()
print(faults())
"""


def page_faults(*, kept: bool) -> int:
    command = [sys.executable, "-c", FAULTS.format(kept=kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "none here" in done.stderr:
        pytest.skip("this C library has no mallopt")
    return int(done.stdout)


def test_large_pieces_are_not_mapped_anew_each_time() -> None:
    """The kernel counts each page that it has to hand out: it hands them out once."""
    assert page_faults(kept=True) < 200
