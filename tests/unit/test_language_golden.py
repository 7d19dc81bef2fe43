"""Golden pairs of the language: catalog entries and an access policy as people write them, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.engine.sources.annotations import KEYS, OPTIONS
from tests.support.language_golden import FOLDER, LINE, compiled

CASES = sorted(FOLDER.glob("*.case"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    """`python -m tests.support.language_golden` writes them down anew; the difference is then read like code."""
    given, _, expected = path.read_text().partition(LINE)
    assert compiled(given) == expected


def test_every_annotation_and_every_option_stands_in_a_case() -> None:
    given = "\n".join(path.read_text().partition(LINE)[0] for path in CASES)
    assert [key for key in KEYS if f"stagedoor.dev/{key}:" not in given] == []
    assert [word for word in OPTIONS if word not in given] == []
