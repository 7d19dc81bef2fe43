"""Lists and numbers read as people write them."""

from __future__ import annotations

from gateway.engine.sentences import joined, listed, numbered


def test_words_are_joined() -> None:
    assert [joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_of_many_refs_the_first_are_named() -> None:
    assert listed(iter("ab")) == "`a` and `b`"
    assert listed(str(number) for number in range(5003)) == "`0`, `1`, `2` and 5,000 more"


def test_numbers_have_their_noun() -> None:
    assert [numbered(1, "person", "people"), numbered(2000, "person", "people")] == ["1 person", "2,000 people"]
    assert numbered(0, "warning") == "0 warnings"
