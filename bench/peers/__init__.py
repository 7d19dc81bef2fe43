"""The gateways under measurement, one module each: write a configuration, start on the gateway core, be ready.

Every peer verifies the same RS256 token (nginx alone does not: it is the floor of plain proxying), keeps its
upstream connections alive, passes the client's address on, and writes one access-log line per request to disk.
A module's ``start`` returns a :class:`Gateway` or raises :class:`bench.ground.Missing` with the reason.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.ground import ROOT, BenchFault
from bench.processes import Tree, command_of, rss_bytes
from bench.wire import answers

PROBE = "/v1/status"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway: its processes and the port of each variant (``""`` is the plain one)."""

    name: str
    version: str
    tree: Tree
    ports: Mapping[str, int]
    worker_mark: str = ""  # in the command line of the process that carries the traffic; "" = the busiest tree member

    @property
    def worker(self) -> int:
        """The process that carries the traffic."""
        marked = [pid for pid in self.tree.pids if self.worker_mark and self.worker_mark in command_of(pid)]
        return marked[0] if marked else max(self.tree.pids, key=lambda pid: rss_bytes([pid]))


def started(tree: Tree, port: int, token: str, limit_s: float = 15.0) -> Tree:
    """``tree`` once it lets a request with ``token`` through; stopped again when it never does."""
    try:
        tree.wait_until(lambda: answers(port, PROBE, token), limit_s)
    except BenchFault:
        tree.stop()
        raise
    return tree


def told_version(command: Sequence[str]) -> str:
    """What a program says when asked for its version, on whichever stream it says it."""
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (asked.stdout + asked.stderr).strip()
