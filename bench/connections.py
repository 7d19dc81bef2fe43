"""What connections cost when they are not kept and asked again: WebSockets, tunnels and idlers, newcomers.

A message through a tunnel is measured as a request is, so the rows of the table mean the same: its CPU is a message's.
Held connections are measured by what the worker's RSS grows by, each having been used once. Newcomers come at a
constant rate, a little above the goal, each for one request; one that is refused ends the row.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace

from bench.ground import BenchFault
from bench.load import Background, Target
from bench.peers import stagedoor
from bench.processes import rss_bytes
from bench.rounds import one_round, row_of
from bench.scenarios import Case, Stage

ECHO_BYTES = 100
SOCKETS = 100
NEW_PLAIN, NEW_TLS = 2_100, 630  # per second
AT_ONCE = 256  # of newcomers, before the next one waits
DESCRIPTORS_SHARE = 0.4  # of a process's; a tunnel has two, and a worker keeps some for other purposes
REFUSED = "stagedoor_downstream_refused_total"


def websocket(stage: Stage) -> None:
    """Messages that are echoed, one on its way in each of a hundred WebSockets, beside nginx."""
    cases = [Case(f"{name} websocket", name, "", stage.sockets) for name in ("stagedoor", "nginx")]
    stage.rows(cases, {case.row: {"echo": ECHO_BYTES, "connections": SOCKETS} for case in cases})


def newcomers(stage: Stage) -> None:
    """A connection for each request."""
    plain = Case("stagedoor new connections", "stagedoor", "", stage.one_token)
    tls = Case("stagedoor new TLS connections", "stagedoor", "tls", stage.one_token, ca=stage.ca)
    before = _refused()
    for case, rate in ((plain, NEW_PLAIN), (tls, NEW_TLS)):
        stage.rows([case], {case.row: {"rate": rate, "connections": AT_ONCE, "fresh": None}})
    stage.result.figures["new_refused"] = _refused() - before


def _refused() -> float:
    told = [value for name, value in stagedoor.metrics().items() if name.partition("{")[0] == REFUSED]
    if not told:
        raise BenchFault(f"`/metrics` has no `{REFUSED}`")
    return sum(told)


def idle(stage: Stage, variant: str) -> None:
    """Connections that asked once and are kept."""
    held = Target(stage.up["stagedoor"].ports[variant], stage.one_token, stage.ca if variant else None)
    _held(stage, held, stage.scale.idle, f"idle {variant}".strip(), f"idle_{variant or 'plain'}_kib")


def idle_tunnels(stage: Stage) -> None:
    """WebSockets that carried one message and are kept: as many as wanted, or as the descriptors of a process allow."""
    wanted, descriptors = stage.scale.tunnels, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if descriptors != resource.RLIM_INFINITY:
        wanted = min(wanted, int(descriptors * DESCRIPTORS_SHARE))
    held = Target(stage.up["stagedoor"].ports[""], stage.sockets)
    _held(stage, held, wanted, "idle tunnels", "idle_tunnel_kib", echo=ECHO_BYTES)


def _held(stage: Stage, held: Target, count: int, what: str, figure: str, **options: object) -> None:
    """RSS of the worker before and with ``count`` connections open, and a row of serving others meanwhile."""
    gateway = stage.up["stagedoor"]
    case = Case("stagedoor serving", "stagedoor", "", stage.one_token)
    short = replace(stage.scale, seconds=min(stage.scale.seconds, 5.0))
    one_round(gateway, stage.target(case), short)
    worker = gateway.worker
    before = rss_bytes([worker])
    with Background(held, hold=True, connections=count, **options):
        time.sleep(1.0)
        opened = rss_bytes([worker])
        stage.result.add(row_of(f"stagedoor, {count} {what}", [one_round(gateway, stage.target(case), short)]))
        if gateway.worker != worker:
            raise BenchFault("the worker was replaced while connections were idle")
    stage.result.figures[figure] = round((opened - before) / count / 1024, 2)
