"""Who leaves a team leaves it although the team's own entry is kept as it was; a lost catalog empties no team."""

from __future__ import annotations

from dataclasses import replace

from gateway.engine.acceptance import Acceptance
from gateway.engine.sources.entities import Edge, Entity, digested
from gateway.engine.sources.pulls import Pull
from policy.facts import Source
from tests.support.quarantine_worlds import Company, person, team

COMPANY = Company({number: frozenset((number % 2,)) for number in range(30)}, {0: frozenset(), 1: frozenset((0,))})


class Reader:
    def __init__(self, entities: dict[str, Entity]) -> None:
        self.acceptance = Acceptance()
        self.entities = entities

    def reads(self, entities: dict[str, Entity], broken: frozenset[str] = frozenset()) -> dict[str, Entity]:
        pull = Pull(entities, broken=set(broken), catalogs=frozenset((entities[next(iter(entities))].source.file,)))
        self.entities = self.acceptance.judge(pull, self.entities).entities
        return self.entities


def members(entities: dict[str, Entity], number: int) -> set[str]:
    edges = {edge for each in entities.values() for edge in each.edges}
    return {edge.origin for edge in edges if edge.relation == "memberOf" and edge.target == team(number)}


def without(entities: dict[str, Entity], *refs: str) -> dict[str, Entity]:
    return {ref: each for ref, each in entities.items() if ref not in refs}


def leaving(entities: dict[str, Entity], *refs: str) -> dict[str, Entity]:
    return entities | {ref: digested(replace(entities[ref], edges=())) for ref in refs}


def test_who_leaves_a_team_that_is_held_is_in_it_no_more_and_stays_out() -> None:
    said = without(COMPANY.entities(), team(0), team(1))
    reader = Reader(COMPANY.entities())
    assert len(members(reader.reads(said), 0)) == 15
    less = leaving(said, person(2))
    assert person(2) not in members(reader.reads(less), 0)
    assert len(members(reader.reads(less), 0)) == 14
    assert len(members(reader.reads(COMPANY.entities()), 0)) == 15, "the team itself says so again"


def test_who_is_gone_is_in_no_held_team_when_somebody_of_the_name_comes_again() -> None:
    said = without(COMPANY.entities(), team(0), team(1))
    reader = Reader(COMPANY.entities())
    reader.reads(said)
    for _ in range(2):
        reader.reads(without(said, person(2)))
    assert person(2) not in members(reader.reads(leaving(said, person(2))), 0)


def test_a_catalog_that_names_no_team_any_more_empties_none_of_those_that_are_held() -> None:
    said = without(COMPANY.entities(), team(0), team(1))
    reader = Reader(COMPANY.entities())
    emptied = leaving(said, *map(person, range(30)))
    assert len(members(reader.reads(emptied), 0)) == 15
    assert len(members(reader.reads(emptied), 0)) == 15


def test_a_team_that_cannot_be_read_keeps_nobody_who_left() -> None:
    reader = Reader(COMPANY.entities())
    less = leaving(without(COMPANY.entities(), team(0)), person(2))
    assert person(2) not in members(reader.reads(less, frozenset((team(0),))), 0)
    assert len(members(reader.entities, 0)) == 14


def test_a_team_that_is_read_takes_out_a_person_whose_entry_cannot_be_read() -> None:
    reader = Reader(COMPANY.entities())
    said = without(COMPANY.entities(), person(2))
    edges = tuple(each for each in said[team(0)].edges if each.origin != person(2))
    said[team(0)] = digested(replace(said[team(0)], edges=edges))
    assert person(2) not in members(reader.reads(said, frozenset((person(2),))), 0)


def test_files_say_a_membership_where_it_was_written() -> None:
    def from_files(entities: dict[str, Entity]) -> dict[str, Entity]:
        return {ref: digested(replace(each, source=Source("org.yaml", 1, ref))) for ref, each in entities.items()}

    reader = Reader(from_files(COMPANY.entities()))
    less = from_files(leaving(without(COMPANY.entities(), team(0)), person(2)))
    assert person(2) in members(reader.reads(less, frozenset((team(0),))), 0)


def test_what_is_withdrawn_is_a_membership_alone() -> None:
    edge = Edge(team(0), "ownedBy", person(2))
    company = COMPANY.entities()
    company[team(0)] = digested(replace(company[team(0)], edges=(*company[team(0)].edges, edge)))
    reader = Reader(company)
    less = leaving(without(company, team(0)), person(2))
    assert edge in reader.reads(less, frozenset((team(0),)))[team(0)].edges
