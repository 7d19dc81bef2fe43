"""The definition stays short enough to be read in one go; what it means is held by the properties and test_table."""

from __future__ import annotations

import ast
from pathlib import Path

from policy import reference


def test_the_definition_is_under_a_hundred_lines() -> None:
    """Lines that say something: docstrings, comments and blank lines aside."""
    text = Path(reference.__file__).read_text()
    spoken = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node)
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    said = [
        line
        for number, line in enumerate(text.splitlines(), 1)
        if number not in spoken and line.strip() and not line.strip().startswith("#")
    ]
    assert len(said) < 100
