"""What `lint` looks at, and the questions that several of its checks ask of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, EVERYONE, Catalog, Operation, Source
from policy.rule import Published, Rule
from policy.stated import rules_of
from policy.statements import ANYONE, AccessPolicy, PolicyRule

T = TypeVar("T")

_PRODUCTION: Final = frozenset({"prod", "prd", "production", "live"})
_NAMED: Final = 3  # that a sentence names before it counts


@dataclass(frozen=True, slots=True)
class Api:
    """An API entity. ``schemes``: what its operations ask for (`oauth2`, `openidconnect`, `apikey`, `mutualtls`,
    `basic`, `bearer`); ``is_read``: its operations are known."""

    ref: str
    type: str
    schemes: tuple[str, ...]
    operations: tuple[Operation, ...]
    is_read: bool
    source: Source


@dataclass(frozen=True)
class Ground:
    """One catalog under one access policy, compiled. ``give_way`` is called between one thing and the next: of twenty
    thousand services, looking at all takes seconds, and somebody may have something more urgent to do."""

    catalog: Catalog
    policy: AccessPolicy
    published: tuple[Published, ...]  # Stagedoor's own pages left out
    apis: Mapping[str, Api]
    give_way: Callable[[], None] = lambda: None

    def each(self, things: Iterable[T]) -> Iterator[T]:
        for thing in things:
            self.give_way()
            yield thing

    @cached_property
    def inhabited(self) -> frozenset[str]:
        """Every name by which a rule means at least one caller."""
        clients = {ref for ref, service in self.catalog.services.items() if any(service.client_ids.values())}
        people = set(self.catalog.people)
        groups = {ALL_PEOPLE: people, ALL_WORKLOADS: clients, EVERYONE: people | clients}
        crowds = {name for name, members in groups.items() if members}
        return frozenset(people | clients | crowds | {ANYONE} | self._populated())

    def is_inhabited(self, subject: str, environment: str) -> bool:
        """Whether a rule about the subject means somebody there; "" is any environment."""
        service = self.catalog.services.get(subject)
        if service is None or not environment:
            return subject in self.inhabited
        return bool(service.client_ids.get(environment, service.client_ids.get("")))

    @cached_property
    def stated(self) -> tuple[tuple[PolicyRule, tuple[Rule, ...]], ...]:
        """The statements of the access policy, each with its rules."""
        return tuple((statement, tuple(rules_of(statement, self.policy))) for statement in self.policy.rules)

    @cached_property
    def where(self) -> Mapping[str, tuple[Published, ...]]:
        """Rule id to the exposures it is about."""
        found: dict[str, list[Published]] = {}
        for published in self.each(self.published):
            for rule in published.rules:
                found.setdefault(rule.id, []).append(published)
        return {rule: tuple(each) for rule, each in found.items()}

    def _populated(self) -> set[str]:
        """Teams with somebody in them or below them."""
        found: set[str] = set()
        waiting = [team for person in self.catalog.people.values() for team in person.member_of]
        while waiting:
            ref = waiting.pop()
            if ref in self.catalog.teams and ref not in found:
                found.add(ref)
                waiting += self.catalog.teams[ref].parents
        return found


def is_production(environment: str) -> bool:
    """By its name, as people write it: `prod`, `production`, `live`, `eu-prod`, `prod2`."""
    return any(word.rstrip("0123456789") in _PRODUCTION for word in re.split(r"[-_.]", environment.lower()))


def listed(names: Iterable[str]) -> str:
    """The first few in backticks, and how many more there are."""
    found = list(names)
    shown = ", ".join(f"`{name}`" for name in found[:_NAMED])
    return shown + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
