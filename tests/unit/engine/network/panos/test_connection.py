"""A firewall behind the whole controller: its rules are committed, its tags follow, and nobody waits for a commit to be
cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, time
from typing import Any

import pytest

from gateway import config
from gateway.config.devices import Devices, Panos
from gateway.engine.network.connecting import connection_to
from gateway.engine.network.controller import Controller
from gateway.engine.network.news import News
from gateway.engine.network.reconcile.group import Pace
from gateway.engine.overheard import Overlay
from gateway.lab.panos.device import Device
from policy.compile import compile_frames
from policy.derive import derive
from tests.support.panos import RunningFirewall, running
from tests.support.panos_change import key_of
from tests.support.panos_company import ENVIRONMENT, LEGS, POLICY, PORT, SHARED, Company, firewall
from tests.support.panos_oracle import BACK, FRONT, anchored, passes

HARNESS_S = 90.0
QUICK = Pace(settle_s=0.0, poll_s=3600.0, again_s=0.0, shortest_s=0.01, longest_s=0.02, patience_s=1.0, end_s=5.0)
PAY = "192.0.2.77"


def company() -> Company:
    made = Company(time)  # type: ignore[arg-type]  # it only asks what time it is
    made.joins("ann", "orders")
    made.joins("bob", "stock")
    made.opens("pay", "orders", system="shop", access="owners")
    made.services["pay"] = replace(made.services["pay"], addresses={ENVIRONMENT: (PAY,)})
    return made


def news_of(made: Company) -> News:
    picture = made.picture()
    derived = derive(picture.catalog, POLICY, (ENVIRONMENT,))
    frames = compile_frames(picture.catalog, derived, ())
    return News(picture.version, derived.published, len(made.services), picture.catalog, frames)


@dataclass
class Behind:
    firewall: RunningFirewall
    device: Panos
    controller: Controller
    company: Company

    def follow(self) -> None:
        self.controller.follow(news_of(self.company))

    def comes(self, who: str) -> bool:
        return passes(self.firewall.device, "203.0.113.9", SHARED, who=who, zones=FRONT, port=443)


@asynccontextmanager
async def behind(folder: Path, **changes: Any) -> AsyncIterator[Behind]:
    async with running(folder, anchored(Device())) as (running_one,):
        environment = replace(LEGS, virtual_addresses=(SHARED,))
        made = firewall(running_one.url, key_of(running_one.device, folder), str(running_one.ca))
        device = replace(made, environments=(environment,), **changes)
        controller = Controller(folder, folder / "audit", connection_to, pace=QUICK)
        try:
            yield Behind(running_one, device, controller, company())
        finally:
            await controller.close()


def settings(*devices: Panos) -> config.Settings:
    return config.Settings((), (), {}, config.Catalog(), "", "", devices=Devices(panos=devices))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HARNESS_S):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.slow
def test_who_is_published_comes_through_and_who_is_cut_off_does_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(tmp_path) as at:
            at.controller.adopt(settings(at.device))
            at.controller.hear(Overlay())
            at.follow()
            await until(lambda: at.comes("ann"))
            assert not at.comes("bob")
            assert passes(at.firewall.device, LEGS.doors[0], PAY, zones=BACK, port=PORT)
            at.company.cuts("user:default/ann")
            began = perf_counter()
            at.controller.hear(at.company.overlay)
            await until(lambda: not at.comes("ann"))
            assert perf_counter() - began < 2.0
            await until(lambda: [each["state"] for each in at.controller.standings()] == ["in-step"])

    asyncio.run(main())


@pytest.mark.slow
def test_virtual_systems_of_one_firewall_are_kept_in_step_side_by_side(tmp_path: Path) -> None:
    """One administrator has the candidate of both: they must never be at work at once."""

    async def main() -> None:
        both = anchored(anchored(Device(vsys=("vsys1", "vsys2"))), "vsys2")
        async with running(tmp_path, both) as (running_one,):
            made = firewall(running_one.url, key_of(running_one.device, tmp_path), str(running_one.ca))
            made = replace(made, environments=(replace(LEGS, virtual_addresses=(SHARED,)),))
            second = replace(made, name="core", vsys="vsys2")
            controller = Controller(tmp_path, tmp_path / "audit", connection_to, pace=QUICK)
            try:
                controller.adopt(settings(made, second))
                controller.hear(Overlay())
                controller.follow(news_of(company()))
                await until(lambda: all(_comes(both, "ann", vsys) for vsys in both.vsys))
                assert not any(_comes(both, "bob", vsys) for vsys in both.vsys)
                await until(lambda: {each["state"] for each in controller.standings()} == {"in-step"})
                assert [each["applies"] for each in controller.standings()] == [{"done": 1}, {"done": 1}]
            finally:
                await controller.close()

    asyncio.run(main())


def _comes(device: Device, who: str, vsys: str) -> bool:
    return passes(device, "203.0.113.9", SHARED, who=who, zones=FRONT, port=443, vsys=vsys)


@pytest.mark.slow
def test_before_control_was_heard_nobody_is_tagged(tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(tmp_path) as at:
            at.controller.adopt(settings(at.device))
            at.follow()
            await until(lambda: [each["state"] for each in at.controller.standings()] == ["in-step"])
            assert at.controller.tags["edge"].wanted is None
            assert not at.comes("ann")

    asyncio.run(main())


@pytest.mark.slow
def test_a_second_change_waits_for_its_turn_and_tags_do_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(tmp_path, commit_gap_s=900) as at:
            at.controller.adopt(settings(at.device))
            at.controller.hear(Overlay())
            at.follow()
            await until(lambda: at.comes("ann"))
            at.company.opens("books", "money", system="books")
            at.company.services["books"] = replace(
                at.company.services["books"], addresses={ENVIRONMENT: ("192.0.2.78",)}
            )
            at.company.joins("zoe", "orders")
            at.follow()
            await until(lambda: at.comes("zoe"))
            await until(lambda: [each["state"] for each in at.controller.standings()] == ["waiting"])
            (waits,) = (each["waits"] for each in at.controller.standings())
            assert len(waits) == 1 and "each change costs it minutes: it goes on in 15 min" in waits[0]

    asyncio.run(main())


@pytest.mark.slow
def test_temporary_access_begins_and_ends_by_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(tmp_path) as at:
            at.controller.adopt(settings(at.device))
            at.controller.hear(Overlay())
            at.follow()
            await until(lambda: at.comes("ann"))
            at.company.grants("bob", "pay", 6)
            (grant,) = at.company.overlay.grants
            at.controller.hear(replace(at.company.overlay, grants=(replace(grant, starts=grant.starts + 2),)))
            await at.controller.spread()
            assert not at.comes("bob")
            await until(lambda: at.comes("bob"))
            assert time() >= grant.starts + 2
            await until(lambda: not at.comes("bob"))
            assert at.comes("ann")

    asyncio.run(main())


@pytest.mark.slow
def test_a_node_that_does_not_lead_writes_neither_rules_nor_tags(tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(tmp_path) as at:
            at.controller.adopt(replace(settings(at.device), database="postgresql://db/stagedoor"))
            at.controller.hear(Overlay())
            at.follow()
            await until(lambda: at.controller.tags["edge"].wanted is not None)
            assert not at.comes("ann")
            assert {line.admin for line in at.firewall.device.log} == {"admin"}
            assert len(at.firewall.device.identities["vsys1"].addresses) == 0
            at.controller.lead(1)
            await until(lambda: at.comes("ann"))

    asyncio.run(main())


def test_a_firewall_that_leaves_the_settings_is_told_nothing_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with behind(tmp_path) as at:
            at.controller.adopt(settings(at.device))
            worker = at.controller.tags["edge"]
            under_way = at.controller.groups["edge"].lock
            await under_way.acquire()  # a change of rules goes on
            at.controller.adopt(settings())
            await until(lambda: not any("TagWorker._follow" in repr(task) for task in asyncio.all_tasks()))
            under_way.release()
            assert at.controller.tags == {} and at.controller.firewalls == {}
            at.controller.hear(Overlay())
            at.follow()
            await at.controller.spread()
            assert worker.wanted is None

    asyncio.run(main())


def test_without_a_firewall_nobody_is_asked_where_services_run(tmp_path: Path) -> None:
    async def main() -> None:
        controller = Controller(tmp_path, tmp_path / "audit", connection_to, pace=QUICK)
        try:
            controller.adopt(settings())
            controller.hear(Overlay())
            controller.follow(news_of(company()))
            await controller.spread()
            assert not list(tmp_path.glob("*whereabouts*"))
        finally:
            await controller.close()

    asyncio.run(main())
