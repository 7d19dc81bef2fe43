"""The careful walk through an exposure's path tree: every way that matches, and what comes near.

``policy.routes`` is the definition of what is found here. The table's quick walk follows one child at a time and
turns to this one as soon as a second child could have a say.
"""

from __future__ import annotations

from collections.abc import Iterator

from policy.frames import LeafFrame, NodeFrame, Operation
from policy.paths import VARIABLE, Segments, folds, variable_fits


class Route:
    """One way through the tree that matches a whole path, with the places where it took a variable or ``**``."""

    __slots__ = ("leaf", "open_at", "shape")

    def __init__(self, leaf: LeafFrame, shape: tuple[int, ...], open_at: tuple[tuple[NodeFrame, int], ...]) -> None:
        self.leaf = leaf
        self.shape = shape
        self.open_at = open_at


def exact_routes(
    node: NodeFrame,
    path: Segments,
    at: int = 0,
    shape: tuple[int, ...] = (),
    open_at: tuple[tuple[NodeFrame, int], ...] = (),
) -> Iterator[Route]:
    """Every way that matches the whole path. Two ways never share a node, so there are at most as many as nodes."""
    leaf, literals, _, variable, patterns, tail = node
    if tail:
        yield Route(tail, (*shape, 2), (*open_at, (node, at)))
    if at == len(path):
        if leaf:
            yield Route(leaf, shape, open_at)
        return
    text = path[at]
    if literals is not None and text in literals:
        yield from exact_routes(literals[text], path, at + 1, (*shape, 0), open_at)
    children = patterns if variable is None else ((VARIABLE, variable),)
    for part, child in children:
        if variable_fits(part, text):
            yield from exact_routes(child, path, at + 1, (*shape, 1), (*open_at, (node, at)))


def required(routes: list[Route], path: Segments, method: str) -> list[Operation]:
    """The operations of the best shape for a method, then their literal siblings, each in canonical order."""
    having = [route for route in routes if method in route.leaf[1]]
    if not having:
        return required(routes, path, "GET") if method == "HEAD" else []
    best = min(route.shape for route in having)
    having = [route for route in having if route.shape == best]
    chosen = [each for route in having for each in operations_of(route.leaf, method)]
    shadows: dict[Operation, None] = {}
    for route in having:
        for leaf in _shadows(route, path):
            shadows |= dict.fromkeys(operations_of(leaf, method) or operations_of(leaf))
    return sorted(chosen, key=_template) + sorted((each for each in shadows if each not in chosen), key=_template)


def operations_of(leaf: LeafFrame, method: str = "") -> list[Operation]:
    """What a leaf holds for one method, or for all, in canonical order."""
    template, methods, terms = leaf
    return [(template, each, *of[:2]) for each, of in zip(methods, terms, strict=True) if not method or each == method]


def _template(operation: Operation) -> str:
    return operation[0]


def _shadows(route: Route, path: Segments) -> Iterator[LeafFrame]:
    """The leaves under literal siblings of the route's open parts that the path comes near."""
    for node, at in route.open_at:
        rest = tuple(text for text in path[at:] if text)
        yield from _near_literals(node, rest)


def _near_literals(node: NodeFrame, rest: Segments) -> Iterator[LeafFrame]:
    literals, folded = node[1], node[2]
    if literals is None:
        return
    if "" in literals:
        yield from _near_leaves(literals[""], rest)
    if not rest:
        return
    for fold in dict.fromkeys(folds(rest[0])):
        if fold == "":
            continue
        if folded is not None:
            children = folded.get(fold, ())
        else:
            children = (literals[fold],) if fold in literals else ()
        for child in children:
            yield from _near_leaves(child, rest[1:])


def _near_leaves(node: NodeFrame, rest: Segments) -> Iterator[LeafFrame]:
    leaf, _, _, variable, patterns, tail = node
    if tail:
        yield tail
    if not rest and leaf:
        yield leaf
    yield from _near_literals(node, rest)
    if not rest:
        return
    children = patterns if variable is None else ((VARIABLE, variable),)
    for part, child in children:
        if part == VARIABLE or any(variable_fits(part.casefold(), fold) for fold in folds(rest[0])):
            yield from _near_leaves(child, rest[1:])
