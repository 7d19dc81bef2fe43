"""One company on a real node: from the saved file to the last door, over the real watch, engine, sockets and workers.

    python -m bench.company_node FOLDER COMPONENTS

Starts `stagedoor serve` over FOLDER and makes one change after the other. Two times are told of each, both of the wall
clock: from the moment the file is there, which includes that the kernel tells and that a burst of changes is awaited
(up to 80 ms), and from the moment the engine's round begins. Both end when the last door says that it decides by it.
Beside them stands how long the thread of the round could have run meanwhile and had no processor: what of a long change
is this machine's.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import company_catalog as made
from bench.company_engine import CHANGES, changes_of
from bench.ground import PYTHON, ROOT, BenchFault
from bench.processes import peak_mb, pss_mb, scheduled_ms
from tests.support.ports import free_port

WORKERS = 2
START_S = 900.0
CHANGE_S = 30.0
CONFIG = """\
workers: {workers}
listeners: [{{name: main, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
issuers:
  - name: main
    issuer: "http://127.0.0.1:9"
    audiences: [api]
    match: {{sub: metadata.name}}
environments:
  dev: {{hosts: [.{domain}], upstreams: [127.0.0.0/8]}}
  staging: {{hosts: [.{domain}], upstreams: [127.0.0.0/8]}}
  prod: {{hosts: [.{domain}], upstreams: [127.0.0.0/8]}}
catalog: {{files: [catalog]}}
access_policy: access.yaml
state: {{folder: state}}
log: {{format: json}}
"""


class Node:
    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self._at = 0
        self.events: list[dict[str, Any]] = []
        said = CONFIG.format(workers=WORKERS, port=free_port(), admin=free_port(), domain=made.DOMAIN)
        (folder / "stagedoor.yaml").write_text(said)
        with self._log.open("wb") as log:
            command = [PYTHON, "-P", "-m", "gateway.cli", "serve", "--config", str(folder / "stagedoor.yaml")]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=ROOT
            )

    def read(self) -> None:
        """Take the lines that are there now."""
        with self._log.open("rb") as log:
            log.seek(self._at)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                if line.startswith(b"{"):
                    self.events.append(json.loads(line))

    def wait_for(self, what: str, found: Any, limit_s: float) -> Any:
        until = time.monotonic() + limit_s
        while True:
            self.read()
            if (one := found()) is not None:
                return one
            if time.monotonic() > until or self.process.poll() is not None:
                raise BenchFault(f"{what} did not happen: {self._log.read_text()[-500:]}")
            time.sleep(0.002)

    def live_s(self, since: int, doors: int) -> tuple[float, float] | None:
        """When the round that published after event ``since`` began, and when the last door decided by it; in epoch
        seconds."""
        published = next((e for e in self.events[since:] if e["event"] == "base_published"), None)
        if published is None:
            return None
        told = [e for e in self.events[since:] if e["event"] == "base_live" and e["base"] == published["base"]]
        if len({e["door"] for e in told}) < doors:
            return None
        return _epoch_s(published) - published["took_ms"] / 1000, max(map(_epoch_s, told))

    @property
    def engine(self) -> int:
        """Its pid."""
        (pid,) = [e["child_pid"] for e in self.events if e["event"] == "child_started" and e["child"] == "engine"]
        return int(pid)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)


def _epoch_s(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


@contextmanager
def _running(folder: Path) -> Iterator[Node]:
    node = Node(folder)
    try:
        yield node
    finally:
        node.stop()


def figures(folder: Path, company: made.Company) -> dict[str, Any]:
    found: dict[str, Any] = {"components": company.components, "workers": WORKERS}
    with _running(folder) as node:
        began_s = time.monotonic()
        node.wait_for("the first base", lambda: node.live_s(0, WORKERS), START_S)
        found["start_to_live_s"] = round(time.monotonic() - began_s, 1)
        _rest(node)
        for what in ("service", "person", "rule"):
            saved, seen, queued = _changes(node, company, folder, what)
            found[f"{what}_live_ms"] = seen
            found[f"{what}_saved_to_live_ms"] = saved
            found[f"{what}_queued_ms"] = queued
        doors = [e["child_pid"] for e in node.events if e["event"] == "child_started" and e["child"] == "door"]
        found["worker_pss_mb"] = [pss_mb(pid) for pid in doors]
        found["engine_peak_rss_mb"] = peak_mb(node.engine)
    return found


def _rest(node: Node) -> None:
    """Until nothing has been said for a while: what follows the first base is over."""
    quiet = (len(node.events), time.monotonic())
    while time.monotonic() - quiet[1] < 8.0:
        time.sleep(0.2)
        node.read()
        if len(node.events) != quiet[0]:
            quiet = (len(node.events), time.monotonic())


def _changes(node: Node, company: made.Company, folder: Path, what: str) -> Iterator[list[float]]:
    """From saved to live, from seen to live, and what of that the round's thread was queued for."""
    saved, seen, queued = [], [], []
    before = scheduled_ms(node.engine)
    since = len(node.events)
    for _ in changes_of(company, folder, what, CHANGES):
        saved_s = time.time()
        live = partial(node.live_s, since, WORKERS)
        round_s, live_s = node.wait_for(f"a change of a {what}", live, CHANGE_S)
        saved.append((live_s - saved_s) * 1000)
        seen.append((live_s - round_s) * 1000)
        queued.append(_queued_ms(before, scheduled_ms(node.engine)))
        time.sleep(0.2)
        before = scheduled_ms(node.engine)
        node.read()
        since = len(node.events)
    return map(_summary, (saved, seen, queued))


def _queued_ms(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> float:
    """Of the thread that ran most."""
    ran = {thread: after[thread][0] - before[thread][0] for thread in after.keys() & before.keys()}
    busiest = max(ran, key=ran.__getitem__)
    return after[busiest][1] - before[busiest][1]


def _summary(took: list[float]) -> list[float]:
    return [round(statistics.median(took), 1), round(max(took), 1)]


def main() -> None:
    folder, components = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(figures(folder, made.Company(components))))


if __name__ == "__main__":
    main()
