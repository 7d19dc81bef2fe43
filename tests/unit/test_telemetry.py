"""Counting, merging, exposition, and the one line an event is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import telemetry
from gateway.errors import FAULTS
from gateway.telemetry import Counters, Merged
from policy.reasons import PERMITS, REFUSALS


def samples(merged: Merged) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(telemetry.exposition(merged).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_every_cell_has_its_own_place() -> None:
    indexes = [
        *range(len(telemetry.CELLS)),
        *range(telemetry.RESPONSES, telemetry.RESPONSES + len(telemetry.CLASSES)),
        *range(telemetry.DURATION, telemetry.DURATION + len(telemetry.BUCKETS_US) + 1),
        *telemetry.OUTCOME.values(),
    ]
    assert sorted(indexes) == list(range(telemetry.LENGTH))


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (telemetry.REQUEST_BYTES, "request_bytes"),
        (telemetry.HEALTH_REQUESTS, "health_requests"),
        (telemetry.DOWNSTREAM_OPEN, "downstream_open"),
        (telemetry.UPSTREAM_REUSED, "upstream_reused"),
        (telemetry.TOKENS_CACHED, "tokens_cached"),
        (telemetry.LOOP_LAG_MAX_US, "loop_lag_max_seconds"),
        (telemetry.AUDIT_FAILED, "audit_failed"),
        (telemetry.DURATION_SUM_US, "duration_us"),
    ],
)
def test_a_constant_points_at_the_cell_of_its_name(index: int, name: str) -> None:
    assert telemetry.CELLS[index].name == name


def test_every_outcome_can_be_counted() -> None:
    assert telemetry.OUTCOME.keys() == PERMITS | REFUSALS | FAULTS.keys()


@pytest.mark.parametrize(
    ("duration_us", "bucket"), [(0, 0), (500, 0), (501, 1), (60_000_000, 15), (60_000_001, 16), (10**12, 16)]
)
def test_a_duration_falls_into_the_first_bucket_that_holds_it(duration_us: int, bucket: int) -> None:
    counters = Counters()
    counters.observe(duration_us)
    cells = counters.values[telemetry.DURATION : telemetry.DURATION + len(telemetry.BUCKETS_US) + 1]
    assert [number for number, count in enumerate(cells) if count] == [bucket]
    assert counters.values[telemetry.DURATION_SUM_US] == duration_us


def test_taking_copies_and_starts_peaks_anew() -> None:
    counters = Counters()
    counters.values[telemetry.HEALTH_REQUESTS] += 1
    counters.lagged(700)
    counters.lagged(300)
    taken = counters.take()
    counters.values[telemetry.HEALTH_REQUESTS] += 1
    assert taken[telemetry.LOOP_LAG_MAX_US] == 700
    assert taken[telemetry.HEALTH_REQUESTS] == 1
    assert counters.values[telemetry.LOOP_LAG_MAX_US] == 0


def array(**cells: int) -> list[int]:
    values = [0] * telemetry.LENGTH
    for name, value in cells.items():
        values[getattr(telemetry, name)] = value
    return values


def test_counters_and_open_things_add_up_and_ages_are_the_worst() -> None:
    merged = Merged()
    merged.put("a", array(HEALTH_REQUESTS=2, DOWNSTREAM_OPEN=3, SNAPSHOT_AGE_S=9, AUDIT_FAILED=0))
    merged.put("b", array(HEALTH_REQUESTS=5, DOWNSTREAM_OPEN=4, SNAPSHOT_AGE_S=1, AUDIT_FAILED=1))
    total = merged.total()
    assert total[telemetry.HEALTH_REQUESTS] == 7
    assert total[telemetry.DOWNSTREAM_OPEN] == 7
    assert total[telemetry.SNAPSHOT_AGE_S] == 9
    assert total[telemetry.AUDIT_FAILED] == 1


def test_a_counter_never_falls_when_a_worker_is_replaced() -> None:
    merged = Merged()
    merged.put("old", array(HEALTH_REQUESTS=100, DOWNSTREAM_OPEN=8, TOKENS_CACHED=5, AUDIT_FAILED=1))
    merged.put("new", array(HEALTH_REQUESTS=1))
    merged.retire("old")
    merged.retire("old")
    total = merged.total()
    assert total[telemetry.HEALTH_REQUESTS] == 101
    assert total[telemetry.DOWNSTREAM_OPEN] == total[telemetry.TOKENS_CACHED] == total[telemetry.AUDIT_FAILED] == 0
    assert merged.workers == 1


def test_a_stall_is_seen_by_one_scrape_however_many_reports_came_since() -> None:
    merged = Merged()
    for lag in (100, 4_000, 0):
        merged.put("a", array(LOOP_LAG_MAX_US=lag))
    assert samples(merged)["stagedoor_loop_lag_max_seconds"] == 0.004
    assert samples(merged)["stagedoor_loop_lag_max_seconds"] == 0


def test_an_array_of_another_version_changes_nothing() -> None:
    merged = Merged()
    assert merged.put("a", array(HEALTH_REQUESTS=2))
    assert not merged.put("a", [1, 2, 3])
    assert merged.total()[telemetry.HEALTH_REQUESTS] == 2


def test_exposition_is_what_a_prometheus_reads() -> None:
    counters = Counters()
    counters.values[telemetry.OUTCOME["owner"]] += 3
    counters.values[telemetry.RESPONSES + 200 // 100] += 3
    counters.values[telemetry.RESPONSE_BYTES] += 4096
    for duration_us in (400, 600, 90_000_000):
        counters.observe(duration_us)
    merged = Merged()
    merged.put(0, counters.take())
    found = samples(merged)
    assert found["stagedoor_workers"] == 1
    assert found["stagedoor_requests_total{outcome=owner}"] == 3
    assert found["stagedoor_requests_total{outcome=no_rule}"] == 0
    assert found["stagedoor_responses_total{class=2xx}"] == 3
    assert found["stagedoor_response_bytes_total"] == 4096
    assert found["stagedoor_request_duration_seconds_bucket{le=0.0005}"] == 1
    assert found["stagedoor_request_duration_seconds_bucket{le=0.001}"] == 2
    assert found["stagedoor_request_duration_seconds_bucket{le=60.0}"] == 2
    assert found["stagedoor_request_duration_seconds_bucket{le=+Inf}"] == 3
    assert found["stagedoor_request_duration_seconds_count"] == 3
    assert found["stagedoor_request_duration_seconds_sum"] == pytest.approx(90.001)


def test_a_worker_does_not_load_the_exposition() -> None:
    script = "import sys, gateway.telemetry; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# === own logs ===


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> telemetry._Voice:
    fresh = telemetry._Voice()
    monkeypatch.setattr(telemetry, "_voice", fresh)
    return fresh


def test_an_event_is_one_json_line(capfd: pytest.CaptureFixture[str], voice: telemetry._Voice) -> None:
    telemetry.speak_as("door", 3, "json")
    telemetry.log("link_refused", level="warning", why="two\nlines", path=object)
    (line,) = capfd.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["role"], event["slot"]) == ("link_refused", "warning", "door", 3)
    assert event["why"] == "two\nlines"
    assert event["time"].endswith("Z")
    assert len(event["time"]) == len("2026-01-02T03:04:05.678Z")


def test_a_person_at_a_terminal_reads_text(capfd: pytest.CaptureFixture[str], voice: telemetry._Voice) -> None:
    telemetry.speak_as("door", 0, "text")
    telemetry.log("listening", address="127.0.0.1:8443", note="two words")
    telemetry.log("failing", level="error", why="forged\nline")
    first, second = capfd.readouterr().err.splitlines()
    assert first.endswith('door/0 listening address=127.0.0.1:8443 note="two words"')
    assert second.endswith(r'door/0 error: failing why="forged\nline"')


def test_the_journal_gets_the_priority(capfd: pytest.CaptureFixture[str], voice: telemetry._Voice) -> None:
    telemetry.speak_as("supervisor", 0, "json", journal=True)
    telemetry.log("up")
    telemetry.log("failing", level="error")
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith("<6>{")
    assert second.startswith("<3>{")
