"""What the language promises to those who write it, as named properties over random worlds. The names are those of the
guarantees of docs/policy-language.md; each holds for the table that doors decide with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.facts import ANONYMOUS, Catalog, Instance, Operation, Permit, Principal, Refusal, Service
from policy.paths import template_of
from policy.rule import Derived, names_of
from policy.statements import ANYONE, AccessPolicy, EnvironmentPolicy
from policy.table import Table
from tests.properties.test_policy import PATH_LISTS, ask, requests
from tests.support.policy_worlds import (
    COMPONENTS,
    ENVIRONMENTS,
    PATHS,
    POLICIES,
    TEAMS,
    callers,
    catalog,
    catalogs,
    service,
    world,
)

few = settings(max_examples=25, deadline=None)
NOTHING = {name: EnvironmentPolicy(name) for name in ENVIRONMENTS}


def with_each(facts: Catalog, **changes: object) -> Catalog:
    """The catalog with the same said about every service."""
    changed = {ref: replace(service, **changes) for ref, service in facts.services.items()}  # type: ignore[arg-type]  # any field
    return Catalog(facts.people, facts.teams, changed)


def permits(
    derived: Derived, table: Table, who: Principal, paths: list[tuple[str, ...]]
) -> Iterator[tuple[str, Permit]]:
    for key, path, method in requests(derived, paths):
        verdict = ask(table, key, path, method, who)
        if isinstance(verdict, Permit):
            yield key, verdict


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_owners_open_no_more_than_the_environment_allows(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """Where an environment says nothing of consumers, everyone, groups and the public, the widest annotations let
    nobody in but the owning team."""
    narrow = {name: replace(each, consumers=(), everyone=(), groups=(), public="never") for name, each in
              policy.environments.items()}  # fmt: skip
    open_wide = with_each(facts, access="everyone", allow_groups=TEAMS, allow_consumers=COMPONENTS)
    derived, table = world(open_wide, replace(policy, environments=narrow, rules=()))
    who = data.draw(callers(table, depth=0))
    for key, permit in permits(derived, table, who, paths):
        assert permit.reason == "owner"
        assert open_wide.services[key.partition("@")[0]].owner in who.subjects


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_annotations_neither_narrow_nor_widen_rules(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """What the access policy's own rules decide is the same whatever owners say about who may come."""
    alone = AccessPolicy(NOTHING, policy.roles, policy.scopes, (), policy.rules)
    closed, before = world(with_each(facts, access="owners", allow_groups=(), allow_consumers=()), alone)
    opened, after = world(with_each(facts, access="everyone", allow_groups=TEAMS, allow_consumers=COMPONENTS), alone)
    who = data.draw(callers(before))
    for key, path, method in requests(closed, paths):
        assert ask(before, key, path, method, who) == ask(after, key, path, method, who)
    assert [each.key for each in closed.published] == [each.key for each in opened.published]


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_every_actor_must_be_permitted(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """Who acts for somebody gets a permit exactly where both would get one alone, by the subject's rule."""
    derived, table = world(facts, policy)
    actor, alone = data.draw(callers(table, depth=0)), data.draw(callers(table, depth=0))
    both = Principal(
        alone.kind, alone.ref, alone.subjects, client_subjects=alone.client_subjects, actors=(actor,),
        scopes=alone.scopes, bounded=alone.bounded, amr=alone.amr, auth_time=alone.auth_time, issuer=alone.issuer,
        refusal=alone.refusal,
    )  # fmt: skip
    for key, path, method in requests(derived, paths):
        verdicts = [ask(table, key, path, method, each) for each in (alone, actor)]
        assert ask(table, key, path, method, both) == next(
            (each for each in verdicts if isinstance(each, Refusal)), verdicts[0]
        )


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_a_bounded_token_is_conferred_nothing(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """It does what needs scopes only with scopes it holds itself, whoever carries it; public operations aside."""
    derived, table = world(facts, policy)
    who = data.draw(callers(table, depth=0).filter(lambda each: each.bounded))
    operations = {each.key: each.operations for each in derived.published}
    for key, permit in permits(derived, table, who, paths):
        if permit.reason != "public":
            asked = [each for each in operations[key] if each.name == permit.operation]
            assert all(not each.scopes or any(held <= who.scopes for held in each.scopes) for each in asked)


@few
@given(catalogs(), POLICIES, PATH_LISTS)
def test_nobody_unknown_gets_more_than_anyone(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]]
) -> None:
    """Who is not signed in is let in by a rule for anyone alone, and asked for who they are everywhere else."""
    derived, table = world(facts, policy)
    rules = {rule.id: rule for each in derived.published for rule in each.rules}
    for key, path, method in requests(derived, paths):
        verdict = ask(table, key, path, method, ANONYMOUS)
        if isinstance(verdict, Permit):
            assert rules[verdict.rule].subject == ANYONE
        else:
            assert verdict == Refusal("identity_required")


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_who_has_no_right_learns_nothing(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """Whom no rule of an exposure means is told the same of every path and method, whether it exists or is denied."""
    derived, table = world(facts, policy)
    who = data.draw(callers(table, depth=0).filter(lambda each: each.kind != "anonymous"))
    reach = {
        each.key: {name for rule in each.rules if rule.is_permit and any(map(rule.covers, each.operations))
                   for name in names_of(rule.subject, each.exposure.environment)}
        for each in derived.published
    }  # fmt: skip
    for key, path, method in requests(derived, paths):
        if ANYONE not in reach[key] and not who.subjects & reach[key]:
            assert ask(table, key, path, method, who) == Refusal("no_rule")


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_head_is_permitted_where_get_is(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """On a path whose definitions know no HEAD of their own, and no rule speaks of HEAD alone."""
    without = [replace(each, methods=None, operations=()) for each in policy.rules if each.effect == "allow"]
    services = {
        ref: replace(service, operations=tuple(each for each in service.operations if each.method != "HEAD"))
        for ref, service in facts.services.items()
    }
    facts = Catalog(facts.people, facts.teams, services)
    derived, table = world(facts, replace(policy, rules=tuple(each for each in without if ANYONE not in each.subjects)))
    who = data.draw(callers(table))
    for published in derived.published:
        for path in paths:
            get, head = (ask(table, published.key, path, method, who) for method in ("GET", "HEAD"))
            assert head == get


SLASHLESS = PATHS.filter(lambda path: bool(path) and "" not in path)


@few
@given(catalogs(), POLICIES, st.lists(SLASHLESS, min_size=4, max_size=6), st.data())
def test_both_spellings_of_a_path_are_decided_alike(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """Where the owner says `trailing-slash-same`, a slash at the end changes neither answer nor reason nor rule."""
    derived, table = world(with_each(facts, options=frozenset({"trailing-slash-same"})), policy)
    who = data.draw(callers(table))
    for key, path, method in requests(derived, paths):
        if path and "" not in path:
            bare, slashed = (ask(table, key, each, method, who) for each in (path, (*path, "")))
            assert (bare.reason, bare.rule) == (slashed.reason, slashed.rule), f"{method} {path} on {key}"


@few
@given(catalogs(), POLICIES, PATH_LISTS, st.data())
def test_an_instance_takes_no_right_from_its_service(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]], data: st.DataObject
) -> None:
    """A component that says to be another one's instance may do nothing that it could not do before, and may lose what
    is denied to that other one."""
    ref, of = COMPONENTS[0], COMPONENTS[1]
    claim = Instance(of, data.draw(st.sampled_from(ENVIRONMENTS)), data.draw(st.booleans()))

    def saying(instance: Instance | None) -> Catalog:
        services: dict[str, Service] = {**facts.services, ref: replace(facts.services[ref], instance=instance)}
        return Catalog(facts.people, facts.teams, services)

    derived, before = world(saying(None), policy)
    _, after = world(saying(claim), policy)
    name = before.workload("client0") or ref
    who = Principal("workload", name, before.subjects_of(name))
    for key, path, method in requests(derived, paths):
        is_other = not key.startswith(f"{ref}@")
        if is_other and isinstance(ask(before, key, path, method, who), Refusal):
            assert isinstance(ask(after, key, path, method, who), Refusal)


@few
@given(catalogs(), POLICIES, PATH_LISTS)
def test_a_program_is_no_member_of_the_team_that_owns_it(
    facts: Catalog, policy: AccessPolicy, paths: list[tuple[str, ...]]
) -> None:
    """However much owning is worth: no program is let in as an owner, and none carries a team."""
    every = {name: replace(each, owners=("all",)) for name, each in policy.environments.items()}
    derived, table = world(facts, replace(policy, environments=every))
    for client in ("client0", "client1", "client2", "shared"):
        name = table.workload(client) or ""
        who = Principal("workload", name, table.subjects_of(name))
        assert not who.subjects & set(TEAMS)
        assert all(permit.reason != "owner" for _, permit in permits(derived, table, who, paths))


@pytest.mark.parametrize("path", ["admin", "Admin", "ADMIN", "admin.json", "admin;v=1", "admin/", "Admin.x;y"])
def test_a_path_that_comes_near_another_operation_needs_that_one_too(path: str) -> None:
    """The program may read `/a/{id}` and not `/a/admin`: no spelling of that which a service might resolve passes."""
    by_id, below = (Operation("GET", f"/a/{{id}}{rest}", api="api:default/r") for rest in ("", "/**"))
    admin = Operation("GET", "/a/admin", api="api:default/x")
    user = service("user", consumes=("api:default/r",), client_ids={"": "c"})
    facts = catalog(service("x", by_id, below, admin), user)
    opened = replace(facts.services["component:default/x"], access="consumers")
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", consumers=("declared",), consent="any")})
    _, table = world(Catalog({}, {}, {**facts.services, opened.ref: opened}), policy)
    who = Principal("workload", "component:default/user", table.subjects_of("component:default/user"))

    def asked(text: str) -> Permit | Refusal:
        return ask(table, "component:default/x@prod", ("a", *text.split("/")), "GET", who)

    assert isinstance(asked("7"), Permit)
    assert asked(path).reason == "no_rule"


def test_a_template_of_the_other_spelling_is_another_path() -> None:
    """The property above would hold for nothing if both spellings were read as one."""
    assert template_of("/a/") != template_of("/a")
