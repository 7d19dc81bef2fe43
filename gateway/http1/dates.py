"""When an answer was made (RFC 9110, 6.6.1): on all that the door says itself, but to monitors, and on what a service
says without, because who has a clock has to add it to what passes."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache


@lru_cache(maxsize=4)
def date_line(now: int) -> bytes:
    """The whole line for this second of the epoch."""
    return b"Date: %b\r\n" % formatdate(now, usegmt=True).encode("ascii")
