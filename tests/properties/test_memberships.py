"""What a firewall is told of people against the definition of a permission, on worlds made at random."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.network.panos import names
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.wishing import Facts, Wishing
from gateway.engine.overheard import Overlay
from policy.facts import Catalog, Grant
from tests.support.examples import examples
from tests.support.memberships import FIREWALL, NOW, catalog, component, facts, group, person, scope, team, user

T = TypeVar("T")
TEAMS, PEOPLE, SYSTEMS = ("a", "b", "c", "d"), ("p", "q", "r"), ("x", "y", "z")
SUBJECTS = tuple(map(group, TEAMS)) + tuple(map(user, PEOPLE)) + (component("x"), user("gone"))
TIMES = st.integers(NOW - 3, NOW + 3)
HOSTS = ("192.0.2.1", "192.0.2.2", "192.0.2.0/30", "127.0.0.1", "10.0.0.1", "198.51.100.10")


def _some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), max_size=3, unique=True)


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    where = component(draw(st.sampled_from(SYSTEMS))), draw(st.sampled_from(("prod", "dev")))
    subject, starts, ends = draw(st.sampled_from(SUBJECTS)), draw(TIMES), draw(TIMES)
    return Grant("g", subject, *where, (), frozenset(), starts, ends, "why", user("boss"))


@st.composite
def worlds(draw: st.DrawFn) -> Facts:
    people = [
        person(name, *draw(_some((*TEAMS, "gone"))), **{"metadata.name": draw(st.sampled_from((name, "p", "P", "")))})
        for name in draw(_some(PEOPLE))
    ]
    scopes = [
        scope(name, *draw(_some(TEAMS)), people=tuple(map(user, draw(_some(PEOPLE)))), everyone=draw(st.booleans()))
        for name in sorted(draw(_some(SYSTEMS)))
    ]
    overlay = Overlay(
        0, frozenset(draw(_some(SUBJECTS))), frozenset(draw(_some((component("x"), component("y"), "@prod", "@dev")))),
        dict.fromkeys(draw(_some(SUBJECTS)), draw(TIMES)), tuple(draw(st.lists(grants(), max_size=5))),
    )  # fmt: skip
    teams = [team(name, *draw(_some(TEAMS))) for name in draw(_some(TEAMS))]
    addresses = {name: tuple(draw(_some(HOSTS))) for name in SYSTEMS}
    return facts(catalog(people, teams), scopes, addresses, overlay=overlay)


def told(world: Facts) -> Membership:
    found = Wishing(FIREWALL).membership(world, NOW)
    assert found is not None
    return found


def shuffled(world: Facts, random: Random) -> Facts:
    def mixed(values: list[T]) -> list[T]:
        return random.sample(values, len(values))

    assert world.overlay is not None
    people = world.catalog
    return replace(
        world,
        catalog=Catalog(dict(mixed(list(people.people.items()))), dict(mixed(list(people.teams.items()))), {}),
        overlay=replace(world.overlay, grants=tuple(mixed(list(world.overlay.grants)))),
    )


@settings(max_examples=examples(300))
@given(worlds())
def test_people_carry_exactly_what_scopes_and_running_grants_give_their_subjects(world: Facts) -> None:
    found, scopes, overlay = told(world), world.desired["prod"].scopes, world.overlay
    assert overlay is not None
    called = {ref: each.fields["metadata.name"].lower() for ref, each in world.catalog.people.items()}
    carrying = set(found.users) | {who for who, _ in found.timed}
    expected: set[str] = set()
    for ref, name in called.items():
        subjects, who = world.directory.subjects_of(ref), f"corp\\{name}"
        if not name or list(called.values()).count(name) > 1:
            continue
        if subjects & overlay.denied:
            assert who in found.cut
            continue
        named = {each for scope in scopes for each in (*scope.teams, *scope.people)}
        tags = {names.team_tag(each) for each in subjects & named if each.startswith("group:")}
        tags |= {names.person_tag(each) for each in subjects & named if each.startswith("user:")}
        tags |= {names.everyone_tag() for scope in scopes if scope.everyone}
        ends = _ends(world, overlay, subjects)
        assert found.users.get(who, frozenset()) == tags
        assert {tag: end for (each, tag), end in found.timed.items() if each == who} == ends
        expected |= {who} if tags or ends else set()
    assert carrying == expected
    assert not carrying & found.cut


def _ends(world: Facts, overlay: Overlay, subjects: frozenset[str]) -> dict[str, int]:
    since = max((overlay.not_before.get(each, 0) for each in subjects), default=0)
    ends: dict[str, int] = {}
    for scope_ in world.desired["prod"].scopes:
        running = [
            grant.ends for grant in overlay.grants
            if grant.subject in subjects and grant.service in scope_.services and grant.environment == "prod"
            and since <= grant.starts <= NOW < grant.ends
        ]  # fmt: skip
        if running:
            ends[names.grant_tag(scope_.ref, "prod")] = max(running)
    return ends


@settings(max_examples=examples(200))
@given(worlds())
def test_a_service_is_tagged_where_it_may_be_and_what_is_shut_opens_nothing(world: Facts) -> None:
    overlay, known = world.overlay, world.known["prod"].addresses
    assert overlay is not None
    for address, tags in told(world).addresses.items():
        if names.environment_tag("prod") in tags:
            assert address.startswith("192.0.2.")
        for scope_ in world.desired["prod"].scopes:
            if names.services_tag(scope_.ref, "prod") in tags:
                there = [each for each in scope_.services if address in known.get(each, ())]
                assert set(there) - overlay.shut
                assert "@prod" not in overlay.shut


@settings(max_examples=examples(100))
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_said_does_not_matter(world: Facts, random: Random) -> None:
    assert told(shuffled(world, random)) == told(world)


@settings(max_examples=examples(100))
@given(st.lists(worlds(), min_size=2, max_size=4))
def test_what_was_told_before_does_not_matter(worlds_: list[Facts]) -> None:
    """But that a cut is told of names that whoever is cut off had before, too."""
    wishing = Wishing(FIREWALL)
    for each in worlds_:
        found, afresh = wishing.membership(each, NOW), told(each)
        assert found is not None
        assert found.cut >= afresh.cut
        assert found.cut.isdisjoint(afresh.users)
        assert replace(found, cut=afresh.cut) == afresh
