"""Exposition, and the one line an event is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import counters, telemetry
from gateway.counters import Counters, Merged


def samples(merged: Merged) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(telemetry.exposition(merged).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_exposition_is_what_a_prometheus_reads() -> None:
    mine = Counters()
    mine.values[counters.TUNNELS_ENDED + counters.BY_PERMIT] += 2
    mine.values[counters.OUTCOME["owner"]] += 3
    mine.values[counters.RESPONSES + 200 // 100] += 3
    mine.values[counters.RESPONSE_BYTES] += 4096
    for duration_us in (400, 600, 90_000_000):
        mine.observe(duration_us)
    merged = Merged()
    merged.put(0, mine.take())
    found = samples(merged)
    assert found["stagedoor_workers"] == 1
    assert found["stagedoor_requests_total{outcome=owner}"] == 3
    assert found["stagedoor_requests_total{outcome=no_rule}"] == 0
    assert found["stagedoor_responses_total{class=2xx}"] == 3
    assert found["stagedoor_response_bytes_total"] == 4096
    assert found["stagedoor_tunnels_ended_total{by=permit}"] == 2
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
