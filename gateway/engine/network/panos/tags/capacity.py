"""How many registered addresses a firewall holds: as the operator says, else as its model is documented.

What does not fit is refused entry by entry, and then some services are not reached: so a reader is warned before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

WARNED: Final = 0.8  # of the capacity
# By the vendor's list; of several that fit the first counts.
_DOCUMENTED: Final = (
    (r"PA-5450|PA-7\d\d\d|PA-4[56]0", 100_000),
    (r"Panorama|M-\d+|PA-5[24]\d\d", 500_000),
    (r"(PA-)?VM-[57]00", 300_000),
    (r"PA-32\d\d|PA-34[34]0|(PA-)?VM-300", 200_000),
    (r"PA-34[12]0", 150_000),
    (r"PA-440", 50_000),
    (r"PA-850|(PA-)?VM-100", 2_500),
    (r"PA-(820|410|220)|(PA-)?VM-50", 1_000),
)  # fmt: skip
_MODELS: Final = tuple((re.compile(pattern, re.IGNORECASE), most) for pattern, most in _DOCUMENTED)


def capacity_of(model: str, said: int) -> int:
    """0 where nobody knows. ``said``: by the operator, 0 for nothing."""
    return said or next((most for pattern, most in _MODELS if pattern.fullmatch(model)), 0)


def capacity_remarks(keys: int, wanted: int, capacity: int, model: str) -> Iterator[str]:
    """``keys``: with tags now, of ours or not."""
    if not capacity:
        yield f"how many registered addresses a {model or 'firewall'} holds is not known here: say `address_capacity`"
    elif wanted > capacity:
        yield f"{wanted:,} addresses are wanted and the firewall holds {capacity:,}: some of them will be refused"
    elif max(keys, wanted) >= WARNED * capacity:
        yield f"{max(keys, wanted):,} of the {capacity:,} registered addresses that the firewall holds are in use"
