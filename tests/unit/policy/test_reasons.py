"""The closed list of reasons is complete, disjoint and worded."""

from __future__ import annotations

from policy.reasons import PERMIT_ORDER, PERMITS, REFUSAL_ORDER, REFUSALS, TEXTS


def test_every_reason_has_words_and_every_refusal_says_what_to_do() -> None:
    assert set(TEXTS) == PERMITS | REFUSALS
    assert not PERMITS & REFUSALS
    assert all(text.sentence.endswith(".") for text in TEXTS.values())
    assert {code for code, text in TEXTS.items() if text.todo} == REFUSALS


def test_orders_hold_each_reason_once() -> None:
    assert len(PERMIT_ORDER) == len(PERMITS)
    assert len(REFUSAL_ORDER) == len(REFUSALS)
