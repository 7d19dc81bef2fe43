"""Who may make this request: everybody, by the rule that lets them, with what more they must show.

Nothing is decided here. Callers who carry the same of the names that this exposure's rules mention get the same answer,
so the table is asked once for each such class and not once for each of forty thousand people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from policy.directory import AMBIGUOUS
from policy.exposure import name_of
from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, ANONYMOUS, EVERYONE, Permit, Refusal
from policy.frames import Operation, ScopeSetFrame
from policy.probe import Asker, Way, way_of
from policy.reasons import DENIED
from policy.rule import RANK
from policy.table import Exposure, Match, Table
from policy.walk import exact_routes, required

Kind = Literal["person", "workload"]
_COMMON: Final = frozenset({ALL_PEOPLE, ALL_WORKLOADS, EVERYONE})


class Member(NamedTuple):
    """One caller, and the direct teams through which the rule means them; empty where it names them otherwise."""

    ref: str
    teams: tuple[str, ...] = ()


class Entry(NamedTuple):
    """Callers with one answer by one rule, in order of refs. ``everybody``: the answer of whoever carries no name that
    the exposure's rules mention, beside those of everybody; of these a count says as much as the list."""

    kind: Kind
    answer: Way | Refusal
    subject: str
    everybody: bool
    members: tuple[Member, ...]


class Asked(NamedTuple):
    """An operation that the request needs, and the scopes it asks for; None: nobody can hold them."""

    name: str
    scopes: ScopeSetFrame


class WhoCan(NamedTuple):
    """``public``: nobody has to sign in. ``denied``: who would have some right here, but for a deny rule."""

    exposure: str
    operations: tuple[Asked, ...]
    public: Permit | None
    allowed: tuple[Entry, ...]
    denied: tuple[Entry, ...]


class _Class(NamedTuple):
    """Callers who carry the same of the names that count here."""

    kind: Kind
    names: frozenset[str]
    is_common: bool


def who_can(table: Table, match: Match, method: str, now: int) -> WhoCan:
    """Everybody whom the table permits this request, in the order of reasons, and whom a deny keeps away."""
    exposure = match.exposure
    anonymous = table.decide(match, method, ANONYMOUS, now)
    groups: dict[tuple[Kind, Way | Refusal, bool], list[str]] = {}
    for each, refs in _classes(table, exposure).items():
        answer = way_of(table, match, method, Asker(each.kind, refs[0], table.subjects_of(refs[0])), now)
        if isinstance(answer, Way) or answer.reason == DENIED:
            groups.setdefault((each.kind, answer, each.is_common), []).extend(refs)
    for kind, answer, is_common in [key for key in groups if not key[2]]:
        if (kind, answer, True) in groups:  # named elsewhere, and here no more than everybody
            groups[kind, answer, True] += groups.pop((kind, answer, is_common))
    teams = dict(people_of(table))
    entries = sorted((_entry(table, exposure, teams, *key, refs) for key, refs in groups.items()), key=_order)
    return WhoCan(
        exposure.key,
        tuple(Asked(name_of(each), exposure.rules().scopes[each[3]]) for each in _operations(match, method)),
        anonymous if isinstance(anonymous, Permit) else None,
        tuple(each for each in entries if isinstance(each.answer, Way)),
        tuple(each for each in entries if isinstance(each.answer, Refusal)),
    )


def people_of(table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every person and their direct teams."""
    for name, frame in table.directory.frames().items():
        if name.startswith("people/"):
            yield from frame.items()


def workloads_of(table: Table) -> Mapping[str, str]:
    """The names of workloads that a client id means, each with its smallest client id."""
    clients: dict[str, str] = table.directory.frames().get("workloads", {})
    return {name: client for client, name in sorted(clients.items(), reverse=True) if name != AMBIGUOUS}


def _operations(match: Match, method: str) -> list[Operation]:
    path = match.segments[match.exposure.depth :]
    return required(list(exact_routes(match.exposure.rules().tree, path)), path, method)


def _classes(table: Table, exposure: Exposure) -> dict[_Class, list[str]]:
    """Everybody, by the names they carry out of those that can make a difference here."""
    mentioned = exposure.denied.union(exposure.reach, table.roles)
    found: dict[_Class, list[str]] = {}
    of_all = mentioned & {ALL_PEOPLE, EVERYONE}
    alike: dict[tuple[str, ...], list[str]] = {}  # people of the same teams
    for ref, teams in people_of(table):
        if ref in mentioned or teams not in alike:
            names = mentioned.intersection({ref}.union(of_all, *map(table.team_subjects, teams)))
            refs = found.setdefault(_Class("person", names, names == of_all), [])
            if ref not in mentioned:
                alike[teams] = refs
        else:
            refs = alike[teams]
        refs.append(ref)
    by_names: dict[frozenset[str], list[str]] = {}
    for ref in workloads_of(table):
        by_names.setdefault(mentioned & table.subjects_of(ref), []).append(ref)
    for names, refs in by_names.items():
        is_common = all(name.partition("@")[0] in _COMMON for name in names)
        found[_Class("workload", names, is_common)] = refs
    return found


def _entry(
    table: Table,
    exposure: Exposure,
    teams: Mapping[str, tuple[str, ...]],
    kind: Kind,
    answer: Way | Refusal,
    is_common: bool,
    refs: list[str],
) -> Entry:
    subject = subject_of(exposure, answer.permit.rule if isinstance(answer, Way) else answer.rule)
    is_team = subject.startswith("group:") and kind == "person"
    members = (Member(ref, _through(table, teams[ref], subject) if is_team else ()) for ref in sorted(refs))
    return Entry(kind, answer, subject, is_common, tuple(members))


def subject_of(exposure: Exposure, rule: str) -> str:
    """Whom a rule of the exposure names, as it was said; empty when it has no such rule."""
    rules = exposure.rules()
    permitted = (permit[0] for entries, _ in rules.permits for permit in entries if permit[2] == rule)
    denied = (names[0] for names, each, _, _ in rules.denies if each == rule)
    return next(iter((*permitted, *denied)), "").partition("@")[0]


def _through(table: Table, teams: tuple[str, ...], subject: str) -> tuple[str, ...]:
    return tuple(team for team in teams if subject in table.team_subjects(team))


def _order(entry: Entry) -> tuple[int, str, str, bool, Way | Refusal]:
    answer = entry.answer
    reason, rule = (answer.permit[:2]) if isinstance(answer, Way) else answer[:2]
    return (RANK[reason], rule, entry.kind, entry.everybody, answer)
