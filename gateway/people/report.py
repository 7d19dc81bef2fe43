"""The identity map of each issuer as a value: classes, memberships, and what rights would change with other settings.

Everything is asked: whom a subject is, of the door's own matching; what somebody may, of the table. Membership is
compared for the teams that a group of the issuer means, and for people whose groups are known; of everybody else it is
said how many they are. "Would change" is what the same table decides for the same person under another `membership`, or
for somebody who comes as nobody today and would come as the User that a near miss leads to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gateway.config import Issuer
from gateway.engine.offline import Compilation
from gateway.identity.issuers import IssuerTable
from gateway.identity.presets import PRESETS, groups_of, key_fields, with_preset
from gateway.people.subjects import MODES, Caller, Told
from policy.facts import KeyField
from policy.people.identity_map import Compared, compare_groups, compare_people
from policy.people.rights import NOBODY, Effect, Rights, Turn
from policy.probe import Asker, Way
from policy.table import AMBIGUOUS, Table

_TEAM: Final = "group:"


class Effects(NamedTuple):
    """Operations of one exposure that turn alike for these people; see `policy.people.rights.Turn`."""

    exposure: str
    effect: Effect
    before: Way | None
    after: Way | None
    operations: tuple[str, ...]
    total: int
    people: tuple[str, ...]


def people_with(effects: Iterable[Effects], effect: Effect) -> list[str]:
    return sorted({ref for each in effects if each.effect == effect for ref in each.people})


class Scenario(NamedTuple):
    """The issuer with another ``membership``. ``unknown``: people whose groups are not known, so nothing is said."""

    membership: str
    effects: tuple[Effects, ...]
    unknown: tuple[str, ...]

    def people(self, effect: Effect) -> list[str]:
        return people_with(self.effects, effect)


class Proposal(NamedTuple):
    """A near miss mended: this subject would be this User, and could call so many operations more."""

    subject: str
    ref: str
    operations: int
    exposures: int


class TeamDifference(NamedTuple):
    """Who is in a team by the issuer's groups alone, and by the catalog alone; ``unknown``: in the catalog's, and their
    groups are not known."""

    team: str
    groups: tuple[str, ...]
    only_there: tuple[str, ...]
    only_here: tuple[str, ...]
    unknown: tuple[str, ...]


class IssuerMap(NamedTuple):
    """``groups`` None: the issuer's settings say nothing about groups."""

    issuer: Issuer
    told: Mapping[str, Told]
    people: Compared
    groups: Compared | None
    teams: tuple[TeamDifference, ...]
    scenarios: tuple[Scenario, ...]
    proposals: tuple[Proposal, ...]
    mended: tuple[Effects, ...]  # with all that is proposed
    notes: tuple[str, ...]

    @property
    def differs(self) -> bool:
        between = self.groups is not None and self.groups.differs
        return self.people.differs or between or any(each.only_there or each.only_here for each in self.teams)


def knows_people(issuer: Issuer) -> bool:
    """Whether the issuer gives tokens to people; platforms give them to programs alone."""
    return not PRESETS[issuer.preset].programs


def keys_of(issuer: Issuer) -> tuple[str, ...]:
    """The claims that its `match` asks about."""
    return tuple(dict.fromkeys(rule.claim for rule in with_preset(issuer).match))


def map_of(
    issuer: Issuer,
    issuers: Sequence[Issuer],
    told: Sequence[Told],
    more_groups: Iterable[str],
    compiled: Compilation,
    now: int,
) -> IssuerMap:
    """``issuers``: all of the settings; ``more_groups``: that a list names beside those of its people."""
    table = compiled.table
    rules = IssuerTable.from_settings(issuers).named(issuer.name)
    assert rules is not None  # INVARIANT: the issuer is one of the settings, each with an `iss` of its own
    callers = [Caller(each, issuer, rules, table) for each in told]
    fields = [each for each in key_fields([issuer]) if each.kind == "person"]
    people = compare_people(compiled.catalog.people, fields, (each.subject for each in callers))
    found = {each.subject.ref: each for each in callers if each.subject.ref}
    groups = _groups_map(issuer, callers, more_groups, compiled) if groups_of(issuer) is not None else None
    rights = Rights(table, now)
    proposals = list(_proposals(people, callers, rights))
    return IssuerMap(
        issuer,
        {each.told.name: each.told for each in callers},
        people,
        groups,
        _team_differences(groups, found, table) if groups is not None else (),
        tuple(_scenarios(issuer, found, rights)) if groups is not None else (),
        tuple(proposal for proposal, _ in proposals),
        _effects((proposal.ref, turns) for proposal, turns in proposals),
        tuple(_notes(issuer, told)),
    )


# === groups and teams ===


def _groups_map(issuer: Issuer, callers: Sequence[Caller], more: Iterable[str], compiled: Compilation) -> Compared:
    source = groups_of(issuer)
    assert source is not None  # INVARIANT: asked by the caller
    names = sorted({*more, *(group for each in callers for group in each.told.groups or ())})
    found: dict[str, tuple[str, bool]] = {}
    for name in names:
        ref = compiled.table.team(issuer.name, source.claim, name)
        found[name] = ("" if ref is None or ref == AMBIGUOUS else ref, ref == AMBIGUOUS)
    fields: list[KeyField] = [each for each in key_fields([issuer]) if each.kind == "team"]
    return compare_groups(compiled.catalog.teams, fields, found)


def _team_differences(groups: Compared, found: Mapping[str, Caller], table: Table) -> tuple[TeamDifference, ...]:
    meant: dict[str, list[str]] = {}
    for each in groups.there:
        if each.kind == "matched":
            meant.setdefault(each.ref, []).append(each.name)
    there: dict[str, set[str]] = {team: set() for team in meant}
    here: dict[str, set[str]] = {team: set() for team in meant}
    unknown: dict[str, set[str]] = {team: set() for team in meant}
    for ref, caller in found.items():
        listed = _teams(table.subjects_of(ref)) & meant.keys()
        told = _teams(caller.principal("token").subjects) & meant.keys() if caller.told.whole else frozenset()
        for team in listed:
            (here if caller.told.whole else unknown)[team].add(ref)
        for team in told:
            there[team].add(ref)
    differences = (
        TeamDifference(
            team,
            tuple(sorted(names)),
            tuple(sorted(there[team] - here[team])),
            tuple(sorted(here[team] - there[team])),
            tuple(sorted(unknown[team])),
        )
        for team, names in sorted(meant.items())
    )
    return tuple(each for each in differences if each.only_there or each.only_here or each.unknown)


def _teams(subjects: frozenset[str]) -> frozenset[str]:
    return frozenset(each for each in subjects if each.startswith(_TEAM))


# === rights ===


def _scenarios(issuer: Issuer, found: Mapping[str, Caller], rights: Rights) -> Iterable[Scenario]:
    known = {ref: caller for ref, caller in sorted(found.items()) if caller.told.whole}
    now = {ref: Asker("person", ref, caller.principal().subjects) for ref, caller in known.items()}
    for mode in MODES:
        if mode != issuer.membership:
            then = {ref: Asker("person", ref, caller.principal(mode).subjects) for ref, caller in known.items()}
            turned = ((ref, rights.turns(now[ref], then[ref])) for ref in known)
            yield Scenario(mode, _effects(turned), tuple(sorted(found.keys() - known.keys())))


def _proposals(
    people: Compared, callers: Sequence[Caller], rights: Rights
) -> Iterable[tuple[Proposal, tuple[Turn, ...]]]:
    by_name = {each.told.name: each for each in callers}
    for placed in people.there:
        principal = by_name[placed.name].mended(placed.near[0]) if placed.proposed else None
        if principal is not None:
            turns = rights.turns(NOBODY, Asker("person", principal.ref, principal.subjects))
            gained = [turn for turn in turns if turn.effect == "gain"]
            operations = sum(len(turn.operations) for turn in gained)
            yield Proposal(placed.name, principal.ref, operations, len({turn.exposure for turn in gained})), turns


def _effects(turned: Iterable[tuple[str, tuple[Turn, ...]]]) -> tuple[Effects, ...]:
    """By turn. People of one team get the very same turns from `Rights`: these are told apart by what they are, not by
    what they say, which for thousands of people and services is what counts."""
    crowds: dict[int, tuple[tuple[Turn, ...], list[str]]] = {}
    for ref, turns in turned:
        crowds.setdefault(id(turns), (turns, []))[1].append(ref)
    same: dict[int, tuple[Turn, list[str]]] = {}
    for turns, refs in crowds.values():
        for turn in turns:
            same.setdefault(id(turn), (turn, []))[1].extend(refs)
    alike: dict[Turn, list[str]] = {}
    for turn, refs in same.values():
        alike.setdefault(turn, []).extend(refs)
    return tuple(Effects(*turn, tuple(sorted(alike[turn]))) for turn in sorted(alike, key=_order))


def _order(turn: Turn) -> tuple[str, str, str, tuple[str, ...]]:
    return (turn.exposure, turn.effect, turn.rule, turn.operations)


# === what a reader must know ===


def _notes(issuer: Issuer, told: Sequence[Told]) -> Iterable[str]:
    source = groups_of(issuer)
    seen = [each for each in told if each.seen_at]
    if source is not None and seen and all(each.groups is None for each in seen):
        yield f"no token that was seen says `{source.claim}`: ask the provider to put groups into its access tokens"
    if source is None:
        yield "`groups` is not set: groups are not compared, and `membership` can only be `catalog`"
    cut = sum(not each.whole for each in seen)
    if cut:
        yield f"of {_people(cut)} not all groups are remembered: nothing is said about their memberships"
    listed = sum(each.listed and not each.seen_at and not each.whole for each in told)
    if listed and source is not None:
        yield f"the list does not say the groups of {_people(listed)}: nothing is said about their memberships"


def _people(number: int) -> str:
    return f"{number:,} {'person' if number == 1 else 'people'}"
