"""Golden pairs: an access policy with facts, and the rules and faults that come of it, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.policy_golden import FOLDER, LINE, compiled


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.case")), ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    """The rules read as written down; `python -m tests.support.policy_golden` writes them down anew."""
    given, _, expected = path.read_text().partition(LINE)
    assert compiled(given) == expected
