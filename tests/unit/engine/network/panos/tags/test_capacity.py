"""How many addresses a model holds, and when a reader is warned."""

from __future__ import annotations

import pytest

from gateway.engine.network.panos.tags.capacity import capacity_of, capacity_remarks
from gateway.lab.panos.tags import CAPACITIES


@pytest.mark.parametrize("model", CAPACITIES)
def test_models_hold_what_is_documented(model: str) -> None:
    assert capacity_of(model, 0) == CAPACITIES[model]


def test_the_operator_goes_before_the_list_and_an_unknown_model_is_said_to_be_one() -> None:
    assert capacity_of("PA-440", 7) == 7
    assert capacity_of("PA-VM", 0) == 0
    assert "say `address_capacity`" in next(capacity_remarks(1, 1, 0, "PA-VM"))


@pytest.mark.parametrize(
    ("keys", "wanted", "said"), [(0, 799, ""), (800, 1, "800 of the 1,000"), (0, 800, "in use"), (0, 1001, "refused")]
)
def test_a_reader_is_warned_from_four_fifths_on(keys: int, wanted: int, said: str) -> None:
    assert said in " ".join(capacity_remarks(keys, wanted, 1000, "PA-220"))
    assert bool(said) == bool(list(capacity_remarks(keys, wanted, 1000, "PA-220")))
