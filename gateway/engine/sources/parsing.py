"""The text of a definition as data: JSON by its own parser, which is fast and knows no lines, the rest as YAML.

Both refuse a key that is said twice, and both are bounded: neither depth nor aliases nor size can exhaust the engine.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from gateway import documents
from policy.facts import Source
from policy.reading import Fault

MAX_BYTES = 16 * 1024 * 1024  # of UTF-8: the caller bounds characters


class _Twice(ValueError):
    """A key that is said twice; the parser would take the last."""


def parsed(text: str, file: str) -> tuple[documents.Document, Fault | None]:
    """The one document in it, or what is wrong with it; lines count from the start of the text."""
    empty = documents.Document(None, file, 0)
    if text.lstrip()[:1] == "{":
        try:
            return documents.Document(json.loads(text, object_pairs_hook=_once), file, 0), None
        except RecursionError:
            return empty, Fault(Source(file, 1), "nested too deeply")
        except _Twice as fault:
            return empty, Fault(Source(file, 1), str(fault), "remove one of the two")
        except ValueError:
            pass  # YAML in flow style also starts with a brace
    found, faults = documents.read_text(text.encode("utf-8", "replace"), file, max_bytes=MAX_BYTES)
    faults = [*faults, *(fault for document in found for fault in document.faults)]
    if faults:
        return empty, faults[0]
    if len(found) != 1:
        return empty, Fault(Source(file, 1), f"holds {len(found)} documents, expected one")
    return found[0], None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise _Twice(f"key `{key[:80]}` is said twice")
    return members
