"""Each question of a reader finds who answers it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.engine.network.answers.readers import ASKED, Readers
from tests.unit.engine.network.answers.test_path import FrontedWorld
from tests.unit.engine.network.test_controller import run


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("device_view", {"fault"}), ("device_fronts", {"fronts"}), ("path_hops", {"clients", "upstreams"}),
        ("inventory", {"service"}),
    ],
)  # fmt: skip
def test_a_question_is_answered_by_who_knows(tmp_path: Path, asked: str, answered: set[str]) -> None:
    async def scene() -> None:
        async with FrontedWorld(tmp_path).looked() as controller:
            assert set(await Readers(controller, lambda _: {}).answer({"t": asked})) == answered

    run(scene)


def test_there_is_no_other_question() -> None:
    assert frozenset(("device_view", "device_fronts", "path_hops", "inventory", "inventory_people")) == ASKED
