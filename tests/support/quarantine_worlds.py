"""A company whose catalog is read again and again, as a catalog's API shows it, through the engine's real rounds.

`Company` is what is true; `reading` is what a catalog says of it: each entity once, each membership on both its sides,
as Backstage stitches them. A test changes the company, or what is read of it, and lets a round pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Outcome, Rounds
from gateway.engine.sources.entities import Edge, Entity, digested
from gateway.engine.sources.openapi import Definition, read_definition
from gateway.engine.sources.pulls import Pull, file_of
from policy.facts import Permit, Principal, Source
from policy.table import Match
from tests.support.catalogs import settings
from tests.support.policy_worlds import table_of

FILE = file_of("main")
MOST = 40  # of a kind
METHODS = ("GET", "POST")
PATHS = ("a", "b")
ACCESS = """\
version: 1
environments:
  dev: {owners: [all], consumers: [all], everyone: [read], groups: [all]}
  prod: {owners: [all], consumers: [declared], everyone: [read], groups: [read]}
rules: []
"""


@dataclass(frozen=True)
class Component:
    owner: int = 0
    access: str = "owners"
    allow_groups: tuple[int, ...] = ()
    allow_consumers: tuple[int, ...] = ()
    consumes: tuple[int, ...] = ()
    host: str = ""


@dataclass
class Company:
    """``people``: the teams each is in; ``teams``: their parents; ``apis``: the operations. All by number."""

    people: dict[int, frozenset[int]] = field(default_factory=dict)
    teams: dict[int, frozenset[int]] = field(default_factory=dict)
    components: dict[int, Component] = field(default_factory=dict)
    apis: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def copy(self) -> Company:
        return Company(dict(self.people), dict(self.teams), dict(self.components), dict(self.apis))

    def entities(self) -> dict[str, Entity]:
        made = [*map(self._person, self.people), *map(self._team, self.teams)]
        made += [*map(self._component, self.components), *map(self._api, self.apis)]
        return {each.ref: each for each in made}

    def _person(self, number: int) -> Entity:
        ref = person(number)
        return _entity(ref, [Edge(ref, "memberOf", team(each)) for each in self.people[number]])

    def _team(self, number: int) -> Entity:
        ref = team(number)
        edges = [Edge(ref, "childOf", team(each)) for each in self.teams[number]]
        edges += [Edge(team(child), "childOf", ref) for child, above in self.teams.items() if number in above]
        edges += [Edge(person(each), "memberOf", ref) for each, teams in self.people.items() if number in teams]
        return _entity(ref, edges)

    def _component(self, number: int) -> Entity:
        ref, said = component(number), self.components[number]
        edges = [Edge(ref, "ownedBy", team(said.owner)), Edge(ref, "providesApi", api(number))]
        edges += [Edge(ref, "consumesApi", api(each)) for each in said.consumes]
        annotations = {
            "environments": "dev,prod",
            "host": said.host or f"s{number}.{{env}}.example.com",
            "upstream": f"http://10.0.0.{number + 1}:8080",
            "access": said.access,
            "allow-groups": ",".join(map(team, said.allow_groups)),
            "allow-consumers": ",".join(map(component, said.allow_consumers)),
        }
        return _entity(ref, edges, annotations=annotations)

    def _api(self, number: int) -> Entity:
        return _entity(api(number), [], definition=definition(api(number), self.apis[number]))


def person(number: int) -> str:
    return f"user:default/p{number}"


def team(number: int) -> str:
    return f"group:default/t{number}"


def component(number: int) -> str:
    return f"component:default/s{number}"


def api(number: int) -> str:
    return f"api:default/s{number}"


def definition(ref: str, operations: Iterable[str]) -> Definition:
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        method, _, path = each.partition(" ")
        paths.setdefault(path, {})[method.lower()] = {"responses": {}}
    return read_definition(repr({"openapi": "3.0.3", "paths": paths}), ref, FILE, 1)


def _entity(ref: str, edges: list[Edge], **changes: Any) -> Entity:
    said = tuple(sorted(set(edges)))
    plain = Entity(ref, ref.partition(":")[0], ref, "", (), {}, {}, said, None, Source(FILE, 0, ref))
    return digested(replace(plain, **changes))


class Reads:
    """A catalog that says what a test tells it to."""

    def __init__(self) -> None:
        self.pulled = Pull(catalogs=frozenset((FILE,)))

    def pull(self) -> Pull:
        return self.pulled


class Node:
    """One engine; each `reads` is one reading of the catalog and the round it starts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "access.yaml").write_text(ACCESS)
        self._settings = settings(folder)
        self._folder = Path(self._settings.state_folder)
        self.restart()

    def restart(self) -> None:
        publisher, journal = Publisher(self._folder), Journal(self._folder)
        assert (publisher.fault, journal.fault) == ("", "")
        self.sources = Reads()
        self.rounds = Rounds(self._settings, publisher, journal, self.sources)  # type: ignore[arg-type]  # it pulls, too

    def reads(self, entities: dict[str, Entity], *, broken: Iterable[str] = ()) -> Outcome:
        broken = set(broken)
        said = {ref: entity for ref, entity in entities.items() if ref not in broken}
        self.sources.pulled = Pull(said, broken=broken, catalogs=frozenset((FILE,)))
        return self.rounds.round()

    def reads_nothing_yet(self) -> Outcome:
        """As a catalog that does not answer after a start."""
        self.sources.pulled = Pull(unread=True, broken_files={FILE}, catalogs=frozenset((FILE,)))
        return self.rounds.round()

    @property
    def entities(self) -> dict[str, Entity]:
        assert self.rounds.ground is not None
        return dict(self.rounds.ground.entities)

    @property
    def frames(self) -> dict[str, Any]:
        assert self.rounds.ground is not None
        assert self.rounds.ground.compiled is not None
        return dict(self.rounds.ground.compiled.frames)

    def permits(self) -> set[tuple[str, str]]:
        """(exposure, id of a permit) of all that is published."""
        assert self.rounds.ground is not None
        published = self.rounds.ground.published.values()
        return {(each.key, rule.id) for each in published for rule in each.rules if rule.is_permit}

    def allowed(self) -> set[tuple[str, str, str]]:
        """(person or service, exposure, operation) of everything that is allowed, asked of the table."""
        return allowed(self.frames)


def allowed(frames: dict[str, Any]) -> set[tuple[str, str, str]]:
    table = table_of(frames)
    callers = [Principal("person", ref, table.subjects_of(ref)) for ref in map(person, range(MOST))]
    callers += [Principal("workload", ref, table.subjects_of(ref)) for ref in map(component, range(MOST))]
    return {
        (who.ref, key, f"{method} /{path}")
        for key, exposure in table.exposures.items()
        for path in PATHS
        for method in METHODS
        for who in callers
        if who.subjects and isinstance(table.decide(Match(exposure, (path,)), method, who, 0), Permit)
    }
