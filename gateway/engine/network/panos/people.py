"""Which people carry which tags: those of their teams as long as they stand, and of temporary access with its end.

A person is tagged by the name that User-ID has, which settings make of the catalog's fields. Whoever has none, or
shares one with somebody else, carries no tag: it would be another person's right. Teams are told as the door counts
them, with those above. Who is cut off, or in a team that is, carries nothing, whoever says otherwise,
also under a name that the catalog has forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.engine.network.fronts import some
from gateway.engine.network.panos import names
from gateway.engine.network.panos.membership import Key
from gateway.engine.overheard import Overlay
from gateway.user_names import named
from policy.coarse import Scope
from policy.directory import Directory
from policy.facts import Catalog, Grant, Person

MOST_TAGS: Final = 31  # of ours on one user or address; the watermark is the last that PAN-OS takes
FORMER: Final = 50_000  # names that are remembered after whoever had them
_NOBODYS: Final = frozenset(("any", "unknown", "known-user", "pre-logon"))  # words of PAN-OS for users
_HOSTILE: Final = frozenset('"<>|*?,;')  # no user has them, and some tool behind the firewall minds them


@dataclass(frozen=True, slots=True)
class UserTags:
    """As in `Membership`."""

    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    timed: Mapping[Key, int] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()


class Timed(NamedTuple):
    """A grant that runs now, as a firewall is told."""

    tag: str
    starts: int
    ends: int


def name_of(template: str, person: Person) -> str:
    """As User-ID has it, in lower case; "" where there is none. Whether two people share it is not looked at."""
    return _named(template, person.fields)


def _named(template: str, fields: Mapping[str, str]) -> str:
    name = (named(template, fields) or "").lower()
    is_plain = name == name.strip() and name.count("\\") <= 1 and _HOSTILE.isdisjoint(name)
    return name if is_plain and name not in _NOBODYS else ""


class People:
    """Of one firewall. Remembers what it made of a person for as long as the catalog has the very same one, and whose
    a name was."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._names: dict[str, tuple[Person, str]] = {}
        self._former: dict[str, Person] = {}  # by name: who had it last, and has it no more

    def tags(
        self, scopes: Iterable[Scope], catalog: Catalog, directory: Directory, overlay: Overlay, now: int
    ) -> UserTags:
        """``scopes``: those that rules with users are made for, of all environments."""
        scopes = tuple(scopes)
        if not self._template:
            what = "nobody is tagged: `user_name` does not say what people are called in User-ID"
            return UserTags(remarks=(what,) if scopes else ())
        by_name = self._by_name(catalog)
        circles = Circles(scopes, directory, overlay, now)
        cut = self._cut(circles, overlay.denied)
        users: dict[str, frozenset[str]] = {}
        timed: dict[Key, int] = {}
        crowded: list[str] = []
        for name, person in by_name.items():
            if name in cut:
                continue
            circle = circles.of(person.member_of)
            ends = circles.granted(person.ref, circle)
            standing = circles.standing(person.ref, circle)
            if len(ends.keys() | standing) > MOST_TAGS:
                ends, standing = _fitting(ends, standing)
                crowded.append(person.ref)
            if standing:
                users[name] = standing
            timed.update({(name, tag): until for tag, until in ends.items()})
        remarks = (*self._remarks(catalog, by_name), *_crowded(crowded)) if scopes else ()
        return UserTags(users, timed, cut, remarks)

    def _cut(self, circles: Circles, denied: frozenset[str]) -> frozenset[str]:
        """Under each name that they have or had: what a catalog lost may wait for a person, a cut does not. Of those
        whom nobody here ever saw, as far as their ref makes a name."""
        if not denied:
            return frozenset()
        now = {name for _, name in self._names.values() if name}
        unseen = {ref for ref in denied if ref.startswith("user:") and ref not in self._names}
        told = {_named(self._template, {"metadata.name": ref.rpartition("/")[2]}) for ref in unseen}
        former = {name for name, person in self._former.items() if circles.is_cut(person)}
        cut = {name for person, name in self._names.values() if name and circles.is_cut(person)}
        return frozenset(cut | ((former | told) - now - {""}))

    def _by_name(self, catalog: Catalog) -> dict[str, Person]:
        """Those who have a name to themselves."""
        before, self._names = self._names, {}
        for ref, person in catalog.people.items():
            held = before.get(ref)
            is_same = held is not None and held[0] is person
            self._names[ref] = held if held is not None and is_same else (person, name_of(self._template, person))
        self._remember(before)
        counted = Counter(name.casefold() for _, name in self._names.values())
        return {name: person for person, name in self._names.values() if name and counted[name.casefold()] == 1}

    def _remember(self, before: Mapping[str, tuple[Person, str]]) -> None:
        for ref, (person, name) in before.items():
            if name and self._names.get(ref, ("", ""))[1] != name:
                self._former[name] = person
        while len(self._former) > FORMER:
            del self._former[next(iter(self._former))]

    def _remarks(self, catalog: Catalog, by_name: Mapping[str, Person]) -> Iterator[str]:
        if len(by_name) == len(catalog.people):
            return
        nameless = sorted(ref for ref, (_, name) in self._names.items() if not name)
        doubles = sorted(ref for ref, (_, name) in self._names.items() if name and name not in by_name)
        if nameless:
            yield f"{len(nameless)} people have no name by `user_name`, and are not tagged: {some(nameless)}"
        if doubles:
            yield f"{len(doubles)} people share a name with somebody, and are not tagged: {some(doubles)}"


class Circle(NamedTuple):
    """What all people in the same teams have in common. ``subjects``: the teams and those above."""

    subjects: frozenset[str]
    tags: frozenset[str]
    is_cut: bool


class Circles:
    """What rules, grants and cuts say of subjects. A circle is made once, however many people are in it."""

    def __init__(self, scopes: tuple[Scope, ...], directory: Directory, overlay: Overlay, now: int) -> None:
        self._directory = directory
        self._overlay = overlay
        self._teams = {ref: names.team_tag(ref) for scope in scopes for ref in scope.teams}
        self._people = {ref: frozenset((names.person_tag(ref),)) for scope in scopes for ref in scope.people}
        self._all = frozenset((names.everyone_tag(),)) if any(scope.everyone for scope in scopes) else frozenset[str]()
        self._granted = _running(scopes, overlay.grants, now)
        self._made: dict[tuple[str, ...], Circle] = {}

    def of(self, teams: tuple[str, ...]) -> Circle:
        circle = self._made.get(teams)
        if circle is None:
            subjects = frozenset[str]().union(*map(self._directory.team_subjects, teams))
            tags = self._all.union(self._teams[each] for each in subjects if each in self._teams)
            circle = self._made[teams] = Circle(subjects, tags, not subjects.isdisjoint(self._overlay.denied))
        return circle

    def is_cut(self, person: Person) -> bool:
        return person.ref in self._overlay.denied or self.of(person.member_of).is_cut

    def standing(self, ref: str, circle: Circle) -> frozenset[str]:
        own = self._people.get(ref)
        return circle.tags | own if own else circle.tags

    def granted(self, ref: str, circle: Circle) -> dict[str, int]:
        """When it ends, by tag. What began before a cut of the subject does not come back with the lifting of it."""
        if not self._granted:
            return {}
        not_before = self._overlay.not_before
        since = max((not_before.get(each, 0) for each in (ref, *circle.subjects)), default=0) if not_before else 0
        found: dict[str, int] = {}
        for subject in (ref, *circle.subjects):
            for timed in self._granted.get(subject, ()):
                if timed.starts >= since:
                    found[timed.tag] = max(found.get(timed.tag, 0), timed.ends)
        return found


def _running(scopes: Iterable[Scope], grants: Iterable[Grant], now: int) -> dict[str, list[Timed]]:
    """By subject."""
    tags = {
        (service, scope.environment): names.grant_tag(scope.ref, scope.environment)
        for scope in scopes for service in scope.services
    }  # fmt: skip
    found: dict[str, list[Timed]] = {}
    for grant in grants:
        tag = tags.get((grant.service, grant.environment))
        if tag is not None and grant.starts <= now < grant.ends:
            found.setdefault(grant.subject, []).append(Timed(tag, grant.starts, grant.ends))
    return found


def _fitting(ends: Mapping[str, int], standing: frozenset[str]) -> tuple[dict[str, int], frozenset[str]]:
    """What was granted by name goes first, then what stands, in the order of tags."""
    kept = dict(sorted(ends.items())[:MOST_TAGS])
    return kept, frozenset(sorted(standing - kept.keys())[: MOST_TAGS - len(kept)])


def _crowded(refs: list[str]) -> tuple[str, ...]:
    if not refs:
        return ()
    what = f"{len(refs)} people are in more groups than the {MOST_TAGS} that PAN-OS takes of a user"
    return (f"{what}; the rest is left out: {some(sorted(refs))}",)
