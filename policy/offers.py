"""What a caller may call: every operation of every exposure, by the rule that permits it.

Each operation is asked for as its plainest path asks: something in the place of a variable that comes near no other
operation. A path that does come near one may need more (see `policy.routes`), never less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from policy.facts import ALL_PEOPLE, EVERYONE
from policy.frames import LeafFrame, NodeFrame
from policy.paths import TAIL, VARIABLE, Segments, Template, template_of
from policy.probe import Asker, Way, way_of
from policy.questions import people_of, workloads_of
from policy.statements import ANYONE
from policy.table import Exposure, Match, Table

_FILLERS: Final = "vwxyz0123456789bcdfghjklmnpqrstaeiou~-_"
_LENGTH: Final = 3


class Offer(NamedTuple):
    """What of one exposure a caller may call: ways, each with its operations, out of ``total``."""

    exposure: Exposure
    total: int
    ways: tuple[tuple[Way, tuple[str, ...]], ...]


def what_can(table: Table, asker: Asker, exposures: Iterable[Exposure], now: int) -> Iterator[Offer]:
    """One offer for each exposure of which the caller may call something, in their order."""
    for exposure in exposures:
        if ANYONE in exposure.reach or not asker.subjects.isdisjoint(exposure.reach):
            offer = _offer(table, asker, exposure, now)
            if offer.ways:
                yield offer


def askers_of(table: Table, name: str) -> list[Asker]:
    """Whom a ref or a bare user name means: one person, the members of a team, or a component by each of the names
    that its client ids give it. Empty when nobody."""
    ref = name.lower() if ":" in name else f"user:default/{name.lower()}"
    if ref.startswith("group:"):
        above = table.team_subjects(ref)
        return [Asker("person", ref, above | {ALL_PEOPLE, EVERYONE})] if above else []
    if ref.startswith("component:"):
        names = sorted(each for each in workloads_of(table) if ref in (each, each.partition("@")[0]))
        return [Asker("workload", each, table.subjects_of(each)) for each in names]
    subjects = table.subjects_of(ref) if ref.startswith("user:") else frozenset()
    return [Asker("person", ref, subjects)] if subjects else []


def names_like(table: Table, name: str) -> list[str]:
    """Who could be meant by a name: everybody of its kind."""
    kind = name.lower().partition(":")[0] if ":" in name else "user"
    if kind == "group":
        teams: dict[str, Any] = table.directory.frames().get("teams", {})
        return list(teams)
    if kind == "component":
        return [each.partition("@")[0] for each in workloads_of(table)]
    return [ref for ref, _ in people_of(table)]


def _offer(table: Table, asker: Asker, exposure: Exposure, now: int) -> Offer:
    leaves = list(leaves_of(exposure.rules().tree))
    templates = [template_of(leaf[0]) for leaf in leaves]
    filler = _filler(templates)
    ways: dict[Way, list[str]] = {}
    for leaf, template in zip(leaves, templates, strict=True):
        match = Match(exposure, exposure.prefix_segments + path_of(template, filler))
        for method in dict.fromkeys(leaf[1]):
            answer = way_of(table, match, method, asker, now)
            if isinstance(answer, Way):
                alike = answer._replace(permit=answer.permit._replace(operation=""))
                ways.setdefault(alike, []).append(f"{method} {leaf[0]}")
    total = sum(len(set(leaf[1])) for leaf in leaves)
    return Offer(exposure, total, tuple((way, tuple(sorted(names, key=_by_path))) for way, names in ways.items()))


def leaves_of(node: NodeFrame) -> Iterator[LeafFrame]:
    """Every leaf of a path tree, each template's operations at once."""
    leaf, literals, _, variable, patterns, tail = node
    yield from (each for each in (leaf, tail) if each is not None)
    children: list[Any] = [*(literals or {}).values(), *([variable] if variable is not None else ())]
    for child in [*children, *(inner for _, inner in patterns)]:
        yield from leaves_of(child)


def path_of(template: Template, filler: str) -> Segments:
    return tuple(filler if part == TAIL else part.replace(VARIABLE, filler) for part in template)


def _filler(templates: Iterable[Template]) -> str:
    """A text for variables that no other part of the templates stands for: of a letter that none of them uses beside
    a variable or alone, as far as there is one."""
    parts = {part.replace(VARIABLE, "") for template in templates for part in template if part not in (VARIABLE, TAIL)}
    beside = {part for template in templates for part in template if VARIABLE in part and part != VARIABLE}
    used = {letter for part in beside for letter in part.casefold()}
    free = (each * _LENGTH for each in _FILLERS if each not in used)
    folded = {part.casefold() for part in parts}
    return next((each for each in free if each not in folded), _FILLERS[0] * _LENGTH)


def _by_path(name: str) -> tuple[str, str]:
    method, _, template = name.partition(" ")
    return (template, method)
