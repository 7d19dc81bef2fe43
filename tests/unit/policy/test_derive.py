"""What the catalog says, cut down to what the platform team allows. Golden files show the rules word for word."""

from __future__ import annotations

from dataclasses import replace

from policy.builtin import BUILTIN_SERVICE
from policy.derive import Memory, derive
from policy.facts import Exposure, Operation, Source
from policy.statements import AccessPolicy, Default, EnvironmentPolicy, Role, Selector
from tests.support.policy_worlds import catalog, exposure, service, team

READ = AccessPolicy({"prod": EnvironmentPolicy("prod", ("read",), ("all",), ("read",), ("read",))})


def messages(*services: object, policy: AccessPolicy = READ) -> list[str]:
    return [fault.message for fault in derive(catalog(team("owners"), *services), policy, ("prod",)).faults]  # type: ignore[arg-type]  # facts of any kind


def test_an_exposure_is_published_once_per_environment() -> None:
    twice = (exposure("x"), replace(exposure("x"), prefix="/other"))
    assert messages(service("x", exposures=twice)) == ["`component:default/x` is exposed twice in `prod`"]


def test_nobody_may_pose_as_stagedoor() -> None:
    fake = replace(service("x"), ref=BUILTIN_SERVICE.ref)
    assert messages(fake) == ["`component:stagedoor/stagedoor` is stagedoor itself"]


def test_a_broken_entity_changes_no_other() -> None:
    good = service("good", Operation("GET", "/"))
    alone = derive(catalog(team("owners"), good), READ, ("prod",))
    broken = replace(service("bad"), exposures=(Exposure("nowhere", "bad", "/", (), Source("bad.yaml", 1)),))
    beside = derive(catalog(team("owners"), good, broken), READ, ("prod",))
    assert beside.published == alone.published
    assert [fault.source.file for fault in beside.faults] == ["bad.yaml"]


def test_a_service_without_owner_has_no_owner_rule() -> None:
    (published,) = derive(catalog(service("x", owner="")), READ, ("prod",)).published
    assert published.rules == ()


def test_allowed_groups_get_the_verbs_of_groups() -> None:
    (published,) = derive(catalog(service("x", allow_groups=("group:default/a",), owner="")), READ, ("prod",)).published
    assert [(rule.reason, rule.subject, rule.confers) for rule in published.rules] == [
        ("rule", "group:default/a", frozenset())
    ]


def test_a_rule_says_where_it_was_said() -> None:
    default = Default(Selector(), "everyone", (), Source("policy.yaml", 9))
    policy = replace(READ, defaults=(default,))
    (published,) = derive(catalog(service("x")), policy, ("prod",)).published
    assert [(rule.reason, rule.source.file) for rule in published.rules] == [
        ("owner", "x.yaml"), ("everyone", "policy.yaml")
    ]  # fmt: skip


def test_roles_add_up_per_team() -> None:
    policy = replace(
        READ, roles=(Role("a", ("group:default/t",), frozenset("x")), Role("b", ("group:default/t",), frozenset("y")))
    )
    assert derive(catalog(), policy, ("prod",)).role_scopes == {"group:default/t": frozenset("xy")}


def test_a_memory_derives_only_what_changed_and_says_the_same() -> None:
    """Incremental and whole derivation give equal results, whatever changes in between."""
    memory = Memory()
    user = service("user", consumes=("api:default/a",), exposures=())
    kept, changed = (
        service("kept", Operation("TRACE", "/"), Operation("GET", "/", api="api:default/a")),
        service("changed"),
    )
    policy = AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",), ("all",), consent="any")})
    first = derive(catalog(kept, changed, user), policy, ("prod",), memory=memory)
    other = replace(changed, allow_groups=("group:default/a",))
    second = derive(catalog(kept, other, user), policy, ("prod",), memory=memory)
    assert second == derive(catalog(kept, other, user), policy, ("prod",))
    assert {each.key: each for each in second.published}["component:default/kept@prod"] is (
        {each.key: each for each in first.published}["component:default/kept@prod"]
    )
    for facts, stated in (
        (catalog(replace(kept, access="everyone"), other, user), policy),
        (catalog(kept, other, replace(user, consumes=())), policy),
        (catalog(kept, other, user), READ),
        (catalog(kept), READ),
    ):
        assert derive(facts, stated, ("prod",), memory=memory) == derive(facts, stated, ("prod",))
