"""Children of a node by their names, in lists of ten thousands that grow at their end.

Each list that was looked at is remembered until the node is gone, and continued where it grew. Nodes are taken away and
moved by everybody: a list that has another length, or another first or last child, is read anew. Who gives a child
another name says so (`forget`).
"""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary
from xml.etree.ElementTree import Element

FEW: Final = 16  # children that are merely looked through


class _List:
    def __init__(self) -> None:
        self.count = 0
        self.first: Element | None = None
        self.last: Element | None = None
        self.by_name: dict[tuple[str, str], Element] = {}

    def follow(self, node: Element) -> None:
        if self.count and not (len(node) >= self.count and node[0] is self.first and node[self.count - 1] is self.last):
            self.count = 0
            self.by_name = {}
        for child in node[self.count :]:
            if (name := child.get("name")) is not None:
                self.by_name.setdefault((child.tag, name), child)
        self.count = len(node)
        self.first, self.last = (node[0], node[-1]) if self.count else (None, None)


_LISTS: Final[WeakKeyDictionary[Element, _List]] = WeakKeyDictionary()


def child_named(node: Element, tag: str, name: str) -> Element | None:
    """The first."""
    if len(node) <= FEW:
        return next((child for child in node if child.tag == tag and child.get("name") == name), None)
    known = _LISTS.setdefault(node, _List())
    known.follow(node)
    found = known.by_name.get((tag, name))
    if found is not None and (found.get("name") != name):
        forget(node)
        return child_named(node, tag, name)
    return found


def forget(node: Element) -> None:
    _LISTS.pop(node, None)
