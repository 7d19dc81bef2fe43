"""What `lint` finds, word for word, and what makes it fail: golden pairs, one file for each kind of finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.lint.checks import lint
from policy.lint.findings import CHECKS
from tests.support.lint_golden import FOLDER, TODAY, ground_of, linted
from tests.support.policy_golden import LINE

CASES = sorted(FOLDER.glob("*.case"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    """The findings read as written down; `python -m tests.support.lint_golden` writes them down anew."""
    given, _, expected = path.read_text().partition(LINE)
    assert linted(given) == expected


def test_every_kind_of_finding_is_shown_by_some_case() -> None:
    found = {each.kind for path in CASES for each in lint(ground_of(path.read_text().partition(LINE)[0]), TODAY)}
    assert found == set(CHECKS)


def test_every_finding_has_an_id_a_place_one_sentence_and_a_fix() -> None:
    for path in CASES:
        found = lint(ground_of(path.read_text().partition(LINE)[0]), TODAY)
        assert len({each.id for each in found}) == len(found)
        for each in found:
            assert each.source.file
            assert each.source.line
            assert each.sentence.endswith(".")
            assert ". " not in each.sentence
            assert each.fix
            assert not each.fix.endswith(".")
