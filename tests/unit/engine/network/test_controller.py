"""Devices come, go and fail without touching each other or the engine's loop; people's questions find theirs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.config.devices import Bigip, Devices
from gateway.engine.network.answers.requests import ANSWER, Requests
from gateway.engine.network.connection import Connection, Device, Surroundings
from gateway.engine.network.controller import Controller
from gateway.engine.network.faults import Unreachable
from gateway.engine.network.news import News
from gateway.engine.network.plans import plan_file
from gateway.engine.network.plans.offers import MOST, OFFER_S, Offers
from gateway.engine.network.reconcile.group import Pace
from gateway.link import PeerCredentials
from tests.support.network import FakeDevice, applies_in, device_settings, published

HARNESS_S = 60.0
QUICK = Pace(settle_s=0.0, poll_s=3600.0, again_s=0.0, shortest_s=0.01, longest_s=0.02, patience_s=1.0, end_s=5.0)
PEER = PeerCredentials(os.getpid(), os.getuid(), os.getgid())


def settings(*devices: Bigip) -> config.Settings:
    return config.Settings((), (), {}, config.Catalog(), "", "", devices=Devices(devices))


class World:
    """Devices by name, and the controller that knows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices: dict[str, FakeDevice] = {}
        self.broken: set[str] = set()
        self.trouble = ""

    def connect(self, said: Device, _around: Surroundings) -> Connection:
        if said.name in self.broken:
            raise ValueError("its certificate file cannot be read")
        device = self.devices.setdefault(said.name, FakeDevice(said.name))
        return Connection(device.targets(*(each.environment for each in said.environments)), device.close)

    @asynccontextmanager
    async def running(self, *, follows: bool = True, pace: Pace = QUICK) -> AsyncIterator[Controller]:
        controller = Controller(
            self.folder, self.folder / "audit", self.connect, trouble=lambda: self.trouble, follows=follows, pace=pace
        )
        try:
            yield controller
        finally:
            for device in self.devices.values():
                if device.gate is not None:
                    device.gate.set()
            await controller.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def run(scene: Callable[[], Awaitable[Any]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(HARNESS_S):
            await scene()

    asyncio.run(timed())


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def news(*names: str, base: str = "base1") -> News:
    return News(base, published(*names), len(names))


def test_what_is_published_is_on_the_device(world: World) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="enforce")))
            controller.follow(news("a", "b"))
            await until(lambda: [each["state"] for each in controller.standings()] == ["in-step"])
            controller.follow(news("a", base="base2"))
            await until(lambda: world.devices["lb1"].content["prod"].keys() == {"a.test"})

    run(scene)
    assert world.devices["lb1"].is_closed


def test_a_restart_sends_nothing_and_deletes_nothing(world: World) -> None:
    """Neither before the first compile of the new process, nor after it when nothing has changed."""

    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="enforce")))
            controller.follow(news("a", "b"))
            await until(lambda: len(world.devices["lb1"].applied) == 1)
        async with world.running() as controller:
            device = world.devices["lb1"]
            seen = device.observed
            controller.adopt(settings(device_settings(prod="enforce")))
            await asyncio.to_thread(lambda: None)
            assert device.observed == seen
            assert [each["state"] for each in controller.standings()] == ["no-wish"]
            controller.follow(news("a", "b"))
            await until(lambda: [each["state"] for each in controller.standings()] == ["in-step"])
            (said,) = controller.standings()
            assert said["applied_by"] == "engine"
            assert said["drift"] == 0
            assert len(device.applied) == 1

    run(scene)


def test_a_device_that_hangs_or_cannot_be_used_keeps_no_other_waiting(world: World) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            world.broken.add("lb2")
            world.devices["lb3"] = FakeDevice("lb3")
            world.devices["lb3"].gate = asyncio.Event()  # an apply that never ends
            world.devices["lb4"] = FakeDevice("lb4")
            world.devices["lb4"].away = Unreachable("lb4 does not answer: look at its management address")
            controller.adopt(settings(*(device_settings(f"lb{number}", prod="enforce") for number in range(1, 5))))
            controller.follow(news("a"))
            await until(lambda: [each["state"] for each in controller.standings()] == [
                "in-step", "fault", "applying", "fault",
            ])  # fmt: skip
            faults = [each["fault"] for each in controller.standings()]
            assert "its certificate file cannot be read" in faults[1]
            assert "look at its management address" in faults[3]
            controller.follow(news("a", "b", base="base2"))
            await until(lambda: len(world.devices["lb1"].content["prod"]) == 2)

    run(scene)


def test_a_reload_takes_new_devices_and_leaves_the_others_alone(world: World) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            one, two = device_settings("lb1", prod="enforce"), device_settings("lb2", prod="enforce")
            controller.adopt(settings(one))
            controller.follow(news("a"))
            await until(lambda: len(world.devices["lb1"].applied) == 1)
            group = controller.groups["lb1"]
            controller.adopt(settings(one, two))
            await until(lambda: len(world.devices.get("lb2", FakeDevice()).applied) == 1)
            assert controller.groups["lb1"] is group
            controller.adopt(settings(two))
            await until(lambda: world.devices["lb1"].is_closed)
            assert [each["device"] for each in controller.standings()] == ["lb2"]

    run(scene)


def test_a_reload_amid_a_write_starts_no_second_one(world: World) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            device = world.devices["lb1"] = FakeDevice("lb1")
            device.gate = asyncio.Event()
            said = device_settings(prod="enforce")
            controller.adopt(settings(said))
            controller.follow(news("a"))
            await until(lambda: device.writing == 1)
            controller.adopt(settings(replace(said, removed_most=7)))
            controller.follow(news("a", "b", base="base2"))
            for _ in range(20):
                await asyncio.sleep(0)
            await asyncio.to_thread(lambda: None)
            assert device.writing == 1
            device.gate.set()
            await until(lambda: len(device.content.get("prod", {})) == 2)
            assert device.most_writing == 1

    run(scene)


def test_plans_are_made_off_the_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of thousands of steps takes seconds, in which the loop must answer doors."""

    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            target = controller.groups["lb1"].lanes["prod"].target
            threads: list[int] = []
            planned = target.plan

            def plan(*arguments: Any) -> Any:
                threads.append(threading.get_ident())
                return planned(*arguments)

            monkeypatch.setattr(target, "plan", plan)  # to see where it runs
            controller.follow(news("a"))
            await until(lambda: bool(threads))
            assert threading.get_ident() not in threads

    run(scene)


def test_an_environment_that_publishes_nothing_more_is_not_emptied_by_itself(world: World) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="enforce")))
            controller.follow(news("a", "b", "c"))
            await until(lambda: len(world.devices["lb1"].applied) == 1)
            controller.follow(News("base2", (), 0))
            await until(lambda: controller.standings()[0]["state"] == "waiting")
            assert "an empty catalog removes nothing" in controller.standings()[0]["waits"][0]
            controller.follow(News("base3", published("x", environment="dev"), 1))
            await until(lambda: "3 of 3" in "".join(controller.standings()[0]["waits"]))
            assert len(world.devices["lb1"].content["prod"]) == 3

    run(scene)


# === questions ===


async def asked(controller: Controller, **question: Any) -> dict[str, Any]:
    answer = await Requests(controller).answer(question, PEER)
    assert answer["t"] == ANSWER
    return answer


def test_a_person_plans_applies_and_finds_nothing_left(world: World) -> None:
    async def scene() -> None:
        async with world.running(follows=False) as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            controller.follow(news("a"))
            await controller.spread()
            where = {"device": "lb1", "environment": "prod"}
            planned = await asked(controller, t="device_plan", deep=True, **where)
            assert [step["object"] for step in planned["plan"]["steps"]] == ["a.test"]
            assert (planned["hindrances"], planned["ours"], len(planned["dry_run"])) == ([], True, 1)
            done = await asked(controller, t="device_apply", plan=planned["plan"], ticket="CHG-1")
            assert (done["done"], done["is_latest"]) == (True, True)
            assert done["plan_digest"] == planned["plan"]["digest"]
            again = await asked(controller, t="device_apply", plan=planned["plan"])
            assert again["fault"] == "refused"
            world.devices["lb1"].content["prod"]["a.test"] = "component:default/other"
            (drift,) = (await asked(controller, t="device_drift", **where))["drift"]
            assert (drift["difference"], drift["applied"], drift["device"]) == (
                "edited", "component:default/a", "component:default/other",
            )  # fmt: skip

    run(scene)
    begun, ended = applies_in(world.folder / "audit")
    assert (begun["ticket"], ended["result"]) == ("CHG-1", "done")
    assert str(os.getuid()) in str(begun["by"])


@pytest.mark.parametrize(
    ("question", "code", "text"),
    [
        ({"t": "device_plan", "device": "lb9", "environment": "prod"}, "unknown_device", "there are: lb1"),
        ({"t": "device_plan", "device": "lb1", "environment": "dev"}, "unknown_device", "it has: prod"),
        ({"t": "device_plan", "device": 7}, "unknown_device", "there is no device"),
        ({"t": "device_apply", "plan": None}, "refused", "no plan"),
        ({"t": "device_apply", "plan": {"form": plan_file.FORM}}, "refused", "changed after it was made"),
        ({"t": "device_drift", "device": "lb1", "environment": "prod"}, "unreachable", "nothing is published yet"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(
    world: World, question: dict[str, Any], code: str, text: str
) -> None:
    async def scene() -> None:
        async with world.running(follows=False) as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            answer = await asked(controller, **question)
            assert answer["fault"] == code
            assert text in answer["why"]

    run(scene)


def test_a_takeover_is_applied_as_it_was_shown_and_by_no_file(world: World) -> None:
    """Whoever speaks to the engine's socket: the plan that was shown, once, to the same user, within a quarter hour."""

    async def scene() -> None:
        async with world.running(follows=False) as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            controller.follow(news("a"))
            await controller.spread()
            device = world.devices["lb1"]
            device.content["prod"], device.ours["prod"] = {"old.test": "component:default/old"}, False
            question = {"t": "device_plan", "device": "lb1", "environment": "prod"}
            ordinary = plan_file.from_json((await asked(controller, **question))["plan"])
            forged = plan_file.as_json(replace(ordinary, adopts=True, made="2026-01-01T00:00:00Z"))
            told = {"t": "device_apply", "approve_removals": True}
            refused = await asked(controller, **told, plan=forged)
            assert (refused["fault"], "stagedoor adopt" in refused["why"]) == ("refused", True)
            shown = (await asked(controller, **question, adopts=True))["plan"]
            for who in (replace_uid(PEER, PEER.uid + 1), PEER):
                answer = await Requests(controller).answer({**told, "plan": shown}, who)
                assert answer.get("done", answer.get("fault")) == (True if who is PEER else "refused")
            again = await asked(controller, **told, plan=shown)
            assert again["fault"] == "refused"
            assert [plan.adopts for plan in device.applied] == [True]

    run(scene)


def replace_uid(peer: PeerCredentials, uid: int) -> PeerCredentials:
    return PeerCredentials(peer.pid, uid, peer.gid)


def test_what_was_shown_is_soon_forgotten() -> None:
    offers = Offers()
    offers.make("digest", 1, 1000.0)
    assert not offers.take("digest", 1, 1000.0 + OFFER_S + 1)
    for number in range(MOST + 1):
        offers.make(f"digest{number}", 1, 1000.0)
    assert not offers.take("digest0", 1, 1000.0)
    assert offers.take(f"digest{MOST}", 1, 1000.0)


# === a reload amid a person's apply ===

PATIENT = QUICK._replace(patience_s=HARNESS_S)


@asynccontextmanager
async def applying(world: World, *, follows: bool = False) -> AsyncIterator[tuple[Controller, Any, Any]]:
    """A person's apply that is under way until the device's gate is opened; the plan, and its answer."""
    async with world.running(follows=follows, pace=PATIENT) as controller:
        controller.adopt(settings(device_settings(prod="plan")))
        controller.follow(news("a"))
        await controller.spread()
        planned = await asked(controller, t="device_plan", device="lb1", environment="prod")
        device = world.devices["lb1"]
        device.gate = asyncio.Event()
        answer = asyncio.get_running_loop().create_task(asked(controller, t="device_apply", plan=planned["plan"]))
        await until(lambda: device.writing == 1)
        yield controller, planned["plan"], answer


async def a_while() -> None:
    for _ in range(10):
        await asyncio.to_thread(lambda: None)


def test_a_reload_leaves_a_persons_apply_its_connection(world: World) -> None:
    async def scene() -> None:
        async with applying(world) as (controller, _, answer):
            device = world.devices["lb1"]
            controller.adopt(settings(replace(device_settings(prod="plan"), removed_most=7)))
            await a_while()
            assert not device.is_closed
            assert device.gate is not None
            device.gate.set()
            assert (await answer)["done"]
            await until(lambda: device.is_closed)

    run(scene)


def test_who_waits_for_the_device_is_held_to_no_old_terms(world: World) -> None:
    """Frozen amid an incident: nothing that had not begun is applied any more."""

    async def scene() -> None:
        async with applying(world) as (controller, plan, answer):
            device, said = world.devices["lb1"], device_settings(prod="plan")
            second = asyncio.get_running_loop().create_task(asked(controller, t="device_apply", plan=plan))
            await a_while()
            frozen = replace(said.environments[0], frozen="incident")
            controller.adopt(settings(replace(said, environments=(frozen,))))
            device.faults["apply"].append(Unreachable("no route to host"))
            assert device.gate is not None
            device.gate.set()
            assert "no route to host" in (await answer)["why"]
            assert "settings changed" in (await second)["why"]
            assert device.applied == []

    run(scene)


def test_a_device_that_goes_and_comes_back_amid_a_write_has_one_writer(world: World) -> None:
    async def scene() -> None:
        async with applying(world, follows=True) as (controller, _, answer):
            device = world.devices["lb1"]
            controller.adopt(settings())
            await a_while()
            controller.adopt(settings(device_settings(prod="enforce")))
            controller.follow(news("a", "b", base="base2"))
            await until(lambda: controller.standings()[0]["version"] == "base2")
            await a_while()
            assert device.gate is not None
            device.gate.set()
            assert (await answer)["done"]
            await until(lambda: len(device.content["prod"]) == 2)
            assert device.most_writing == 1

    run(scene)


# === several nodes ===


def shared(*devices: Bigip) -> config.Settings:
    return replace(settings(*devices), database="postgresql://db.test/stagedoor")


def test_of_nodes_that_share_a_database_only_the_one_that_leads_does_anything_by_itself(world: World) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(shared(device_settings(prod="enforce")))
            controller.follow(news("a"))
            await until(lambda: controller.standings()[0]["version"] == "base1")
            for _ in range(20):
                await asyncio.sleep(0)
            assert world.devices["lb1"].observed == 0
            assert controller.standings()[0]["state"] == "standby"
            planned = await asked(controller, t="device_plan", device="lb1", environment="prod")
            refused = await asked(controller, t="device_apply", plan=planned["plan"])
            assert (refused["fault"], world.devices["lb1"].applied) == ("refused", [])
            assert "does not lead" in refused["why"]
            controller.lead(7)
            await until(lambda: controller.standings()[0]["state"] == "in-step")
            controller.lead(None)
            seen = world.devices["lb1"].observed
            controller.follow(news("a", "b", base="base2"))
            await until(lambda: controller.standings()[0]["version"] == "base2")
            for _ in range(20):
                await asyncio.sleep(0)
            assert world.devices["lb1"].observed == seen
            controller.lead(9)
            await until(lambda: len(world.devices["lb1"].content["prod"]) == 2)

    run(scene)
    assert [each["fence"] for each in applies_in(world.folder / "audit")] == [7, 7, 9, 9]


def test_losing_the_lead_amid_a_write_stops_it_and_says_so(world: World) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            device = world.devices["lb1"] = FakeDevice("lb1")
            device.gate = asyncio.Event()
            controller.adopt(shared(device_settings(prod="enforce")))
            controller.follow(news("a"))
            controller.lead(1)
            await until(lambda: device.writing == 1)
            controller.lead(None)
            await until(lambda: device.writing == 0)
            await until(lambda: len(applies_in(world.folder / "audit")) == 2)
            assert device.applied == []
            controller.lead(2)
            await until(lambda: device.writing == 1)
            device.gate.set()
            await until(lambda: controller.standings()[0]["state"] == "in-step")

    run(scene)
    results = [each["result"] for each in applies_in(world.folder / "audit") if "result" in each]
    assert results == ["interrupted", "done"]
