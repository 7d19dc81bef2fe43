"""Checks run at once, each within its own time, and one that breaks or hangs costs nobody else anything."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from gateway.doctor.lines import Line, ok
from gateway.doctor.running import Check, run_checks
from gateway.egress.resolve import in_thread


def all_lines(*checks: Check) -> list[Line]:
    async def run() -> list[Line]:
        return [line async for lines in run_checks(checks) for line in lines]

    return asyncio.run(run())


async def well() -> Sequence[Line]:
    return [ok("disk", "b", "fine")]


async def broken() -> Sequence[Line]:
    raise KeyError("oops")


def test_a_check_that_breaks_stops_no_other_and_says_that_it_is_to_blame() -> None:
    first, second = all_lines(Check("dns", "a", broken), Check("disk", "b", well))
    assert (first.check, first.subject, first.verdict) == ("dns", "a", "FAIL")
    assert "the check itself failed: KeyError: 'oops'" in first.found
    assert second == ok("disk", "b", "fine")


def test_a_thread_that_hangs_is_left_behind_when_its_time_is_over() -> None:
    never = threading.Event()

    async def hangs() -> Sequence[Line]:
        await in_thread(never.wait)
        return []

    began = time.monotonic()
    first, second = all_lines(Check("disk", "a", hangs, 0.05), Check("disk", "b", well))
    never.set()
    assert (first.verdict, second.verdict) == ("FAIL", "OK")
    assert "not finished within" in first.found
    assert time.monotonic() - began < 5


def test_checks_run_at_the_same_time_and_are_told_in_their_order() -> None:
    """Each waits until the other has begun: one after the other they would never end."""
    meeting = threading.Barrier(2, timeout=10)

    def check(name: str) -> Check:
        async def run() -> Sequence[Line]:
            await in_thread(meeting.wait)
            return [ok(name, name, "met")]

        return Check(name, name, run)

    assert [line.check for line in all_lines(check("one"), check("two"))] == ["one", "two"]


def test_what_a_thread_raises_is_raised_where_it_is_awaited() -> None:
    def fail() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(in_thread(fail))
