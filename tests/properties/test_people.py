"""The identity map against the door's own matching and the definition of a permission, on worlds made at random."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import config
from gateway.identity.issuers import IssuerTable
from gateway.identity.presets import key_fields
from gateway.people.subjects import MODES, Caller, Membership, Told
from policy import reference
from policy.facts import ANONYMOUS, Catalog, Circumstances, Permit, Person, Principal, Refusal, Team
from policy.people.identity_map import HERE as HERE_CLASSES
from policy.people.identity_map import THERE, compare_people
from policy.people.rights import NOBODY, Rights
from policy.probe import Asker, Way, principal_of
from policy.rule import Derived
from policy.statements import AccessPolicy
from policy.table import Match, Table
from tests.support.examples import examples
from tests.support.policy_worlds import NOW, PEOPLE, POLICIES, TEAMS, catalogs, paths_to, some, world

ID, EMAIL = "annotations.idp.test/id", "spec.profile.email"
ISSUER = config.Issuer(
    "main",
    "https://idp.test",
    ("api",),
    match=(config.MatchField("uid", ID), config.MatchField("email", EMAIL, ("corp.test",))),
    groups=config.Groups("groups", (config.MatchField("groups", "metadata.name"),)),
)
RULES = IssuerTable.from_settings([ISSUER]).by_iss["https://idp.test"]
FIELDS = key_fields([ISSUER])
UIDS = st.sampled_from(("u-1", "u-2", "U-1", "u-1 ", "u-9", ""))
ADDRESSES = st.sampled_from(("a@corp.test", "A@Corp.test", "b@corp.test", "a@else.test", "ä@corp.test", ""))
GROUPS = st.none() | st.lists(st.sampled_from(("team0", "team1", "Team2", "x")), max_size=3, unique=True).map(tuple)


@st.composite
def tellings(draw: st.DrawFn) -> list[Told]:
    """What tokens of up to five subjects said."""
    found = []
    for number in range(draw(st.integers(0, 5))):
        said = {
            "uid": draw(UIDS),
            "email": draw(ADDRESSES),
            "preferred_username": draw(st.sampled_from(("person1", ""))),
        }
        claims = {claim: value for claim, value in said.items() if value}
        found.append(Told(f"s-{number}", claims, draw(st.booleans()), draw(GROUPS), True, NOW, False))
    return found


@st.composite
def peopled(draw: st.DrawFn) -> Catalog:
    """A catalog whose people and teams can be found by their fields."""
    facts = draw(catalogs())
    people: dict[str, Person] = {}
    for ref, person in facts.people.items():
        said = {"metadata.name": ref.rpartition("/")[2], ID: draw(UIDS), EMAIL: draw(ADDRESSES)}
        people[ref] = replace(person, fields={field: value for field, value in said.items() if value})
    teams: dict[str, Team] = {
        ref: replace(team, fields={"metadata.name": ref.rpartition("/")[2]}) for ref, team in facts.teams.items()
    }
    return replace(facts, people=people, teams=teams)


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(peopled(), tellings())
def test_everybody_is_in_exactly_one_class_and_matched_are_those_whom_the_door_finds(
    facts: Catalog, told: list[Told]
) -> None:
    _, table = world(facts, AccessPolicy({}), FIELDS)
    callers = [Caller(each, ISSUER, RULES, table) for each in told]
    rules = [each for each in FIELDS if each.kind == "person"]
    found = compare_people(facts.people, rules, (each.subject for each in callers))
    assert [each.name for each in found.there] == sorted(each.name for each in told)
    assert [each.ref for each in found.here] == sorted(facts.people)
    assert {each.kind for each in found.there} <= set(THERE)
    assert {each.kind for each in found.here} <= set(HERE_CLASSES)
    assert sum(number for kind, number in found.counts().items() if kind != "only_here") == len(told)
    who = {each.told.name: each.principal() for each in callers}
    here = {each.ref: each for each in found.here}
    for placed in found.there:
        principal = who[placed.name]
        assert placed.ref == principal.ref
        assert (placed.kind == "matched") <= bool(principal.ref)
        if principal.ref:
            assert placed.name in here[principal.ref].names
            assert placed.kind == ("matched" if not placed.others else "ambiguous") == here[principal.ref].kind
        else:
            ambiguous = principal.refusal == "identity_ambiguous"
            assert (placed.kind == "ambiguous") == ambiguous
            assert not ambiguous or len(placed.others) > 1
    assert all(each.names for each in found.here if each.kind in ("matched", "near"))


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(peopled(), tellings())
def test_a_proposal_that_is_followed_is_a_match_and_changes_nobody_elses(facts: Catalog, told: list[Told]) -> None:
    """The mended field is written into the catalog and everything compiled anew; doubts about an address are lifted."""
    _, table = world(facts, AccessPolicy({}), FIELDS)
    callers = {each.name: Caller(each, ISSUER, RULES, table) for each in told}
    rules = [each for each in FIELDS if each.kind == "person"]
    for placed in compare_people(facts.people, rules, (each.subject for each in callers.values())).there:
        if not placed.proposed:
            continue
        (near,) = placed.near
        said = callers[placed.name].mended(near)
        person = facts.people[near.ref]
        people = {**facts.people, near.ref: replace(person, fields={**person.fields, near.field: near.theirs})}
        _, mended = world(replace(facts, people=people), AccessPolicy({}), FIELDS)
        then = {each.name: Caller(each, ISSUER, RULES, mended).principal() for each in told}
        if said is not None and near.why in ("case", "space", "form", "elsewhere", "same_email", "same_name"):
            assert (then[placed.name].ref, then[placed.name].subjects) == (near.ref, said.subjects)
            for name, caller in callers.items():
                assert name == placed.name or then[name].ref == caller.principal().ref


def strongest(asker: Asker) -> tuple[Principal, Circumstances]:
    if asker.kind == "anonymous":
        return ANONYMOUS, Circumstances()
    shown = ("certificate", "issuer=main", "max_age=1", "mfa", "network=10.0.0.0/8")
    return principal_of(asker, Way(Permit("", "", ""), ("r", "w", "x"), shown), NOW)


def held(derived: Derived, table: Table, rights: Rights, before: Asker, after: Asker) -> None:
    """What is told to change is what the definition decides before and after, and the rest stays as it is."""
    turns = rights.turns(before, after)
    told = {(turn.exposure, name): turn for turn in turns for name in turn.operations}
    assert len(told) == sum(len(turn.operations) for turn in turns), "each operation once"
    for published in derived.published:
        for operation in {each.name: each for each in published.operations}.values():
            (path,) = paths_to((operation,))
            match = Match(table.exposures[published.key], table.exposures[published.key].prefix_segments + path)
            turn = told.get((published.key, operation.name))
            for asker, way, other in (
                (before, turn and turn.before, turn and turn.after),
                (after, turn and turn.after, turn and turn.before),
            ):
                principal, call = principal_of(asker, way, NOW) if way else strongest(asker)
                verdict = reference.decide(derived, published.key, path, operation.method, principal, NOW, call)
                assert table.decide(match, operation.method, principal, NOW, call) == verdict
                if way is not None:
                    assert verdict == way.permit._replace(operation=verdict.operation)
                elif other is not None:
                    assert isinstance(verdict, Refusal), f"{asker.ref} {operation.name}: told to have nothing"
            if turn is None:
                first, then = strongest(before), strongest(after)
                verdicts = [
                    reference.decide(derived, published.key, path, operation.method, who, NOW, call)
                    for who, call in (first, then)
                ]
                assert isinstance(verdicts[0], Permit) == isinstance(verdicts[1], Permit), operation.name


@settings(max_examples=40, deadline=None)
@given(catalogs(), POLICIES, st.sampled_from(PEOPLE), some(TEAMS), some(TEAMS))
def test_what_somebody_gains_and_loses_is_what_the_definition_decides(
    facts: Catalog, policy: AccessPolicy, ref: str, first: tuple[str, ...], then: tuple[str, ...]
) -> None:
    derived, table = world(facts, policy)
    rights = Rights(table, NOW)
    plain = frozenset(each for each in table.subjects_of(ref) if not each.startswith("group:"))
    before, after = (
        Asker("person", ref, plain.union(*(table.team_subjects(team) for team in teams))) for teams in (first, then)
    )
    held(derived, table, rights, before, after)
    held(derived, table, rights, NOBODY, after)


@settings(max_examples=40, deadline=None)
@given(peopled(), POLICIES, tellings(), st.sampled_from(MODES), st.sampled_from(MODES))
def test_another_membership_is_what_the_door_would_make_of_the_same_token(
    facts: Catalog, policy: AccessPolicy, told: list[Told], now: Membership, then: Membership
) -> None:
    derived, table = world(facts, policy, FIELDS)
    rights = Rights(table, NOW)
    issuer, other = replace(ISSUER, membership=now), replace(ISSUER, membership=then)
    for each in told:
        caller = Caller(each, issuer, RULES, table)
        if caller.subject.ref:
            ref, subjects = caller.subject.ref, caller.principal(then).subjects
            assert subjects == Caller(each, other, RULES, table).principal().subjects
            held(
                derived,
                table,
                rights,
                Asker("person", ref, caller.principal().subjects),
                Asker("person", ref, subjects),
            )
