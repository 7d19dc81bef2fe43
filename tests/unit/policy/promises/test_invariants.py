"""`never` and `only`, as a line and as a mapping: both say the same, and an empty part never widens."""

from __future__ import annotations

from typing import Any

import pytest

from policy.facts import Source
from policy.promises.invariants import invariants_in
from policy.reading import Reader
from policy.statements import Invariant


def read(**top: Any) -> tuple[tuple[Invariant, ...], list[str]]:
    reader = Reader(lambda path: Source("access.yaml", 3))
    return invariants_in(reader, top, ("dev", "prod")), [str(fault) for fault in reader.faults]


def one(**top: Any) -> Invariant:
    (found,), faults = read(**top)
    assert faults == []
    return found


@pytest.mark.parametrize(
    ("line", "mapping"),
    [
        (
            "contractors, user:jane any of payments, system:finance in prod, dev",
            {"who": ["contractors", "user:jane"], "do": "any", "in": ["prod", "dev"],
             "of": {"service": "payments", "system": "system:default/finance"}},
        ),
        ("all-people POST /a/{b}, createRefund on payments prod",
         {"who": "all-people", "do": ["POST /a/{b}", "createRefund"], "of": "payments", "in": "prod"}),
        ("anyone read", {"who": "anyone", "do": "read"}),
        ("anyone read of system payments", {"who": "anyone", "do": "read", "of": {"system": "payments"}}),
    ],
)  # fmt: skip
def test_a_line_and_a_mapping_say_the_same(line: str, mapping: dict[str, Any]) -> None:
    spoken, written = one(never=line), one(never=[mapping])
    assert spoken.name == f"never: {' '.join(line.split())}"
    for part in ("kind", "subjects", "doings", "services", "environments"):
        assert getattr(spoken, part) == getattr(written, part), part


def test_only_says_may_and_keeps_the_order_of_the_document() -> None:
    found, faults = read(only=["payments may createRefund", "b may write in prod"], never="a any")
    assert faults == []
    names = ["never: a any", "only: payments may createRefund", "only: b may write in prod"]
    assert [each.name for each in found] == names
    assert found[1].subjects == ("group:default/payments",)


def test_a_mapping_has_a_name_and_a_reason() -> None:
    found = one(only={"who": "a", "do": "read", "because": "They do.", "name": "books"})
    assert (found.name, found.because) == ("books", "They do.")


@pytest.mark.parametrize("key", ["who", "do", "of", "in", "because", "name"])
@pytest.mark.parametrize("value", [None, "", [], {}])
def test_an_empty_part_is_a_fault_and_never_widens(key: str, value: object) -> None:
    found, faults = read(never={"who": "a", "do": "read", "of": "b", "in": "prod", key: value})
    assert found == ()
    assert faults


@pytest.mark.parametrize(
    "line",
    ["a", "", 7, None, "a may read", "a read in", "a read of in prod", "a read in prd", "a read " + "x" * 3000,
     "a read of b c d", "a, read"],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_a_fault_and_no_invariant(line: object) -> None:
    found, faults = read(never=[line])
    assert found == ()
    assert faults


def test_an_environment_that_ends_the_line_needs_no_in() -> None:
    assert one(never="contractors any prod").environments == ("prod",)
    assert one(never="contractors prod").doings[0].operation == "prod", "one word is what is done"
