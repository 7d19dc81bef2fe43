"""The grammar in docs/policy-language.md names the keys that the reader takes: no more, no less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.authoring.access_schema import access_schema
from gateway.engine.sources.annotations import KEYS, OPTIONS, PER_ENVIRONMENT

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "policy-language.md").read_text()
GRAMMAR = PAGE.partition("### Grammar")[2].partition("```\n")[2].partition("```")[0]
SCHEMA: dict[str, Any] = access_schema()["properties"]
BESIDE = {"tests", "never", "only"}  # named below the grammar


def stated(production: str) -> set[str]:
    """The keys of a production: what stands before a colon, outside braces."""
    body = re.split(rf"^{production} +=", GRAMMAR, flags=re.MULTILINE)[1]
    body = re.split(r"^\S+ +=", body, flags=re.MULTILINE)[0]
    keys = set(re.findall(r"([a-z][a-z-]*)\??:(?!…)", re.sub(r"\{[^}]*\}", "", body)))
    return keys | (stated("selector") if re.search(r"^ *selector$|= selector$", body, re.MULTILINE) else set())


def known(*path: str) -> set[str]:
    node: Any = SCHEMA
    for step in path:
        node = node[step]
    inner = node.get("items") or next(iter(node["patternProperties"].values()))["anyOf"][0]
    return set(inner["properties"])


@pytest.mark.parametrize(
    ("production", "key"),
    [
        ("environment", "environments"), ("role", "roles"), ("scope", "scopes"), ("default", "defaults"),
        ("rule", "rules"), ("waiver", "waive"),
    ],
)  # fmt: skip
def test_a_production_has_the_keys_of_the_schema(production: str, key: str) -> None:
    expected = known(key)
    if production == "scope":
        assert stated("scope") | stated("selector") == expected
    else:
        assert stated(production) == expected


def test_the_document_has_the_keys_of_the_schema() -> None:
    assert stated("policy") == set(SCHEMA) - BESIDE
    assert all(f"`{key}`" in PAGE for key in BESIDE)


def test_every_annotation_and_option_is_explained() -> None:
    page = (DOCS / "annotations.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [key for key in KEYS if not any(f"`{key}`" in row.split("|")[1] for row in rows)] == []
    assert [word for word in OPTIONS if not any(row.startswith(f"| `{word}` |") for row in rows)] == []
    starred = {name for row in rows if "` * |" in row for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert starred == set(PER_ENVIRONMENT)
