"""The engine and its devices through what has taken other controllers' virtual servers down: catalogs that go away, are
empty or shrink, restarts, devices that come back, storms of refusals, many writers. Only the device is made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway import config
from gateway.config.devices import Devices
from gateway.engine import sync
from gateway.engine.network.connection import Connection, Device, Surroundings
from gateway.engine.network.controller import Controller
from gateway.engine.network.faults import Busy, Unreachable
from gateway.engine.network.reconcile.group import Pace
from gateway.engine.network.role import audit_folder
from gateway.link import LinkClient, Message
from tests.support.catalogs import people, service, write
from tests.support.fake_catalog import fake_catalog, said
from tests.support.network import FakeDevice, applies_in, device_settings
from tests.unit.engine.test_desk import Asker
from tests.unit.engine.test_sync import Door, Stage, running

HARNESS_S = 45.0
QUICK = Pace(settle_s=0.05, poll_s=0.05, again_s=0.0, shortest_s=0.05, longest_s=0.1, patience_s=5.0, end_s=1.0)
MANY = 15


class Scene:
    """A running engine with one device, `lb1`, and who asks how they are."""

    def __init__(self, stage: Stage, door: Door, device: FakeDevice, asker: Asker) -> None:
        self.stage, self.door, self.device, self._asker = stage, door, device, asker

    @property
    def hosts(self) -> set[str]:
        return {host.partition(".")[0] for host in self.device.content.get("prod", {})}

    async def until(self, holds: Callable[[Message], bool]) -> Message:
        """The first status, and in it the standing of the device, of which that is true."""
        async with asyncio.timeout(HARNESS_S):
            while True:
                status = await self._asker.ask(t="status")
                if status["devices"] and holds({**status, **status["devices"][0]}):
                    return {**status, **status["devices"][0]}
                await asyncio.sleep(0.02)

    async def looked_again(self, times: int = 3) -> None:
        """The device has been looked at some more; whatever was to be sent has been sent."""
        wanted = self.device.observed + 2 * times
        async with asyncio.timeout(HARNESS_S):
            while self.device.observed < wanted or self.device.writing:
                await asyncio.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "catalog/org.yaml", *people("team"))
    write(tmp_path, "catalog/a.yaml", service("a"))
    return tmp_path


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    made = FakeDevice()

    def controller_of(settings: config.Settings, state: Path, trouble: Callable[[], str]) -> Controller:
        def connect(said: Device, _around: Surroundings) -> Connection:
            return Connection(made.targets(*(each.environment for each in said.environments)), made.close)

        return Controller(state, audit_folder(settings, state), connect, trouble=trouble, pace=QUICK)

    monkeypatch.setattr("gateway.engine.sync.controller_of", controller_of)
    return made


@asynccontextmanager
async def engine(folder: Path, device: FakeDevice, **changes: Any) -> AsyncIterator[Scene]:
    devices = Devices((device_settings(prod="enforce"),))
    async with running(folder, devices=devices, **changes) as (stage, door):
        asker = Asker(stage.state)
        asker.client.start()
        await asker.heard.get()
        try:
            yield Scene(stage, door, device, asker)
        finally:
            asker.client.close()


def run(scene: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene)


def test_the_catalog_is_followed_and_every_apply_is_in_the_trail(folder: Path, device: FakeDevice) -> None:
    async def scene() -> None:
        async with engine(folder, device) as lab:
            await lab.until(lambda status: status["state"] == "in-step")
            write(folder, "catalog/b.yaml", service("b"))
            await lab.until(lambda status: lab.hosts == {"a", "b"})
            (folder / "catalog/b.yaml").unlink()
            status = await lab.until(lambda status: lab.hosts == {"a"} and status["state"] == "in-step")
            assert status["version"] == status["applied_version"] == status["base"]

    run(scene())
    events = applies_in(folder / "state" / "audit")
    assert [each["event"] for each in events] == ["device_apply_begun", "device_apply_ended"] * len(device.applied)
    assert {each["by"] for each in events} == {"engine"}
    assert ["component:default/b"] in [each["removed"] for each in events]


def test_a_catalog_that_empties_takes_nothing_off_the_device(folder: Path, device: FakeDevice) -> None:
    async def scene() -> None:
        async with engine(folder, device) as lab:
            await lab.until(lambda status: lab.hosts == {"a"})
            (folder / "catalog/a.yaml").unlink()
            held = await lab.until(lambda status: bool(status["held"]))
            await lab.looked_again()
            assert lab.hosts == {"a"}
            await lab._asker.ask(t="accept_losses", mark=held["mark"])  # even when a person lets go of all of them
            status = await lab.until(lambda status: status["state"] == "waiting")
            assert "an empty catalog removes nothing" in status["waits"][0]
            await lab.looked_again()
            assert lab.hosts == {"a"}

    run(scene())


def test_a_catalog_that_shrinks_is_held_and_so_is_the_device(folder: Path, device: FakeDevice) -> None:
    """Once a person has accepted the losses, the device still asks for a person's word."""

    async def scene() -> None:
        write(folder, "catalog/many.yaml", *(service(f"s-{number}") for number in range(MANY)))
        async with engine(folder, device) as lab:
            await lab.until(lambda status: len(lab.hosts) == MANY + 1)
            (folder / "catalog/many.yaml").unlink()
            status = await lab.until(lambda status: bool(status["held"]))
            await lab.looked_again()
            assert len(lab.hosts) == MANY + 1
            await lab._asker.ask(t="accept_losses", mark=status["mark"])
            status = await lab.until(lambda status: status["state"] == "waiting" and status["removes"] == MANY)
            assert "--approve-removals" in status["waits"][0]
            await lab.looked_again()
            assert len(lab.hosts) == MANY + 1

    run(scene())


def test_a_catalog_that_is_away_takes_nothing_off_the_device_over_a_restart(folder: Path, device: FakeDevice) -> None:
    (folder / "catalog").rename(folder / "aside")
    documents = [*people("team"), *(service(f"s-{number}") for number in range(6))]

    async def scene() -> None:
        with fake_catalog(*documents) as catalog:
            followed = config.Catalog(backstage=(said(catalog, folder),))
            async with engine(folder, device, catalog=followed) as lab:
                await lab.until(lambda status: len(lab.hosts) == 6)
        # It is gone now; another hand has put something into the tenant that the catalog does not want.
        device.content["prod"]["left.example.com"] = "component:default/left"
        sent = len(device.applied)
        async with engine(folder, device, catalog=followed) as lab:
            status = await lab.until(lambda status: status["state"] == "waiting")
            assert "catalog main is away" in " ".join(status["waits"])
            await lab.looked_again()
            assert len(lab.hosts) == 7
        assert len(device.applied) == sent

    run(scene())


def test_a_restart_neither_deletes_nor_sends(folder: Path, device: FakeDevice) -> None:
    async def scene() -> None:
        async with engine(folder, device) as lab:
            await lab.until(lambda status: lab.hosts == {"a"} and status["state"] == "in-step")
        sent, ledger = len(device.applied), (folder / "state" / "devices" / "lb1@prod.json").read_bytes()
        async with engine(folder, device) as lab:
            status = await lab.until(lambda status: status["state"] == "in-step")
            await lab.looked_again()
            assert (status["applied_by"], status["drift"]) == ("engine", 0)
        assert len(device.applied) == sent
        assert (folder / "state" / "devices" / "lb1@prod.json").read_bytes() == ledger

    run(scene())


def test_what_happened_while_the_device_was_away_is_true_once_it_is_back(folder: Path, device: FakeDevice) -> None:
    async def scene() -> None:
        async with engine(folder, device) as lab:
            await lab.until(lambda status: lab.hosts == {"a"})
            device.away = Unreachable("lb1 does not answer: look at its management address")
            write(folder, "catalog/b.yaml", service("b"))
            status = await lab.until(lambda status: status["state"] == "fault")
            assert "look at its management address" in status["fault"]
            write(folder, "catalog/c.yaml", service("c"))
            await lab.door.until(lambda: lab.door.services() == {"a", "b", "c"}, HARNESS_S)  # doors notice nothing
            (folder / "catalog/b.yaml").unlink()
            await lab.door.until(lambda: lab.door.services() == {"a", "c"}, HARNESS_S)
            device.away = None
            await lab.until(lambda status: lab.hosts == {"a", "c"} and not status["fault"])

    run(scene())


def test_a_storm_of_refusals_ends_with_one_write(folder: Path, device: FakeDevice) -> None:
    async def scene() -> None:
        device.faults["apply"] = [Busy("503 Configuration operation in progress on device") for _ in range(8)]
        async with engine(folder, device) as lab:
            await lab.until(lambda status: status["state"] == "in-step")

    run(scene())
    assert (len(device.applied), device.most_writing) == (1, 1)
    results = [each["result"] for each in applies_in(folder / "state" / "audit") if "result" in each]
    assert results == ["busy"] * 8 + ["done"]


def test_many_engines_of_one_wish_write_once(tmp_path: Path, device: FakeDevice) -> None:
    folders = [tmp_path / str(number) for number in range(4)]
    for each in folders:
        write(each, "catalog/org.yaml", *people("team"))
        write(each, "catalog/a.yaml", service("a"))

    async def node(folder: Path, all_are_done: asyncio.Barrier) -> None:
        async with engine(folder, device) as lab:
            await lab.until(lambda status: status["state"] == "in-step")
            await all_are_done.wait()

    async def scene() -> None:
        barrier = asyncio.Barrier(len(folders))
        async with asyncio.TaskGroup() as nodes:
            for each in folders:
                nodes.create_task(node(each, barrier))

    run(scene())
    assert len(device.applied) == 1


def test_a_reload_takes_a_new_device(folder: Path, device: FakeDevice) -> None:
    async def scene() -> None:
        async with running(folder) as (stage, door):
            await door.until(lambda: door.services() == {"a"}, HARNESS_S)
            devices = Devices((device_settings(prod="enforce"),))
            changed = replace(stage.sync._settings, devices=devices)
            (stage.state / "settings-new.frame").write_bytes(config.encode(changed))
            stage.parent.send(b"settings settings-new.frame\n")
            async with asyncio.timeout(HARNESS_S):
                while not device.content:
                    await asyncio.sleep(0.02)

    run(scene())


def test_an_engine_that_shares_a_database_waits_to_be_told_that_it_leads(
    folder: Path, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And stops again soon after nobody says so any more."""
    monkeypatch.setattr(sync, "UNLED_S", 0.1)

    async def scene() -> None:
        async with engine(folder, device, database="postgresql://db.test/stagedoor") as lab:
            await lab.until(lambda status: status["state"] == "standby" and status["version"] == status["base"] != "")
            assert device.observed == 0
            heard = LinkClient(lab.stage.state / "engine.sock", lambda: {"t": "lead", "fence": 3}, lambda message: None)
            heard.start()
            await lab.until(lambda status: status["state"] == "in-step")
            heard.close()
            await lab.until(lambda status: status["state"] == "standby")

    run(scene())
    assert {each["fence"] for each in applies_in(folder / "state" / "audit")} == {3}
