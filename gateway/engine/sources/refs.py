"""Entity refs: `[kind:][namespace/]name`, compared in lower case, by the validators of Backstage's catalog model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_NAME = re.compile(r"(?:[a-z0-9][-a-z0-9_.]*)?[a-z0-9]\Z")
_NAMESPACE = re.compile(r"[a-z0-9]+(?:-+[a-z0-9]+)*\Z")
_KIND = re.compile(r"[a-z][a-z0-9]*\Z")
_LONGEST = 63


def entity_ref(kind: str, namespace: str, name: str) -> str:
    """The ref of an entity, "" when one of its parts is none."""
    kind, namespace, name = kind.lower(), namespace.lower(), name.lower()
    if not (_KIND.match(kind) and _NAMESPACE.match(namespace) and _NAME.match(name)):
        return ""
    if max(len(kind), len(namespace), len(name)) > _LONGEST:
        return ""
    return f"{kind}:{namespace}/{name}"


@lru_cache(maxsize=65536)
def full_ref(text: str, kind: str, namespace: str) -> str:
    """The lower-cased full ref of `[kind:][namespace/]name`; "" when it is none."""
    head, colon, rest = text.strip().lower().rpartition(":")
    space, slash, name = rest.rpartition("/")
    kind = head if colon else kind
    namespace = space if slash else namespace
    return entity_ref(kind, namespace, name)


def ref_list(parts: Iterable[str], kind: str, namespace: str) -> tuple[list[str], list[str]]:
    """The refs of a list, and the parts that are none."""
    refs: dict[str, None] = {}
    wrong = []
    for part in parts:
        if ref := full_ref(part, kind, namespace):
            refs[ref] = None
        else:
            wrong.append(part)
    return list(refs), wrong


def namespace_of(ref: str) -> str:
    return ref.partition(":")[2].partition("/")[0]
