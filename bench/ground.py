"""Where the bench stands: folders, ports, cores, and how long it measures.

Ports are fixed and below the ephemeral range, so that no outgoing connection can take one by chance; the issuer's
port is part of every token. Everything the bench writes, results aside, lies in `bench/.work`.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = BENCH / ".work"
RESULTS = BENCH / "results"
PYTHON = sys.executable

GATEWAY_CORE, LOAD_CORE = 0, 1

UPSTREAM, PROVIDER = 19100, 19101
NGINX, HAPROXY, AIOHTTP = 19110, 19112, 19114
ENVOY, ENVOY_TLS, ENVOY_UNCACHED = 19120, 19121, 19122
DOOR, DOOR_TLS, DOOR_ADMIN = 19130, 19131, 19132
PORTS = (UPSTREAM, PROVIDER, NGINX, HAPROXY, AIOHTTP, ENVOY, ENVOY_TLS, ENVOY_UNCACHED, DOOR, DOOR_TLS, DOOR_ADMIN)

ISSUER = f"http://127.0.0.1:{PROVIDER}"
AUDIENCE = "bench"
DOMAIN = "bench.test"


class Missing(Exception):
    """A peer or a tool that this machine does not have; the text says which and why."""


class BenchFault(Exception):
    """A measurement that cannot be trusted: wrong answers, a gateway that died, a port that is taken."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; `quick` shows that the harness works, its figures prove nothing."""

    name: str
    seconds: float
    warm_s: float
    rounds: int
    services: int
    first_seen: int  # tokens minted for the first-seen rows
    large_bytes: tuple[int, int]  # RSS is compared between these two totals
    idle: int  # connections held open
    tunnels: int  # likewise


FULL = Scale("full", 10.0, 2.0, 3, 10_000, 60_000, (1 << 30, 10 << 30), 5_000, 10_000)
QUICK = Scale("quick", 2.0, 0.5, 1, 10_000, 30_000, (1 << 28, 1 << 30), 5_000, 10_000)


def check_ports() -> None:
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise BenchFault(f"port `{port}` is taken; `ss -tlnp` shows by whom") from None
