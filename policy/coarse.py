"""What a packet filter can be told of the policy: who may come near which services at all. Never less than the door
lets through, and as little more as a filter without paths, tokens and methods can say.

The services of a system belong together (without one: those of a domain, else each for itself), because systems are
what rules of firewalls are reviewed by. A subject is listed for a scope when some permit for it is about an operation
of one of the scope's services in that environment; what the door asks for beyond that (scopes, requirements, denies,
paths) stays the door's business. Grants are none of this: they are told apart, with their ends. Workloads come through
the door from places that have no people: they are none of the subjects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policy.builtin import BUILTIN_SERVICE
from policy.facts import ALL_PEOPLE, EVERYONE, Service
from policy.rule import Published, Rule
from policy.statements import ANYONE

_OF_PEOPLE = ("group:", "user:")


@dataclass(frozen=True, slots=True)
class Scope:
    """Services that coarse rules speak of together, in one environment. All in canonical order."""

    ref: str  # "system:default/payments", "domain:default/money" or the component's own ref
    environment: str
    owner: str  # the group that owns all of them; "" where several do, or nobody
    services: tuple[str, ...]  # component refs
    teams: tuple[str, ...]  # group refs: their members, and those of teams below them
    people: tuple[str, ...]  # user refs that rules name themselves
    everyone: bool  # whoever the catalog knows
    anyone: bool  # without being signed in
    rules: tuple[str, ...]  # ids of the permits that say so

    @property
    def is_closed(self) -> bool:
        """Whether nobody of the catalog may come near by a standing rule."""
        return not (self.teams or self.people or self.everyone or self.anyone)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one published service adds to its scope."""

    published: Published
    scope: str
    permits: tuple[tuple[str, str], ...]  # subject, and the id of a rule for it


class Scopes:
    """Makes the scopes of one environment again and again: what is published as the very same object is not looked at
    again, and a scope whose parts stay is the same object. What comes out is the same as without a memory."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._parts: dict[str, _Part] = {}
        self._made: dict[str, tuple[tuple[_Part, ...], Scope]] = {}

    def scopes(self, published: Iterable[Published]) -> tuple[Scope, ...]:
        """``published``: of any environment, in any order."""
        before, self._parts = self._parts, {}
        together: dict[str, list[_Part]] = {}
        for each in published:
            if each.exposure.environment == self._environment and each.service.ref != BUILTIN_SERVICE.ref:
                held = before.get(each.key)
                part = held if held is not None and held.published is each else _part(each)
                self._parts[each.key] = part
                together.setdefault(part.scope, []).append(part)
        self._made = {ref: self._scope(ref, parts) for ref, parts in together.items()}
        return tuple(scope for _, (_, scope) in sorted(self._made.items()))

    def _scope(self, ref: str, parts: list[_Part]) -> tuple[tuple[_Part, ...], Scope]:
        ordered = tuple(sorted(parts, key=lambda part: part.published.key))
        held = self._made.get(ref)
        if held is not None and len(held[0]) == len(ordered) and all(map(_is, held[0], ordered)):
            return held
        return ordered, _joined(ref, self._environment, ordered)


def scopes_of(environment: str, published: Iterable[Published]) -> tuple[Scope, ...]:
    """The scopes of one environment, ordered by ref."""
    return Scopes(environment).scopes(published)


def _is(one: _Part, other: _Part) -> bool:
    return one is other


def _part(published: Published) -> _Part:
    service = published.service
    permits = sorted((rule.subject, rule.id) for rule in published.rules if _lets_people_in(rule, published))
    return _Part(published, scope_of(service), tuple(permits))


def scope_of(service: Service) -> str:
    """The ref of the scope that a service belongs to, in every environment."""
    return service.system or service.domain or service.ref


def _lets_people_in(rule: Rule, published: Published) -> bool:
    """A permit that is about no operation gives nobody anything."""
    return rule.is_permit and _is_of_people(rule.subject) and any(map(rule.covers, published.operations))


def _is_of_people(subject: str) -> bool:
    return subject in (ALL_PEOPLE, EVERYONE, ANYONE) or subject.startswith(_OF_PEOPLE)


def _joined(ref: str, environment: str, parts: tuple[_Part, ...]) -> Scope:
    owners = {part.published.service.owner for part in parts}
    subjects = sorted({subject for part in parts for subject, _ in part.permits})
    return Scope(
        ref=ref,
        environment=environment,
        owner=owners.pop() if len(owners) == 1 else "",
        services=tuple(part.published.service.ref for part in parts),
        teams=tuple(each for each in subjects if each.startswith("group:")),
        people=tuple(each for each in subjects if each.startswith("user:")),
        everyone=not {ALL_PEOPLE, EVERYONE}.isdisjoint(subjects),
        anyone=ANYONE in subjects,
        rules=tuple(sorted({rule for part in parts for _, rule in part.permits})),
    )
