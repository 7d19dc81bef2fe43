"""Who may, and what may somebody: the answers are the table's and the definition's own, for every caller of a world."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from policy import reference
from policy.facts import ANONYMOUS, Catalog, Circumstances, Operation, Permit, Principal, Refusal
from policy.offers import askers_of, leaves_of, path_of, what_can
from policy.paths import template_of
from policy.probe import Asker, Way, principal_of, way_of
from policy.questions import WhoCan, who_can, workloads_of
from policy.statements import AccessPolicy
from policy.table import Match, Table
from tests.support.examples import examples
from tests.support.policy_worlds import (
    BUILTIN,
    CALLS,
    COMPONENTS,
    NOW,
    PATHS,
    PEOPLE,
    POLICIES,
    callers,
    catalogs,
    paths_to,
    world,
)


def everybody(table: Table) -> list[Asker]:
    people = [Asker("person", ref, table.subjects_of(ref)) for ref in PEOPLE]
    return people + [Asker("workload", name, table.subjects_of(name)) for name in workloads_of(table)]


def ways_of(found: WhoCan) -> dict[str, Way]:
    """What the answer says about each caller; nobody is told of twice."""
    told = [(member.ref, entry.answer) for entry in found.allowed for member in entry.members]
    assert len(told) == len(dict(told))
    return {ref: answer for ref, answer in told if isinstance(answer, Way)}


def weaker(way: Way) -> list[Way]:
    """The same with everything of one sort left out."""
    found = [way._replace(scopes=())] if way.scopes else []
    return [*found, way._replace(needs=())] if way.needs else found


@settings(max_examples=30, deadline=None)
@given(catalogs(), POLICIES, PATHS, st.data())
def test_who_can_is_what_the_table_and_the_definition_decide(
    facts: Catalog, policy: AccessPolicy, path: tuple[str, ...], data: st.DataObject
) -> None:
    """Who is told of may, by that rule, with that much no less; whoever else asks may not, however equipped."""
    derived, table = world(facts, policy, builtin=BUILTIN)
    asking = [(data.draw(callers(table, 0)), data.draw(CALLS)) for _ in range(4)]
    for published, method in product(derived.published, ("GET", "HEAD", "POST", "OPTIONS")):
        exposure = table.exposures[published.key]
        for below in [path, *paths_to(published.operations)[:4]]:
            match = Match(exposure, exposure.prefix_segments + below)
            found = who_can(table, match, method, NOW)
            told = ways_of(found)
            verdict = table.decide(match, method, ANONYMOUS, NOW)
            assert found.public == (verdict if isinstance(verdict, Permit) else None)
            for asker in everybody(table):
                way = told.get(asker.ref)
                principal, call = principal_of(asker, way, NOW) if way else strongest(asker)
                verdict = table.decide(match, method, principal, NOW, call)
                assert verdict == way.permit if way else isinstance(verdict, Refusal), f"{asker.ref}: {verdict}"
                assert reference.decide(derived, published.key, below, method, principal, NOW, call) == verdict
                for less in weaker(way) if way else ():
                    principal, call = principal_of(asker, less, NOW)
                    assert isinstance(table.decide(match, method, principal, NOW, call), Refusal), f"{less} would do"
            for caller, call in asking:
                if isinstance(table.decide(match, method, caller, NOW, call), Permit) and caller.kind != "anonymous":
                    assert caller.ref in told, f"{caller.ref} is permitted and not told of"


@settings(max_examples=40, deadline=None)
@given(catalogs(), POLICIES)
def test_what_can_is_what_the_table_and_the_definition_decide(facts: Catalog, policy: AccessPolicy) -> None:
    """Every operation that is told of is permitted as told, and one that is not is refused to the best equipped."""
    derived, table = world(facts, policy, builtin=BUILTIN)
    operations = {each.key: each.operations for each in derived.published}
    for name in (*PEOPLE, *COMPONENTS):
        for asker in askers_of(table, name):
            offers = {each.exposure.key: each for each in what_can(table, asker, table.exposures.values(), NOW)}
            for key, exposure in table.exposures.items():
                told = {name: way for way, names in offers[key].ways for name in names} if key in offers else {}
                assert set(told) <= {each.name for each in operations[key]}
                for operation in operations[key]:
                    (path,) = paths_to((operation,))
                    match = Match(exposure, exposure.prefix_segments + path)
                    way = told.get(operation.name)
                    principal, call = principal_of(asker, way, NOW) if way else strongest(asker)
                    verdict = table.decide(match, operation.method, principal, NOW, call)
                    assert isinstance(verdict, Permit) == (way is not None), f"{asker.ref} {operation.name}: {verdict}"
                    assert reference.decide(derived, key, path, operation.method, principal, NOW, call) == verdict


def plain(facts: Catalog) -> Catalog:
    """The same without text around variables."""

    def bare(operation: Operation) -> Operation:
        return replace(operation, template=re.sub(r"[^/]*(\{\w\})[^/]*", r"\1", operation.template))

    services = {
        ref: replace(each, operations=tuple(map(bare, each.operations))) for ref, each in facts.services.items()
    }
    return replace(facts, services=services)


@settings(max_examples=examples(100), deadline=None)
@given(catalogs().map(plain), POLICIES)
def test_what_can_asks_less_and_says_what_asking_for_each_operation_says(facts: Catalog, policy: AccessPolicy) -> None:
    """Where templates are plain one answer stands for many operations, of other exposures too."""
    _, table = world(facts, policy, builtin=BUILTIN)
    for name in (*PEOPLE, *COMPONENTS):
        for asker in askers_of(table, name):
            for offer in what_can(table, asker, table.exposures.values(), NOW):
                told = {name: way for way, names in offer.ways for name in names}
                exposure = offer.exposure
                for leaf in leaves_of(exposure.rules().tree):
                    match = Match(exposure, exposure.prefix_segments + path_of(template_of(leaf[0]), "other"))
                    for method in leaf[1]:
                        asked = way_of(table, match, method, asker, NOW)
                        nameless = asked.permit._replace(operation="") if isinstance(asked, Way) else None
                        way = asked._replace(permit=nameless) if isinstance(asked, Way) and nameless else None
                        assert told.get(f"{method} {leaf[0]}") == way


def strongest(asker: Asker) -> tuple[Principal, Circumstances]:
    way = Way(
        Permit("", "", ""), ("r", "w", "x"), ("certificate", "issuer=main", "max_age=1", "mfa", "network=10.0.0.0/8")
    )
    return principal_of(asker, way, NOW)
