"""Promises about what somebody gains and loses: what changes is told with its rules, what stays is not, once each."""

from __future__ import annotations

from policy.facts import ALL_PEOPLE, EVERYONE, Operation
from policy.people.rights import NOBODY, Rights, Turn
from policy.probe import Asker
from policy.statements import AccessPolicy, EnvironmentPolicy, PolicyRule, Requirement, Role, Selector
from policy.table import Table
from tests.support.policy_worlds import HERE, NOW, catalog, person, service, team, world

OPERATIONS = (
    Operation("GET", "/a", (), "api:default/a", source=HERE),
    Operation("POST", "/a", (frozenset({"w"}),), "api:default/a", source=HERE),
)


def policy(*rules: PolicyRule, roles: tuple[Role, ...] = (), everyone: tuple[str, ...] = ()) -> AccessPolicy:
    prod = EnvironmentPolicy("prod", ("read",), (), everyone, (), "named", "never", ())
    return AccessPolicy({"prod": prod}, roles, (), (), rules)


def allow(subject: str, *requirements: Requirement, effect: str = "allow", scopes: tuple[str, ...] = ()) -> PolicyRule:
    return PolicyRule(
        effect,  # type: ignore[arg-type]  # one of the two words
        (subject,), Selector(()), ("prod",), None, (), frozenset(scopes), requirements, False, "because", HERE,
    )  # fmt: skip


def table_of(rules: AccessPolicy) -> Table:
    facts = catalog(
        team("owners"),
        team("others"),
        person("jane", "owners"),
        person("joe"),
        service("one", *OPERATIONS, access="owners"),
    )
    return world(facts, rules)[1]


def asker(*teams: str, ref: str = "user:default/jane") -> Asker:
    return Asker("person", ref, frozenset({ref, ALL_PEOPLE, EVERYONE, *(f"group:default/{each}" for each in teams)}))


def told(turns: tuple[Turn, ...]) -> list[tuple[str, str, tuple[str, ...], int]]:
    return [(each.exposure, each.effect, each.operations, each.total) for each in turns]


def test_a_team_gained_is_what_its_rule_gives() -> None:
    rights = Rights(table_of(policy()), NOW)
    (turn,) = rights.turns(asker(), asker("owners"))
    assert told((turn,)) == [("component:default/one@prod", "gain", ("GET /a",), 2)]
    assert (turn.before, turn.after and turn.after.permit.reason) == (None, "owner")
    assert turn.rule == (turn.after and turn.after.permit.rule)


def test_a_team_lost_is_told_with_the_rule_that_gave_it() -> None:
    rights = Rights(table_of(policy()), NOW)
    (turn,) = rights.turns(asker("owners"), asker("others"))
    assert (turn.effect, turn.after, turn.rule) == ("lose", None, turn.before and turn.before.permit.rule)


def test_the_same_right_by_another_rule_is_no_change() -> None:
    rights = Rights(table_of(policy(allow("group:default/others", scopes=("w",)))), NOW)
    assert told(rights.turns(asker("owners"), asker("owners", "others"))) == [
        ("component:default/one@prod", "gain", ("POST /a",), 2)
    ]


def test_a_deny_takes_away_and_leaving_it_gives() -> None:
    rights = Rights(table_of(policy(allow("group:default/others", effect="deny"))), NOW)
    (lost,) = rights.turns(asker("owners"), asker("owners", "others"))
    (gained,) = rights.turns(asker("owners", "others"), asker("owners"))
    assert (lost.effect, gained.effect, lost.operations) == ("lose", "gain", gained.operations)


def test_the_same_right_that_asks_for_something_else_is_other() -> None:
    rules = policy(allow("group:default/others", Requirement("person", "mfa")), allow(ALL_PEOPLE, scopes=("w",)))
    only = policy(allow("group:default/others", Requirement("person", "mfa"), scopes=("w",)), roles=())
    rights = Rights(table_of(only), NOW)
    assert [each.effect for each in rights.turns(asker("owners"), asker("others"))] == ["other", "gain"]
    assert rights.turns(asker("owners"), asker("others"))[0].after.needs == ("mfa",)  # type: ignore[union-attr]  # `other` has both
    assert Rights(table_of(rules), NOW).turns(asker(), asker()) == ()


def test_a_role_counts_though_no_rule_names_its_team() -> None:
    """Scopes that a role confers change what must be shown wherever the person may come."""
    rules = policy(
        allow(ALL_PEOPLE), roles=(Role("writers", ("group:default/others",), frozenset({"w"})),)
    )  # fmt: skip
    (turn,) = Rights(table_of(rules), NOW).turns(asker(), asker("others"))
    assert (turn.effect, turn.operations) == ("other", ("POST /a",))
    assert (turn.before and turn.before.scopes, turn.after and turn.after.scopes) == (("w",), ())


def test_nobody_who_becomes_a_person_gains_what_is_not_public_already() -> None:
    public = PolicyRule(
        "allow", ("anyone",), Selector(()), ("prod",), None, (("GET", ("a",)),), frozenset(), (), False, "because", HERE
    )
    rights = Rights(table_of(policy(public, allow(ALL_PEOPLE, scopes=("w",)))), NOW)
    assert told(rights.turns(NOBODY, asker())) == [("component:default/one@prod", "gain", ("POST /a",), 2)]


def test_a_person_who_is_denied_loses_even_what_is_public() -> None:
    public = PolicyRule(
        "allow", ("anyone",), Selector(()), ("prod",), None, (("GET", ("a",)),), frozenset(), (), False, "because", HERE
    )
    rights = Rights(table_of(policy(public, allow("group:default/others", effect="deny"))), NOW)
    assert [each.effect for each in rights.turns(NOBODY, asker("others"))] == ["lose"]


def test_nothing_changes_between_the_same_and_on_an_empty_table() -> None:
    assert Rights(table_of(policy()), NOW).turns(asker("owners"), asker("owners", ref="user:default/joe")) == ()
    assert Rights(Table.allow_none(), NOW).turns(NOBODY, asker("owners")) == ()
