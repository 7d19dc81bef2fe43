"""Everybody who might ask, by the names that a rule can call them: not one by one, but each different set once.

Beside the people of the catalog as they are there is, for every team, somebody who is in this team alone: a rule that
opens something to a team opens it to whoever joins. So there is for every component the program that calls with it,
whether or not it has a client id by now. What an invariant forbids is forbidden to all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from policy.directory import Directory
from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, EVERYONE
from policy.probe import Asker
from policy.statements import ANYONE

PERSON: Final = Asker("person", "", frozenset({ALL_PEOPLE, EVERYONE}))
WORKLOAD: Final = Asker("workload", "", frozenset({ALL_WORKLOADS, EVERYONE}))
ANONYMOUS: Final = Asker("anonymous", "", frozenset())
COMMON: Final = frozenset({ALL_PEOPLE, ALL_WORKLOADS, EVERYONE, ANYONE})


class Crowd(NamedTuple):
    """People who are in the same teams. ``subjects`` are everything a rule may call any of them."""

    members: tuple[str, ...]
    subjects: frozenset[str]


class Universe:
    """All callers that the directory gives rise to. Never changes."""

    __slots__ = ("_crowds", "_directory", "_of_name", "_people", "_teams", "limited")

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        teams_of: dict[tuple[str, ...], list[str]] = {}
        frames: Mapping[str, Any] = directory.frames()
        for name, frame in frames.items():
            if name.startswith("people/"):
                for ref, teams in frame.items():
                    teams_of.setdefault(teams, []).append(ref)
        above = directory.team_subjects
        self._crowds = tuple(
            Crowd(tuple(sorted(members)), PERSON.subjects.union(*map(above, teams)))
            for teams, members in sorted(teams_of.items())
        )
        self._of_name: dict[str, list[Crowd]] = {}
        for crowd in self._crowds:
            for name in crowd.subjects - COMMON:
                self._of_name.setdefault(name, []).append(crowd)
        #: programs whose client id means them in some environments alone: elsewhere no rule, no deny is about them
        self.limited = tuple(
            Asker("workload", name, directory.subjects_of(name))
            for name in sorted(set(frames.get("workloads", {}).values()))
            if "@" in name
        )
        self._teams: Mapping[str, object] = frames.get("teams", {})
        self._people: dict[str, frozenset[str]] | None = None

    def named(self, subject: str) -> Asker | None:
        """Who is meant by a subject alone, and by nothing that it does not bring along; None when it is unknown."""
        return named(subject, self._directory)

    def carrying(self, names: Iterable[str], mentioned: frozenset[str]) -> Iterator[Asker]:
        """People of the catalog who carry one of the names, one for each set that ``mentioned`` tells apart."""
        seen: set[frozenset[str]] = set()
        for name in names:
            for crowd in self._of_name.get(name, ()):
                carried = crowd.subjects & mentioned
                if carried not in seen:
                    ref = next((each for each in crowd.members if each not in mentioned), "")
                    if ref:
                        seen.add(carried)
                        yield Asker("person", ref, crowd.subjects)

    def changed(self, before: Universe) -> frozenset[str]:
        """The names of everybody who carries other names now than before: what is decided by others alone stands."""
        if before._people is None:
            before._people = {ref: crowd.subjects for crowd in before._crowds for ref in crowd.members}
        self._people = {ref: crowd.subjects for crowd in self._crowds for ref in crowd.members}
        found: set[str] = set()
        for ref, subjects in self._people.items():
            if before._people.get(ref) != subjects:
                found.update(subjects, (ref,))
        for team in self._teams:
            above = self._directory.team_subjects(team)
            if above != before._directory.team_subjects(team):
                found |= above
        return frozenset(found - COMMON)


def named(subject: str, directory: Directory) -> Asker | None:
    """The same where nobody else is asked about."""
    name = subject.partition("@")[0]
    if name in COMMON:
        return {ALL_PEOPLE: PERSON, ALL_WORKLOADS: WORKLOAD, ANYONE: ANONYMOUS}.get(name)
    if name.startswith("group:"):
        above = directory.team_subjects(name)
        return Asker("person", name, above | PERSON.subjects) if above else None
    if name.startswith("component:"):
        return Asker("workload", name, WORKLOAD.subjects | {name})
    known = directory.subjects_of(name)
    return Asker("person", name, known) if known else None
