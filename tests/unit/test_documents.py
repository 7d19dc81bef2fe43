"""YAML is plain data with places; bombs, duplicates and tags are refused with the line they stand in."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import documents


def read(text: str) -> tuple[list[documents.Document], list[str]]:
    found, faults = documents.read_text(text.encode(), "f.yaml")
    every = [*faults, *(fault for document in found for fault in document.faults)]
    return found, [f"{fault.source.line}: {fault.message}" for fault in every]


def test_scalars_follow_the_core_schema_of_yaml_1_2() -> None:
    found, faults = read("[1, -2, 0x1f, 0o17, 1.5, 1e3, true, null, ~, on, yes, 2026-01-02, 12:30, '1', 1.2.3]")
    assert faults == []
    expected = [1, -2, 31, 15, 1.5, 1000.0, True, None, None, "on", "yes", "2026-01-02", "12:30", "1", "1.2.3"]
    assert found[0].value == expected


def test_every_node_has_its_line() -> None:
    found, _ = read("a:\n  b:\n    - x\n    - c: 1\n---\nd: 2\n")
    first, second = found
    assert first.locate(("a", "b", 1, "c")).line == 4
    assert first.locate(("a", "b", 0)).line == 3
    assert second.locate(("d",)).line == 6


def test_a_path_that_leads_nowhere_is_at_its_nearest_ancestor() -> None:
    found, _ = read("a:\n  b: 1\n")
    assert found[0].locate(("a", "missing", 3)).line == 1


def test_a_key_said_twice_is_a_fault_of_its_document_alone() -> None:
    found, faults = read("a: 1\na: 2\n---\nb: 1\n")
    assert faults == ["2: key `a` is said twice, first in line 1"]
    assert [bool(document.faults) for document in found] == [True, False]


def test_a_syntax_fault_keeps_the_documents_before_it() -> None:
    found, faults = read("a: 1\n---\nb: [1\n")
    assert [document.value for document in found] == [{"a": 1}]
    assert len(faults) == 1
    assert "not YAML" in faults[0]


def test_nested_aliases_cannot_become_a_billion_values() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    _, faults = read("\n".join(lines))
    assert len(faults) == 1
    assert "once aliases are expanded" in faults[0]


def test_an_alias_gives_an_equal_value() -> None:
    found, faults = read("a: &x {b: 1}\nc: *x\n")
    assert faults == []
    assert found[0].value == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("text", ["a: [GET /items/{id}]", "a: {of: GET /items/{id}, in: prod}"])
def test_a_brace_inside_brackets_is_told_to_need_quotes(text: str) -> None:
    """What a list of operations runs into first; YAML's own words name neither the brace nor the cure."""
    (fault,) = documents.read_text(text.encode(), "f.yaml")[1]
    assert "needs quotes" in fault.suggestion
    assert read('a: ["GET /items/{id}"]')[1] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [*x]", "`*x` contains itself"),
        ("a: *nowhere", "names no anchor"),
        ("a: !!python/object/apply:os.system [id]", "is not supported"),
        ("a: !custom 1", "is not supported"),
        ("? [a, b]\n: 1", "cannot be a key"),
        ("{a: {{b}}: 1}", "cannot be a key"),
        ("a: " + "[" * 100 + "]" * 100, "nested deeper"),
        ("a: \x07", "not YAML"),
    ],
)
def test_what_is_no_plain_data_is_refused(text: str, message: str) -> None:
    _, faults = read(text)
    assert len(faults) == 1
    assert message in faults[0] or ("names no anchor" in message and "anchor" in faults[0])


def test_keys_are_text_as_written() -> None:
    found, _ = read("200: ok\ntrue: yes\n")
    assert found[0].value == {"200": "ok", "true": "yes"}


def test_a_hundred_thousand_brackets_cost_nothing() -> None:
    _, faults = read("[" * 100_000)
    assert len(faults) == 1


def test_more_values_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_NODES", 10)
    _, faults = read("[" + ", ".join("x" * 30) + "]")
    assert len(faults) == 1


def test_a_file_over_its_size_is_not_parsed() -> None:
    found, faults = documents.read_text(b"a: 1\n" * 10, "f.yaml", max_bytes=20)
    assert found == []
    assert "larger than 20 bytes" in faults[0].message


def test_text_that_is_not_utf_8_names_its_line() -> None:
    _, faults = documents.read_text(b"a: 1\nb: \xff\n", "f.yaml")
    assert faults[0].source.line == 2


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    found, faults = documents.read_file(tmp_path / "missing.yaml")
    assert found == []
    assert "cannot read" in faults[0].message


def test_explicit_core_tags_are_honoured() -> None:
    found, faults = read("a: !!str 5\nb: !!int '5'\n")
    assert faults == []
    assert found[0].value == {"a": "5", "b": 5}
