"""Entity refs by Backstage's rules: lower case, own namespace, the field's kind."""

from __future__ import annotations

import pytest

from gateway.engine.sources.refs import entity_ref, full_ref, namespace_of, ref_list


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("payments", "group:staging/payments"),
        ("default/payments", "group:default/payments"),
        ("user:jane", "user:staging/jane"),
        ("User:Default/Jane", "user:default/jane"),
        ("a..b", "group:staging/a..b"),
        ("1", "group:staging/1"),
        ("", ""),
        ("-a", ""),
        ("a b", ""),
        ("a/b/c", ""),
        ("x:y:z", ""),
        ("a" * 64, ""),
        ("../../etc", ""),
    ],
)
def test_a_ref_is_completed_from_where_it_stands(text: str, expected: str) -> None:
    assert full_ref(text, "group", "staging") == expected


def test_a_list_keeps_what_is_a_ref_and_names_what_is_not() -> None:
    assert ref_list([" a ", "group:b/c", "?"], "group", "default") == (["group:default/a", "group:b/c"], ["?"])


def test_parts_make_a_ref() -> None:
    assert entity_ref("API", "default", "Orders") == "api:default/orders"
    assert namespace_of("api:shop/orders") == "shop"
