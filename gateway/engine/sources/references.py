"""References inside a document (RFC 6901, as JSON Schema and OpenAPI write them). Nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

MOST: Final = 8  # of a reference to a reference


def resolved(document: Mapping[str, Any], node: object) -> object:
    """The node, references inside the document followed; None when it leads outside or nowhere."""
    for _ in range(MOST):
        if not isinstance(node, Mapping) or "$ref" not in node:
            return node
        reference = node["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        node = _pointed(document, reference)
    return None


def _pointed(document: Mapping[str, Any], reference: str) -> object:
    node: object = document
    for part in reference[2:].split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
