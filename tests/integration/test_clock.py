"""The worker's clock never steps back, so what has ended stays ended; that it is ahead of the machine's is said."""

from __future__ import annotations

import json
import time

import pytest

from gateway import counters
from tests.support.door import RunningDoor, until


def said(capfd: pytest.CaptureFixture[str]) -> list[str]:
    lines = capfd.readouterr().err.splitlines()
    return [event["event"] for event in map(json.loads, lines) if event["event"].startswith("clock_")]


def test_a_clock_that_was_set_back_is_counted_and_said_once_and_so_is_its_end(
    door: RunningDoor, capfd: pytest.CaptureFixture[str]
) -> None:
    values = door.door.values
    door.skip_to(int(time.time()) + 86_400)
    until(lambda: values[counters.CLOCK_AHEAD_S] > 86_000)
    until(lambda: "clock_set_back" in said(capfd))

    def catch_up() -> None:
        door.door.now = int(time.time())

    door.thread.call(catch_up)
    until(lambda: values[counters.CLOCK_AHEAD_S] == 0)
    assert said(capfd) == ["clock_caught_up"]
