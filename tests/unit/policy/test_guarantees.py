"""Every guarantee of docs/policy-language.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]


def test_every_guarantee_is_held_by_a_test() -> None:
    document = (TESTS.parent / "docs" / "policy-language.md").read_text()
    rows = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", document, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    written = "\n".join(path.read_text() for path in TESTS.glob("**/test_*.py"))
    named = [name for _, tests in rows for name in re.findall(r"`(\w+)`", tests)]
    assert named
    assert [name for name in named if f"def {name}(" not in written] == []
