"""Promises about near misses: what is nearly right is found with its reason, what is only alike to a machine is not."""

from __future__ import annotations

import pytest

from policy.facts import KeyField, Person, Team
from policy.people.near import LONGEST_LIST, REASONS, Fields, Near, best_of, loosened, table_mended, words_of
from policy.statements import AccessPolicy
from tests.support.policy_worlds import HERE, catalog, world

ID = "annotations.idp.test/id"
EMAIL = "spec.profile.email"
RULES = (KeyField("idp", "person", "uid", ID), KeyField("idp", "person", "email", EMAIL))


def someone(name: str, **fields: str) -> Person:
    keys = {"id": ID, "email": EMAIL, "old": "annotations.idp.test/old"}
    said = {keys[key]: value for key, value in fields.items()}
    return Person(f"user:default/{name}", name, (), {"metadata.name": name, **said}, HERE)


def fields(*people: Person) -> Fields:
    return Fields({each.ref: each for each in people}, RULES)


def found(known: Fields, value: str, rule: int = 0, doubt: str = "") -> list[tuple[str, str]]:
    return [(near.ref, near.why) for near in best_of(known.near(RULES[rule], value, doubt))]


@pytest.mark.parametrize(
    ("theirs", "ours", "why"),
    [
        ("U-1", "u-1", "case"),
        ("u-1", "u-1 ", "space"),
        (" u-1", "u-1", "space"),
        ("u-1", "u-1\u200b", "form"),
        ("u\uff0d1", "u-1", "form"),  # a full-width hyphen
        ("straße", "STRASSE", "case"),
        ("u 1", "u1", "form"),
    ],
)
def test_a_value_that_nearly_is_one_is_found_with_how_it_differs(theirs: str, ours: str, why: str) -> None:
    assert found(fields(someone("ann", id=ours)), theirs) == [("user:default/ann", why)]


@pytest.mark.parametrize("theirs", ["u-2", "u1", "", "ann2", "u-11"])
def test_other_values_are_no_hint(theirs: str) -> None:
    assert found(fields(someone("ann", id="u-1")), theirs) == []


def test_the_right_value_in_another_field_is_found_and_short_ones_are_not() -> None:
    known = fields(someone("ann", old="u-12345"), someone("bob", old="u1"))
    assert found(known, "u-12345") == [("user:default/ann", "elsewhere")]
    assert found(known, "u1") == []
    (near,) = known.near(RULES[0], "u-12345")
    assert (near.ours, near.found_in) == ("", "annotations.idp.test/old")


@pytest.mark.parametrize("doubt", ["unverified", "foreign_domain", "not_ascii"])
def test_an_address_that_is_not_believed_is_near_the_person_whose_it_is(doubt: str) -> None:
    known = fields(someone("ann", email="Ann@corp.test"))
    assert found(known, "ann@Corp.test", 1, doubt) == [("user:default/ann", doubt)]
    assert found(known, "ann@Corp.test", 1) == [], "believed, it matches: that is no miss"
    assert found(known, "bob@corp.test", 1, doubt) == []


def test_an_address_is_compared_with_addresses_alone() -> None:
    """A note that holds somebody's address does not make them that person."""
    assert found(fields(someone("ann", old="x@corp.test")), "x@corp.test", 1) == []


def test_of_several_reasons_the_surest_is_told_once() -> None:
    known = fields(someone("ann", id="U-1", old="u-1"))
    assert found(known, "u-1") == [("user:default/ann", "case")]


def test_too_many_candidates_are_no_hint() -> None:
    people = [someone(f"p{number}", id="U-1") for number in range(LONGEST_LIST + 1)]
    assert found(fields(*people[:-1]), "u-1") == [(each.ref, "case") for each in people[:-1]]
    assert found(fields(*people), "u-1") == []


def test_everybody_else_with_a_key_is_known() -> None:
    ann, bob = someone("ann", id="u-1", email="a@corp.test"), someone("bob", id="u-1")
    known = fields(ann, bob, someone("eve", email="A@corp.test"))
    assert known.shared("user:default/ann") == ["user:default/bob", "user:default/eve"]
    assert known.shared("user:default/bob") == ["user:default/ann"]


def test_groups_are_found_alike() -> None:
    team = Team(
        "group:default/pay", "Pay", (), {"metadata.name": "pay", "annotations.idp.test/group": "Pay Team"}, HERE
    )
    rule = KeyField("idp", "team", "groups", "annotations.idp.test/group")
    known = Fields({team.ref: team}, [rule])
    assert [near.why for near in best_of(known.near(rule, "pay team"))] == ["case"]
    assert [near.why for near in best_of(known.near(rule, "pay"))] == ["elsewhere"]


@pytest.mark.parametrize("why", REASONS)
@pytest.mark.parametrize("field", [ID, "metadata.name"])
def test_every_reason_is_a_sentence_and_something_to_do(why: str, field: str) -> None:
    """Whatever stands in the values, braces and backticks too, the words stay whole."""
    words = words_of(Near("user:default/ann", why, "uid", field, "{theirs}`x", "{ref}", "metadata.name"))
    for text in words:
        assert text
        assert not text.endswith(".")
        assert text[0] == "`" or text[0].islower()
    assert ("a name is a ref" in words.todo) is (field == "metadata.name" and why not in REASONS[3:6])


def test_a_missing_field_is_called_missing() -> None:
    near = Near("user:default/ann", "same_email", "uid", ID, "u-1", "")
    assert words_of(near).sentence.endswith("is missing")
    assert words_of(near._replace(ours="u-9")).sentence.endswith("says `u-9`")


def test_the_mended_table_finds_the_person_and_everybody_else_as_before() -> None:
    ann, bob = someone("ann", id="u-1"), someone("bob", id="u-2", email="bob@corp.test")
    _, table = world(catalog(ann, bob), AccessPolicy({}), RULES)
    near = Near(ann.ref, "case", "uid", ID, "U-1", "u-1")
    mended = table_mended(table, "idp", near)
    assert (table.person("idp", "uid", "U-1"), mended.person("idp", "uid", "U-1")) == (None, ann.ref)
    assert mended.person("idp", "uid", "u-2") == bob.ref
    assert mended.person("other", "uid", "U-1") is None
    address = Near(bob.ref, "foreign_domain", "email", EMAIL, "Bob@corp.test", "bob@corp.test")
    assert table_mended(table, "idp", address).person("idp", "email", "BOB@corp.test") == bob.ref


def test_loosened_text_has_no_case_space_form_or_hidden_letter() -> None:
    assert loosened(" Ａnn\u00a0B\u200dee\t") == "annbee"
