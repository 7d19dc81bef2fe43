"""Who carries which tags: teams as the door counts them, grants to their ends, and nothing for who is cut off."""

from __future__ import annotations

import pytest

from gateway.engine.network.panos import names
from gateway.engine.network.panos.people import MOST_TAGS, People, UserTags, name_of
from gateway.engine.overheard import Overlay
from policy.coarse import Scope
from policy.directory import Directory, directory_frames
from policy.facts import Catalog, Grant
from tests.support.memberships import NOW, QUIET, catalog, component, grant, group, person, scope, team, user

SCOPES = (scope("pay", "pay"), scope("shop", "retail", services=("shop", "cart")))
TEAMS = (team("pay"), team("till", "retail"), team("retail"), team("idle"))
JANE, JOE, IDA = person("jane", "pay", "idle"), person("joe", "till"), person("ida", "idle")
CATALOG = catalog([JANE, JOE, IDA], TEAMS)
PAY, RETAIL = names.team_tag(group("pay")), names.team_tag(group("retail"))
GRANTED = names.grant_tag("system:default/pay", "prod")


def tagged(
    people: Catalog = CATALOG, scopes: tuple[Scope, ...] = SCOPES, overlay: Overlay = QUIET, now: int = NOW,
    template: str = "corp\\{metadata.name}",
) -> UserTags:  # fmt: skip
    directory = Directory(directory_frames(people, (), ("prod",)))
    return People(template).tags(scopes, people, directory, overlay, now)


def told_in_turn(template: str, *turns: tuple[Catalog, Overlay]) -> list[UserTags]:
    people = People(template)
    return [
        people.tags(SCOPES, known, Directory(directory_frames(known, (), ("prod",))), heard, NOW)
        for known, heard in turns
    ]


def granted(*grants: Grant, now: int = NOW, **overlay: object) -> dict[tuple[str, str], int]:
    return dict(tagged(overlay=Overlay(grants=grants, **overlay), now=now).timed)  # type: ignore[arg-type]  # any field


def test_people_carry_the_tags_of_their_teams_and_of_those_above_that_rules_name() -> None:
    found = tagged()
    assert found.users == {"corp\\jane": {PAY}, "corp\\joe": {RETAIL}}
    assert (found.timed, found.cut, found.remarks) == ({}, frozenset(), ())


def test_everyone_is_whoever_the_catalog_knows() -> None:
    found = tagged(scopes=(scope("open", everyone=True),))
    assert found.users == {f"corp\\{name}": {names.everyone_tag()} for name in ("jane", "joe", "ida")}


def test_who_is_named_by_a_rule_carries_a_tag_alone() -> None:
    assert tagged(scopes=(scope("one", people=(user("ida"),)),)).users == {"corp\\ida": {names.person_tag(user("ida"))}}


def test_what_is_open_to_anyone_needs_no_tag() -> None:
    assert tagged(scopes=(scope("open", anyone=True),)).users == {}


@pytest.mark.parametrize("cut", [user("jane"), group("pay"), group("idle")])
def test_who_is_cut_off_carries_nothing(cut: str) -> None:
    found = tagged(overlay=Overlay(denied=frozenset({cut}), grants=(grant(user("jane"), "shop"),)))
    assert "corp\\jane" in found.cut
    assert found.users == {"corp\\joe": {RETAIL}}
    assert found.timed == {}


def test_a_team_above_that_is_cut_off_takes_its_members_along() -> None:
    assert tagged(overlay=Overlay(denied=frozenset({group("retail")}))).cut == {"corp\\joe"}


@pytest.mark.parametrize("cut", [user("jane"), group("pay")])
def test_a_cut_reaches_who_has_left_the_catalog_meanwhile(cut: str) -> None:
    jane = person("jane", "pay", **{"spec.profile.email": "Jane@corp.test"})
    before, after = catalog([jane], TEAMS), catalog([JOE], TEAMS)
    turns = ((before, QUIET), (after, Overlay(denied=frozenset({cut}))))
    assert told_in_turn("{spec.profile.email}", *turns)[-1].cut == {"jane@corp.test"}


def test_a_cut_reaches_the_name_that_somebody_had_before() -> None:
    mails = ({"spec.profile.email": f"{name}@corp.test"} for name in ("old", "new"))
    before, after = (catalog([person("jane", "pay", **each)], TEAMS) for each in mails)
    turns = ((before, QUIET), (after, Overlay(denied=frozenset({user("jane")}))))
    assert told_in_turn("{spec.profile.email}", *turns)[-1].cut == {"old@corp.test", "new@corp.test"}


def test_a_cut_of_somebody_whom_nobody_ever_saw_here_is_told_by_the_ref() -> None:
    gone = Overlay(denied=frozenset({user("zoe"), "user:other/joe", group("none")}))
    assert tagged(overlay=gone).cut == {"corp\\zoe"}, "joe's name is another's now"


# === grants ===


def test_a_grant_carries_its_end() -> None:
    assert granted(grant(user("ida"), "pay")) == {("corp\\ida", GRANTED): NOW + 600}


@pytest.mark.parametrize(
    ("starts", "ends", "holds"),
    [(NOW, NOW + 1, True), (NOW + 1, NOW + 9, False), (NOW - 9, NOW, False)],
    ids=["begins now", "begins later", "is over"],
)
def test_a_grant_counts_from_its_beginning_to_its_end(starts: int, ends: int, holds: bool) -> None:
    assert bool(granted(grant(user("ida"), "pay", starts, ends))) is holds


def test_of_several_grants_the_longest_that_runs_counts() -> None:
    grants = (
        grant(user("ida"), "pay", ends=NOW + 100), grant(user("ida"), "pay", ends=NOW + 50),
        grant(user("ida"), "pay", starts=NOW + 60, ends=NOW + 900),
    )  # fmt: skip
    assert granted(*grants) == {("corp\\ida", GRANTED): NOW + 100}


def test_a_grant_of_a_team_is_its_members() -> None:
    assert granted(grant(group("retail"), "pay")) == {("corp\\joe", GRANTED): NOW + 600}


@pytest.mark.parametrize(
    "other",
    [grant(user("ida"), "unknown"), grant(user("ida"), "pay", environment="dev"), grant(user("gone"), "pay"),
     grant(component("pay"), "pay")],
    ids=["service", "environment", "person", "workload"],
)  # fmt: skip
def test_a_grant_of_what_is_not_here_opens_nothing(other: Grant) -> None:
    assert granted(other) == {}


@pytest.mark.parametrize("subject", [user("ida"), group("idle")])
def test_a_grant_from_before_a_cut_does_not_come_back_with_the_lifting(subject: str) -> None:
    old, new = grant(user("ida"), "pay", starts=NOW - 10), grant(user("ida"), "shop", starts=NOW - 5)
    shop = names.grant_tag("system:default/shop", "prod")
    assert granted(old, new, not_before={subject: NOW - 5}) == {("corp\\ida", shop): NOW + 600}


# === names ===


@pytest.mark.parametrize(
    ("template", "fields", "name"),
    [
        ("corp\\{metadata.name}", {"metadata.name": "Jane"}, "corp\\jane"),
        ("{spec.profile.email}", {"spec.profile.email": "Jane.O'Neil@Example.com"}, "jane.o'neil@example.com"),
        ("{annotations.corp/login}", {"annotations.corp/login": "CORP\\jane"}, "corp\\jane"),
        ("{spec.profile.email}", {}, ""),
        ("corp\\{annotations.login}", {"annotations.login": "other\\admin"}, ""),
        ("{annotations.login}", {"annotations.login": "jane\nroot"}, ""),
        ("{annotations.login}", {"annotations.login": " jane"}, ""),
        ("{annotations.login}", {"annotations.login": 'jane" user="admin'}, ""),
        ("{annotations.login}", {"annotations.login": "x" * 300}, ""),
    ],
)
def test_a_name_is_one_that_user_id_has_or_none(template: str, fields: dict[str, str], name: str) -> None:
    who = person("jane")
    assert name_of(template, type(who)(who.ref, "", (), fields, who.source)) == name


def test_two_people_with_one_name_are_neither() -> None:
    double = person("janet", "pay", **{"metadata.name": "JANE"})
    found = tagged(catalog([JANE, double, JOE], TEAMS))
    assert found.users == {"corp\\joe": {RETAIL}}
    assert "2 people share a name" in found.remarks[0]
    assert user("jane") in found.remarks[0] and user("janet") in found.remarks[0]


@pytest.mark.parametrize(("one", "other"), [("STRASSE", "straße"), ("Jane", "jANE")])
def test_names_are_the_same_without_regard_to_case(one: str, other: str) -> None:
    people = [person("a", "pay", **{"metadata.name": one}), person("b", "pay", **{"metadata.name": other})]
    assert tagged(catalog(people, TEAMS)).users == {}


def test_of_two_with_one_name_one_that_is_cut_off_cuts_the_name() -> None:
    double = person("janet", "pay", **{"metadata.name": "JANE"})
    found = tagged(catalog([JANE, double], TEAMS), overlay=Overlay(denied=frozenset({user("janet")})))
    assert found.cut == {"corp\\jane"}


def test_who_has_no_name_carries_nothing_and_is_said() -> None:
    found = tagged(template="{spec.profile.email}")
    assert found.users == {}
    assert "3 people have no name by `user_name`" in found.remarks[0]


def test_without_a_template_nobody_is_tagged_and_that_is_said() -> None:
    assert tagged(template="") == UserTags(remarks=tagged(template="").remarks)
    assert "`user_name`" in tagged(template="").remarks[0]


def test_where_nobody_is_asked_for_names_are_nobodys_trouble() -> None:
    assert tagged(template="", scopes=()).remarks == tagged(template="{spec.profile.email}", scopes=()).remarks == ()


# === limits ===


def test_no_more_tags_than_a_user_may_carry_and_what_was_granted_goes_first() -> None:
    many = [f"t{number}" for number in range(40)]
    crowd = catalog([person("jane", *many)], map(team, many))
    scopes = (scope("wide", *many), scope("pay", "pay"))
    found = tagged(crowd, scopes, Overlay(grants=(grant(user("jane"), "pay"),)))
    assert len(found.users["corp\\jane"]) + len(found.timed) == MOST_TAGS
    assert found.timed == {("corp\\jane", GRANTED): NOW + 600}
    assert "1 people are in more groups" in found.remarks[0]
