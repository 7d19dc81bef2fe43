"""`python -m bench [--quick] [--only NAME …] [--skip PART …]`: set up, measure, print, write the result.

A full run that skips parts keeps what an earlier one on the same machine found for them.

Exit status: 0 all goals met, 1 a goal missed or a figure missing, 2 the bench itself could not run.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from bench import catalog, connections, load, micro, provider, report, scenarios
from bench.goals import checks_of
from bench.ground import FULL, LOAD_CORE, QUICK, ROOT, WORK, BenchFault, Missing, Scale, check_ports
from bench.scenarios import STARTS, Stage

PARTS = ("main", "variants", "websocket", "new", "paced", "memory", "idle", "tunnels", "swap", "micro")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Stagedoor beside its peers on this machine.")
    quick, names = os.environ.get("BENCH") == "quick", list(STARTS)
    parser.add_argument("--quick", action="store_true", default=quick, help="short rounds, to see the harness work")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help="gateways")
    parser.add_argument("--skip", nargs="+", choices=PARTS, default=[], metavar="PART", help=" ".join(PARTS))
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, flush=True)


def _measure(stage: Stage, skip: list[str]) -> None:
    """Peers first and together; then a fresh Stagedoor for each figure about its memory."""
    for name in STARTS:
        stage.start(name)
    _say("rows")
    if "main" not in skip:
        scenarios.main_rows(stage)
    if "variants" not in skip:
        scenarios.variants(stage)
    if "websocket" not in skip:
        connections.websocket(stage)
    if "new" not in skip and "stagedoor" in stage.up:
        with stage.result.tolerating("new connections"):
            connections.newcomers(stage)
    if not {"main", "paced"} & set(skip):  # at a share of the saturation that was just found
        scenarios.paced(stage)
    stage.stop_all()
    alone: tuple[tuple[str, str, Callable[[], None]], ...] = (
        ("idle", "idle connections", lambda: connections.idle(stage, "")),
        ("idle", "idle TLS connections", lambda: connections.idle(stage, "tls")),
        ("tunnels", "idle tunnels", lambda: connections.idle_tunnels(stage)),
        ("memory", "memory growth", lambda: scenarios.memory_growth(stage)),
        ("swap", "base replaced under load", lambda: scenarios.base_swap(stage)),
    )
    for part, title, measure in alone:
        if part in skip or "stagedoor" not in stage.wanted:
            continue
        _say(title)
        stage.start("stagedoor", keep_state=True)
        with stage.result.tolerating(title):
            if "stagedoor" not in stage.up:
                raise BenchFault("stagedoor did not start")
            measure()
        stage.stop("stagedoor")
    if "micro" not in skip:
        _say("hot functions")
        with stage.result.tolerating("hot functions"):
            stage.result.figures.update(micro.decide_figures())


def _prepare(scale: Scale, wanted: list[str]) -> Stage:
    check_ports()
    WORK.mkdir(exist_ok=True)
    load.load_program()
    _say("tokens, requests, catalog")
    catalog.write(scale.services)
    return Stage(scale, wanted)


def main() -> int:
    options = _options()
    scale = QUICK if options.quick else FULL
    about = report.machine()
    if about["idle_at_start"] < 0.95:
        _say(f"bench: this machine is {1 - about['idle_at_start']:.0%} busy with something else; expect noise")
    if len(os.sched_getaffinity(0)) < 2:
        _say("bench: two cores are needed, one for the gateway and one for load and upstream")
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        stage = _prepare(scale, options.only)
        os.sched_setaffinity(0, {LOAD_CORE})
        upstream = load.start_upstream()
    except (BenchFault, Missing) as fault:
        _say(f"bench: {fault}")
        return 2
    try:
        with provider.issuer():
            _measure(stage, options.skip)
    finally:
        stage.stop_all()
        upstream.stop()
    if options.skip and not options.quick and options.only == list(STARTS):
        report.keep_earlier(stage.result, about)  # ratios are between rows of one time
    checks = checks_of(stage.result.rows, stage.result.figures)
    report.show(stage.result, checks)
    _say(f"\nwritten to {report.save(stage.result, checks, scale, about).relative_to(ROOT)}")
    return 0 if all(check.met for check in checks) else 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def guarded() -> int:
    try:
        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(guarded())
