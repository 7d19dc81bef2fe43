"""Counting and merging: every cell in its place, counters that never fall, peaks that are seen once."""

from __future__ import annotations

import pytest

from gateway import counters
from gateway.counters import Counters, Merged
from gateway.errors import FAULTS
from policy.reasons import PERMITS, REFUSALS


def test_every_cell_has_its_own_place() -> None:
    indexes = [
        *range(len(counters.CELLS)),
        *range(counters.RESPONSES, counters.RESPONSES + len(counters.CLASSES)),
        *range(counters.DURATION, counters.DURATION + len(counters.BUCKETS_US) + 1),
        *range(counters.TUNNELS_ENDED, counters.TUNNELS_ENDED + len(counters.TUNNEL_ENDS)),
        *counters.OUTCOME.values(),
    ]
    assert sorted(indexes) == list(range(counters.LENGTH))


@pytest.mark.parametrize(
    ("index", "name"),
    list(enumerate(cell.name for cell in counters.CELLS)),
)
def test_a_constant_points_at_the_cell_of_its_name(index: int, name: str) -> None:
    """The places are written out; this is what keeps them in the order of the cells."""
    constant = {"loop_lag_max_seconds": "LOOP_LAG_MAX_US", "duration_us": "DURATION_SUM_US"}.get(name)
    constant = constant or name.upper().replace("_SECONDS", "_S")
    assert getattr(counters, constant) == index


@pytest.mark.parametrize(("number", "name"), list(enumerate(counters.TUNNEL_ENDS)))
def test_a_tunnels_end_is_counted_under_its_name(number: int, name: str) -> None:
    assert getattr(counters, f"BY_{name.upper()}") == number


def test_every_outcome_can_be_counted() -> None:
    assert counters.OUTCOME.keys() == PERMITS | REFUSALS | FAULTS.keys()


@pytest.mark.parametrize(
    ("duration_us", "bucket"), [(0, 0), (500, 0), (501, 1), (60_000_000, 15), (60_000_001, 16), (10**12, 16)]
)
def test_a_duration_falls_into_the_first_bucket_that_holds_it(duration_us: int, bucket: int) -> None:
    mine = Counters()
    mine.observe(duration_us)
    cells = mine.values[counters.DURATION : counters.DURATION + len(counters.BUCKETS_US) + 1]
    assert [number for number, count in enumerate(cells) if count] == [bucket]
    assert mine.values[counters.DURATION_SUM_US] == duration_us


def test_taking_copies_and_starts_peaks_anew() -> None:
    mine = Counters()
    mine.values[counters.HEALTH_REQUESTS] += 1
    mine.lagged(700)
    mine.lagged(300)
    taken = mine.take()
    mine.values[counters.HEALTH_REQUESTS] += 1
    assert taken[counters.LOOP_LAG_MAX_US] == 700
    assert taken[counters.HEALTH_REQUESTS] == 1
    assert mine.values[counters.LOOP_LAG_MAX_US] == 0


def array(**cells: int) -> list[int]:
    values = [0] * counters.LENGTH
    for name, value in cells.items():
        values[getattr(counters, name)] = value
    return values


def test_counters_and_open_things_add_up_and_ages_are_the_worst() -> None:
    merged = Merged()
    merged.put("a", array(HEALTH_REQUESTS=2, DOWNSTREAM_OPEN=3, SNAPSHOT_AGE_S=9, AUDIT_FAILED=0))
    merged.put("b", array(HEALTH_REQUESTS=5, DOWNSTREAM_OPEN=4, SNAPSHOT_AGE_S=1, AUDIT_FAILED=1))
    total = merged.total()
    assert total[counters.HEALTH_REQUESTS] == 7
    assert total[counters.DOWNSTREAM_OPEN] == 7
    assert total[counters.SNAPSHOT_AGE_S] == 9
    assert total[counters.AUDIT_FAILED] == 1


def test_a_counter_never_falls_when_a_worker_is_replaced() -> None:
    merged = Merged()
    merged.put("old", array(HEALTH_REQUESTS=100, DOWNSTREAM_OPEN=8, TOKENS_CACHED=5, AUDIT_FAILED=1))
    merged.put("new", array(HEALTH_REQUESTS=1))
    merged.retire("old")
    merged.retire("old")
    total = merged.total()
    assert total[counters.HEALTH_REQUESTS] == 101
    assert total[counters.DOWNSTREAM_OPEN] == total[counters.TOKENS_CACHED] == total[counters.AUDIT_FAILED] == 0
    assert merged.workers == 1


def test_a_stall_is_seen_by_one_scrape_however_many_reports_came_since() -> None:
    merged = Merged()
    for lag in (100, 4_000, 0):
        merged.put("a", array(LOOP_LAG_MAX_US=lag))
    assert merged.scrape()[counters.LOOP_LAG_MAX_US] == 4_000
    assert merged.scrape()[counters.LOOP_LAG_MAX_US] == 0


def test_an_array_of_another_version_changes_nothing() -> None:
    merged = Merged()
    assert merged.put("a", array(HEALTH_REQUESTS=2))
    assert not merged.put("a", [1, 2, 3])
    assert merged.total()[counters.HEALTH_REQUESTS] == 2
