"""What a catalog that is read badly can do, and what it cannot, over random companies, readings and held losses.

Each property runs the engine's real rounds: acceptance, compiler, journal, publisher. Nothing but what the catalog says
is made up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.sources.entities import Entity, digested
from gateway.engine.sources.openapi import broken as broken_definition
from policy.facts import Source
from tests.support.examples import examples
from tests.support.quarantine_worlds import (
    FILE,
    METHODS,
    PATHS,
    Company,
    Component,
    Node,
    api,
    component,
    person,
    team,
)

few = settings(max_examples=examples(60))
TEAMS, SERVICES = 4, 3
KINDS = ("user", "group", "component", "api")
Draw = Callable[[st.SearchStrategy[Any]], Any]  # of a composite strategy, or of an example
OPERATIONS = tuple(f"{method} /{path}" for method in METHODS for path in PATHS)


def subset(most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(0, most - 1), max_size=2, unique=True).map(lambda each: tuple(sorted(each)))


COMPONENTS = st.builds(
    Component,
    st.integers(0, TEAMS - 1),
    st.sampled_from(("owners", "consumers", "everyone")),
    subset(TEAMS),
    subset(SERVICES),
    subset(SERVICES),
)


@st.composite
def companies(draw: st.DrawFn) -> Company:
    people = draw(st.integers(3, 16))
    return Company(
        {number: frozenset(draw(subset(TEAMS))) for number in range(people)},
        {number: frozenset(each for each in draw(subset(TEAMS)) if each > number) for number in range(TEAMS)},
        {number: draw(COMPONENTS) for number in range(SERVICES)},
        {
            number: tuple(draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=4, unique=True)))
            for number in range(SERVICES)
        },
    )


@contextmanager
def node_of(company: Company) -> Iterator[Node]:
    # What is on disk after a power cut is another test's promise; waiting for it would take most of the time here.
    with tempfile.TemporaryDirectory() as folder, patch("os.fsync"):
        node = Node(Path(folder))
        node.reads(company.entities())
        yield node


def of_kind(entities: dict[str, Entity], kind: str) -> list[str]:
    return sorted(ref for ref, entity in entities.items() if entity.kind == kind)


def without(entities: dict[str, Entity], refs: set[str]) -> dict[str, Entity]:
    """As a catalog shows it when these are gone: whoever is left names them no more."""
    kept = {}
    for ref, entity in entities.items():
        if ref not in refs:
            edges = tuple(each for each in entity.edges if not {each.origin, each.target} & refs or each.origin == ref)
            kept[ref] = digested(replace(entity, edges=edges))
    return kept


@st.composite
def losses(draw: st.DrawFn, entities: dict[str, Entity]) -> set[str]:
    """Whole kinds, and single entities beside them."""
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=2, unique=True))
    lost = {ref for kind in kinds for ref in of_kind(entities, kind)}
    lost.update(draw(st.lists(st.sampled_from(sorted(entities)), max_size=2)) if entities else ())
    return lost


def changed(draw: Draw, company: Company) -> Company:
    """Additions, removals and edits, one or two."""
    after = company.copy()
    for _ in range(draw(st.integers(0, 2))):
        match draw(
            st.sampled_from(("person", "membership", "team", "service", "uses", "uses", "operations", "leaver"))
        ):
            case "person":
                after.people[draw(st.integers(20, 23))] = frozenset(draw(subset(TEAMS)))
            case "membership" if after.people:
                after.people[draw(st.sampled_from(sorted(after.people)))] = frozenset(draw(subset(TEAMS)))
            case "team":
                after.teams[draw(st.integers(0, TEAMS))] = frozenset(())
            case "service":
                after.components[draw(st.integers(0, SERVICES))] = draw(COMPONENTS)
                after.apis.setdefault(SERVICES, OPERATIONS[:1])
            case "uses":
                user = draw(st.sampled_from(sorted(after.components)))
                said = after.components[user]
                used = draw(st.integers(0, SERVICES - 1))
                after.components[user] = replace(said, consumes=tuple(sorted({*said.consumes, used})))
            case "operations" if after.apis:
                after.apis[draw(st.sampled_from(sorted(after.apis)))] = draw(subset(4).map(_some))
            case "leaver" if after.people:
                after.people.pop(draw(st.sampled_from(sorted(after.people))))
    return after


def _some(positions: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(OPERATIONS[each] for each in positions) or OPERATIONS[:1]


@few
@given(companies(), st.data())
def test_what_counts_is_what_counted_or_what_is_said_now(company: Company, data: st.DataObject) -> None:
    """published ⊆ old ∪ accepted-new, whatever is held: each entity counts as it did or as it is said now; nothing new
    counts of a kind with held losses; a service that is not described as it counts is open to nobody for more than
    before."""
    with node_of(company) as node:
        for _ in range(data.draw(st.integers(1, 4))):
            company = changed(data.draw, company)
            said = company.entities()
            lost = data.draw(losses(said))
            unreadable = st.sampled_from(sorted(said)) | st.sampled_from(of_kind(said, "component"))
            broken = set(data.draw(st.lists(unreadable, max_size=2)))
            reading = without(said, lost)
            before, permits = node.entities, node.permits()
            node.reads(reading, broken=broken)
            ground = node.rounds.ground
            assert ground is not None
            read = {ref: each for ref, each in reading.items() if ref not in broken}
            for ref, entity in node.entities.items():
                forms = [each for each in (before.get(ref), read.get(ref)) if each is not None]
                assert any(_is_form_of(entity, each, stale=ref not in read) for each in forms), ref
            held = {group.kind for group in ground.losses}
            assert all(entity.kind not in held or ref in before for ref, entity in node.entities.items())
            stale = {ref for ref in node.entities if ref in ground.kept or ref in ground.lost}
            assert {(key, rule) for key, rule in node.permits() if key.partition("@")[0] in stale} <= permits


def _is_form_of(entity: Entity, form: Entity, *, stale: bool) -> bool:
    """What is kept may have lost memberships that the other side took back."""
    if not stale:
        return entity.digest == form.digest
    return digested(replace(entity, edges=form.edges)).digest == form.digest and set(entity.edges) <= set(form.edges)


@few
@given(companies(), st.data())
def test_what_only_takes_away_opens_nothing(company: Company, data: st.DataObject) -> None:
    """Readings that lack entities, or say less of them, never allow anybody anything that was not allowed before,
    whatever of it is held."""
    with node_of(company) as node:
        lost: set[str] = set()
        for _ in range(data.draw(st.integers(1, 4))):
            company = _less(data.draw, company)
            said = company.entities()
            lost |= data.draw(losses(said))
            before = node.allowed()
            if data.draw(st.booleans()):
                node.restart()
            node.reads(without(said, lost))
            assert node.allowed() <= before


def _less(draw: Draw, company: Company) -> Company:
    less = company.copy()
    match draw(st.sampled_from(("membership", "access", "groups", "consumers", "operations", "nothing"))):
        case "membership" if less.people:
            less.people[draw(st.sampled_from(sorted(less.people)))] = frozenset()
        case "access":
            one = draw(st.sampled_from(sorted(less.components)))
            less.components[one] = replace(less.components[one], access="owners")
        case "groups":
            one = draw(st.sampled_from(sorted(less.components)))
            less.components[one] = replace(less.components[one], allow_groups=())
        case "consumers":
            one = draw(st.sampled_from(sorted(less.components)))
            less.components[one] = replace(less.components[one], allow_consumers=(), consumes=())
        case "operations":
            one = draw(st.sampled_from(sorted(less.apis)))
            less.apis[one] = less.apis[one][:1]
    return less


REMOVALS = ("leaves", "leaver", "narrows", "service", "operation")


GONE = {("component", "service"), ("component", "narrows"), ("api", "operation")}  # who is lost says nothing less


@pytest.mark.parametrize(
    ("kind", "removal", "is_first"),
    [
        (kind, removal, is_first)
        for kind in KINDS
        for removal in REMOVALS
        for is_first in (False, True)
        if (kind, removal) not in GONE or (is_first and removal == "service")
    ],
)
@settings(max_examples=5)
@given(companies(), st.integers(13, 15))
def test_a_removal_is_in_force_while_anything_is_held(
    kind: str, removal: str, is_first: bool, company: Company, one: int
) -> None:
    """What one entity says less counts with the round that reads it, an entity that is gone with the second, while very
    many of a kind are held: of another, or its own; whether it was gone before them, or after."""
    company.people = {number: company.people.get(number) or frozenset((0,)) for number in range(16)}
    with node_of(company) as node:
        said = of_kind(company.entities(), kind)
        mass = {ref for ref in said if kind != "user" or ref not in map(person, (13, 14, 15))}
        if removal == "service":
            mass.discard(component(0))
        if not is_first:
            node.reads(without(company.entities(), mass))
        _remove(company, removal, one)
        node.reads(without(company.entities(), set() if is_first else mass))
        node.reads(without(company.entities(), mass))
        assert node.rounds.held.get(kind) == frozenset(mass)
        _assert_in_force(node, removal, one)


def _remove(company: Company, removal: str, one: int) -> None:
    match removal:
        case "leaves":
            company.people[one] = frozenset()
        case "leaver":
            del company.people[one]
        case "narrows":
            company.components[0] = Component(company.components[0].owner)
        case "service":
            del company.components[0]
        case "operation":
            company.apis[1] = ()


def _assert_in_force(node: Node, removal: str, one: int) -> None:
    match removal:
        case "leaves" | "leaver":
            members = {edge for each in node.entities.values() for edge in each.edges if edge.relation == "memberOf"}
            assert not [edge for edge in members if edge.origin == person(one)], "no team has them any more"
            assert removal == "leaves" or person(one) not in node.entities
        case "narrows":
            assert not [rule for key, rule in node.permits() if key.startswith(component(0)) and rule in _open(node)]
        case "service":
            assert not [each for each in node.allowed() if each[1].startswith(component(0))]
        case "operation":
            assert not [each for each in node.allowed() if each[1].startswith(component(1))]


def _open(node: Node) -> set[str]:
    """Permits that are not the owner's."""
    assert node.rounds.ground is not None
    published = node.rounds.ground.published.values()
    return {rule.id for each in published for rule in each.rules if rule.reason != "owner"}


def _spoiled(how: str, ref: str, entities: dict[str, Entity]) -> tuple[dict[str, Entity], set[str]]:
    """The reading with one bad entity, and what in it cannot be read."""
    entity = entities[ref]
    if how == "annotations" and entity.kind == "component":
        said = {**entity.annotations, "host": "not a host", "access": "nobody knows"}
        return {**entities, ref: digested(replace(entity, annotations=said))}, set()
    if how == "place" and entity.kind == "component":
        other = next(each for each in of_kind(entities, "component") if each != ref)
        said = {**entity.annotations, "host": entities[other].annotations["host"]}
        return {**entities, ref: digested(replace(entity, annotations=said))}, set()
    if how == "definition" and entity.kind == "api":
        bomb = broken_definition(Source(FILE, 1, ref), "definition: too large")
        return {**entities, ref: digested(replace(entity, definition=bomb))}, set()
    return entities, {ref}


@few
@given(companies(), st.sampled_from(("document", "annotations", "place", "definition")), st.data())
def test_one_bad_entity_changes_nothing_of_another(company: Company, how: str, data: st.DataObject) -> None:
    """What everybody else is published with, people and teams included, is the very same, byte for byte, when an entity
    can be read no more, says nonsense, claims another's place or has a definition that cannot be used."""
    with node_of(company) as node:
        said = company.entities()
        bad = data.draw(st.sampled_from(sorted(said)))
        frames, permits = node.frames, node.permits()
        reading, broken = _spoiled(how, bad, said)
        node.reads(reading, broken=broken)
        mine = bad if bad.startswith("component:") else bad.replace("api:", "component:")
        for name in frames.keys() | node.frames.keys():
            key = name.partition("/")[2]
            if not key.startswith(f"{mine}@"):
                assert node.frames.get(name) == frames.get(name), name
        assert {each for each in node.permits() if each[0].startswith(f"{mine}@")} <= permits


@few
@given(companies(), st.data())
def test_a_bad_newcomer_changes_nothing_of_another(company: Company, data: st.DataObject) -> None:
    """Somebody new who claims a place that is held, or cannot be read, leaves everything published as it was."""
    with node_of(company) as node:
        frames = node.frames
        said = company.entities()
        ref = component(SERVICES + 1)
        host = data.draw(st.sampled_from(("s0.{env}.example.com", "s1.dev.example.com", "evil.test", "")))
        newcomer = replace(company, components={SERVICES + 1: Component(host=host)}).entities()[ref]
        broken = {ref} if data.draw(st.booleans()) else set()
        node.reads({**said, ref: newcomer}, broken=broken)
        for name, frame in frames.items():
            if name.startswith(("exposure/", "why/")):
                assert node.frames[name] == frame, name
        assert [team(0), api(0)] == [ref for ref in (team(0), api(0)) if ref in node.entities]


def test_a_hold_outlives_a_restart_and_a_catalog_that_is_not_read_yet() -> None:
    company = Company(
        {number: frozenset((0,)) for number in range(30)}, {0: frozenset()}, {0: Component()}, {0: ("GET /a",)}
    )
    said = company.entities()
    few_lost = set(map(person, range(3)))
    with node_of(company) as node:
        node.reads(without(said, set(map(person, range(12)))))
        node.reads(without(said, few_lost))
        assert node.rounds.held == {"user": few_lost}
        node.restart()
        node.reads_nothing_yet()
        for _ in range(3):
            node.reads(without(said, few_lost))
            assert node.rounds.held == {"user": few_lost}
            assert few_lost <= node.entities.keys()
        node.reads(said)
        assert node.rounds.held == {}
        node.restart()
        for _ in range(2):
            node.reads(without(said, few_lost))
        assert not few_lost & node.entities.keys(), "a hold that ended is forgotten"
