"""Stands for a device that cannot be used at all, so that its fault is told like any other."""

from __future__ import annotations

from typing import Any

from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.plans.plan import Drift, Observed, Outcome, Plan, Step


class AbsentTarget:
    """Whatever is asked of it is answered with ``why``."""

    def __init__(self, device: str, environment: str, why: str) -> None:
        self.device = device
        self.environment = environment
        self._why = why

    async def observe(self) -> Observed:
        raise self._fault()

    async def apply(self, plan: Plan, by: str = "") -> Outcome:
        raise self._fault()

    async def dry_run(self, plan: Plan) -> tuple[str, ...]:
        raise self._fault()

    def plan(self, desired: Desired, observed: Observed, made: str) -> Plan:
        raise self._fault()

    def steps(self, content: Any, observed: Observed) -> tuple[Step, ...]:
        raise self._fault()

    def drift(self, desired: Desired, applied: Any, observed: Observed) -> tuple[Drift, ...]:
        raise self._fault()

    def _fault(self) -> DeviceFault:
        return DeviceFault(f"{self.device} cannot be used: {self._why}; mend its settings and reload them")
