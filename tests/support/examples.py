"""How many examples Hypothesis tries where a test names a number of its own: all of them with TESTS=all, a third in a
plain run, which is there to be waited for. The examples are the same ones every time."""

from __future__ import annotations

import os

FEWEST = 25


def examples(number: int) -> int:
    plain = os.environ.get("TESTS", "plain") == "plain"
    return max(number // 3, min(number, FEWEST)) if plain else number
