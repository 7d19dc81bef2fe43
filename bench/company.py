"""`python -m bench.company [--sizes N …] [--only PART …]`: what a company of some size costs the engine and the doors.

For each size a made-up company (`bench.company_catalog`) is written as files, then measured by programs of their own,
so that none is charged for another's memory: the engine's compile and its rounds after a change, an engine that starts
over what that one remembers, the table as a door and as who asks questions hold it, and a real node from the saved file
to the last door. The figures go to `bench/results/company.json`, in the place of those of the same part and size; what
an earlier run on the same machine said of others stays there, with the date it was measured on, and counts for the
goals.

Exit status: 0 all goals met, 1 a goal missed, 2 something could not be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import company_catalog as made
from bench import report
from bench.goals import Check
from bench.ground import PYTHON, RESULTS, ROOT, BenchFault

SIZES = (500, 5_000, 20_000)
PARTS = ("engine", "restart", "table", "node")
AFTER_ENGINE = ("restart", "table")  # over what it published and remembers
LIMIT_S = 3600.0

Figures = dict[str, Any]


def measured(sizes: list[int], parts: list[str]) -> dict[str, dict[int, Figures]]:
    """Figures by part and size. All folders go at the end: for minutes after thousands of files were removed, ext4
    looks a long time for an inode for each new one."""
    found: dict[str, dict[int, Figures]] = {part: {} for part in parts}
    with contextlib.ExitStack() as folders:
        for size in sizes:
            folder = Path(folders.enter_context(tempfile.TemporaryDirectory(prefix="company-")))
            print(f"{size:,} components: writing", flush=True)
            made.write(made.Company(size), folder)
            for part in parts:
                print(f"{size:,} components: {part}", flush=True)
                if part == "node" and (folder / "state").exists():
                    (folder / "state").rename(folder / "state of the engine")
                found[part][size] = _part(part, folder, size) | {"measured": _now(), "load": os.getloadavg()[0]}
                print(json.dumps(found[part][size]), flush=True)
    return found


def _part(part: str, folder: Path, size: int) -> Figures:
    command = [PYTHON, "-m", f"bench.company_{part}", str(folder), str(size)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)
    if done.returncode:
        raise BenchFault(f"{part} at {size:,} components failed with {done.returncode}")
    figures: Figures = json.loads(done.stdout)
    return figures


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def with_earlier(found: dict[str, dict[int, Figures]], about: Figures, known: Figures) -> dict[str, dict[int, Figures]]:
    """The figures with those of an earlier document, where they are of the same machine."""

    def shape(machine: Figures) -> Figures:
        return {name: value for name, value in machine.items() if name != "idle_at_start"}

    whole: dict[str, dict[int, Figures]] = {}
    for part in PARTS:
        there = known.get(part, ()) if known and shape(known["machine"]) == shape(about) else ()
        sizes = {each["components"]: each for each in there} | found.get(part, {})
        if sizes:
            whole[part] = dict(sorted(sizes.items()))
    return whole


def checks_of(found: dict[str, dict[int, Figures]]) -> list[Check]:
    """The goals; those whose figures were not asked for are left out."""
    checks: list[Check] = []
    largest = max(size for sizes in found.values() for size in sizes)
    if engine := found.get("engine", {}).get(largest):
        checks += [
            Check("full compile, CPU", engine["full_compile_cpu_s"], 15, unit="s"),
            Check("engine, most memory", engine["peak_rss_mb"], 1000, unit="MB"),
        ]
    if restart := found.get("restart", {}).get(largest):
        checks.append(Check("engine that starts again, most memory", restart["peak_rss_mb"], 1000, unit="MB"))
    if table := found.get("table", {}).get(largest):
        steps = [table[f"{what}_longest_step_ms"] for what in ("load", "swap_one", "swap_all")]
        checks += [
            Check("worker, memory", table["worker_memory_mb"], 250, unit="MB"),
            Check("longest stall, loading or swapping, CPU", max(steps), 5, unit="ms"),
            Check("who can, longest, CPU", table["who_can_ms"][1], 300, unit="ms"),
            Check("what can, longest, CPU", table["what_can_ms"][1], 1000, unit="ms"),
        ]
        if least := found["table"].get(min(found["table"])):
            ratios = [table["decide_us"][kind] / us for kind, us in least["decide_us"].items()]
            apart = round(max(max(each, 1 / each) for each in ratios), 2)
            checks.append(Check("match + decide, one size ÷ the other, worst kind", apart, 1.2))
    if node := found.get("node", {}).get(largest):
        checks += [
            Check(f"one {what} changed → all doors, longest", node[f"{what}_live_ms"][1], 300, unit="ms")
            for what in ("service", "person")
        ]
        checks.append(Check("engine of a node, most memory", node["engine_peak_rss_mb"], 1000, unit="MB"))
    return checks


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.company", description="A company of some size, measured.")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), metavar="N", help="components")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=" ".join(PARTS))
    return parser.parse_args()


def main() -> int:
    options = _options()
    parts = [part for part in PARTS if part in options.only]
    if "engine" not in parts and not set(parts).isdisjoint(AFTER_ENGINE):
        parts.insert(0, "engine")
    about = report.machine()
    if about["idle_at_start"] < 0.95:
        print(f"company: this machine is {1 - about['idle_at_start']:.0%} busy with something else; expect noise")
    try:
        found = measured(options.sizes, parts)
    except (BenchFault, OSError, subprocess.TimeoutExpired) as fault:
        print(f"company: {fault}", file=sys.stderr)
        return 2
    file = RESULTS / "company.json"
    found = with_earlier(found, about, json.loads(file.read_text()) if file.exists() else {})
    checks = checks_of(found)
    for check in checks:
        print(f"{'met' if check.met else 'MISS':6}{check.name:48}{check.value:>10}  {check.wanted}")
    document = {
        "machine": about,
        **{part: list(sizes.values()) for part, sizes in found.items()},
        "checks": [check.as_json() for check in checks],
    }
    file.write_text(json.dumps(document, indent=1) + "\n")
    return 0 if all(check.met for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
