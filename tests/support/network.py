"""A device that keeps whatever it is given, for what is asked of any device: it obeys `Target`, and can be made to fail
in every way that is told of real ones. Its content is the places' hosts with their components, ``{host: entity}``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from gateway.config.devices import Bigip, BigipEnvironment, Mode
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.faults import DeviceFault, Outdated
from gateway.engine.network.history.ledger import Ledger
from gateway.engine.network.history.trail import DeviceTrail
from gateway.engine.network.plans.guards import Basis, Terms
from gateway.engine.network.plans.plan import Difference, Drift, Kind, Observed, Outcome, Plan, Step
from gateway.engine.network.reconcile import Lane, Means
from policy.access import read_policy
from policy.derive import derive
from policy.facts import Catalog, Exposure
from policy.rule import Published
from tests.support.small_catalog import NOWHERE, service


def place(name: str, **changes: str) -> Place:
    said = {"entity": f"component:default/{name}", "owner": "group:default/team", "host": f"{name}.test", **changes}
    return Place(said["entity"], name, said["owner"], "", "", said["host"], said.get("path", "/"))


def wish(*names: str, version: str = "base1", environment: str = "prod") -> Desired:
    return Desired(environment, version, tuple(place(name) for name in sorted(names)))


class FakeDevice:
    """The device itself. ``faults`` are raised one by one, each by the next call of its kind (`observe`, `apply`);
    ``away`` by every call while it is set."""

    def __init__(self, name: str = "lb1", *, notes_version: bool = False) -> None:
        self.name = name
        self.notes_version = notes_version
        self.content: dict[str, dict[str, Any]] = {}  # by environment; absent: it has nothing
        self.ours: dict[str, bool] = {}
        self.foreign: dict[str, tuple[str, ...]] = {}
        self.away: DeviceFault | None = None
        self.faults: dict[str, list[Exception]] = {"observe": [], "apply": []}
        self.observed = 0
        self.applied: list[Plan] = []
        self.applied_by: list[str] = []
        self.writing = 0
        self.most_writing = 0
        self.gate: asyncio.Event | None = None  # an apply waits for it
        self.news = asyncio.Event()
        self.is_closed = False

    def targets(self, *environments: str) -> Mapping[str, FakeTarget]:
        return {name: FakeTarget(self, name) for name in environments}

    async def close(self) -> None:
        self.is_closed = True

    def happened(self) -> None:
        self.news.set()
        self.news.clear()

    def fail(self, kind: str) -> None:
        self.happened()
        if self.away is not None:
            raise self.away
        if self.faults[kind]:
            raise self.faults[kind].pop(0)


class FakeTarget:
    def __init__(self, device: FakeDevice, environment: str) -> None:
        self._device = device
        self.device = device.name
        self.environment = environment

    async def observe(self) -> Observed:
        self._device.observed += 1
        self._device.fail("observe")
        content = self._device.content.get(self.environment)
        ours = self._device.ours.get(self.environment, True)
        foreign = self._device.foreign.get(self.environment, ())
        fingerprint = "" if content is None else _digest([content, ours])
        entities = tuple(sorted({str(each) for each in (content or {}).values()}))
        return Observed(fingerprint, content, ours, "unit-1", "In Sync", parts={"foreign": foreign}, entities=entities)

    def plan(self, desired: Desired, observed: Observed, made: str) -> Plan:
        content = {each.host: each.entity for each in desired.places}
        if self._device.notes_version:
            content["version"] = desired.version
        return Plan(
            self.device, desired.environment, made, desired.version, observed.fingerprint,
            self.steps(content, observed), content, observed.remarks,
        )  # fmt: skip

    def steps(self, content: Any, observed: Observed) -> tuple[Step, ...]:
        before = observed.content or {}
        return (*_removals(before, content), *_changes(before, content), *_additions(before, content))

    async def dry_run(self, plan: Plan) -> tuple[str, ...]:
        return tuple(step.sentence for step in plan.steps)

    async def apply(self, plan: Plan, by: str = "") -> Outcome:
        device = self._device
        device.writing += 1
        device.most_writing = max(device.most_writing, device.writing)
        try:
            device.happened()
            if device.gate is not None:
                await device.gate.wait()
            await asyncio.sleep(0)
            if (await self.observe()).fingerprint != plan.fingerprint:
                raise Outdated("it changed")
            device.fail("apply")
            device.applied.append(plan)
            device.applied_by.append(by)
            device.content[self.environment] = dict(plan.content)
            device.ours[self.environment] = True
        finally:
            device.writing -= 1
            device.happened()
        return Outcome(True, True, "done", f"task-{len(device.applied)}", _digest([plan.content, True]))

    def drift(self, desired: Desired, applied: Any, observed: Observed) -> tuple[Drift, ...]:
        now, found = observed.content, list[Drift]()
        if applied is not None and now is None:
            return (Drift(Difference.GONE, self.environment, "The tenant is gone."),)
        for host in sorted((applied or {}).keys() | (now or {}).keys()):
            before, after = (applied or {}).get(host), (now or {}).get(host)
            if applied is not None and before != after:
                kind = Difference.MISSING if after is None else Difference.EDITED
                found.append(Drift(kind, host, f"{host} was {before} and is {after}.", None, before, after))
        by_hand = [Drift(Difference.FOREIGN, each, f"Somebody made {each}.") for each in observed.parts["foreign"]]
        return (*found, *by_hand)


def _removals(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Step]:
    for host in sorted(before.keys() - after.keys()):
        yield Step(Kind.REMOVE, host, f"Takes {host} away.", (before[host],), (host,), before[host], None)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Step]:
    for host in sorted(host for host in before.keys() & after.keys() if before[host] != after[host]):
        yield Step(Kind.CHANGE, host, f"Gives {host} to another.", (after[host],), (host,), before[host], after[host])


def _additions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Step]:
    for host in sorted(after.keys() - before.keys()):
        yield Step(Kind.ADD, host, f"Adds {host}.", (after[host],), (host,), None, after[host])


def _digest(value: Any) -> str:
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Bench:
    """What a lane works with, without an engine: a clock that stands, a basis that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 1_800_000_000.0
        self.basis = Basis(10)
        self.folder = folder
        self.ledger = Ledger(folder)
        self.trail = DeviceTrail(folder / "audit", lambda: int(self.now_s * 1000))
        self.means = Means(self.ledger, self.trail, asyncio.to_thread, lambda: self.now_s, lambda: self.basis)

    def lane(self, device: FakeDevice, terms: Terms, environment: str = "prod") -> Lane:
        return Lane(FakeTarget(device, environment), terms, self.means)

    def applies(self) -> list[dict[str, Any]]:
        return applies_in(self.folder / "audit")


def applies_in(folder: Path) -> list[dict[str, Any]]:
    """The audit events of device changes, in order."""
    lines = [
        orjson.loads(line) for path in sorted(folder.glob("devices-*.jsonl")) for line in path.read_bytes().splitlines()
    ]
    return [line for line in lines if str(line.get("event", "")).startswith("device_")]


def published(*names: str, environment: str = "prod") -> tuple[Published, ...]:
    """What a compile of these services comes to."""
    services = {f"component:default/{name}": service(name, ("http://10.0.0.1:8080",), "everyone") for name in names}
    if environment != "prod":
        moved = (Exposure(environment, "x.test", "/", ("http://10.0.0.1:8080",), NOWHERE),)
        services = {ref: replace(each, exposures=moved) for ref, each in services.items()}
    access, _ = read_policy({"version": 1, "environments": {environment: {"owners": ["all"]}}}, lambda path: NOWHERE)
    return derive(Catalog({}, {}, services), access, (environment,), None).published


def device_settings(name: str = "lb1", **environments: Mode) -> Bigip:
    """Of a device whose environments have these modes."""
    said = tuple(BigipEnvironment(each, mode) for each, mode in environments.items())
    return Bigip(name, ("https://192.0.2.10",), "stagedoor", "/nowhere", environments=said)
