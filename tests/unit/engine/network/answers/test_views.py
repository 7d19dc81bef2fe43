"""What readers of pages are told of a device: as its last look found it, in the very form that control expects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.config.devices import Devices
from gateway.control.api.device_models import DeviceAnswer
from gateway.control.api.devices import standing_of
from gateway.engine.network.answers.requests import Requests
from gateway.engine.network.answers.views import UNKNOWN, Views
from gateway.engine.network.connection import Connection, Device, Surroundings
from gateway.engine.network.controller import Controller
from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import Unreachable
from gateway.engine.network.fronts import Front
from gateway.link import Message
from tests.support.network import FakeDevice, device_settings
from tests.unit.engine.network.test_controller import PEER, World, news, run, settings, until

ASKED: Message = {"t": "device_view", "device": "lb1", "environment": "prod"}


class FrontedWorld(World):
    """Clients meet every host at one address on loopback, where nobody listens. ``met``: how often that was made."""

    met = 0

    def connect(self, said: Device, around: Surroundings) -> Connection:
        def fronts(desired: Desired) -> Sequence[Front]:
            self.met += 1
            return [
                Front(each.entity, each.title, each.owner, each.host, each.path, "127.0.0.1", 1, "/t/vs")
                for each in desired.places
            ]

        return super().connect(said, around)._replace(fronts={each.environment: fronts for each in said.environments})


@pytest.fixture
def world(tmp_path: Path) -> FrontedWorld:
    return FrontedWorld(tmp_path)


Running = AbstractAsyncContextManager[Controller]


async def view_of(controller: Controller) -> dict[str, Any]:
    """Held against the model that control reads it with."""
    view: dict[str, Any] = (await Views(controller).answer(ASKED))["view"]
    said = {name: value for name, value in view.items() if name != "standing"}
    standing = standing_of(view["standing"], controller.now())
    told = DeviceAnswer.model_validate({"told": None, "engine_away": False, "device": standing, **said})
    assert told.device.sentence
    return view


def looked(controller: Controller) -> Callable[[], bool]:
    return lambda: controller.groups["lb1"].lanes["prod"].shown is not None


def test_before_the_first_look_there_is_a_standing_and_nothing_else(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.running(follows=False) as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            view = await view_of(controller)
            assert (view["plan"], view["drift"], view["fronts"], view["checks"]) == (None, None, None, None)
            assert view["standing"]["state"] == "no-wish"
            assert view["commands"]["plan"] == "stagedoor plan --device lb1 --env prod --out prod.plan"

    run(scene)


def test_a_waiting_plan_is_told_with_what_stands_against_it_and_what_clients_meet(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            controller.follow(news("a", "b"))
            await until(looked(controller))
            view = await view_of(controller)
            assert [each["sentence"] for each in view["plan"]["steps"]] == ["Adds a.test.", "Adds b.test."]
            assert view["asks"] == []
            assert "the mode is `plan`" in view["standing"]["waits"][0]
            (server,) = view["fronts"]["virtual_servers"]
            assert [each["host"] for each in server["places"]] == ["a.test", "b.test"]
            assert {each["host"] for each in view["checks"]["hosts"]} == {"a.test", "b.test"}
            (front,) = Views(controller).fronts("component:default/a")
            assert front["sentence"] == (
                "On lb1 clients meet it at 127.0.0.1:1 (/t/vs); 1 step about it waits to be applied."
            )

    run(scene)


def test_reading_a_plan_does_not_make_it_look_applicable(world: FrontedWorld) -> None:
    """A person who asks for a plan looks at the device, too: why the engine does not apply it stays told."""

    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            controller.follow(news("a"))
            await until(looked(controller))
            asked = {"t": "device_plan", "device": "lb1", "environment": "prod"}
            planned = await Requests(controller).answer(asked, PEER)
            assert planned["checks"]["total"] == 1
            assert set(planned["checks"]["remarks"]) <= set(planned["plan"]["remarks"])
            assert controller.standings()[0]["waits"]

    run(scene)


def test_what_was_applied_is_told_with_who_and_how_it_ended(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="enforce")))
            controller.follow(news("a"))
            await until(lambda: controller.standings()[0]["state"] == "in-step")
            view = await view_of(controller)
            (apply,) = view["applies"]
            assert (apply["by"], apply["result"], apply["steps"]) == ("engine", "done", 1)
            assert view["plan"]["total"] == 0
            (front,) = Views(controller).fronts("component:default/a")
            assert front["state"] == "in-step"

    run(scene)


SHARED = config.Settings(
    (), (), {}, config.Catalog(), "", "", devices=Devices((device_settings(prod="enforce"),)),
    database="postgresql://nowhere",
)  # fmt: skip


def test_a_node_that_stands_by_looks_when_somebody_reads(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(SHARED)
            controller.follow(news("a"))
            await until(lambda: bool(controller.standings()[0]["version"]))
            assert not looked(controller)()
            view = await view_of(controller)
            assert view["standing"]["state"] == "standby"
            assert view["plan"]["total"] == 1
            assert not world.devices["lb1"].applied
            looks = world.devices["lb1"].observed
            await view_of(controller)
            assert world.devices["lb1"].observed == looks  # it is fresh

    run(scene)


def test_a_device_that_refuses_a_node_that_stands_by_is_not_asked_with_each_reload(world: FrontedWorld) -> None:
    """Each look is a login: enough of them lock an account, or wear out a management plane that is in trouble."""

    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(SHARED)
            controller.follow(news("a"))
            await until(lambda: bool(controller.standings()[0]["version"]))
            device = world.devices["lb1"]
            device.away, before = Unreachable("lb1 refuses this user name and password"), device.observed
            for _ in range(5):
                view = await view_of(controller)
                assert view["standing"]["fault"] == "lb1 refuses this user name and password"
            assert device.observed == before + 1

    run(scene)


def test_where_clients_meet_a_wish_is_made_once_for_all_who_read_it(world: FrontedWorld) -> None:
    """It takes a tenth of a second for thousands of services, in the thread that all devices wait for."""

    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            controller.follow(news("a"))
            await until(looked(controller))
            before = world.met
            for _ in range(5):
                view = await view_of(controller)
            assert world.met == before + 1
            controller.follow(news("a", "b"))
            await until(lambda: controller.standings()[0]["steps"] == 2)
            view = await view_of(controller)
            assert view["checks"]["total"] == len(view["fronts"]["virtual_servers"][0]["places"])

    run(scene)


def test_a_device_that_is_away_is_told_with_why_and_what_was_seen_before(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            controller.follow(news("a"))
            await until(looked(controller))
            world.devices["lb1"].away = Unreachable("lb1 cannot be reached")
            controller.groups["lb1"].look_soon("prod")
            await until(lambda: controller.standings()[0]["fault"] != "")
            view = await view_of(controller)
            assert view["standing"]["state"] == "fault"
            assert view["plan"]["total"] == 1
            (front,) = Views(controller).fronts("component:default/a")
            assert (front["state"], "not known" in front["sentence"]) == ("unknown", True)

    run(scene)


@pytest.mark.parametrize("said", [{"device": "nobody"}, {"environment": "nowhere"}, {"device": None}])
def test_what_there_is_not_is_no_view(world: FrontedWorld, said: dict[str, Any]) -> None:
    async def scene() -> None:
        async with world.running(follows=False) as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            assert await Views(controller).answer({**ASKED, **said}) == {"fault": UNKNOWN}
            assert await Views(controller).answer({"t": "device_fronts", "entity": "component:default/a"}) == {
                "fronts": []
            }

    run(scene)


def test_a_reader_who_goes_away_ends_no_look(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.running() as controller:
            controller.adopt(settings(device_settings(prod="plan")))
            controller.follow(news("a"))
            await until(looked(controller))
            looking = controller.groups["lb1"].look_beside("prod")
            assert controller.groups["lb1"].look_beside("prod") is looking
            await asyncio.wait([looking])
            assert looking.exception() is None

    run(scene)


def test_fake_devices_meet_no_clients() -> None:
    """What a device of another kind says by default: nothing is to be checked there."""
    assert not Connection({}, FakeDevice().close).fronts
