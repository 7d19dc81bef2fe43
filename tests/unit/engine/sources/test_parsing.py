"""A definition's text: JSON and YAML alike, a key twice in neither, and nothing that exhausts the engine."""

from __future__ import annotations

import time

import pytest

from gateway.engine.sources.parsing import parsed


@pytest.mark.parametrize(
    "text", ['{"a": [1, {"b": null}]}', "a: [1, {b: null}]", "{a: [1, {b: }]}", '\n  {"a": [1, {"b": null}]}']
)
def test_json_and_yaml_are_the_same_data(text: str) -> None:
    document, fault = parsed(text, "f")
    assert fault is None
    assert document.value == {"a": [1, {"b": None}]}


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"x": {"a": 1, "a": 2}}', "a: 1\na: 2"])
def test_a_key_said_twice_is_refused_in_both(text: str) -> None:
    _, fault = parsed(text, "f")
    assert fault is not None
    assert "`a` is said twice" in fault.message


def test_finding_the_key_that_is_said_twice_among_many_is_quick() -> None:
    text = "{" + ",".join(f'"{number}": 0' for number in range(200_000)) + ', "199999": 0}'
    began = time.process_time()
    _, fault = parsed(text, "f")
    assert time.process_time() - began < 5
    assert fault is not None
    assert "`199999`" in fault.message


@pytest.mark.parametrize("text", ["", "a: 1\n---\nb: 1", '{"a":' * 100_000, "[" * 100_000, "{", '{"a": NaN'])
def test_what_is_not_one_document_is_a_fault(text: str) -> None:
    _, fault = parsed(text, "f")
    assert fault is not None
