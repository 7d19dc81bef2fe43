"""A deadline for who waits at a prompt: it ends what a device keeps silent about, never what it is slow to finish.

A device may need minutes to say much, and one that hangs says nothing: so each word of an answer puts the deadline off,
and whoever asks for somebody who does not wait (the engine by itself, an apply) has none. The deadline travels with the
task that asks, and with those that it starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

SILENT_S: Final = 12.0  # that a person waits for a device that says nothing


class Silent(Exception):
    """Nothing was heard for so long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")


class _Deadline:
    """``around``: that of who asked for this, and waits as long as something is heard here."""

    def __init__(self, timeout: asyncio.Timeout, silent_s: float, around: _Deadline | None) -> None:
        self._timeout = timeout
        self._silent_s = silent_s
        self._around = around
        self._is_over = False

    def put_off(self) -> None:
        if self._around is not None:
            self._around.put_off()
        if not self._is_over and not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._silent_s)

    def end(self) -> None:
        if not self._is_over and not self._timeout.expired():
            self._timeout.reschedule(None)
        self._is_over = True


_DEADLINE: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


@asynccontextmanager
async def answering(silent_s: float = SILENT_S) -> AsyncIterator[None]:
    """What is done within ends when no device was `heard` for so long. Raises `Silent`."""
    timeout = asyncio.timeout(silent_s)
    try:
        async with timeout:
            deadline = _Deadline(timeout, silent_s, _DEADLINE.get())
            token = _DEADLINE.set(deadline)
            try:
                yield
            finally:
                _DEADLINE.reset(token)
                deadline.end()
    except TimeoutError:
        if not timeout.expired():
            raise
        raise Silent(silent_s) from None


def heard() -> None:
    """A device has said something to whoever asked it."""
    if (deadline := _DEADLINE.get()) is not None:
        deadline.put_off()


def heard_all() -> None:
    """Nothing more is asked of it: what is made of its answers takes as long as it takes."""
    if (deadline := _DEADLINE.get()) is not None:
        deadline.end()
