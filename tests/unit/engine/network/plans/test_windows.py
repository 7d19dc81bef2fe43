"""Change windows: half-open minutes of the week in UTC, over the end of the week too."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.config.devices import ChangeWindow
from gateway.engine.network.plans.windows import WEEK_MIN, is_open, next_begin

DAY = 24 * 60


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> float:
    """Of the week whose Monday is 5 January 2026; day 0 is that Monday."""
    return datetime(2026, 1, 5 + day, hour, minute, second, tzinfo=UTC).timestamp()


TUESDAY_NIGHT = ChangeWindow(DAY + 22 * 60, 2 * DAY)
OVER_THE_WEEK = ChangeWindow(6 * DAY + 22 * 60, 2 * 60)  # Sunday 22:00 to Monday 02:00


def test_without_windows_it_is_always_time() -> None:
    assert is_open((), at(3, 12))


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [
        (at(1, 21, 59, 59), False),
        (at(1, 22), True),
        (at(1, 23, 59, 59), True),
        (at(2, 0), False),
        (at(1, 22) + 7 * 86400, True),
    ],
)
def test_a_window_is_half_open_and_comes_each_week(now_s: float, expected: bool) -> None:
    assert is_open((TUESDAY_NIGHT,), now_s) is expected


@pytest.mark.parametrize(("now_s", "expected"), [(at(6, 21, 59), False), (at(6, 23), True), (at(0, 1, 59), True),
                                                 (at(0, 2), False)])  # fmt: skip
def test_a_window_may_go_over_the_end_of_the_week(now_s: float, expected: bool) -> None:
    assert is_open((OVER_THE_WEEK,), now_s) is expected


def test_the_whole_week_is_a_window() -> None:
    assert all(is_open((ChangeWindow(0, WEEK_MIN),), at(day, hour)) for day in range(7) for hour in (0, 12, 23))


def test_the_next_begin_is_told_in_words_and_seconds() -> None:
    wait_s, said = next_begin((TUESDAY_NIGHT, OVER_THE_WEEK), at(0, 12, 0, 30))
    assert said == "Tuesday 22:00 UTC"
    assert wait_s == at(1, 22) - at(0, 12, 0, 30)
    wait_s, said = next_begin((TUESDAY_NIGHT,), at(2, 0))
    assert (wait_s, said) == (6 * 86400 + 22 * 3600, "Tuesday 22:00 UTC")
