"""Names mean one thing wherever they stand, and what names nothing is told."""

from __future__ import annotations

import pytest

from policy.facts import Source
from policy.promises.phrases import LONGEST, VERBS, doing_in, subject_in, terms_in, words_of
from policy.reading import Reader
from policy.statements import Doing, Selector


def reader() -> Reader:
    return Reader(lambda path: Source("access.yaml", 7))


@pytest.mark.parametrize(
    ("text", "bare", "subject"),
    [
        ("jane", "user", "user:default/jane"),
        ("Contractors", "group", "group:default/contractors"),
        ("user:ext/jane", "group", "user:ext/jane"),
        ("component:orders", "user", "component:default/orders"),
        ("all-people", "group", "all-people"),
        ("anyone", "user", "anyone"),
    ],
)
def test_a_bare_name_is_of_the_kind_that_the_place_says(text: str, bare: str, subject: str) -> None:
    assert subject_in(reader(), text, (), bare) == subject


@pytest.mark.parametrize("text", ["", "team:x", "a b", "everyone", "user:", "-", "api:default/x", "jane\x1b[31m"])
def test_what_names_nobody_is_a_fault_with_what_to_write(text: str) -> None:
    found = reader()
    assert subject_in(found, text, (), "user") == ""
    (fault,) = found.faults
    assert fault.source.line == 7
    assert fault.suggestion


def test_services_are_selected_by_any_key_of_a_rule() -> None:
    terms = terms_in(reader(), ["payments", "component:x/ledger", "system:finance", "tag:PCI", "type:website"], ())
    assert terms == Selector(
        (
            ("service", ("component:default/payments", "component:x/ledger")),
            ("system", ("system:default/finance",)),
            ("tag", ("pci",)),
            ("type", ("website",)),
        )
    )


@pytest.mark.parametrize("text", ["sistem:a", "service:a:b", "tag:", "a b", "system:a b", "../x"])
def test_what_selects_nothing_is_a_fault(text: str) -> None:
    found = reader()
    terms_in(found, [text], ())
    assert found.faults


@pytest.mark.parametrize(
    ("text", "doing"),
    [
        ("any", Doing("any", VERBS["any"])),
        ("DELETE", Doing("DELETE", frozenset({"DELETE"}))),
        ("POST  /a/{b}", Doing("POST /a/{b}", frozenset({"POST"}), ("a", "{}"))),
        ("HEAD", Doing("HEAD", frozenset({"HEAD"}), ("**",))),
        ("createRefund", Doing("createRefund", VERBS["any"], operation="createRefund")),
    ],
)
def test_what_is_done_is_a_verb_a_method_a_path_or_an_operation(text: str, doing: Doing) -> None:
    assert doing_in(reader(), text, ()) == doing


@pytest.mark.parametrize(
    "text", ["GTE /a", "get", "POST refunds", "read it", "GET /a/{b", "/a", "createRefund!", "GET /**/a", "GET /a/*"]
)
def test_what_is_nothing_that_can_be_done_is_a_fault(text: str) -> None:
    found = reader()
    assert doing_in(found, text, ()) is None
    assert len(found.faults) == 1


def test_writing_leaves_out_options_which_changes_nothing() -> None:
    assert VERBS["write"] == {"DELETE", "PATCH", "POST", "PUT"}
    assert VERBS["any"] > VERBS["write"] | VERBS["read"]


def test_a_list_with_commas_is_one_word() -> None:
    assert words_of(" a ,b  may  read,  write ") == ["a,b", "may", "read,write"]
    assert LONGEST > 1000
