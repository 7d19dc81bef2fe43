"""What the engine has said of network devices, unasked: kept while it is away."""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class Heard(NamedTuple):
    """``devices``: how each environment of each stands; ``at_s``: when (epoch seconds), None: it never said so."""

    devices: list[dict[str, Any]]
    at_s: float | None


NOTHING_HEARD: Final = Heard([], None)
