"""A plan on paper: the same when read back, refused when anybody has touched it, a fault in words for anything else."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.plan import Kind, Plan, Step
from gateway.engine.network.plans.plan_file import PlanFault

TEXTS = st.text(max_size=8)
WORDS = st.text(st.characters(exclude_categories=("C", "Z")), max_size=8)  # printable
STEPS = st.builds(
    Step, st.sampled_from(Kind), TEXTS, TEXTS, st.lists(TEXTS, max_size=2).map(tuple),
    st.lists(TEXTS, max_size=2).map(tuple), st.none() | TEXTS, st.none() | st.integers(-9, 9), TEXTS,
)  # fmt: skip
PLANS = st.builds(
    Plan, WORDS, WORDS, WORDS, WORDS, WORDS, st.lists(STEPS, max_size=3).map(tuple),
    st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3), st.lists(TEXTS, max_size=2).map(tuple), st.booleans(),
)  # fmt: skip
PLAN = Plan("lb1", "prod", "2026-01-05T12:00:00.000Z", "base1", "f1", (Step(Kind.ADD, "a", "Adds a."),), {"a": "b"})


@given(PLANS)
def test_a_plan_is_the_same_when_read_back(plan: Plan) -> None:
    assert plan_file.read(orjson.dumps(plan_file.as_json(plan))) == plan


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["steps"].clear(),
        lambda said: said["content"].update(a="another"),
        lambda said: said.update(adopts=True),
        lambda said: said.update(fingerprint="f2"),
        lambda said: said.pop("digest"),
        lambda said: said.update(more=1),
    ],
)
def test_a_plan_that_was_touched_is_refused(change: Any) -> None:
    said = json.loads(orjson.dumps(plan_file.as_json(PLAN)))
    change(said)
    with pytest.raises(PlanFault, match="changed after it was made"):
        plan_file.from_json(said)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b'{"form": 7}', b'{"form": "stagedoor-plan/9"}', b"null"])
def test_what_is_no_plan_is_refused_in_words(text: bytes) -> None:
    with pytest.raises(PlanFault, match="plan"):
        plan_file.read(text)


@pytest.mark.parametrize("name", ["steps", "device", "remarks"])
def test_a_plan_of_another_shape_is_refused_even_with_a_right_digest(name: str) -> None:
    said = {key: value for key, value in plan_file.as_json(PLAN).items() if key != "digest"}
    said[name] = 7
    with pytest.raises(PlanFault):
        plan_file.from_json({**said, "digest": plan_file._digest(said)})


@pytest.mark.parametrize("name", ["device", "environment", "made", "version", "fingerprint"])
@pytest.mark.parametrize("text", ["\x1b[31m", "a\nb", "\u202eb", "x" * 201], ids=["colour", "line", "turn", "long"])
def test_what_names_a_plan_is_short_and_printable_even_with_a_right_digest(name: str, text: str) -> None:
    """It is recorded, remembered and shown wherever the device is."""
    said = {key: value for key, value in plan_file.as_json(PLAN).items() if key != "digest"}
    said[name] = text
    with pytest.raises(PlanFault, match="at most 200 printable characters"):
        plan_file.from_json({**said, "digest": plan_file._digest(said)})


def test_a_plan_of_any_depth_is_refused_in_words() -> None:
    deep: Any = {}
    for _ in range(600):
        deep = {"a": deep}
    with pytest.raises(PlanFault, match="cannot be read"):
        plan_file.from_json({**plan_file.as_json(PLAN), "content": deep})


KEYS = st.sampled_from(["form", "steps", "device", "content", "digest"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
)


@given(ANYTHING)
def test_nothing_else_than_a_plan_is_taken_or_breaks_the_reader(said: Any) -> None:
    if isinstance(said, dict):
        said = {"form": plan_file.FORM, **said}
    with pytest.raises(PlanFault):
        plan_file.from_json(said)
