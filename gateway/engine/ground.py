"""What a round leaves behind for who asks what became of an entry: what was read, what of it was believed, what of that
is published, and every fault. Nothing in it is changed after its round, so it may be read from another thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gateway.config import Settings
from gateway.engine.acceptance import Group
from gateway.engine.compilation import Compiled
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.pulls import Pull
from policy.derive import Published
from policy.facts import Service
from policy.reading import Fault


@dataclass(frozen=True)
class Ground:
    """``entities`` is what counts, ``kept`` those of it that are there and cannot be read, ``losses`` those that are
    gone and held, ``missing`` those that one reading lacked. ``compiled`` is None before the first compile of this
    process; ``waits`` says why nothing new is published, "" when it is."""

    settings: Settings
    pull: Pull
    entities: Mapping[str, Entity]
    kept: frozenset[str]
    losses: Mapping[Group, frozenset[str]]
    missing: frozenset[str]
    compiled: Compiled | None
    faults: tuple[Fault, ...]
    waits: str = ""
    base: str = ""

    @cached_property
    def faults_of(self) -> Mapping[str, tuple[Fault, ...]]:
        """By the entity they are about."""
        found: dict[str, list[Fault]] = {}
        for fault in self.faults:
            found.setdefault(fault.source.entity, []).append(fault)
        return {ref: tuple(faults) for ref, faults in found.items()}

    @cached_property
    def published(self) -> Mapping[str, Published]:
        """What is at the doors, by exposure key."""
        return {each.key: each for each in self.compiled.published} if self.compiled is not None else {}

    @cached_property
    def on_host(self) -> Mapping[str, tuple[Published, ...]]:
        """What is at the doors, by host, in order of paths."""
        found: dict[str, list[Published]] = {}
        for each in sorted(self.published.values(), key=lambda each: each.exposure.prefix):
            found.setdefault(each.exposure.host, []).append(each)
        return {host: tuple(there) for host, there in found.items()}

    @property
    def services(self) -> Mapping[str, Service]:
        return self.compiled.catalog.services if self.compiled is not None else {}

    @cached_property
    def claims(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """Who claims a host and path: the services, by ref."""
        found: dict[tuple[str, str], list[str]] = {}
        for ref, service in self.services.items():
            for each in service.exposures:
                found.setdefault((each.host, each.prefix), []).append(ref)
        return {claim: tuple(sorted(set(refs))) for claim, refs in found.items()}

    @cached_property
    def providers(self) -> Mapping[str, tuple[str, ...]]:
        """The services that provide an API."""
        found: dict[str, list[str]] = {}
        for ref in sorted(self.services):
            for api in self.services[ref].provides:
                found.setdefault(api, []).append(ref)
        return {api: tuple(refs) for api, refs in found.items()}

    @cached_property
    def members(self) -> Mapping[str, tuple[str, ...]]:
        """The people who are in a team directly."""
        found: dict[str, list[str]] = {}
        people = self.compiled.catalog.people if self.compiled is not None else {}
        for ref in sorted(people):
            for team in people[ref].member_of:
                found.setdefault(team, []).append(ref)
        return {team: tuple(refs) for team, refs in found.items()}

    @cached_property
    def owned(self) -> Counter[str]:
        """How many services a team owns."""
        return Counter(service.owner for service in self.services.values())

    @cached_property
    def lost(self) -> Mapping[str, Group]:
        """What it is held with, of each entity whose loss is held."""
        return {ref: group for group, refs in self.losses.items() for ref in refs}

    @cached_property
    def said(self) -> Mapping[str, Entity]:
        """Every entity in the form that counts, else in that which was read."""
        return {**self.pull.entities, **self.entities} if self.waiting else self.entities

    @cached_property
    def waiting(self) -> frozenset[str]:
        """What is read and does not count yet."""
        read, counting = self.pull.entities.keys(), self.entities.keys()
        return frozenset() if read <= counting else frozenset(read - counting)

    @cached_property
    def remarkable(self) -> frozenset[str]:
        """Whoever there is something to say of, whether or not they name us."""
        found = {ref for ref in self.faults_of if ref in self.said or ref in self.pull.broken}
        found.update(self.pull.broken, self.kept, self.lost, self.missing, self.waiting)
        found.update(ref for ref, _ in self.pull.refused)
        return frozenset(found)

    @cached_property
    def spoken_of(self) -> tuple[str, ...]:
        """In order: who names us, and whoever there is something to say of."""
        naming = {ref for ref, entity in self.said.items() if entity.annotations}
        return tuple(sorted(naming | self.remarkable))


def owners_of(entity: Entity) -> tuple[str, ...]:
    """The teams and people whose it is, as the entity says; of a team the team, of a person the person."""
    if entity.kind in ("group", "user"):
        return (entity.ref,)
    return tuple(edge.target for edge in entity.edges if edge.relation == "ownedBy" and edge.origin == entity.ref)
