"""Promise: in a company of a thousand services, one change costs that change. Counts of what is told are held; times of
the processor are held with room, because a test is no bench (`python -m bench.company`).
"""

from __future__ import annotations

from typing import Any

import pytest

from bench.company_catalog import Company, write
from bench.company_engine import CHANGES, Engine, changes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
COMPANY = Company(1000)
PROVIDERS = 5  # at most: whose APIs the changed service uses


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("company")
    write(COMPANY, folder)
    engine = Engine(folder)
    outcome = engine.rounds.round()
    assert (outcome.message is not None, outcome.faults) == (True, ())
    assert outcome.services > 900
    engine.rounds.round()
    return engine


def told(engine: Engine, what: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], float]]:
    """What the doors are told of each change, and the milliseconds of processor time that it took."""
    messages: list[dict[str, Any]] = []

    def tell(message: dict[str, Any]) -> None:
        messages.append(message)
        engine._told(message)

    monkeypatch.setattr(engine.rounds, "_tell", tell)
    took = [engine.change(path) for path in changes_of(COMPANY, engine.folder, what)]
    return list(zip(messages, took, strict=True))


def test_a_service_costs_its_own_frames_and_a_moment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(engine, "service", monkeypatch)
    for message, _ in found:
        assert 1 <= len(message["set"]) <= 3 * (1 + PROVIDERS), message
        assert message["drop"] == []
    assert sorted(took for _, took in found)[CHANGES // 2] < 150


def test_a_person_costs_one_block_and_another_parent_the_teams(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(engine, "person", monkeypatch)
    told_of = {tuple(name.partition("/")[0] for name in message["set"]) for message, _ in found}
    assert told_of == {("people",), ("teams",)}
    assert sorted(took for _, took in found)[CHANGES // 2] < 150


def test_a_rule_costs_the_services_it_is_about(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for message, _ in told(engine, "rule", monkeypatch):
        assert 1 <= len(message["set"]) <= 30, message
