"""A pair of BIG-IPs that misbehaves in every way there is a knob for, while the catalog changes, empties and goes away.

Chance has a fixed seed. What holds at every moment: nothing of anybody else is touched, the hosts never all go, no
second write is begun beside the first. What holds at the end, when all knobs are back: both units are what the catalog
wants, what an operator drained is drained, every write that a unit took is in the trail, and no secret is in any log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import pytest

from gateway.config.devices import Bigip, Devices
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.device.units import DeviceGroup
from gateway.engine.network.bigip.target import BigipTarget
from gateway.engine.network.connection import Connection, Device, Surroundings
from gateway.engine.network.controller import Controller
from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.news import News
from gateway.engine.network.plans.guards import Consent
from gateway.engine.network.reconcile.group import Pace
from gateway.engine.network.transport.patience import Limits
from gateway.lab.bigip import objects
from gateway.lab.bigip.engine import Engine
from gateway.lab.bigip.faults import Upset
from gateway.lab.bigip.requests import Asked
from gateway.lab.bigip.unit import Unit
from tests.integration.test_bigip_apply import ENVIRONMENT, ShortTime
from tests.support.bigip import RunningDevice, official_schema, running_units
from tests.support.catalogs import settings
from tests.support.declarations import addresses_of
from tests.support.network import applies_in, published

pytestmark = pytest.mark.slow
NAME = "stagedoor_prod"
ROUNDS = 30
HARNESS_S = 45.0
QUICK = Pace(settle_s=0.01, poll_s=0.05, again_s=0.0, shortest_s=0.02, longest_s=0.1, patience_s=5.0, end_s=5.0)
ALWAYS = [f"c{number}" for number in range(20)]
NOW_AND_THEN = ["d0", "d1", "d2", "d3"]  # so few that a guard never leaves their going to a person
THEIRS: dict[str, Any] = {
    "class": "ADC", "schemaVersion": "3.50.0", "id": "theirs",
    "theirs": {"class": "Tenant", "app": {"class": "Application", "pool": {
        "class": "Pool", "members": [{"servicePort": 80, "serverAddresses": ["192.0.2.99"]}]}}},
}  # fmt: skip
DRAINED = "192.0.2.21:8443"


class Watch:
    """Every write that an engine of a unit begins, and those that come while one is under way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.under_way: set[int] = set()
        self.taken = 0
        self.doubled: list[str] = []
        original = Engine.run

        async def run(engine: Engine, asked: Asked) -> tuple[int, Any]:
            if asked.dry_run or NAME not in asked.declaration:
                return await original(engine, asked)
            if self.under_way:
                self.doubled.append(str(asked.declaration["id"]))
            self.under_way.add(id(asked))
            try:
                answer = await original(engine, asked)
                self.taken += 1
                return answer
            finally:
                self.under_way.discard(id(asked))

        monkeypatch.setattr(Engine, "run", run)


class Field(NamedTuple):
    """What a test has in its hands. ``trouble``: one text, why the catalog cannot be believed."""

    devices: tuple[RunningDevice, ...]
    controller: Controller
    trouble: list[str]

    @property
    def active(self) -> Unit:
        return next(each.unit for each in self.devices if each.unit.group.is_active(each.unit))

    def hosts(self, unit: Unit) -> set[str]:
        held = unit.tree.find("ltm/data-group/internal", f"/{NAME}/Shared/hosts") or {}
        return {record["name"].partition(".")[0] for record in held.get("records", [])}

    def foreign(self, unit: Unit) -> list[Any]:
        """What belongs to others, its counters aside."""
        return [
            {name: value for name, value in one.items() if name != "generation"}
            for collection in ("ltm/pool", "ltm/virtual", "ltm/rule", "sys/file/ssl-cert")
            for one in unit.tree.objects(collection)
            if one["partition"] != NAME
        ]

    def want(self, version: int, names: list[str]) -> None:
        self.controller.follow(News(f"base{version}", published(*names), len(names)))

    def standing(self) -> dict[str, Any]:
        return self.controller.standings()[0]


@asynccontextmanager
async def field(folder: Path) -> AsyncIterator[Field]:
    (folder / "state").mkdir()
    trouble = [""]
    async with running_units(folder, 2, schema=official_schema()) as devices:
        (folder / "password").write_text(devices[0].password + "\n")
        made = Bigip(
            name="dc1", units=tuple(each.url for each in devices), username=devices[0].username,
            password_file=str(folder / "password"), ca=str(devices[0].ca), device_group="/Common/stage-group",
            members=(DRAINED, "192.0.2.22:8443"), environments=(replace(ENVIRONMENT, mode="enforce"),),
        )  # fmt: skip

        def connect(device: Device, _around: Surroundings) -> Connection:
            assert isinstance(device, Bigip)
            group = DeviceGroup(device, ShortTime().time(), Limits(connect=60.0, goodbye=60.0))
            at = device.environments[0]

            def render(wanted: Desired) -> dict[str, Any]:
                return declaration_of(wanted, device, at, addresses_of(wanted, at))

            return Connection({at.environment: BigipTarget(group, at, render)}, group.close)

        controller = Controller(folder / "state", folder / "audit", connect, trouble=lambda: trouble[0], pace=QUICK)
        controller.adopt(settings(folder, devices=Devices((made,))))
        try:
            yield Field(devices, controller, trouble)
        finally:
            await controller.close()


# === what happens ===

RESETS: tuple[Literal["before", "after", "body"], ...] = ("before", "after", "body")


def _mishap(it: Field, chance: Random) -> str:
    """One more way to misbehave, at either unit; its name. A clock that went ahead and back is left out: AS3 then takes
    what was declared meanwhile for the newest, whatever is sent, and only a person can take that away."""
    unit = chance.choice(it.devices).unit
    knobs = unit.knobs
    method, reset = chance.choice(("GET", "POST", "PUT", "")), chance.choice(RESETS)
    html = "<html><title>Gateway Timeout</title></html>"
    plain: dict[str, Callable[[], Any]] = {
        "locked": lambda: knobs.set({"as3_locked": True}),
        "missing": lambda: knobs.set({"as3_missing": True}),
        "restarting": lambda: knobs.set({"restarting": True}),
        "mcpd": lambda: knobs.set({"mcpd_lost": True}),
        "unsaved": lambda: knobs.set({"save_fails": True}),
        "truncated": lambda: knobs.set({"truncated_errors": True, "next": [{"status": 400, "times": 2}]}),
        "no tasks": lambda: knobs.set({"task_lost": True}),
        "slow": lambda: knobs.set({"slow_s": 0.05, "sync_limit_s": 0.0}),
        "clock": lambda: knobs.set({"clock_skew_s": -90_000.0}),
        "refused": lambda: knobs.set({"refused_tenants": {NAME: "0107176c:3: Invalid Node, it already exists."}}),
        "cut": lambda: knobs.next.extend([Upset(method=method, reset=reset, times=3)]),
        "page": lambda: knobs.next.extend([Upset(method=method, status=504, html=html, times=3)]),
        "revoked": unit.tokens.revoke,
        "failover": unit.group.fail_over,
        "reboot": lambda: unit.reboot(0.05),
        "edit": lambda: _edit(it.active),
        "drain": lambda: _drain(it.active),
    }
    name = chance.choice(sorted(plain))
    plain[name]()
    return name


def _edit(unit: Unit) -> None:
    """By hand, at a pool of ours."""
    if unit.tree.find("ltm/pool", f"/{NAME}/Shared/pool") is not None:
        objects.change(unit.tree, "ltm/pool", f"/{NAME}/Shared/pool", {"loadBalancingMode": "ratio-member"})


def _drain(unit: Unit) -> None:
    if unit.tree.find("ltm/pool", f"/{NAME}/Shared/pool") is not None:
        body = {"session": "user-disabled"}
        objects.change_part(unit.tree, "ltm/pool", f"/{NAME}/Shared/pool", "members", f"/Common/{DRAINED}", body)


async def _looked(it: Field, times: int) -> None:
    """The devices were asked some more, or nobody can ask them."""
    before = sum(len(each.unit.calls) for each in it.devices)
    for _ in range(40):
        await asyncio.sleep(0.01)
        if sum(len(each.unit.calls) for each in it.devices) >= before + times:
            return


async def _until(holds: Callable[[], bool], it: Field) -> None:
    try:
        async with asyncio.timeout(HARNESS_S):
            while not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        shown = {**it.standing(), "hosts": [sorted(it.hosts(each.unit)) for each in it.devices]}
        raise AssertionError(f"never came to rest: {shown}") from None


def _is_at_rest(it: Field, names: list[str]) -> bool:
    """What waits may be a note of the policy's version alone, which is written once a minute at most."""
    units, said = [each.unit for each in it.devices], it.standing()
    notes = said["state"] == "waiting" and said["steps"] == 1 and said["first"][0].startswith("Notes policy version")
    return (said["state"] == "in-step" or notes) and all(it.hosts(unit) == set(names) for unit in units)


async def _a_person_looks(it: Field, wanted: list[str]) -> None:
    """What another hand was seen in is left to somebody, who reads the plan and applies it; until all is quiet."""
    (group,) = it.controller.groups.values()
    (lane,) = group.lanes.values()
    async with asyncio.timeout(HARNESS_S):
        while not _is_at_rest(it, wanted):
            await asyncio.sleep(0.05)
            said = it.standing()
            if said["state"] == "waiting" and said["version"] == f"base{ROUNDS + 1}" and said["waits"]:
                with suppress(DeviceFault):
                    async with group.held():
                        await lane.apply((await lane.look()).plan, Consent("jane"))
                group.look_soon("prod")


async def _a_bad_day(it: Field, chance: Random, watch: Watch) -> None:
    units = [each.unit for each in it.devices]
    for unit in units[:1]:
        await unit.engine.run(Asked(THEIRS))
        objects.create(unit.tree, "ltm/pool", {"name": "by-hand", "partition": "Common"})
        unit.group.synchronise(unit)
    foreign = it.foreign(units[0])
    wanted = list(ALWAYS)
    it.want(0, wanted)
    await _until(lambda: _is_at_rest(it, wanted), it)
    for unit in units:
        unit.load(unit.tree.snapshot())  # saved: a reboot goes back to it
    happened: list[str] = []
    for number in range(1, ROUNDS + 1):
        happened.append(_mishap(it, chance))
        if chance.random() < 0.8:
            wanted = sorted({*wanted} ^ {chance.choice(NOW_AND_THEN)})
        empty = chance.random() < 0.1
        it.trouble[0] = "the catalog is away" if chance.random() < 0.15 else ""
        it.want(number, [] if empty else wanted)
        await _looked(it, chance.randint(5, 60))
        for unit in units:
            assert it.foreign(unit) == foreign, happened
            assert it.hosts(unit) >= set(ALWAYS), (happened, "what the catalog never gave up stays")
        assert not watch.doubled, happened
        if chance.random() < 0.6:
            for each in it.devices:
                each.knobs.reset()
    for each in it.devices:
        each.knobs.reset()
    it.trouble[0] = ""
    it.want(ROUNDS + 1, wanted)
    await _a_person_looks(it, wanted)
    assert [it.foreign(unit) for unit in units] == [foreign, foreign]


@pytest.mark.parametrize("seed", [20261122, 1, 4])
def test_a_pair_that_misbehaves_ends_as_the_catalog_wants(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(monkeypatch)

    async def scene() -> str:
        async with field(tmp_path) as it:
            await _a_bad_day(it, Random(seed), watch)
            return it.devices[0].password

    password = asyncio.run(scene())
    events = applies_in(tmp_path / "audit")
    begun = [each for each in events if each["event"] == "device_apply_begun"]
    assert len(events) == 2 * len(begun) and 5 < watch.taken <= 2 * len(begun), (
        "each write, or what undoes it, is told of"
    )
    files = [path for folder in ("audit", "state") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    for text in (*capfd.readouterr(), *(path.read_text(errors="replace") for path in files)):
        assert f'"{password}"' not in text and "X-F5-Auth-Token" not in text
