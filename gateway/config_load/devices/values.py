"""Values that settings of all kinds of devices are made of: change windows, addresses that clients meet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import AfterValidator

from gateway.config.devices import ChangeWindow
from gateway.config_load.values import written

MINUTES_OF_DAY: Final = 24 * 60
MINUTES_OF_WEEK: Final = 7 * MINUTES_OF_DAY
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_FORM: Final = "(?:" + "|".join(_DAYS) + ")"
_WINDOW: Final = re.compile(
    rf"({_DAY_FORM})(?:-({_DAY_FORM}))? ([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00))\Z"
)


def _virtual_address(value: str) -> str:
    try:
        address = ip_address(value)
    except ValueError:
        raise ValueError(f"`{value}` is no address; write `203.0.113.10`, without port and network") from None
    if address.is_unspecified or address.is_multicast or "%" in value:
        raise ValueError(f"`{value}` is no address of a virtual server; write one that clients reach")
    return str(address)


def windows_of(text: str) -> tuple[ChangeWindow, ...]:
    """`mon-fri 20:00-23:00`, `sat 22:00-04:00` (until the next morning), UTC; in minutes of the week, none of them
    across its end. Raises `ValueError` for anything else."""
    match = _WINDOW.match(text)
    if match is None:
        raise ValueError(f"`{text}` is no change window; write `mon-fri 20:00-23:00` or `sat 22:00-04:00`, in UTC")
    first, last = _DAYS.index(match[1]), _DAYS.index(match[2] or match[1])
    begins = int(match[3]) * 60 + int(match[4])
    ends = int(match[5] or match[7]) * 60 + int(match[6] or match[8])
    if begins == ends:
        raise ValueError(f"`{text}` ends when it begins; for a whole day write `00:00-24:00`")
    length = (ends - begins) % MINUTES_OF_DAY or MINUTES_OF_DAY
    return tuple(
        window
        for day in range((last - first) % 7 + 1)
        for window in _unwrapped((first + day) % 7 * MINUTES_OF_DAY + begins, length)
    )


def _unwrapped(begins: int, length: int) -> Iterator[ChangeWindow]:
    ends = begins + length
    yield ChangeWindow(begins, min(ends, MINUTES_OF_WEEK))
    if ends > MINUTES_OF_WEEK:
        yield ChangeWindow(0, ends - MINUTES_OF_WEEK)


def _window(value: str) -> str:
    windows_of(value)
    return value


_HOURS = "[0-2][0-9]:[0-5][0-9]"
VirtualAddress = Annotated[
    str, AfterValidator(_virtual_address), written("An IP address.", "[0-9A-Fa-f:.]+", "203.0.113.10")
]
Window = Annotated[
    str, AfterValidator(_window), written("Days and hours of UTC.", rf"[a-z]{{3}}(-[a-z]{{3}})? {_HOURS}-{_HOURS}",
                                          "mon-fri 20:00-23:00")
]  # fmt: skip


def windows_settings(said: Sequence[str]) -> tuple[ChangeWindow, ...]:
    found = {window for text in said for window in windows_of(text)}
    return tuple(sorted(found, key=lambda window: (window.begins, window.ends)))
