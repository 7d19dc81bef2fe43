"""Promises about the identity map: each subject and User in one class, with the reason; only clear proposals."""

from __future__ import annotations

from policy.facts import KeyField, Person, Team
from policy.people.identity_map import Compared, Listed, Placed, Subject, compare_groups, compare_people
from tests.support.policy_worlds import HERE

ID = "annotations.idp.test/id"
EMAIL = "spec.profile.email"
RULES = (KeyField("idp", "person", "uid", ID), KeyField("idp", "person", "email", EMAIL))
BY_GROUP = KeyField("idp", "team", "groups", "metadata.name")


def someone(name: str, uid: str = "", email: str = "") -> Person:
    fields = {"metadata.name": name, ID: uid, EMAIL: email}
    return Person(f"user:default/{name}", name, (), {key: value for key, value in fields.items() if value}, HERE)


def subject(name: str, ref: str = "", refusal: str = "", **claims: str) -> Subject:
    """``ref``: the name of the person whom the door finds."""
    refusal = refusal or ("" if ref else "identity_unknown")
    return Subject(name, claims, {}, f"user:default/{ref}" if ref else "", refusal)


def compared(people: list[Person], *subjects: Subject) -> Compared:
    return compare_people({each.ref: each for each in people}, RULES, subjects)


def there(found: Compared) -> dict[str, tuple[str, str]]:
    return {each.name: (each.kind, each.why) for each in found.there}


def here(found: Compared) -> dict[str, tuple[str, str]]:
    return {each.ref.rpartition("/")[2]: (each.kind, each.why) for each in found.here}


def test_somebody_who_is_found_is_matched_with_the_claim_and_the_field() -> None:
    found = compared([someone("ann", "u-1")], subject("s-1", "ann", uid="u-1", email="ann@corp.test"))
    assert found.there == (Placed("s-1", "matched", "user:default/ann", via=(("uid", ID),)),)
    assert found.here == (Listed("user:default/ann", "matched", "", ("s-1",)),)
    assert (found.differs, found.counts()["matched"]) == (False, 1)


def test_two_subjects_who_are_one_user_are_ambiguous_and_name_each_other() -> None:
    found = compared([someone("ann", "u-1")], subject("s-2", "ann", uid="u-1"), subject("s-1", "ann", uid="u-1"))
    assert there(found) == {"s-1": ("ambiguous", "two_subjects"), "s-2": ("ambiguous", "two_subjects")}
    assert [each.others for each in found.there] == [("s-2",), ("s-1",)]
    assert found.here == (Listed("user:default/ann", "ambiguous", "two_subjects", ("s-1", "s-2")),)


def test_one_key_on_two_users_is_ambiguous_on_both_sides() -> None:
    people = [someone("ann", "u-1"), someone("bob", "u-1")]
    found = compared(people, subject("s-1", refusal="identity_ambiguous", uid="u-1"))
    assert there(found) == {"s-1": ("ambiguous", "two_users")}
    assert found.there[0].others == ("user:default/ann", "user:default/bob")
    assert here(found) == {"ann": ("ambiguous", "same_key"), "bob": ("ambiguous", "same_key")}
    assert here(compared(people)) == here(found), "also before anybody came"


def test_two_claims_that_lead_to_two_users_are_ambiguous() -> None:
    people = [someone("ann", "u-1"), someone("bob", email="bob@corp.test")]
    found = compared(people, subject("s-1", refusal="identity_ambiguous", uid="u-1", email="bob@corp.test"))
    assert there(found) == {"s-1": ("ambiguous", "two_claims")}
    assert found.there[0].others == ("user:default/ann", "user:default/bob")


def test_a_user_with_a_shared_key_who_is_found_by_another_one_is_matched() -> None:
    people = [someone("ann", "u-1", "x@corp.test"), someone("bob", "", "x@corp.test")]
    assert here(compared(people, subject("s-1", "ann", uid="u-1"))) == {
        "ann": ("matched", ""),
        "bob": ("ambiguous", "same_key"),
    }


def test_a_near_miss_is_proposed_where_it_is_clear() -> None:
    found = compared([someone("ann", "u-1")], subject("s-1", uid="U-1"))
    assert (there(found), here(found)) == ({"s-1": ("near", "case")}, {"ann": ("near", "")})
    assert found.there[0].proposed == "user:default/ann"
    assert found.differs


def test_nothing_is_proposed_where_somebody_else_is_or_nearly_is_that_user() -> None:
    ann = [someone("ann", "u-1")]
    taken = compared(ann, subject("s-1", uid="U-1"), subject("s-2", "ann", uid="u-1"))
    assert [each.proposed for each in taken.there] == ["", ""]
    assert here(taken) == {"ann": ("matched", "")}
    contested = compared(ann, subject("s-1", uid="U-1"), subject("s-2", uid=" u-1"))
    assert [each.proposed for each in contested.there] == ["", ""]
    assert contested.here[0].names == ("s-1", "s-2")
    two = compared([*ann, someone("bob", "U_1"), someone("eve", "U-1 ")], subject("s-1", uid="U-1"))
    assert (len(two.there[0].near), two.there[0].proposed) == (2, "")


def test_a_verified_address_is_a_hint_and_an_unverified_one_is_none() -> None:
    """Whoever may type an address into their account must not have it proposed as somebody else's."""
    people = [someone("ann", email="ann@corp.test")]
    rules = RULES[:1]
    claims = {"uid": "u-9", "email": "Ann@corp.test"}
    sure = Subject("s-1", claims, {}, "", "identity_unknown", None, True)
    by_ref = {each.ref: each for each in people}
    (found,) = compare_people(by_ref, rules, [sure]).there
    assert (found.why, found.proposed) == ("same_email", "user:default/ann")
    (unsure,) = compare_people(by_ref, rules, [sure._replace(email_verified=False)]).there
    assert (unsure.kind, unsure.near, unsure.proposed) == ("only_there", (), "")


def test_a_user_name_is_a_hint_that_asks_to_make_sure() -> None:
    (found,) = compared([someone("ann")], subject("s-1", uid="u-9", preferred_username="Ann@corp.test")).there
    assert (found.kind, found.why) == ("near", "same_name")


def test_a_doubtful_address_is_near_its_owner() -> None:
    doubtful = Subject("s-1", {"email": "ann@corp.test"}, {"email": "unverified"}, "", "identity_unknown")
    (found,) = compared([someone("ann", email="ann@corp.test")], doubtful).there
    assert (found.kind, found.why, found.via) == ("near", "unverified", ())


def test_those_who_are_only_there_say_whether_there_was_anything_to_compare() -> None:
    found = compared([], subject("s-1", uid="u-1"), subject("s-2", preferred_username="ann"))
    assert there(found) == {"s-1": ("only_there", "nobody"), "s-2": ("only_there", "no_claim")}


def test_those_who_are_only_here_say_whether_they_could_ever_be_found() -> None:
    found = compared([someone("ann", "u-1"), someone("bob")])
    assert here(found) == {"ann": ("only_here", "not_seen"), "bob": ("only_here", "no_field")}
    assert found.counts() == {"matched": 0, "ambiguous": 0, "near": 0, "only_there": 0, "only_here": 2}


def test_groups_fall_into_the_same_classes() -> None:
    names = ("default/pay", "default/ship", "a/ops", "b/ops", "default/hr")
    teams = [Team(f"group:{each}", each, (), {"metadata.name": each.partition("/")[2]}, HERE) for each in names]
    found = compare_groups(
        {each.ref: each for each in teams},
        (BY_GROUP,),
        {"pay": ("group:default/pay", False), "ops": ("", True), "Ship": ("", False), "x": ("", False)},
    )
    assert there(found) == {
        "pay": ("matched", ""),
        "ops": ("ambiguous", "two_groups"),
        "Ship": ("near", "case"),
        "x": ("only_there", "nobody"),
    }
    assert {each.ref: (each.kind, each.why) for each in found.here} == {
        "group:default/pay": ("matched", ""),
        "group:default/ship": ("near", ""),
        "group:a/ops": ("ambiguous", "same_key"),
        "group:b/ops": ("ambiguous", "same_key"),
        "group:default/hr": ("only_here", "not_seen"),
    }
