"""The layout of an exposure's frame.

Frames are plain tuples, dicts, strings and ints that ``marshal`` writes and reads; the table decides on them as
they are, so that loading converts nothing. What an exposure decides by is marshalled once more inside its frame: a
table of ten thousand services holds those bytes, and opens them where somebody asks.

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

import marshal
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from policy.paths import Segments, Template
from policy.requirements import PlainRequirement

Frame = Any  # of any kind: what marshal reads back
LAYOUT: Final = 2
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
    int, str, str, str, str, Segments, str,  # layout, key, service, environment, host, prefix, its text
    tuple[str, ...], tuple[str, ...], tuple[str, ...],  # upstreams, options, cors
    tuple[str, ...], bool, tuple[str, ...],  # whom some deny names; whether some rule asks how a call came; reach
    bytes,  # the rules, packed
]  # fmt: skip
Operation = tuple[str, str, int, int]  # template, method, permit set, scope set
EMPTY_NODE: Final[NodeFrame] = (None, None, None, None, (), None)


class Rules(NamedTuple):
    """What an exposure decides by: the part of its frame that is opened when somebody first asks for it."""

    tree: NodeFrame
    permits: tuple[PermitSetFrame, ...]
    scopes: tuple[ScopeSetFrame, ...]
    denies: tuple[DenyFrame, ...]


Trees = dict[bytes, NodeFrame]  # by their digests

NO_RULES: Final = Rules(EMPTY_NODE, (), (), ())


def packed(rules: Rules) -> bytes:
    return marshal.dumps(tuple(rules), 2)


def unpacked(rules: bytes) -> Rules:
    return Rules(*marshal.loads(rules))


def with_shared_tree(rules: Rules, trees: Trees) -> Rules:
    """The same, on the tree that others with equal paths stand on: a service has one in all its environments."""
    digest = blake2b(marshal.dumps(rules.tree, 2), digest_size=16).digest()
    return rules._replace(tree=trees.setdefault(digest, rules.tree))


def of_this_layout(frame: Any) -> ExposureFrame:
    """The frame, rewritten if it is of the layout before this one, which held the rules opened.

    Raises `ValueError` or `TypeError` for any other.
    """
    layout = frame[0]
    if layout == LAYOUT:
        now: ExposureFrame = frame
        return now
    if layout != LAYOUT - 1:
        raise ValueError(f"an exposure in layout {layout}, this program reads {LAYOUT}")
    *what, tree, permits, scopes, denies, reach = frame[1:]
    denied = tuple(sorted({name for deny in denies for name in deny[0]}))
    return (LAYOUT, *what, (), denied, False, reach, packed(Rules(tree, permits, scopes, denies)))
