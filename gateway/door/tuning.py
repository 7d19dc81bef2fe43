"""What a worker asks of the interpreter and of the C library, once all that lives as long as it does is there.

Collector: what is long-lived is frozen, young objects are looked at rarely and old ones never, because connections
break their own cycles. Threads: the audit thread may keep the loop waiting for half a millisecond, where the
interpreter would allow five. Memory: by default glibc returns the top of the heap to the kernel whenever 128 KiB of it
are free, and maps each larger piece anew. A worker takes and drops a quarter of a MiB with every read of a large body;
pages that were given back are zeroed and handed out again one by one, 64 for each read. So a little is kept: what
this moment needs, the next one will (mallopt(3)).
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

COLLECT: Final = (4000, 2, 10**9)
SWITCH_S: Final = 0.0005
KEPT_BYTES: Final = 16 * 1024 * 1024
MAPPED_BYTES: Final = 4 * 1024 * 1024  # pieces from here on are the kernel's again as soon as they are dropped
_TRIM_THRESHOLD: Final = -1  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in glibc's malloc.h
_MMAP_THRESHOLD: Final = -3


def settle() -> None:
    """Called when a worker is about to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    sys.setswitchinterval(SWITCH_S)
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """False where the C library has no such settings (musl)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT_BYTES)) and bool(mallopt(_MMAP_THRESHOLD, MAPPED_BYTES))
