"""The audit trail of device changes: on the disk before the next step, part of what `audit verify` reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.audit.chain import verify_paths
from gateway.engine.network.history.trail import BEGUN, ENDED, DeviceTrail, Untold


def events(folder: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [line for line in lines if "event" in line]


def test_events_are_on_disk_at_once_and_the_chain_is_whole(tmp_path: Path) -> None:
    trail = DeviceTrail(tmp_path / "audit", lambda: 1_800_000_000_000)
    trail.note(BEGUN, {"device": "lb1", "plan": "d1"})
    assert [each["event"] for each in events(tmp_path / "audit")] == ["start", BEGUN]
    trail.note(ENDED, {"device": "lb1", "result": "done"})
    trail.close()
    again = DeviceTrail(tmp_path / "audit", lambda: 1_800_000_001_000)
    again.note(BEGUN, {"device": "lb2"})
    again.close()
    said = [each["event"] for each in events(tmp_path / "audit")]
    assert said == ["start", BEGUN, ENDED, "stop", "start", BEGUN, "stop"]
    report = verify_paths([tmp_path / "audit"])
    assert report.ok
    assert [chain.name for chain in report.chains] == ["devices-a"]


def test_a_trail_that_cannot_be_written_says_so_each_time_and_recovers(tmp_path: Path) -> None:
    blocked = tmp_path / "audit"
    blocked.write_text("a file where the folder should be")
    trail = DeviceTrail(blocked, lambda: 0)
    for _ in range(2):
        with pytest.raises(Untold, match="audit"):
            trail.note(BEGUN, {})
    blocked.unlink()
    trail.note(BEGUN, {"device": "lb1"})
    trail.close()
    assert [each["event"] for each in events(blocked)][-2:] == [BEGUN, "stop"]
    assert verify_paths([blocked]).ok


def test_without_an_event_no_file_is_made(tmp_path: Path) -> None:
    DeviceTrail(tmp_path / "audit", lambda: 0).close()
    assert not (tmp_path / "audit").exists()


def test_the_last_applies_are_remembered_over_a_restart(tmp_path: Path) -> None:
    said = {"device": "lb1", "environment": "prod", "by": "jane", "plan": "p", "version": "v", "steps": 2}
    said["ticket"] = "T"
    before = DeviceTrail(tmp_path, lambda: 1_800_000_000_000)
    before.note(BEGUN, {**said, "removed": ["a"]})
    before.note(ENDED, {**said, "removed": ["a"], "result": "done", "why": "2 steps applied.", "task": "t"})
    before.note(BEGUN, {**said, "plan": "q"})
    before.close()
    after = DeviceTrail(tmp_path, lambda: 1_800_000_100_000)
    after.recall()
    open_one, done = after.recent("lb1", "prod")
    assert (open_one["plan"], open_one["result"]) == ("q", "")
    assert (done["result"], done["removed"], done["ticket"], done["task"]) == ("done", ["a"], "T", "t")
    assert done["begun"] <= done["time"]
    assert after.recent("lb1", "dev") == []


def test_a_trail_that_holds_anything_is_remembered_as_far_as_it_is_one(tmp_path: Path) -> None:
    (tmp_path / "devices-a-000001.jsonl").write_bytes(
        b'\xff\xfe{"event":"device_apply_begun"\n{"event":"device_apply_ended","device":7,"removed":"x"}\n[1]\n'
        b'{"event":"device_apply_begun","device":"lb1","environment":"prod","why":' + b"9" * 50 + b"}\n"
    )
    trail = DeviceTrail(tmp_path, lambda: 0)
    trail.recall()
    (one,) = trail.recent("lb1", "prod")
    assert one["removed"] == []
