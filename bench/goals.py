"""What the figures must be: each goal is one line, and a goal whose figure is missing is not met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.rounds import Row


@dataclass(frozen=True, slots=True)
class Check:
    """``value`` against ``goal``; ``aim`` is where the project wants to be, and decides nothing."""

    name: str
    value: float | None
    goal: float
    sense: Literal["<=", "<", ">="] = "<="
    aim: float | None = None
    unit: str = ""

    @property
    def wanted(self) -> str:
        return f"{self.sense} {self.goal:g} {self.unit}".strip()

    @property
    def met(self) -> bool:
        if self.value is None:
            return False
        if self.sense == "<":
            return self.value < self.goal
        return self.value <= self.goal if self.sense == "<=" else self.value >= self.goal

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "value": self.value, "goal": self.wanted, "aim": self.aim, "met": self.met}


def checks_of(rows: Mapping[str, Row], figures: Mapping[str, float]) -> list[Check]:
    def ratio(ours: str, theirs: str, field: str) -> float | None:
        mine = getattr(rows[ours], field) if ours in rows else None
        other = getattr(rows[theirs], field) if theirs in rows else None
        return round(mine / other, 3) if mine and other else None

    def cpu(ours: str, theirs: str) -> float | None:
        return ratio(ours, theirs, "cpu_us_per_request")

    def p99(ours: str, theirs: str) -> float | None:
        return ratio(ours, theirs, "p99_ms")

    def rps(name: str) -> float | None:
        return rows[name].rps if name in rows else None

    figure = figures.get
    return [
        Check("CPU ÷ envoy", cpu("stagedoor", "envoy"), 0.75, aim=0.6),
        Check("CPU ÷ nginx", cpu("stagedoor", "nginx"), 2.0, aim=1.5),
        Check("CPU ÷ aiohttp", cpu("stagedoor", "aiohttp"), 0.35),
        Check("CPU with 2,000 tokens ÷ envoy", cpu("stagedoor 2000 tokens", "envoy"), 0.75, aim=0.6),
        Check("CPU ÷ envoy, both with 2,000 tokens", cpu("stagedoor 2000 tokens", "envoy 2000 tokens"), 0.75, aim=0.6),
        Check("CPU with TLS ÷ envoy with TLS", cpu("stagedoor tls", "envoy tls"), 1.0, aim=0.7),
        Check("CPU, first-seen tokens ÷ envoy uncached", cpu("stagedoor first-seen tokens", "envoy no cache"), 1.3),
        Check("p99 at 70 % of our saturation ÷ envoy", p99("stagedoor 70%", "envoy 70%"), 1.0),
        Check("p99 at 70 % of each one's saturation ÷ envoy", p99("stagedoor own 70%", "envoy own 70%"), 1.0),
        Check("p99 at 70 % of envoy's saturation ÷ envoy", p99("stagedoor at envoy's 70%", "envoy own 70%"), 1.0),
        Check("1 MiB throughput ÷ nginx", ratio("stagedoor 1MiB", "nginx 1MiB", "mib_s"), 0.8, ">="),
        Check("WebSocket messages per CPU second ÷ nginx", cpu("nginx websocket", "stagedoor websocket"), 0.8, ">="),
        Check("new connections on one core", rps("stagedoor new connections"), 2000, ">=", unit="/s"),
        Check("new TLS connections on one core", rps("stagedoor new TLS connections"), 600, ">=", unit="/s"),
        Check("new connections refused", figure("new_refused"), 0),
        Check("worker growth, GB 1 to GB 10, slow readers", figure("memory_growth_mib"), 8.0, "<", unit="MiB"),
        Check("match + decide, 100 services", figure("decide_100_us"), 1.0, "<", unit="µs"),
        Check("match + decide, 10,000 services", figure("decide_10000_us"), 1.0, "<", unit="µs"),
        Check("match + decide, 10,000 services, 500 in turn", figure("decide_10000_in_turn_us"), 1.0, "<", unit="µs"),
        Check("longest loop stall, full base replaced", figure("loop_stall_swap_ms"), 5.0, unit="ms"),
        Check("worker after a full base was replaced", figure("worker_rss_after_swap_mib"), 120.0, "<", unit="MiB"),
        Check("idle connection, plain", figure("idle_plain_kib"), 6.0, "<", unit="KiB"),
        Check("idle connection, TLS", figure("idle_tls_kib"), 45.0, "<", unit="KiB"),
        Check("idle tunnel, plain, both sides of it", figure("idle_tunnel_kib"), 8.0, "<", unit="KiB"),
    ]
