"""Hops of the network are told from what the last looks found: name, virtual server, firewall legs, cuts, upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.config.devices import Devices, Leg, Panos, PanosEnvironment
from gateway.engine.network.answers.path import Paths, is_about
from gateway.engine.network.connection import Connection, Device, Surroundings
from gateway.engine.network.controller import Controller
from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.fronts import Front
from gateway.engine.network.news import News
from gateway.engine.network.panos import names
from gateway.engine.network.panos.firewall import Firewall
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.whereabouts import Known
from gateway.engine.overheard import Overlay
from policy.facts import Catalog
from tests.support.network import device_settings, published
from tests.support.small_catalog import person
from tests.unit.engine.network.test_controller import World, run, until

A, VIRTUAL, RUNS, DOOR = "component:default/a", "203.0.113.10", "10.0.0.1", "198.51.100.21"
JANE = person("jane")
EDGE = Panos(
    "edge", ("https://192.0.2.30",), ("/nowhere",), tags="enforce", user_name="{metadata.name}",
    environments=(
        PanosEnvironment("prod", "enforce", Leg(), Leg(), doors=(DOOR,), networks=("10.0.0.0/8",)),
    ),
)  # fmt: skip


class Written:
    """A tag worker that has written everything but what is ``missing``."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.wanted: Membership | None = Membership(addresses={RUNS: frozenset(("sd-x",))})
        self.fault = ""

    def has(self, what: str, tag: str) -> bool | None:
        return what not in self.missing


class FrontedWorld(World):
    """A load balancer that clients meet everything at, and a firewall that sees both legs of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tags = Written()
        self.checked: dict[str, bool] = {}
        self.edge, self.host, self.virtual = EDGE, "", VIRTUAL

    def connect(self, said: Device, around: Surroundings) -> Connection:
        connection = super().connect(said, around)
        if isinstance(said, Panos):
            known = Known({A: (RUNS,)})
            return connection._replace(firewall=Firewall(said, self.tags, content_of, lambda _: known))
        return connection._replace(fronts={each.environment: self.fronts_of for each in said.environments})

    def fronts_of(self, desired: Desired) -> Sequence[Front]:
        return [
            Front(at.entity, at.title, at.owner, self.host or at.host, at.path, self.virtual, 443, "/t/vs")
            for at in desired.places
        ]

    @asynccontextmanager
    async def looked(self, mode: str = "enforce") -> AsyncIterator[Controller]:
        async with self.running() as controller:
            lb1 = device_settings(prod="plan") if mode == "plan" else device_settings(prod="enforce")
            devices = Devices((lb1,), (self.edge,))
            controller.adopt(config.Settings((), (), {}, config.Catalog(), "", "", devices=devices))
            controller.follow(News("base1", published("a"), 1, Catalog({JANE.ref: JANE}, {}, {})))
            await until(lambda: all(each["state"] in ("in-step", "waiting") for each in controller.standings()))
            lane = controller.groups["edge"].lanes["prod"]
            assert lane.desired is not None
            lane.content = content_of(lane.desired)  # its target wishes for something simpler
            yield controller

    async def hops(self, controller: Controller, **asked: str) -> dict[str, list[dict[str, Any]]]:
        question = {
            "t": "path_hops", "person": JANE.ref, "host": "a.test", "service": A, "environment": "prod", **asked
        }  # fmt: skip
        answer = await Paths(controller, lambda _: self.checked).answer(question)
        return {name: list(answer[name]) for name in ("clients", "upstreams")}


def content_of(desired: Desired) -> Mapping[str, Any]:
    legs = [("front", ["jane"]), ("back", ["any"])]
    return {
        "rules": [{"name": names.rule_name(leg, A, "prod"), "source_user": users, "description": f"Lets {leg}."}
                  for leg, users in legs],
        "user_groups": {"jane": {"filter": "'sd-u-jane'"}},
    }  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrontedWorld:
    monkeypatch.setattr("gateway.egress.look_ups.system_look_up", look_up)
    return FrontedWorld(tmp_path)


ZONE = {"a.test": [VIRTUAL]}


def look_up(host: str) -> list[str]:
    if host not in ZONE:
        raise OSError("no such name")
    return ZONE[host]


def states(hops: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(hop["kind"], hop["state"]) for hop in hops]


def stopped(hops: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    return [hop["sentence"] for each in hops.values() for hop in each if hop["state"] != "open"]


def test_every_hop_of_an_open_way_says_so(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            hops = await world.hops(controller)
            assert states(hops["clients"]) == [("name", "open"), ("virtual-server", "open"), ("firewall", "open")]
            assert states(hops["upstreams"]) == [("firewall", "open"), ("upstream", "open")]

    run(scene)


def test_a_host_that_nobody_knows_has_a_name_alone(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            hops = await world.hops(controller, host="b.test", service="", environment="")
            assert (states(hops["clients"]), hops["upstreams"]) == ([("name", "stops")], [])

    run(scene)


def test_a_name_that_leads_elsewhere_stops(world: FrontedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ZONE, "a.test", ["192.0.2.99"])

    async def scene() -> None:
        async with world.looked() as controller:
            assert stopped(await world.hops(controller)) == [
                f"DNS leads a.test to 192.0.2.99, instead of to {VIRTUAL}."
            ]  # fmt: skip

    run(scene)


def test_a_name_below_localhost_needs_no_name_server(world: FrontedWorld) -> None:
    """Clients take it to loopback by themselves, where one of its virtual servers is."""

    async def scene() -> None:
        world.host, world.virtual = "a.localhost", "127.0.0.10"
        world.edge = replace(EDGE, environments=(replace(EDGE.environments[0], virtual_addresses=(VIRTUAL,)),))
        async with world.looked() as controller:
            assert (await world.hops(controller, host="a.localhost"))["clients"][0]["state"] == "open"
            assert (await world.hops(controller, host="a.test"))["clients"][0]["state"] == "open"
        world.virtual = "203.0.113.11"
        async with world.looked() as controller:
            assert (await world.hops(controller, host="a.localhost"))["clients"][0]["state"] == "stops"

    run(scene)


def test_a_virtual_server_without_the_host_yet_stops(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked("plan") as controller:
            (sentence,) = stopped(await world.hops(controller))
            assert "does not have a.test yet" in sentence

    run(scene)


@pytest.mark.parametrize(
    ("missing", "says"),
    [(VIRTUAL, "Virtual address"), ("jane", "is none of the"), (RUNS, "Service address"), (DOOR, "Door")],
)
def test_what_a_firewall_lacks_stops_on_its_leg(world: FrontedWorld, missing: str, says: str) -> None:
    async def scene() -> None:
        world.tags.missing = {missing}
        async with world.looked() as controller:
            (sentence,) = stopped(await world.hops(controller))
            assert sentence.startswith(says) or says in sentence

    run(scene)


@pytest.mark.parametrize(
    ("overlay", "says"),
    [
        (Overlay(denied=frozenset((JANE.ref,))), "user:default/jane is cut off."),
        (Overlay(shut=frozenset((A,))), f"{A} is closed."),
        (Overlay(shut=frozenset(("@prod",))), "Environment prod is closed."),
        (Overlay(denied=frozenset(("user:default/joe",)), shut=frozenset(("@dev",))), ""),
    ],
)
def test_who_is_cut_off_and_what_is_closed_stops_at_the_door(world: FrontedWorld, overlay: Overlay, says: str) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            controller.hear(overlay)
            assert stopped(await world.hops(controller)) == ([says] if says else [])

    run(scene)


@pytest.mark.parametrize(
    ("checked", "state", "says"),
    [
        ({}, "open", "no check is set"),
        ({"http://10.0.0.1:8080": True, "http://10.0.0.2:8080": False}, "open", "answered by http://10.0.0.1:8080."),
        ({"http://10.0.0.1:8080": False}, "stops", "http://10.0.0.1:8080 does not answer its check"),
    ],
)
def test_an_upstream_stops_where_no_endpoint_answers(
    world: FrontedWorld, checked: dict[str, bool], state: str, says: str
) -> None:
    async def scene() -> None:
        world.checked = checked
        async with world.looked() as controller:
            hop = (await world.hops(controller))["upstreams"][-1]
            assert (hop["state"], says in hop["sentence"]) == (state, True), hop

    run(scene)


def test_a_device_that_cannot_be_read_makes_nothing_open(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            for name in ("lb1", "edge"):
                controller.groups[name].lanes["prod"].fault = "it does not answer"
            hops = await world.hops(controller)
            assert [hop["state"] for hop in hops["clients"]] == ["open", "unknown", "unknown"]

    run(scene)


def test_where_a_device_meets_a_host_and_cannot_say_it_is_not_known(world: FrontedWorld) -> None:
    async def scene() -> None:
        async with world.looked() as controller:
            lane = controller.groups["lb1"].lanes["prod"]
            lane.fronts_of = failing
            lane.seen = lane.seen._replace(looked_s=1.0)
            hops = await world.hops(controller)
            assert "open" not in {hop["state"] for hop in hops["clients"]}
            assert "No address file" in hops["clients"][1]["sentence"]

    run(scene)


@pytest.mark.parametrize("name", ["lb1", "edge"])
def test_a_device_that_cannot_be_used_is_not_left_out(world: FrontedWorld, name: str) -> None:
    """Its key file cannot be read, say: whatever it does to requests, it goes on doing."""

    async def scene() -> None:
        async with world.looked() as controller:
            world.broken = {name}
            settings = config.Settings((), (), {}, config.Catalog(), "", "", devices=Devices(
                (replace(device_settings(prod="enforce"), removed_most=77),),
                (replace(world.edge, removed_most=77),),
            ))  # fmt: skip
            controller.adopt(settings)
            await until(lambda: all(each["state"] != "starting" for each in controller.standings()))
            (sentence,) = [each for each in stopped(await world.hops(controller)) if "cannot be used" in each]
            assert sentence.startswith(name)

    run(scene)


def failing(_desired: Desired) -> Sequence[Front]:
    raise DeviceFault("No address file")


@pytest.mark.parametrize(
    ("sentence", "is_it"),
    [
        ("Adds a.test and b.test.", True), ("Adds xa.test.", False), ("Adds a.test.example.", False),
        ("Adds *.a.test.", False), ("Adds `a.test`.", True), ("Adds b.test, a.test.", True),
    ],
)  # fmt: skip
def test_a_step_about_a_longer_name_is_not_about_the_host(sentence: str, is_it: bool) -> None:
    assert is_about({"hosts": [], "sentence": sentence}, "a.test") is is_it
    assert is_about({"hosts": ["a.test"], "sentence": ""}, "a.test")


def test_a_leg_without_tags_of_what_is_closed_says_that_it_is_meant(world: FrontedWorld) -> None:
    async def scene() -> None:
        world.tags.missing = {RUNS}
        async with world.looked() as controller:
            controller.hear(Overlay(shut=frozenset(("@prod",))))
            leg = (await world.hops(controller))["upstreams"][0]
            assert leg["sentence"] == "Environment prod is closed, so edge keeps the doors away."

    run(scene)
