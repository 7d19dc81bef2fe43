"""Documents are the same bytes for the same content, lists are sorted and hold nothing twice, and none is empty."""

from __future__ import annotations

import pytest

from gateway.engine.network.documents import (
    LARGEST_BYTES,
    LARGEST_SET_BYTES,
    LINES,
    Document,
    lines_document,
    mark_of,
    size_fault,
)
from gateway.engine.network.faults import DeviceFault


def test_a_list_is_sorted_and_holds_nothing_twice() -> None:
    assert lines_document(["b", "a", "b"]) == Document(LINES, "a\nb\n")


def test_a_list_with_nothing_in_it_is_none() -> None:
    with pytest.raises(DeviceFault, match="empty"):
        lines_document([])


@pytest.mark.parametrize("line", ["a\nb", "a\rb", "a\x00", "a\u2028b"])
def test_no_text_becomes_two_lines(line: str) -> None:
    with pytest.raises(DeviceFault, match="control"):
        lines_document([line])


def test_a_mark_is_of_names_types_and_texts_and_not_of_their_order() -> None:
    one = {"a": Document("t", "x"), "b": Document("t", "y")}
    assert mark_of(one) == mark_of(dict(reversed(one.items())))
    others = (
        {"a": Document("t", "xy"), "b": Document("t", "")}, {"a": Document("t", "x"), "c": Document("t", "y")},
        {"a": Document("u", "x"), "b": Document("t", "y")}, {"a": Document("t", "x")},
    )  # fmt: skip
    assert mark_of(one) not in [mark_of(each) for each in others]


def test_what_is_too_large_says_so() -> None:
    half = Document("t", "ä" * (LARGEST_BYTES // 2))
    assert size_fault({"a": half}) == ""
    assert "`a` has" in size_fault({"a": Document("t", half.text + "x")})
    assert f"more than {LARGEST_SET_BYTES}" in size_fault({"a": half, "b": half})
