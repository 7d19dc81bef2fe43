"""Guards the promise that doors decide as the definition does: answer, reason and rule id, over random companies.

Twenty thousand decisions a run, the same ones each time; `make nightly` takes a million new ones. What the generator
must have reached is listed in `tests.support.differential.MUST_OCCUR`, so that a run in which something never happened
fails instead of proving nothing about it.
"""

from __future__ import annotations

from typing import Any

import pytest

from policy.reasons import PERMIT_ORDER, REFUSAL_ORDER
from tests.support.differential import MUST_OCCUR, Difference, never_seen, run

DECISIONS = 20_000
SEED = 4


def test_table_equals_definition_in_random_companies() -> None:
    """And every reason, reach, selector key and requirement, and everything else that is listed, had its turn."""
    seen = run(SEED, DECISIONS)
    assert seen["decisions"] >= DECISIONS
    assert never_seen(seen) == []


def test_what_must_occur_is_the_whole_language() -> None:
    """The list names each reason that can be given, each key of a selector, each requirement, both ways."""
    listed = set(MUST_OCCUR)
    reasons = {*PERMIT_ORDER, *REFUSAL_ORDER} - {"grant"}  # nothing gives temporary access yet
    assert {each.removeprefix("reason ") for each in listed if each.startswith("reason ")} == reasons
    assert len([each for each in listed if each.startswith("selector ")]) == 7
    assert len([each for each in listed if each.startswith(("met ", "unmet "))]) == 10


def _never(*_: Any) -> bool:
    return False


def _nothing_is_missing(*_: Any) -> None:
    return None


def _in_reverse(rule: Any) -> Any:
    return tuple(-ord(letter) for letter in rule.id)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("policy.reference._Question.denies", _never),
        ("policy.reference._Question.missing", _nothing_is_missing),
        ("policy.reference._Question.unmet", lambda *_: ()),
        ("policy.reference._parties", lambda who: [who]),
        ("policy.reference.order_of", _in_reverse),
        ("policy.routes.is_shadow", _never),
        ("policy.reference.is_near", lambda template, path: template == path),
    ],
)
def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch, part: str, wrong: Any) -> None:
    """Whoever changes one sentence of the meaning on one side alone is told, with the world to look at."""
    monkeypatch.setattr(part, wrong)
    with pytest.raises(Difference, match=r"world 4-\d+: [A-Z]+ "):
        run(SEED, DECISIONS)
