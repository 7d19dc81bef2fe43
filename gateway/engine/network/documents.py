"""The documents that a device pulls by itself, and how a vendor says which there are.

A document is text with a media type, the same bytes wherever it is made from the same catalog and settings. Lists are
sorted and hold nothing twice; one with nothing in it is none, because a device takes an empty list for the truth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.plans.plan import Observed, Step

JSON: Final = "application/json"
LINES: Final = "text/plain; charset=utf-8"
LARGEST_BYTES: Final = 16 * 1024 * 1024  # of a document
LARGEST_SET_BYTES: Final = 24 * 1024 * 1024  # of all of an environment, which control asks for at once


class Document(NamedTuple):
    media_type: str
    text: str


class Recipe(NamedTuple):
    """What one environment on one device has to read. ``vendor`` is the first part of a feed's path.

    ``content`` is what would be sent to the device, as its `Target` understands it; ``faults`` say why it would not be.
    Both may raise `DeviceFault`. ``documents`` are by name, which is the rest of the path.

    ``steps``: from what readers have to a content, where it is none that the `Target` understands. ``beside``: what the
    content is made of besides the wish; another value makes it anew.
    """

    vendor: str
    content: Callable[[Desired], Any]
    faults: Callable[[Any], Sequence[str]]
    documents: Callable[[Any], Mapping[str, Document]]
    steps: Callable[[Any, Observed], Sequence[Step]] | None = None
    beside: Callable[[], object] = lambda: None


def json_document(value: Any) -> Document:
    return Document(JSON, json.dumps(value, indent=2) + "\n")


def lines_document(lines: Iterable[str]) -> Document:
    """Raises `DeviceFault` where there are none, or one would be two."""
    listed = sorted(set(lines))
    if not listed:
        raise DeviceFault("a list would be empty")
    if any(not line.isprintable() for line in listed):
        raise DeviceFault("a line of a list holds control characters")
    return Document(LINES, "".join(f"{line}\n" for line in listed))


def size_fault(documents: Mapping[str, Document]) -> str:
    """Why these are not given to anybody; "" when they are."""
    sizes = {name: len(document.text.encode()) for name, document in documents.items()}
    for name, size in sizes.items():
        if size > LARGEST_BYTES:
            return f"`{name}` has {size} bytes, more than {LARGEST_BYTES}"
    total = sum(sizes.values())
    return f"all documents have {total} bytes, more than {LARGEST_SET_BYTES}" if total > LARGEST_SET_BYTES else ""


def mark_of(documents: Mapping[str, Document]) -> str:
    """Of exactly these documents."""
    digest = sha256()
    for name, document in sorted(documents.items()):
        for text in (name, document.media_type, document.text):
            raw = text.encode()
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:32]
