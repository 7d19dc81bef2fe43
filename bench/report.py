"""The result as a table for people and as JSON for whoever compares over time.

The JSON holds what the machine is, never where or whose: no path, no host name, no user.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.goals import Check
from bench.ground import RESULTS, ROOT, WORK, Scale
from bench.rounds import Row, now_utc
from bench.scenarios import Result


def machine() -> dict[str, Any]:
    """What a figure depends on."""
    told = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return {
        "cpu": model[0] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "idle_at_start": round(_idle_share(), 3),
    }


def _idle_share() -> float:
    """How much of all cores nobody used during one second: 1.0 on a machine that is fit to measure."""

    def ticks() -> tuple[int, int]:
        fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = ticks()
    time.sleep(1.0)
    total_after, idle_after = ticks()
    return (idle_after - idle) / max(total_after - total, 1)


def _cell(value: float | None, digits: int) -> str:
    return "—" if value is None else f"{value:,.{digits}f}"


def _table(rows: Sequence[Row]) -> str:
    reference = next((row.cpu_us_per_request for row in rows if row.name == "envoy"), None)
    lines = [
        f"{'':32}{'CPU µs/req':>11}{'÷ envoy':>9}{'req/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'RSS MB':>8}{'busy':>6}"
    ]
    for row in rows:
        if row.note:
            lines.append(f"{row.name:32}{row.note}")
            continue
        ratio = row.cpu_us_per_request / reference if row.cpu_us_per_request and reference else None
        lines.append(
            f"{row.name:32}{_cell(row.cpu_us_per_request, 2):>11}{_cell(ratio, 2):>9}{_cell(row.rps, 0):>10}"
            f"{_cell(row.p50_ms, 3):>10}{_cell(row.p99_ms, 3):>10}{_cell(row.rss_mb, 1):>8}{_cell(row.busy, 2):>6}"
        )
    return "\n".join(lines)


def _goals(checks: Sequence[Check]) -> str:
    lines = []
    for check in checks:
        aim = f"   aim {check.aim:g}" if check.aim is not None else ""
        mark = "met" if check.met else "none" if check.value is None else "MISS"
        lines.append(f"{mark:6}{check.name:48}{_cell(check.value, 3):>9}  {check.wanted}{aim}")
    return "\n".join(lines)


def show(result: Result, checks: Sequence[Check]) -> None:
    print("\n" + _table(list(result.rows.values())))
    print("\n" + _goals(checks))
    for fault in result.faults:
        print(f"fault: {fault}")


def keep_earlier(result: Result, about: dict[str, Any]) -> None:
    """What this run left out, as an earlier one on the same machine found it, each row with its own time."""
    path = RESULTS / "latest.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def shape(of: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in of.items() if name != "idle_at_start"}

    if not known or shape(known["machine"]) != shape(about):
        return
    rows = {each["name"]: Row(**each) for each in known["rows"]}
    for row in rows.values():
        row.measured = row.measured or known["measured"]
    result.rows = rows | result.rows
    result.figures = known["figures"] | result.figures
    result.versions = known["versions"] | result.versions


def save(result: Result, checks: Sequence[Check], scale: Scale, about: dict[str, Any]) -> Path:
    """`latest.json` for a full run; a quick one stays in the work folder and never replaces what a full one found."""
    document = {
        "measured": now_utc(),
        "scale": {"name": scale.name, "seconds": scale.seconds, "rounds": scale.rounds, "services": scale.services},
        "machine": about,
        "versions": result.versions,
        "rows": [row.as_json() for row in result.rows.values()],
        "figures": result.figures,
        "checks": [check.as_json() for check in checks],
        "faults": result.faults,
    }
    path = RESULTS / "latest.json" if scale.name == "full" else WORK / "quick.json"
    path.parent.mkdir(exist_ok=True)
    told = json.dumps(document, indent=1, ensure_ascii=False).replace(str(ROOT), ".")  # last words of a peer name files
    path.write_text(told + "\n")
    return path
