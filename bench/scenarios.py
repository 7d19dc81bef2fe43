"""What is measured: each scenario turns running gateways into rows and figures of the result.

A scenario that cannot run (a peer is missing, a gateway answered wrongly) leaves its rows in place with a note,
so a table is never shorter than it should be and never better than what happened. Gateways take turns within a
scenario: round 1 of each, round 2 of each, …, so that a slow minute of the machine hits all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import catalog, credentials, traffic
from bench.ground import DOOR, LOAD_CORE, BenchFault, Missing, Scale
from bench.load import Background, Target, run
from bench.peers import Gateway, aiohttp, envoy, haproxy, nginx, stagedoor
from bench.processes import command_of, move, rss_bytes
from bench.rounds import MIB, Round, Row, one_round, row_of
from bench.wire import answers

LARGE = 1 << 20
SWAPS = 3
STARTS: Mapping[str, Callable[[str], Gateway]] = {
    "stagedoor": stagedoor.start, "envoy": envoy.start, "nginx": nginx.start, "haproxy": haproxy.start,
    "aiohttp": aiohttp.start,
}  # fmt: skip


@dataclass(slots=True)
class Result:
    """Rows in the order they were made, single figures by name, and what each peer is."""

    rows: dict[str, Row] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows[row.name] = row

    @contextmanager
    def tolerating(self, what: str) -> Iterator[None]:
        """A fault inside is named in the result; the bench goes on with the next scenario."""
        try:
            yield
        except (BenchFault, Missing) as fault:
            self.faults.append(f"{what}: {fault}")
            print(f"  {what}: {fault}", flush=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One row to measure: its name, whose gateway, which of its ports, which requests."""

    row: str
    gateway: str
    variant: str
    requests: Path
    length: int = 1024
    ca: Path | None = None


class Stage:
    """The gateways that are up, the prepared requests, and the result that grows."""

    def __init__(self, scale: Scale, wanted: Sequence[str]) -> None:
        self.scale = scale
        self.wanted = wanted
        self.result = Result()
        self.up: dict[str, Gateway] = {}
        tokens = credentials.tokens(scale.first_seen)
        self.token = tokens[0]
        services = scale.services
        self.one_token = traffic.write("one-token", tokens[:1], services)
        self.many_tokens = traffic.write("2000-tokens", tokens[: credentials.PEOPLE] * 4, services)
        self.first_seen = traffic.write("first-seen", tokens, services)
        self.large = traffic.write("large", tokens[:1], services, "/v1/large")
        self.sockets = traffic.write("sockets", tokens[:1], services, traffic.SOCKET, traffic.UPGRADE)
        self.ca = credentials.certificates()[0]
        self._first_request: dict[str, int] = {}

    # ---- gateways ----

    def start(self, name: str, **options: bool) -> None:
        if name not in self.wanted:
            self.result.faults.append(f"{name}: not asked for")
            return
        with self.result.tolerating(name):
            begun = time.monotonic()
            gateway = STARTS[name](self.token, **options)
            self.up[name] = gateway
            self.result.versions[name] = gateway.version
            print(f"  {name} {gateway.version} up after {time.monotonic() - begun:.1f} s", flush=True)

    def stop(self, name: str) -> None:
        if gateway := self.up.pop(name, None):
            gateway.tree.stop()

    def stop_all(self) -> None:
        for name in list(self.up):
            self.stop(name)

    def target(self, case: Case) -> Target:
        port = self.up[case.gateway].ports[case.variant]
        return Target(port, case.requests, case.ca, case.length)

    # ---- rows ----

    def _once(self, case: Case, options: Mapping[str, object]) -> Round:
        """A round that goes on in the file of requests where the last one on the same file and gateway stopped."""
        place = f"{case.gateway} {case.requests.name}"
        first = self._first_request.get(place, 0)
        done = one_round(self.up[case.gateway], self.target(case), self.scale, first=first, **options)
        self._first_request[place] = done.load.next
        print(f"  {case.row}: {done.cpu_us:.2f} µs, {done.load.rps:.0f}/s, p99 {done.load.p99_ms:.2f} ms", flush=True)
        return done

    def rows(self, cases: Sequence[Case], options: Mapping[str, Mapping[str, object]] = {}) -> None:
        """Alternating rounds of all ``cases``; one row each, ``options`` by row name."""
        rounds: dict[str, list[Round]] = {case.row: [] for case in cases}
        notes: dict[str, str] = {}
        for _ in range(self.scale.rounds):
            for case in cases:
                if case.gateway not in self.up:
                    why = [text for text in self.result.faults if text.startswith(f"{case.gateway}:")]
                    notes[case.row] = "missing: " + (why[-1].partition(": ")[2] if why else "not up")
                elif case.row not in notes:
                    try:
                        rounds[case.row].append(self._once(case, options.get(case.row, {})))
                    except (BenchFault, Missing) as fault:
                        notes[case.row] = f"failed: {fault}"
                        self.result.faults.append(f"{case.row}: {fault}")
                        print(f"  {case.row}: {fault}", flush=True)
        for case in cases:
            note = notes.get(case.row, "")
            self.result.add(Row(case.row, note=note) if note else row_of(case.row, rounds[case.row]))


def main_rows(stage: Stage) -> None:
    stage.rows([Case(name, name, "", stage.one_token) for name in STARTS])


def variants(stage: Stage) -> None:
    stage.rows([
        Case("stagedoor 2000 tokens", "stagedoor", "", stage.many_tokens),
        Case("envoy 2000 tokens", "envoy", "", stage.many_tokens),
    ])  # fmt: skip
    stage.rows([
        Case("stagedoor first-seen tokens", "stagedoor", "", stage.first_seen),
        Case("envoy no cache", "envoy", "uncached", stage.first_seen),
    ])  # fmt: skip
    stage.rows([
        Case("stagedoor tls", "stagedoor", "tls", stage.one_token, ca=stage.ca),
        Case("envoy tls", "envoy", "tls", stage.one_token, ca=stage.ca),
    ])  # fmt: skip
    stage.rows([
        Case("stagedoor 1MiB", "stagedoor", "", stage.large, LARGE),
        Case("nginx 1MiB", "nginx", "", stage.large, LARGE),
    ])  # fmt: skip


def paced(stage: Stage) -> None:
    """Latency at a constant rate: 70 % of what Stagedoor can do, then 70 % of what each itself can do."""
    ours, theirs = stage.result.rows["stagedoor"].rps, stage.result.rows["envoy"].rps
    rates = {
        "stagedoor 70%": ours, "envoy 70%": ours, "stagedoor own 70%": ours, "envoy own 70%": theirs,
        "stagedoor at envoy's 70%": theirs,
    }  # fmt: skip
    for row, rate in rates.items():
        if not rate:
            stage.result.add(Row(row, note="missing: its saturation is not known"))
    cases = [Case(row, row.split()[0], "", stage.one_token) for row, rate in rates.items() if rate]
    stage.rows(cases, {row: {"rate": round(0.7 * rate)} for row, rate in rates.items() if rate})


def memory_growth(stage: Stage) -> None:
    """RSS of the worker after the first and after the tenth GiB of 1 MiB answers, four slow readers beside them."""
    gateway = stage.up["stagedoor"]
    target = stage.target(Case("", "stagedoor", "", stage.large, LARGE))
    first, last = stage.scale.large_bytes
    seen: dict[int, int] = {}
    worker = gateway.worker

    def on_line(word: str) -> None:
        if word.startswith("mark "):
            seen[int(word.split()[1])] = rss_bytes([worker])

    with Background(target, slow=200_000, connections=4, seconds=600):
        run(target, on_line, stop_bytes=last + first // 4, mark=first, seconds=600)
    start, end = seen[1], seen[last // first]
    stage.result.figures["memory_growth_mib"] = round((end - start) / MIB, 2)
    stage.result.figures["memory_highest_mib"] = round(max(seen.values()) / MIB, 1)


LAG = "stagedoor_loop_lag_max_seconds"


def base_swap(stage: Stage) -> None:
    """The longest turn of the worker's loop while every exposure of the base is replaced under steady load: the median
    of some swaps, because a machine that takes the core away for a moment stalls everybody. How much of it that is
    shows the longest turn in as much time without a swap.

    The engine, every thread of it, runs on the other core meanwhile: with all roles on one core the gauge would show
    how long the scheduler lets the compiler run, and that is not what a swap costs the loop.
    """
    gateway = stage.up["stagedoor"]
    for pid in gateway.tree.pids:
        if "gateway.app engine" in command_of(pid):
            move(pid, LOAD_CORE)
    saturation = stage.result.rows["stagedoor"].rps
    target = stage.target(Case("", "stagedoor", "", stage.one_token))
    quiet, swapped = [], []
    with Background(target, rate=round(0.3 * (saturation or 10_000)), seconds=900, warm=0.5) as background:
        for _ in range(4):
            _lag()  # what happened before: the worker's start and its first second under load
        for _ in range(SWAPS):
            lags = _swap(stage, int(time.time()))
            swapped.append(max(lags))
            quiet.append(max(_lag() for _ in lags))
    figures = stage.result.figures
    figures["loop_stall_quiet_ms"] = round(median(quiet) * 1e3, 2)
    figures["loop_stall_swap_ms"] = round(median(swapped) * 1e3, 2)
    figures["loop_stall_swap_highest_ms"] = round(max(swapped) * 1e3, 2)
    figures["worker_rss_after_swap_mib"] = round(rss_bytes([gateway.worker]) / MIB, 1)
    if background.seen:
        figures["slowest_answer_swap_ms"] = round(background.seen.max_ms, 2)


def _swap(stage: Stage, edition: int) -> list[float]:
    """The stalls until a path that only the new base knows is answered, and for five seconds after it."""
    catalog.write(stage.scale.services, edition)
    lags, limit = [_lag()], time.monotonic() + 300
    while not answers(DOOR, f"/v1/edition-{edition}", stage.token):
        lags.append(_lag())
        if time.monotonic() > limit:
            raise BenchFault("the changed catalog was not in force after 300 s")
    return [*lags, *(_lag() for _ in range(10))]


def _lag() -> float:
    """The longest stall since the last reading, half a second ago; workers report each second."""
    time.sleep(0.5)
    value = stagedoor.metrics().get(LAG)
    if value is None:
        raise BenchFault(f"`/metrics` has no `{LAG}`")
    return value
