"""Rounds come first. Python runs one thread at a time, so an answer that takes seconds would make the round beside it
take twice as long, and a change at the doors must not wait for somebody's question. Who works long beside the rounds
gives way between one piece of work and the next.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Precedence:
    def __init__(self) -> None:
        self._is_free = threading.Event()
        self._is_free.set()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """While a round is under way. There is one at a time."""
        self._is_free.clear()
        try:
            yield
        finally:
            self._is_free.set()

    def give_way(self) -> None:
        """Returns when no round is under way."""
        if not self._is_free.is_set():
            self._is_free.wait()
