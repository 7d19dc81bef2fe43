"""Rules to frames: plain tuples, dicts, strings, ints and frozensets that ``marshal`` writes and the table reads as is.

One frame per exposure, one of its rules in words (``why/…``, not needed to decide), blocks of people and of the
values that tokens find them by, and the small rest. Equal facts give equal bytes under
``marshal.dumps(frame, 2)``, whatever their order: dicts are built sorted, sets are sorted by marshal itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from policy.derive import Derived
from policy.directory import directory_frames
from policy.explain import why_frame
from policy.facts import Catalog, KeyField, Operation
from policy.frames import (
    CROWD,
    LAYOUT,
    DenyFrame,
    ExposureFrame,
    Frame,
    LeafFrame,
    NodeFrame,
    PermitFrame,
    PermitSetFrame,
    Rules,
    ScopeSetFrame,
    packed,
)
from policy.paths import TAIL, VARIABLE, Template, prefix_segments, template_of
from policy.requirements import OF_THE_CALL
from policy.rule import Published, Rule, names_of, order_of


def compile_frames(catalog: Catalog, derived: Derived, key_fields: Iterable[KeyField]) -> dict[str, Frame]:
    """Every frame by name, in order of names; the part before the slash is its kind."""
    frames: dict[str, Frame] = directory_frames(catalog, key_fields, derived.environments)
    frames["roles"] = roles_frame(derived)
    for published in derived.published:
        frames |= frames_of(published)
    return dict(sorted(frames.items()))


def frames_of(published: Published) -> dict[str, Frame]:
    return {f"exposure/{published.key}": exposure_frame(published), f"why/{published.key}": why_frame(published.rules)}


def roles_frame(derived: Derived) -> Frame:
    return dict(sorted(derived.role_scopes.items()))


def exposure_frame(published: Published) -> ExposureFrame:
    exposure = published.exposure
    permits = [rule for rule in sorted(published.rules, key=order_of) if rule.is_permit]
    sets = _Sets(permits, exposure.environment)
    terms = [(each, (sets.permit_set(each), sets.scope_set(each))) for each in published.operations]
    tree = tree_of(terms)
    denies = tuple(_deny(rule, exposure.environment) for rule in published.rules if not rule.is_permit)
    granted = [permit for entries, _ in sets.permits for permit in entries]
    return (
        LAYOUT,
        published.key,
        published.service.ref,
        exposure.environment,
        exposure.host,
        prefix_segments(exposure.prefix),
        exposure.prefix,
        exposure.upstreams,
        tuple(sorted(published.service.options)),
        published.service.cors,
        tuple(sorted({name for deny in denies for name in deny[0]})),
        any(need[1] in OF_THE_CALL for permit in granted for need in permit[4]),
        tuple(sorted({permit[0] for permit in granted})),
        packed(Rules(tree, tuple(sets.permits), tuple(sets.scopes), denies)),
    )


def _deny(rule: Rule, environment: str) -> DenyFrame:
    methods = None if rule.methods is None else tuple(sorted(rule.methods))
    return (names_of(rule.subject, environment), rule.id, methods, rule.operations)


class _Sets:
    """The permit sets and scope sets of one exposure, each different one once."""

    def __init__(self, rules: list[Rule], environment: str) -> None:
        self.rules = rules
        self.entries = [_permits(rule, environment) for rule in rules]
        self.permits: list[PermitSetFrame] = []
        self.scopes: list[ScopeSetFrame] = []
        self._permits_at: dict[tuple[int, ...], int] = {}
        self._scopes_at: dict[ScopeSetFrame, int] = {}
        # Unless a rule names operations, those of one method and API are alike; those that ask for the same, always.
        self._names_none = not any(rule.operations for rule in rules)
        self._permits_of: dict[tuple[str, str], int] = {}
        self._scopes_of: dict[tuple[bool, tuple[frozenset[str], ...]], int] = {}

    def permit_set(self, operation: Operation) -> int:
        if not self._names_none:
            return self._permit_set(operation)
        alike = (operation.method, operation.api)
        at = self._permits_of.get(alike)
        if at is None:
            at = self._permits_of[alike] = self._permit_set(operation)
        return at

    def scope_set(self, operation: Operation) -> int:
        alike = (operation.unresolved, operation.scopes)
        at = self._scopes_of.get(alike)
        if at is None:
            at = self._scopes_of[alike] = self._scope_set(operation)
        return at

    def _permit_set(self, operation: Operation) -> int:
        covering = tuple(position for position, rule in enumerate(self.rules) if rule.covers(operation))
        at = self._permits_at.get(covering)
        if at is None:
            at = self._permits_at[covering] = len(self.permits)
            self.permits.append(permit_set([entry for position in covering for entry in self.entries[position]]))
        return at

    def _scope_set(self, operation: Operation) -> int:
        needed = None if operation.unresolved else tuple(sorted({tuple(sorted(each)) for each in operation.scopes}))
        at = self._scopes_at.get(needed)
        if at is None:
            at = self._scopes_at[needed] = len(self.scopes)
            self.scopes.append(needed)
        return at


def _permits(rule: Rule, environment: str) -> list[PermitFrame]:
    requirements = tuple((each.kind, each.name, each.argument) for each in rule.requirements)
    confers = None if rule.confers is None else tuple(sorted(rule.confers))
    return [(name, rule.reason, rule.id, confers, requirements) for name in names_of(rule.subject, environment)]


def permit_set(entries: list[PermitFrame]) -> PermitSetFrame:
    """Where many may come, an index by subject keeps a decision from reading all of them."""
    if len(entries) <= CROWD:
        return (tuple(entries), None)
    index: dict[str, tuple[int, ...]] = {}
    for position, entry in enumerate(entries):
        index[entry[0]] = (*index.get(entry[0], ()), position)
    return (tuple(entries), dict(sorted(index.items())))


class _Node:
    """A node of the path tree while it grows."""

    __slots__ = ("children", "leaf", "tail")

    def __init__(self) -> None:
        self.leaf: list[tuple[Operation, tuple[int, int]]] = []
        self.tail: list[tuple[Operation, tuple[int, int]]] = []
        self.children: dict[str, _Node] = {}

    def add(self, template: Template, operation: Operation, sets: tuple[int, int]) -> None:
        node = self
        for part in template:
            if part == TAIL:
                node.tail.append((operation, sets))
                return
            child = node.children.get(part)
            if child is None:
                child = node.children[part] = _Node()
            node = child
        node.leaf.append((operation, sets))

    def frame(self) -> NodeFrame:
        if not self.children:
            return (_leaf(self.leaf), None, None, None, (), _leaf(self.tail))
        children = {part: node.frame() for part, node in sorted(self.children.items())}
        literals = {part: node for part, node in children.items() if VARIABLE not in part}
        variables = {part: node for part, node in children.items() if VARIABLE in part}
        folded: dict[str, tuple[NodeFrame, ...]] = {}
        for part, node in literals.items():
            folded[part.casefold()] = (*folded.get(part.casefold(), ()), node)
        only = variables.get(VARIABLE) if len(variables) == 1 else None
        return (
            _leaf(self.leaf),
            literals or None,
            dict(sorted(folded.items())) if list(folded) != list(literals) else None,
            only,
            () if only is not None else tuple(variables.items()),
            _leaf(self.tail),
        )


def tree_of(operations: Iterable[tuple[Operation, tuple[int, int]]]) -> NodeFrame:
    """The path tree of operations, each with its permit set and its scope set."""
    root = _Node()
    for operation, sets in operations:
        root.add(template_of(operation.template), operation, sets)
    return root.frame()


def _leaf(operations: list[tuple[Operation, tuple[int, int]]]) -> LeafFrame | None:
    """Operations of one template; OPTIONS asks for any operation on a path, so its own is never alone."""
    if not operations:
        return None
    methods = tuple(operation.method for operation, _ in operations)
    terms = tuple(
        (*sets, operation.method != "OPTIONS" and methods.count(operation.method) == 1)
        for operation, sets in operations
    )
    return (operations[0][0].template, methods, terms)
