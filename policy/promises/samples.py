"""Paths that stand for all others: what a request has to look like so that as little as possible is asked for it.

Endlessly many paths match a template. Most differ in nothing that a decision sees, and those that come near another
operation or near a deny need more, never less. So a few paths of each template decide for all of them:

* Every variable holds a text of a letter that no template here uses. It equals no literal, fits no text around a
  variable and comes near no deny that is not about the whole variable.
* Where text with a dot or a semicolon follows a variable, an upstream may be taken to read only what stands before it.
  The same text with a `;` in it keeps what follows out of that reading.
* Below ``**`` the number of segments decides which denies come near, so every number that differs is tried. An empty
  segment first keeps all variables of deeper templates away.

That no path is permitted where these are refused is held against every short path in `tests/properties`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from policy.frames import Rules
from policy.offers import leaves_of
from policy.paths import TAIL, VARIABLE, Segments, Template, template_of, variable_fits

_LETTERS: Final = "vwxyz0123456789bcdfghjklmnpqrstaeiou~-_"
_FURTHER: Final = 0x4E00  # letters without case, for templates that use all of those
_TIMES: Final = 3


class Samples:
    """For one exposure's rules."""

    __slots__ = ("_deepest", "_fresh", "_templates", "operations")

    def __init__(self, rules: Rules) -> None:
        #: method and template of every operation, with the subjects to whom it is open
        self.operations: dict[tuple[str, Template], frozenset[str]] = {}
        for leaf in leaves_of(rules.tree):
            template = template_of(leaf[0])
            for method, terms in zip(leaf[1], leaf[2], strict=True):
                subjects = frozenset(permit[0] for permit in rules.permits[terms[0]][0])
                known = self.operations.get((method, template), frozenset())
                self.operations[method, template] = known | subjects
        denied = [template for _, _, _, operations in rules.denies for _, template in operations]
        self._templates = [template for _, template in self.operations] + denied
        self._deepest = max((len(template) for template in self._templates), default=0)
        self._fresh: dict[tuple[Template, ...], str] = {}

    def paths(self, template: Template, *more: Template) -> Iterator[Segments]:
        """The paths of a template, the plainest first. ``more``: templates that are none of the exposure's own."""
        fresh = self._fresh.get(more) or self._fresh.setdefault(more, _fresh([*self._templates, *more]))
        head = template[:-1] if template[-1] == TAIL else template
        tails = self._tails(len(head), fresh) if template[-1] == TAIL else [()]
        for text in _fillings(head, fresh):
            filled = tuple(part.replace(VARIABLE, text) for part in head)
            yield from (filled + tail for tail in tails)

    def _tails(self, above: int, fresh: str) -> list[Segments]:
        """What may follow: nothing, up to more segments than any template has, and the same after an empty one."""
        most = max(self._deepest - above, 0) + 2
        plain = [(fresh,) * count for count in range(most)]
        return [*plain[1:2], plain[0], *plain[2:], ("", ""), *(("", *each) for each in plain[1:])]


def shared(one: Template, other: Template) -> list[Template]:
    """The templates whose paths together are those that both match; none when there is no such path."""
    found: list[Template] = [()]
    for position in range(max(len(one), len(other))):
        left = one[position] if position < len(one) else None
        right = other[position] if position < len(other) else None
        if TAIL in (left, right):  # also where the other one has ended: `/a/**` matches `/a`
            rest = (other if left == TAIL else one)[position:]
            return [each + rest for each in found]
        if left is None or right is None:
            return []
        found = [(*each, part) for each in found for part in _shared_parts(left, right)]
    return found


def is_within(inner: Template, outer: Template) -> bool:
    """Whether every path of ``inner`` is one of ``outer``."""
    if outer[-1] == TAIL:
        head = outer[:-1]
        return len(inner) - (inner[-1] == TAIL) >= len(head) and all(map(_part_within, inner, head))
    return inner[-1] != TAIL and len(inner) == len(outer) and all(map(_part_within, inner, outer))


def _part_within(inner: str, outer: str) -> bool:
    if VARIABLE not in outer:
        return inner == outer
    if VARIABLE not in inner:
        return variable_fits(outer, inner)
    before, _, after = outer.partition(VARIABLE)
    start, _, end = inner.partition(VARIABLE)
    return start.startswith(before) and end.endswith(after)


def _shared_parts(one: str, other: str) -> list[str]:
    if VARIABLE not in one:
        one, other = other, one
    if VARIABLE not in one:
        return [one] if one == other else []
    if VARIABLE not in other:
        return [other] if variable_fits(one, other) else []
    before, _, after = one.partition(VARIABLE)
    start, _, end = other.partition(VARIABLE)
    longest, short = sorted((before, start), key=len, reverse=True)
    ending, less = sorted((after, end), key=len, reverse=True)
    if not longest.startswith(short) or not ending.endswith(less):
        return []
    # `a{}` and `{}b` share `a{}b`, and `ab`, where the two texts meet or overlap.
    met = (longest + ending[count:] for count in range(len(ending) + 1) if longest.endswith(ending[:count]))
    texts = [text for text in met if variable_fits(one, text) and variable_fits(other, text)]
    return [longest + VARIABLE + ending, *texts]


def _fillings(head: Template, fresh: str) -> Iterator[str]:
    yield fresh
    if any("." in after or ";" in after for part in head for after in (part.partition(VARIABLE)[2],)):
        yield f"{fresh}.{fresh}"
        yield f"{fresh};{fresh}"


def _fresh(templates: Iterable[Template]) -> str:
    used = {letter for template in templates for part in template for letter in part.casefold()}
    further = (chr(code) for code in range(_FURTHER, _FURTHER + len(used) + 1))
    letter: str = next(each for each in (*_LETTERS, *further) if each not in used)
    return letter * _TIMES
