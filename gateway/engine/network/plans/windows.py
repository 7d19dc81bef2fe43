"""Change windows: when a device may be written to, in minutes of the week from Monday 00:00 UTC.

A window is half-open. One that ends before it begins goes over the end of the week. Without windows it is always time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.config.devices import ChangeWindow

WEEK_MIN: Final = 7 * 24 * 60
_EPOCH_MIN: Final = 3 * 24 * 60  # 1970-01-01 was a Thursday
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def is_open(windows: Sequence[ChangeWindow], now_s: float) -> bool:
    """``now_s``: epoch seconds."""
    minute = _minute_of_week(now_s)
    return not windows or any((minute - each.begins) % WEEK_MIN < _length(each) for each in windows)


def next_begin(windows: Sequence[ChangeWindow], now_s: float) -> tuple[float, str]:
    """Seconds until the next window begins, and when that is: `Tuesday 22:00 UTC`. There is at least one window."""
    minute = _minute_of_week(now_s)
    first = min(windows, key=lambda each: (each.begins - minute - 1) % WEEK_MIN)
    wait_min = (first.begins - minute - 1) % WEEK_MIN + 1
    return wait_min * 60 - now_s % 60, _named(first.begins)


def _minute_of_week(now_s: float) -> int:
    return (int(now_s // 60) + _EPOCH_MIN) % WEEK_MIN


def _length(window: ChangeWindow) -> int:
    return (window.ends - window.begins - 1) % WEEK_MIN + 1


def _named(minute: int) -> str:
    day, rest = divmod(minute % WEEK_MIN, 24 * 60)
    return f"{_DAYS[day]} {rest // 60:02d}:{rest % 60:02d} UTC"
