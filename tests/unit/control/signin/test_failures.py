"""Every way in which a sign-in can fail has one sentence, something to do, and its line in the documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.signin.failures import FAILURES

PAGE = (Path(__file__).parents[4] / "docs" / "sign-in.md").read_text()


@pytest.mark.parametrize("code", FAILURES)
def test_a_failure_says_what_and_what_to_do(code: str) -> None:
    failure = FAILURES[code]
    assert failure.sentence.count(".") == 1
    assert failure.todo.endswith(".")
    assert 400 <= failure.status < 600
    assert f"| `{code}` | {failure.status} | {failure.sentence} |" in PAGE
