"""What a caller may call: every operation of every exposure, by the rule that permits it.

Each operation is asked for as its plainest path asks: something in the place of a variable that comes near no other
operation. A path that does come near one may need more (see `policy.routes`), never less.

A caller who works in a company of twenty thousand services may call something of thousands. So the table is asked once
for operations that it cannot tell apart for this caller: those with the same scopes under permits that ask for the
same, wherever they are. What could make a difference is in the key; where that is not plain, the table is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from policy.exposure import crowd_of
from policy.facts import ALL_PEOPLE, EVERYONE, Permit
from policy.frames import LeafFrame, NodeFrame, PermitFrame, ScopeSetFrame
from policy.paths import TAIL, VARIABLE, Segments, Template, template_of
from policy.probe import Asker, Demands, Way, demands_of, scopes_on, way_of
from policy.questions import people_of, workloads_of
from policy.reading import ref_of
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
    alike: dict[_Key, _Alike | None] = {}
    for exposure in exposures:
        if ANYONE in exposure.reach or not asker.subjects.isdisjoint(exposure.reach):
            offer = _Offering(table, asker, exposure, now, alike).offer()
            if offer.ways:
                yield offer


def askers_of(table: Table, name: str) -> list[Asker]:
    """Whom a ref or a bare user name means: one person, the members of a team, or a component by each of the names
    that its client ids give it. Empty when nobody."""
    ref = ref_of(name, "user")
    if ref.startswith("group:"):
        above = table.team_subjects(ref)
        return [Asker("person", ref, above | {ALL_PEOPLE, EVERYONE})] if above else []
    if ref.startswith("component:"):
        names = sorted(each for each in workloads_of(table) if ref in (each, each.partition("@")[0]))
        return [Asker("workload", each, table.subjects_of(each)) for each in names]
    subjects = table.subjects_of(ref) if ref.startswith("user:") else frozenset()
    return [Asker("person", ref, subjects)] if subjects else []


def names_like(table: Table, name: str) -> list[str]:
    """Who could be meant by a name: everybody of its kind; of a bare one also a program or a team that is called so."""
    kind = name.lower().partition(":")[0] if ":" in name else "user"
    if kind == "group":
        teams: dict[str, Any] = table.directory.frames().get("teams", {})
        return list(teams)
    if kind == "component":
        return [each.partition("@")[0] for each in workloads_of(table)]
    namesakes = (f"{each}:default/{name.lower()}" for each in ("component", "group") if ":" not in name)
    return [*(ref for ref in namesakes if askers_of(table, ref)), *(ref for ref, _ in people_of(table))]


class _Alike(NamedTuple):
    """A way without its rule: which of the permits that reach the caller decides."""

    permit: int
    way: Way


# What each permit that reaches the caller says but for its rule; the scopes needed; those on the path; the demands.
_Key = tuple[tuple[tuple[object, ...], ...], ScopeSetFrame, tuple[str, ...], Demands]


class _Offering:
    """What one caller may call of one exposure."""

    def __init__(
        self, table: Table, asker: Asker, exposure: Exposure, now: int, alike: dict[_Key, _Alike | None]
    ) -> None:
        self._table = table
        self._asker = asker
        self._exposure = exposure
        self._now = now
        self._alike = alike
        self._rules = exposure.rules()
        self._leaves = list(leaves_of(self._rules.tree))
        self._templates = [template_of(leaf[0]) for leaf in self._leaves]
        self._filler = ""
        self._reaching: dict[int, list[PermitFrame]] = {}
        self._demands = demands_of(exposure, asker.kind)
        # Then each operation is asked for alone on its plainest path, and no deny has a say.
        parts = {part for template in self._templates for part in template if part not in (VARIABLE, TAIL)}
        is_clear = len(parts) < len(_FILLERS) and not any(VARIABLE in part for part in parts)
        self._is_plain = is_clear and asker.kind != "anonymous" and exposure.denied.isdisjoint(asker.subjects)

    def offer(self) -> Offer:
        ways: dict[Way, list[str]] = {}
        for leaf, template in zip(self._leaves, self._templates, strict=True):
            for method in dict.fromkeys(leaf[1]):
                way = self._way(leaf, template, method)
                if way is not None:
                    ways.setdefault(way, []).append(f"{method} {leaf[0]}")
        total = sum(len(set(leaf[1])) for leaf in self._leaves)
        by_path = ((way, tuple(sorted(names, key=_by_path))) for way, names in ways.items())
        return Offer(self._exposure, total, tuple(by_path))

    def _way(self, leaf: LeafFrame, template: Template, method: str) -> Way | None:
        """How the operation is permitted, without its name."""
        # What stands for `**` may be what a variable beside it stands for.
        if not self._is_plain or template[-1] == TAIL or method == "OPTIONS" or leaf[1].count(method) != 1:
            return self._asked(template, method)
        permits, scopes, _ = leaf[2][leaf[1].index(method)]
        reaching = self._reaching_of(permits)
        if not reaching:
            return None
        needed = self._rules.scopes[scopes]
        one_scope = len({scope for alternative in needed or () for scope in alternative}) <= 1
        on_path = () if one_scope else scopes_on(self._match(template))
        said = tuple([(entry[0] == ANYONE, entry[1], *entry[3:]) for entry in reaching])
        key = (said, needed, on_path, self._demands)
        if key not in self._alike:
            way = self._asked(template, method)
            rules = [entry[2] for entry in reaching]
            self._alike[key] = None if way is None else _Alike(rules.index(way.permit.rule), way)
        found = self._alike[key]
        if found is None:
            return None
        _, reason, rule, *_ = reaching[found.permit]
        return found.way._replace(permit=Permit(reason, rule, ""))

    def _asked(self, template: Template, method: str) -> Way | None:
        answer = way_of(self._table, self._match(template), method, self._asker, self._now)
        return answer._replace(permit=answer.permit._replace(operation="")) if isinstance(answer, Way) else None

    def _match(self, template: Template) -> Match:
        self._filler = self._filler or _filler(self._templates)
        return Match(self._exposure, self._exposure.prefix_segments + path_of(template, self._filler))

    def _reaching_of(self, permits: int) -> list[PermitFrame]:
        """The permits of a set that are about the caller, in the order in which they decide."""
        found = self._reaching.get(permits)
        if found is None:
            entries, index = self._rules.permits[permits]
            if index is not None:
                entries = crowd_of(entries, index, self._asker.subjects)
            reaching = [each for each in entries if each[0] == ANYONE or each[0] in self._asker.subjects]
            found = self._reaching[permits] = reaching
        return found


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
