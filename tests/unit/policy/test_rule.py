"""Rules and their ids: the id is the meaning, not the wording and not the place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.facts import Operation, Source
from policy.paths import template_of
from policy.rule import Rule, names_of, one_each, operation_order, order_of, with_id
from policy.statements import Requirement

PLAIN = with_id(Rule("", "owner", "catalog", "group:default/a", "component:default/x", "prod"))


def test_an_id_is_r_and_ten_base32_digits() -> None:
    assert len(PLAIN.id) == 12
    assert PLAIN.id.startswith("r-")
    assert set(PLAIN.id[2:]) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_wording_and_place_are_no_part_of_the_id() -> None:
    assert with_id(replace(PLAIN, because="Other words.", source=Source("elsewhere", 9))).id == PLAIN.id


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "rule"},
        {"reason": "denied"},
        {"origin": "access-policy"},
        {"subject": "group:default/b"},
        {"target": "component:default/y"},
        {"environment": "dev"},
        {"methods": frozenset({"GET"})},
        {"methods": frozenset()},
        {"apis": frozenset({"api:default/a"})},
        {"operations": (("GET", ("a",)),)},
        {"confers": None},
        {"confers": frozenset({"s"})},
        {"requirements": (Requirement("person", "mfa"),)},
        {"except_grants": True},
    ],
)
def test_whatever_changes_the_meaning_changes_the_id(change: dict[str, object]) -> None:
    assert with_id(replace(PLAIN, **change)).id != PLAIN.id  # type: ignore[arg-type]  # names of fields


def test_equal_rules_are_one_and_the_first_place_stays() -> None:
    first, second = (replace(PLAIN, source=Source("f", line), because="b") for line in (1, 2))
    assert one_each([second, first, second]) == (first,)


def test_rules_are_ordered_by_reach_then_id() -> None:
    reasons = ("owner", "consumer", "everyone", "rule", "grant", "public", "own_endpoint", "denied")
    rules = [with_id(replace(PLAIN, reason=reason)) for reason in reversed(reasons)]
    assert [rule.reason for rule in one_each(rules)] == list(reasons)
    assert order_of(replace(PLAIN, id="r-a")) < order_of(replace(PLAIN, id="r-b"))


def test_what_a_rule_covers() -> None:
    operation = Operation("GET", "/a/{id}", api="api:default/a")
    assert PLAIN.covers(operation)
    assert not replace(PLAIN, methods=frozenset({"POST"})).covers(operation)
    assert replace(PLAIN, apis=frozenset({"api:default/a"})).covers(operation)
    assert not replace(PLAIN, apis=frozenset({"api:default/b"})).covers(operation)
    assert replace(PLAIN, operations=(("GET", template_of("/a/{x}")),)).covers(operation)
    assert not replace(PLAIN, operations=(("POST", template_of("/a/{x}")),)).covers(operation)


def test_only_what_holds_for_anyone_is_free() -> None:
    assert replace(PLAIN, subject="anyone", reason="public").is_free
    assert not replace(PLAIN, subject="anyone", reason="denied").is_free
    assert not PLAIN.is_free


def test_programs_have_names_per_environment() -> None:
    assert names_of("component:default/x", "prod") == ("component:default/x", "component:default/x@prod")
    assert names_of("everyone", "prod") == ("everyone", "everyone@prod")
    assert names_of("group:default/a", "prod") == ("group:default/a",)


def test_operations_that_mean_the_same_have_one_place_in_the_order() -> None:
    one = Operation("GET", "/a", (frozenset({"x", "y"}), frozenset({"z"})), source=Source("f", 1))
    other = Operation("GET", "/a", (frozenset({"z"}), frozenset({"y", "x"})), source=Source("g", 2))
    assert operation_order(one) == operation_order(other)
