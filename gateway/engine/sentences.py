"""Refs and numbers as sentences say them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_NAMED: Final = 3  # refs of one sentence


def joined(words: Sequence[str]) -> str:
    """`a, b and c`"""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def listed(refs: Iterable[str], most: int = _NAMED) -> str:
    """All of a few; of many the first, and how many more."""
    shown = [f"`{ref}`" for ref in refs]
    if len(shown) <= most:
        return joined(shown)
    return f"{', '.join(shown[:most])} and {len(shown) - most:,} more"


def numbered(number: int, noun: str, plural: str = "") -> str:
    """`1 person`, `2 people`"""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
