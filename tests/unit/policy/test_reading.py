"""Reading an untyped document: every fault has its place, and nothing is guessed."""

from __future__ import annotations

from policy.facts import Source
from policy.reading import Fault, Path, Reader, did_you_mean, ref_of


def reader() -> Reader:
    return Reader(lambda path: Source("f.yaml", len(path), ""))


def said(read: Reader) -> list[str]:
    return [fault.message for fault in read.faults]


def test_a_fault_reads_as_file_line_message_suggestion() -> None:
    assert str(Fault(Source("f.yaml", 3), "unknown key `a`", "did you mean `b`?")) == (
        "f.yaml:3: unknown key `a`; did you mean `b`?"
    )
    assert str(Fault(Source("f.yaml"), "unreadable")) == "f.yaml: unreadable"
    assert str(Fault(Source("f.yaml", 3, "component:default/a"), "odd")) == "f.yaml:3: odd"


def test_a_fault_without_a_line_names_its_entity_once() -> None:
    place = Source("catalog:main", 0, "component:default/a")
    assert str(Fault(place, "prod: no host")) == "catalog:main component:default/a: prod: no host"
    assert str(Fault(place, "`component:default/a` is odd")) == "catalog:main: `component:default/a` is odd"


def test_suggestions_come_from_what_is_known() -> None:
    assert did_you_mean("paymets", ["payments", "orders"]) == "did you mean `payments`?"
    assert did_you_mean("xyz", ["payments"]) == ""
    assert did_you_mean("get", ["GET", "POST"]) == "did you mean `GET`?"


def test_refs_are_close_when_their_names_are() -> None:
    known = ["component:default/web", "component:other/orders"]
    assert did_you_mean("component:default/order", known) == "did you mean `component:other/orders`?"
    assert did_you_mean("component:default/payments", known) == ""


def test_bare_refs_take_the_field_kind_and_the_default_namespace() -> None:
    assert ref_of("Payments", "group") == "group:default/payments"
    assert ref_of("user:Jane", "group") == "user:default/jane"
    assert ref_of("group:other/X", "user") == "group:other/x"
    assert ref_of("other/x", "group") == "group:other/x"


def test_a_mapping_has_known_text_keys() -> None:
    read = reader()
    assert read.mapping({"a": 1, "bb": 2, 3: 4}, (), ["a", "b"]) == {"a": 1}
    assert said(read) == ["unknown key `bb`", "key `3` must be text"]
    assert read.mapping(None, ()) == {}
    assert read.mapping([1], ("x",)) == {}
    assert said(read)[2:] == ["`x` must be a mapping, not a list"]


def test_lists_and_their_entries() -> None:
    read = reader()
    assert read.items([1, 2], ("x",)) == [(("x", 0), 1), (("x", 1), 2)]
    assert read.items("no", ("x",)) == []
    assert read.items(None, ("x",)) == []
    assert read.mappings([{}, 1], ("x",)) == [(("x", 0), {})]
    assert said(read) == ["`x` must be a list, not text", "entry 2 of `x` must be a mapping, not the number `1`"]


def test_text_is_never_blank_and_never_a_number() -> None:
    read = reader()
    assert read.text(" a ", ("x",)) == "a"
    places: list[tuple[object, Path]] = [(" ", ("x",)), (True, ("x",)), (None, ()), ({}, ("x", 0)), (object(), ("x",))]
    for node, path in places:
        assert read.text(node, path) == ""
    assert said(read) == [
        "`x` must be text, not empty text",
        "`x` must be text, not `true`",
        "the document must be text, not nothing",
        "entry 1 of `x` must be text, not a mapping",
        "`x` must be text, not something else",
    ]


def test_one_text_stands_for_a_list_of_one() -> None:
    read = reader()
    assert read.texts("a", ("x",)) == ("a",)
    assert read.texts(["a", "", "b"], ("x",)) == ("a", "b")
    assert read.texts(None, ("x",)) == ()
    assert len(read.faults) == 1


def test_words_come_from_a_closed_list_once_each() -> None:
    read = reader()
    assert read.words(["read", "read", "wrte"], ("x",), ["read", "write"]) == ("read",)
    assert read.word(5, ("y",), ["read"], "read") == "read"
    assert said(read) == [
        "entry 3 of `x` must be one of `read`, `write`, not `wrte`",
        "`y` must be one of `read`, not the number `5`",
    ]
    assert read.faults[0].suggestion == "did you mean `write`?"


def test_among_many_names_those_that_begin_alike_are_suggested() -> None:
    """A large company has thousands of names, and hundreds of entries may name what is gone."""
    many = [f"group:default/team-{number}" for number in range(5000)]
    known = [*many, "group:default/payments"]
    assert did_you_mean("group:default/paymets", known) == "did you mean `group:default/payments`?"
    assert did_you_mean("group:default/xayments", known) == ""
