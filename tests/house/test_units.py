"""The units of `examples/systemd`, read by systemd's own tools where there are any."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.config import Timeouts
from tests.house.source import ROOT

UNITS = ROOT / "examples" / "systemd"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Copies whose program exists: systemd looks for it."""
    found = []
    for unit in sorted(UNITS.glob("stagedoor.*")):
        copy = tmp_path / unit.name
        text = re.sub(r"^(Exec\w+=)/opt/stagedoor/bin/stagedoor", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE)
        copy.write_text(text)
        found.append(copy)
    assert len(found) == 2
    return found


@needs_systemd
def test_systemd_reads_the_units_without_a_complaint(units: list[Path]) -> None:
    ran = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", *map(str, units)], capture_output=True, text=True, check=False
    )
    ours = [line for line in (ran.stdout + ran.stderr).splitlines() if "stagedoor" in line]
    assert ours == []


@needs_systemd
def test_the_service_is_left_with_little_to_misuse(units: list[Path]) -> None:
    """`systemd-analyze security` goes from 0 (nothing exposed) to 10; network access alone is worth about one."""
    (service,) = [unit for unit in units if unit.suffix == ".service"]
    command = [str(ANALYZE), "security", "--offline=true", str(service)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"exposure level for \S+: ([\d.]+)", ran.stdout)
    assert level, ran.stdout + ran.stderr
    assert float(level[1]) <= 2.0


def test_systemd_waits_longer_than_a_drain_takes() -> None:
    """With a `bigip` listener the announcement takes 21 s by default; killed before its end, connections are lost."""
    stop_s = re.search(r"^TimeoutStopSec=(\d+)$", (UNITS / "stagedoor.service").read_text(), re.M)
    assert stop_s
    assert int(stop_s[1]) > 21 + Timeouts().drain_finish_s


def test_the_socket_is_one_of_the_example_configurations_listeners() -> None:
    unit = (UNITS / "stagedoor.socket").read_text()
    named = re.search(r"^FileDescriptorName=(\S+)$", unit, re.M)
    address = re.search(r"^ListenStream=(\S+)$", unit, re.M)
    assert named
    assert address
    listeners = yaml.safe_load((ROOT / "examples" / "stagedoor.yaml").read_text())["listeners"]
    assert {"name": named[1], "address": address[1]} in [
        {key: listener[key] for key in ("name", "address")} for listener in listeners
    ]
    assert "Requires=stagedoor.socket" in (UNITS / "stagedoor.service").read_text()
