"""Promises about who is there: what a token said goes before what a list says, and both are read as the door reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway import config
from gateway.control.sightings import Seen
from gateway.identity.issuers import IssuerTable
from gateway.identity.presets import key_fields
from gateway.people.lists import Row
from gateway.people.subjects import Caller, Told, told_of
from policy.people.near import Near
from policy.statements import AccessPolicy
from policy.table import Table
from tests.support.policy_worlds import catalog, person, team, world

ID, EMAIL = "annotations.idp.test/id", "spec.profile.email"
ISSUER = config.Issuer(
    "idp",
    "https://idp.test",
    ("api",),
    match=(config.MatchField("uid", ID), config.MatchField("email", EMAIL, ("corp.test",))),
    groups=config.Groups("realm.groups", (config.MatchField("realm.groups", "metadata.name"),)),
)
KEYS = ("uid", "email")


def seen(subject: str = "s-1", **changes: object) -> Seen:
    plain = Seen("idp", subject, {"uid": "u-1"}, False, None, 0, "", "identity_unknown", 100)
    return plain._replace(**changes)  # type: ignore[arg-type]  # spelled as a dict so that a test can change any field


def told(**changes: object) -> Told:
    plain = Told("s-1", {"uid": "u-1"}, False, ("pay",), True, 100, False)
    return plain._replace(**changes)  # type: ignore[arg-type]  # likewise


def table(issuer: config.Issuer) -> Table:
    fields = {ID: "u-1", EMAIL: "ann@corp.test"}
    facts = catalog(
        person("ann", "ship", **fields), team("pay", "money", **{"metadata.name": "pay"}), team("money"), team("ship")
    )
    return world(facts, AccessPolicy({}), key_fields([issuer]))[1]


def caller(issuer: config.Issuer = ISSUER, **changes: object) -> Caller:
    rules = IssuerTable.from_settings([issuer]).named("idp")
    assert rules is not None
    return Caller(told(**changes), issuer, rules, table(issuer))


def test_a_list_adds_people_and_what_tokens_do_not_say() -> None:
    rows = [
        Row("s-1", {"uid": "other", "email": "x@corp.test", "name": "Ann"}, None, ("listed",)),
        Row("s-2", {"uid": "u-2"}, None, None),
    ]
    first, second = told_of([seen()], rows, KEYS)
    assert first.claims == {"uid": "u-1", "name": "Ann"}, "a claim that is compared comes from the token alone"
    assert (first.groups, first.whole, first.seen_at, first.listed) == (None, True, 100, True)
    assert (second.name, second.groups, second.whole, second.seen_at, second.listed) == ("s-2", None, False, 0, True)


def test_a_row_without_the_tokens_subject_is_known_by_a_claim_that_is_compared() -> None:
    (one,) = told_of([seen("login-name")], [Row("u-1", {"uid": "u-1"}, None, ("a",))], KEYS)
    assert (one.name, one.listed) == ("login-name", True)


def test_an_address_counts_as_verified_unless_the_list_says_that_it_is_not() -> None:
    rows = [Row(f"s-{said}", {"email": "a@corp.test"}, said, None) for said in (None, True, False)]
    assert {each.name: each.email_verified for each in told_of([], rows, KEYS)} == {
        "s-None": True, "s-True": True, "s-False": False,
    }  # fmt: skip


def test_groups_that_found_no_room_leave_a_token_half_known() -> None:
    (one,) = told_of([seen(groups=("a",), more_groups=3)], [], KEYS)
    assert one.whole is False


def test_the_label_is_what_a_person_would_call_them() -> None:
    claims = {"email": "e@x", "preferred_username": "p", "name": "n"}
    assert told(claims=claims).label == "e@x"
    assert told(claims={"preferred_username": "p", "name": "n"}).label == "p"
    assert told(claims={"name": "n"}).label == "n"
    assert told().label == ""


def test_whom_the_door_finds_is_found_with_its_own_reading() -> None:
    assert caller().subject.ref == "user:default/ann"
    believed = caller(claims={"email": "Ann@Corp.test"}, email_verified=True)
    assert (believed.subject.ref, believed.subject.doubts) == ("user:default/ann", {})


@pytest.mark.parametrize(
    ("email", "verified", "doubt"),
    [
        ("ann@corp.test", False, "unverified"),
        ("ann@else.test", True, "foreign_domain"),
        ("ann@else.test", False, "unverified"),
        ("änn@corp.test", True, "not_ascii"),
        ("ann@x@corp.test", True, "foreign_domain"),
    ],
)
def test_an_address_that_the_door_does_not_believe_is_in_doubt(email: str, verified: bool, doubt: str) -> None:
    one = caller(claims={"email": email}, email_verified=verified)
    assert (one.subject.ref, one.subject.refusal) == ("", "identity_unknown")
    assert one.subject.doubts == {"email": doubt}


def test_a_subject_that_stands_in_for_sub_matches_nobody() -> None:
    """A list without `sub` names people by another id, which no token would say as its `sub`."""
    by_sub = replace(ISSUER, match=(config.MatchField("sub", ID),))
    assert caller(by_sub, name="u-1", claims={}).subject.ref == ""
    assert caller(by_sub, name="u-1", claims={"sub": "u-1"}).subject.ref == "user:default/ann"


def test_memberships_are_the_doors() -> None:
    one = caller()
    teams = {
        mode: sorted(each for each in one.principal(mode).subjects if each.startswith("group:"))
        for mode in ("catalog", "token", "both", "either")
    }
    assert teams == {
        "catalog": ["group:default/ship"],
        "token": ["group:default/money", "group:default/pay"],
        "both": [],
        "either": ["group:default/money", "group:default/pay", "group:default/ship"],
    }


def test_a_near_miss_that_another_claim_contradicts_cannot_be_mended() -> None:
    near = Near("user:default/ann", "case", "uid", ID, "U-1", "u-1")
    mended = caller(claims={"uid": "U-1"}).mended(near)
    assert mended is not None
    assert (mended.ref, "group:default/ship" in mended.subjects) == ("user:default/ann", True)
    facts = catalog(person("ann", **{ID: "u-1"}), person("bob", **{EMAIL: "bob@corp.test"}))
    rules = IssuerTable.from_settings([ISSUER]).named("idp")
    assert rules is not None
    both = Caller(
        told(claims={"uid": "U-1", "email": "bob@corp.test"}, email_verified=True),
        ISSUER, rules, world(facts, AccessPolicy({}), key_fields([ISSUER]))[1],
    )  # fmt: skip
    assert both.subject.ref == "user:default/bob"
    assert both.mended(near) is None
