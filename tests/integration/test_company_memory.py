"""Promise: the engine of a company of 20,000 components holds less than 1 GB, also when it starts over what it
remembers. Counted is what Python allocates (`tracemalloc`), of a smaller company and for each component: how busy the
machine is, and what it gives back when, does not count. `python -m bench.company` measures the process itself.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.company_catalog import Company, write
from bench.company_engine import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SMALLER, COMPANY = Company(100), Company(300)
ONCE_BYTES = 6 * 1024 * 1024  # whatever the size: what is written at once
GOAL_BYTES = 1000 * 1024 * 1024
ITSELF_BYTES = 60 * 1024 * 1024  # of the process: program and libraries
GOAL_COMPONENTS = 20_000


class Peak:
    allocated = 0


@contextmanager
def peak() -> Iterator[Peak]:
    """The most that was allocated meanwhile beyond what there was."""
    found = Peak()
    gc.collect()
    tracemalloc.start()
    try:
        yield found
        found.allocated = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def started(folder: Path) -> Engine:
    engine = Engine(folder)
    engine.rounds.round()
    return engine


class Peaks(NamedTuple):
    """Of a first start and of one over what the first remembers."""

    first: int
    again: int


def peaks_of(company: Company, folder: Path) -> Peaks:
    write(company, folder)
    with peak() as first:
        before = started(folder)
    del before
    with peak() as again:
        after = started(folder)
    assert after.rounds.routes
    return Peaks(first.allocated, again.allocated)


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> Peaks:
    peaks_of(SMALLER, tmp_path_factory.mktemp("smaller"))  # whatever is loaded or made at the first use is there then
    return peaks_of(COMPANY, tmp_path_factory.mktemp("company"))


def test_an_engine_of_the_largest_company_stays_below_the_goal(peaks: Peaks) -> None:
    for allocated in peaks:
        of_one = (allocated - ONCE_BYTES) / COMPANY.components
        assert ITSELF_BYTES + of_one * GOAL_COMPONENTS < GOAL_BYTES, f"{of_one / 1024:.1f} KiB for each component"


def test_what_is_remembered_and_read_again_is_one_object(tmp_path: Path) -> None:
    """So an engine that starts over what it remembers holds the catalog once."""
    company = Company(20)
    write(company, tmp_path)
    started(tmp_path)
    again = Engine(tmp_path)
    remembered = again.rounds._journal.sections["entities"]
    pulled = again.sources.pull().entities
    assert len(pulled) > 100
    assert [ref for ref, entity in pulled.items() if remembered.get(ref) is not entity] == []
