"""Values and names in sentences: short, printable, the same everywhere. What a device says is hostile here too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.engine.network.transport.texts import LONGEST, shown

SENTENCE: Final = 2400  # characters: two services and two teams with the longest names, and a place


def word_of(value: object) -> str:
    """A value in a sentence."""
    if isinstance(value, list | tuple):
        return ", ".join(word_of(each) for each in value) or "nothing"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        for key in ("bigip", "use"):
            if isinstance(value.get(key), str):
                return word_of(value[key])
    return f"`{shown(str(value))[:100]}`" if value not in ("", None) else "nothing"


def some(names: Sequence[str], most: int = 3) -> str:
    """`a`, `b`, `c` and 4 more."""
    told = ", ".join(f"`{shown(name)}`" for name in names[:most])
    return told + (f" and {len(names) - most} more" if len(names) > most else "")


def count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def owner_of(group: str) -> str:
    return f"`{clean(group, LONGEST)}`" if group else "nobody"


def clean(text: str, most: int = SENTENCE) -> str:
    """A whole sentence, whatever names a device put into it."""
    begins = "".join(each if each.isprintable() else "\ufffd" for each in text[:most])
    return begins if len(text) <= most else begins + "…"
