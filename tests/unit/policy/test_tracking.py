"""What somebody asked for is noted, found or not; what differs between two mappings is found, whatever their order."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from policy.tracking import WHOLE, Comparison, Ledger, Tracked, differing


def noted(ledger: Ledger, inner: dict[str, int], *questions: str, name: str = "") -> None:
    tracked = Tracked(inner, ledger, name)
    ledger.begin()
    for question in questions:
        tracked.get(question)
    ledger.end("reader")


def test_a_reader_is_named_for_what_it_found_and_for_what_it_missed() -> None:
    ledger = Ledger()
    noted(ledger, {"a": 1}, "a", "b")
    assert ledger.readers(["a"]) == ledger.readers(["b"]) == {"reader"}
    assert ledger.readers(["c"]) == ledger.readers([]) == set()


def test_what_was_asked_last_replaces_what_was_asked_before() -> None:
    ledger = Ledger()
    noted(ledger, {}, "a")
    noted(ledger, {}, "b")
    assert (ledger.readers(["a"]), ledger.readers(["b"])) == (set(), {"reader"})
    ledger.forget("reader")
    ledger.forget("reader")
    assert ledger.readers(["b"]) == set()


def test_names_keep_the_questions_of_several_mappings_apart() -> None:
    ledger = Ledger()
    noted(ledger, {}, "a", name="teams")
    assert (ledger.readers(["a"]), ledger.readers([("teams", "a")])) == (set(), {"reader"})


def test_whoever_walks_through_all_of_it_asked_for_everything() -> None:
    for walk in (list, len):
        ledger = Ledger()
        ledger.begin()
        walk(Tracked({"a": 1}, ledger))
        ledger.end("reader")
        assert ledger.readers([WHOLE]) == {"reader"}
    ledger.begin()
    assert "b" not in Tracked({"a": 1}, ledger)
    assert Tracked({"a": 1}, ledger)["a"] == 1
    ledger.end("other")
    assert ledger.readers(["b"]) == ledger.readers(["a"]) == {"other"}


A, B, C = [1], [2], [3]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({}, {}, []),
        ({"a": A}, {"a": A}, []),
        ({"a": A}, {"a": [1]}, ["a"]),  # equal, and another object
        ({"a": A, "b": B}, {"b": B, "a": A}, []),
        ({"a": A, "b": B}, {"b": A, "a": B}, ["a", "b"]),
        ({"a": A}, {"a": A, "b": B}, ["b"]),
        ({"a": A, "b": B}, {"a": A}, ["b"]),
        ({"a": A, "b": B}, {"c": C, "a": A}, ["b", "c"]),
        ({"a": A, "b": B}, {"a": B, "c": C, "d": C}, ["a", "b", "c", "d"]),
        ({}, {"a": A}, ["a"]),
    ],
)
def test_differing_names_what_came_went_or_is_another_object(
    before: dict[str, list[int]], after: dict[str, list[int]], found: list[str]
) -> None:
    assert sorted(differing(before, after)) == found


def test_of_the_same_two_what_differs_is_worked_out_once_and_of_others_anew() -> None:
    comparison = Comparison[str, list[int]]()
    before, after = {"a": A, "b": B}, {"a": A, "b": C}
    with patch("policy.tracking.differing", side_effect=differing) as worked:
        assert comparison.differing(before, after) == comparison.differing(before, after) == ("b",)
        assert worked.call_count == 1
        assert comparison.differing(after, before) == ("b",)
        assert comparison.differing(dict(before), before) == ()
        assert worked.call_count == 3
        comparison.note(before, after, ["b"])
        assert comparison.differing(before, after) == ("b",)
        assert worked.call_count == 3
