"""Runs checks at once, each within its own time: one that hangs, breaks or waits for a dead name costs nobody else
anything.

What blocks (files, names, a compile) runs in a thread of its own that nobody waits for (`gateway.egress.look_ups`):
when the time is over, the check is told as unfinished, and the process may end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from gateway.doctor.lines import Line, fail


class Check(NamedTuple):
    """``name`` and ``subject`` are those of the line that stands for it when it does not come to an end."""

    name: str
    subject: str
    run: Callable[[], Awaitable[Sequence[Line]]]
    deadline_s: float = 15.0


async def run_checks(checks: Sequence[Check]) -> AsyncIterator[Sequence[Line]]:
    """The lines of each check, in the order of the checks, as soon as all before it are told."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(_lines_of(check)) for check in checks]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()


async def _lines_of(check: Check) -> Sequence[Line]:
    try:
        async with asyncio.timeout(check.deadline_s):
            return await check.run()
    except TimeoutError:
        found = f"not finished within {check.deadline_s:.0f} s"
        return [fail(check.name, check.subject, found, "find out what hangs: a name server, a disk, a firewall")]
    except Exception as error:
        found = f"the check itself failed: {type(error).__name__}: {error}"
        return [fail(check.name, check.subject, found, "report this line: it is a defect of Stagedoor")]
