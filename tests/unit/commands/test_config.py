"""`stagedoor config schema`: a schema on stdout and nothing else."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from tests.support.commands import run
from tests.support.node import ROOT


@pytest.mark.parametrize(
    ("arguments", "title"),
    [([], "stagedoor.yaml"), (["--json"], "stagedoor.yaml"), (["--of", "access-policy"], "access policy")],
)
def test_a_schema_is_printed(arguments: list[str], title: str) -> None:
    result = run("config", "schema", *arguments)
    assert result.exit_code == 0
    assert result.stderr == ""
    schema = json.loads(result.stdout)
    assert schema["title"] == title
    jsonschema_rs.meta.validate(schema)


def test_another_document_is_a_usage_error() -> None:
    assert run("config", "schema", "--of", "catalog").exit_code == 2


def test_the_page_that_names_the_command_says_how_an_editor_uses_it() -> None:
    assert "yaml-language-server" in (ROOT / "docs" / "operations.md").read_text()
