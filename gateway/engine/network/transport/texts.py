"""Texts of devices, fit for messages of ours: hostile until they are short, printable and without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 300  # characters of a device's text in a message
_READ: Final = 65_536  # characters of a text that are looked at to show some
_TOKEN: Final = re.compile(r"\b[A-Z2-7]{26}\b")  # as BIG-IP gives them


def shown(text: str, secrets: Iterable[str] = ()) -> str:
    """A device's text, fit for a message of ours. ``secrets`` are found in upper and lower case."""
    for secret in secrets:
        if secret:
            text = re.sub(re.escape(secret), "…", text, flags=re.IGNORECASE)
    text = _TOKEN.sub("…", "".join(each if each.isprintable() else " " for each in text[:_READ]))
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
