"""The operations of an exposure: from its definition, or implied."""

from __future__ import annotations

from policy.facts import Operation
from policy.operations import operation_faults, operations_of, with_named_scopes
from policy.rule import Rule
from policy.statements import NamedScope, Selector, facts_of
from tests.support.policy_worlds import service


def names(operations: tuple[Operation, ...]) -> list[str]:
    return [operation.name for operation in operations]


def test_operations_come_in_one_order_and_once() -> None:
    one, two = Operation("GET", "/b"), Operation("GET", "/a")
    assert names(operations_of(service("x", one, two, one), ())) == ["GET /a", "GET /b"]
    assert operations_of(service("x", two, one), ()) == operations_of(service("x", one, two), ())


def test_definitions_of_one_path_take_one_spelling() -> None:
    found = operations_of(service("x", Operation("GET", "/a/{y}", api="q"), Operation("POST", "/a/{x}", api="p")), ())
    assert names(found) == ["GET /a/{x}", "POST /a/{x}"]


def test_what_cannot_be_published_is_left_out_with_a_warning() -> None:
    broken = service("x", Operation("TRACE", "/a"), Operation("GET", "a"), Operation("GET", "/a"))
    assert names(operations_of(broken, ())) == ["GET /a"]
    assert [fault.severity for fault in operation_faults(broken)] == ["warning", "warning"]


def test_without_a_definition_every_path_is_an_operation_per_method() -> None:
    named = (("GET", ("a",)), ("GET", ("**",)))
    found = operations_of(service("x", Operation("GET", "/b", public=True), has_definition=False), named)
    methods = ("DELETE", "GET", "PATCH", "POST", "PUT")
    assert names(found) == [*(f"{method} /**" for method in methods), *(f"{method} /a" for method in methods), "GET /b"]


def test_with_a_definition_naming_adds_nothing() -> None:
    assert names(operations_of(service("x", Operation("GET", "/b")), (("GET", ("a",)),))) == ["GET /b"]


def test_a_named_scope_is_an_alternative_only_where_one_is_needed() -> None:
    scopes = (
        NamedScope("wide", Selector(), frozenset({"GET"})),
        NamedScope("never", Selector((("tag", ("x",)),)), None),
    )
    facts = facts_of(service("x"))
    needed = (frozenset({"r"}),)
    assert with_named_scopes(Operation("GET", "/", needed), facts, scopes).scopes == (*needed, frozenset({"wide"}))
    assert with_named_scopes(Operation("POST", "/", needed), facts, scopes).scopes == needed
    assert with_named_scopes(Operation("GET", "/"), facts, scopes).scopes == ()
    assert with_named_scopes(Operation("GET", "/", needed, unresolved=True), facts, scopes).scopes == needed


SLASH_SAME = {"options": frozenset({"trailing-slash-same"})}


def test_a_slash_at_the_end_gives_a_second_spelling_that_needs_the_same() -> None:
    reading = Operation("GET", "/a/{x}", (frozenset({"r"}),), "p")
    of = (reading, Operation("PUT", "/b/", public=True), Operation("GET", "/"))
    found = operations_of(service("x", *of, Operation("GET", "/c/**"), **SLASH_SAME), ())
    assert names(found) == ["GET /", "GET /a/{x}", "GET /a/{x}/", "PUT /b", "PUT /b/", "GET /c/**"]
    spelled = {each.template: each for each in found}
    assert spelled["/a/{x}/"].scopes == (frozenset({"r"}),)
    assert (spelled["/a/{x}/"].stands_for, spelled["/a/{x}"].stands_for) == ("/a/{x}", "")
    assert spelled["/b"].public
    assert names(operations_of(service("x", *of), ())) == ["GET /", "GET /a/{x}", "PUT /b/"]


def test_rules_know_the_second_spelling_by_the_first() -> None:
    hooks = operations_of(service("x", Operation("POST", "/hooks"), **SLASH_SAME), ())
    about = Rule("", "rule", "access-policy", "anyone", "service x", "prod", operations=(("POST", ("hooks",)),))
    assert [about.covers(each) for each in hooks] == [True, True]
    assert not about.covers(Operation("POST", "/hooks/"))
