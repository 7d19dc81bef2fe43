"""What somebody gains and loses by becoming somebody else: other teams, or a person instead of nobody.

Asked of the table, exposure by exposure, before and after, as `policy.offers` asks it. Two callers who carry the same
of the names that rules and roles mention have the same rights, so each such pair is asked about once.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from policy.facts import ANONYMOUS
from policy.offers import what_can
from policy.probe import Asker, Way
from policy.statements import ANYONE
from policy.table import Exposure, Table

Effect = Literal["gain", "lose", "other"]
Names = frozenset[str]
NOBODY = Asker("anonymous", "", ANONYMOUS.subjects)


class Turn(NamedTuple):
    """Operations of one exposure that turn alike. `other`: permitted before and after, and something else must be
    shown. ``total``: how many operations the exposure has."""

    exposure: str
    effect: Effect
    before: Way | None
    after: Way | None
    operations: tuple[str, ...]
    total: int

    @property
    def rule(self) -> str:
        """The rule that gives it; for `lose` the one that gave it."""
        way = self.after or self.before
        assert way is not None  # INVARIANT: a turn has at least one of the two
        return way.permit.rule


class Rights:
    """Answers for one table. ``now``: epoch seconds."""

    def __init__(self, table: Table, now: int) -> None:
        self._table = table
        self._now = now
        self._mentioned = {key: each.denied.union(each.reach, table.roles) for key, each in table.exposures.items()}
        self._naming: dict[str, list[str]] = {}  # name to the exposures whose rules mention it
        for key, each in table.exposures.items():
            for name in each.denied.union(each.reach):
                self._naming.setdefault(name, []).append(key)
        self._anywhere = frozenset(self._naming).union(table.roles)
        self._turns: dict[tuple[str, Names, Names], tuple[Turn, ...]] = {}
        self._turns_there: dict[tuple[str, str, Names, Names], list[Turn]] = {}
        self._ways: dict[tuple[str, str, Names], tuple[dict[str, Way], int]] = {}

    def turns(self, before: Asker, after: Asker) -> tuple[Turn, ...]:
        """Everything that changes, in order of exposures."""
        key = (before.kind, before.subjects & self._anywhere, after.subjects & self._anywhere)
        if key not in self._turns:
            turned = [
                turn for name in sorted(self._touched(before, after)) for turn in self._turns_at(name, before, after)
            ]
            self._turns[key] = tuple(turned)
        return self._turns[key]

    def _touched(self, before: Asker, after: Asker) -> set[str]:
        """Exposures where the two can have different rights at all: whose rules mention a name that only one has, or,
        where one is nobody or has another role, any name."""
        changed = before.subjects ^ after.subjects
        if before.kind != after.kind or not changed.isdisjoint(self._table.roles):
            changed = before.subjects | after.subjects | {ANYONE}
        return {key for name in changed for key in self._naming.get(name, ())}

    def _turns_at(self, name: str, before: Asker, after: Asker) -> list[Turn]:
        mentioned = self._mentioned[name]
        key = (name, before.kind, before.subjects & mentioned, after.subjects & mentioned)
        if key not in self._turns_there:
            self._turns_there[key] = self._turns_on(self._table.exposures[name], before, after)
        return self._turns_there[key]

    def _turns_on(self, exposure: Exposure, before: Asker, after: Asker) -> list[Turn]:
        first, total = self._ways_on(exposure, before)
        then, total_then = self._ways_on(exposure, after)
        alike: dict[tuple[Effect, Way | None, Way | None], list[str]] = {}
        for name in sorted({*first, *then}, key=_by_path):
            old, new = first.get(name), then.get(name)
            effect: Effect = "gain" if old is None else "lose" if new is None else "other"
            if old is None or new is None or old[1:] != new[1:]:
                alike.setdefault((effect, old, new), []).append(name)
        key, most = exposure.key, max(total, total_then)
        return [Turn(key, effect, old, new, tuple(names), most) for (effect, old, new), names in alike.items()]

    def _ways_on(self, exposure: Exposure, asker: Asker) -> tuple[dict[str, Way], int]:
        """The caller's way to each operation, and how many operations there are."""
        key = (exposure.key, asker.kind, asker.subjects & self._mentioned[exposure.key])
        if key not in self._ways:
            offers = list(what_can(self._table, asker, (exposure,), self._now))
            found = {name: way for offer in offers for way, names in offer.ways for name in names}
            self._ways[key] = (found, offers[0].total if offers else 0)
        return self._ways[key]


def _by_path(name: str) -> tuple[str, str]:
    method, _, template = name.partition(" ")
    return (template, method)
