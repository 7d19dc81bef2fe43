"""The layout of an exposure's frame, and what loaded exposures share.

Frames are plain tuples, dicts, strings and ints that ``marshal`` writes and reads; the table decides on them as
they are, so that loading converts nothing.

* A *node* of the path tree is ``(leaf, literals, folded, variable, patterns, tail)``: the operations that end
  here; literal children by text; the same by folded text where that differs; the child of the only variable;
  else the children of several variables, or of variables with text around them, as (part, node); the operations
  of ``**``.
* A *leaf* is ``(template, methods, terms)``; the terms of a method are ``(permit set, scope set, alone)``: the sets
  are indexes into the exposure's; ``alone`` is false where another operation is asked for besides.
* A *permit* is ``(subject, reason, rule id, conferred scopes, requirements)``, in the order in which it decides;
  conferred scopes are None when reach confers whatever the operation needs. A permit set is its permits, and an
  index by subject where there are many.
* A *scope set* is the alternatives, each a sorted tuple; ``()`` needs none; None can't be satisfied.
* A *deny* is ``(subjects, rule id, methods, operations)``; None and ``()`` leave a part unlimited.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from policy.paths import Segments, Template
from policy.requirements import PlainRequirement

T = TypeVar("T")

Frame = Any  # of any kind: what marshal reads back
LAYOUT: Final = 1
CROWD: Final = 8  # permits of one operation above which an index by subject is used

TermsFrame = tuple[int, int, bool]
LeafFrame = tuple[str, tuple[str, ...], tuple[TermsFrame, ...]]
# What lies below a node is nodes again; said as Any, because mypyc, which compiles the table, has no recursive types.
NodeFrame = tuple[
    LeafFrame | None,
    dict[str, Any] | None,
    dict[str, tuple[Any, ...]] | None,
    Any,
    tuple[tuple[str, Any], ...],
    LeafFrame | None,
]
Scopes = tuple[str, ...]
PermitFrame = tuple[str, str, str, Scopes | None, tuple[PlainRequirement, ...]]
PermitSetFrame = tuple[tuple[PermitFrame, ...], dict[str, tuple[int, ...]] | None]
ScopeSetFrame = tuple[Scopes, ...] | None
DenyFrame = tuple[tuple[str, ...], str, tuple[str, ...] | None, tuple[tuple[str, Template], ...]]
ExposureFrame = tuple[
    int, str, str, str, str, Segments, str, tuple[str, ...], tuple[str, ...],
    NodeFrame, tuple[PermitSetFrame, ...], tuple[ScopeSetFrame, ...], tuple[DenyFrame, ...], tuple[str, ...],
]  # fmt: skip
Operation = tuple[str, str, int, int]  # template, method, permit set, scope set
EMPTY_NODE: Final[NodeFrame] = (None, None, None, None, (), None)


class Sharing:
    """Makes equal parts one object while a table is built: many services have like methods, scopes and templates.

    The memory of what was seen goes with the builder; interning for good would keep a dictionary as large as the
    strings.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[Any, Any] = {}

    def one(self, value: T) -> T:
        """The first object that was equal to the value."""
        found: T = self._seen.setdefault(value, value)
        return found

    def node(self, node: NodeFrame) -> NodeFrame:
        leaf, literals, folded, variable, patterns, tail = node
        return (
            self._leaf(leaf),
            {self.one(text): self.node(child) for text, child in literals.items()} if literals else None,
            folded,
            self.node(variable) if variable else None,
            tuple((self.one(part), self.node(child)) for part, child in patterns),
            self._leaf(tail),
        )

    def permits(self, sets: tuple[PermitSetFrame, ...]) -> tuple[PermitSetFrame, ...]:
        return tuple((tuple(map(self._permit, entries)), index) for entries, index in sets)

    def _leaf(self, leaf: LeafFrame | None) -> LeafFrame | None:
        return leaf and (self.one(leaf[0]), self.one(leaf[1]), self.one(leaf[2]))

    def _permit(self, permit: PermitFrame) -> PermitFrame:
        subject, reason, rule, confers, requirements = permit
        return (self.one(subject), self.one(reason), self.one(rule), self.one(confers), self.one(requirements))
