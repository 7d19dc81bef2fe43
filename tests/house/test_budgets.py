"""Promise: the hot functions make no more calls and hold no more memory than `bench/budgets.toml` grants.

Times are not compared here: they belong to one machine, and `make bench` measures them. Calls and bytes are the same
on every machine, so a hot function that grows a call is noticed in the commit that does it.
"""

from __future__ import annotations

import pytest

from bench import micro

SUBJECTS = {subject.name: subject for subject in micro.subjects()}
BUDGETS = micro.budgets()


def test_every_hot_function_has_a_budget_and_every_budget_a_function() -> None:
    assert set(SUBJECTS) == set(BUDGETS)


@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_calls_stay_within_the_budget(name: str) -> None:
    assert micro.calls(SUBJECTS[name]) <= BUDGETS[name]["calls"]


@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_memory_held_at_the_peak_stays_within_the_budget(name: str) -> None:
    assert micro.peak_bytes(SUBJECTS[name]) <= BUDGETS[name]["bytes"]
