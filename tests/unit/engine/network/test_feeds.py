"""What is given to who reads by themselves: nothing that a guarded apply would not do, nothing empty or in doubt."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.config.devices import Bigip, Devices
from gateway.engine.network.connection import Connection, Device, Surroundings
from gateway.engine.network.controller import Controller
from gateway.engine.network.desired import Desired, desired_of
from gateway.engine.network.documents import LARGEST_BYTES, Document, Recipe, json_document, lines_document
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.feeds import STALE_S, Feeds, stale_of
from gateway.engine.network.news import News
from gateway.engine.network.plans.guards import LATELY_S
from gateway.engine.network.plans.plan import Kind, Observed, Step
from gateway.link import Message, PeerCredentials
from tests.support.network import FakeDevice, device_settings, published

PEER = PeerCredentials(os.getpid(), os.getuid(), os.getgid())
TEN = tuple("abcdefghij")


def content_of(desired: Desired) -> dict[str, str]:
    return {place.host: place.entity for place in desired.places}


def documents_of(content: Any) -> Mapping[str, Document]:
    return {"wish.json": json_document(content), "hosts.txt": lines_document(content)}


class World:
    """One device with a `fake` recipe, and what goes wrong around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trouble = ""
        self.stale = ""
        self.faults: tuple[str, ...] = ()
        self.unmade = ""
        self.made = 0
        self.beside = 0
        self.steps: Callable[[Any, Observed], Sequence[Step]] | None = None
        self.device: Bigip = device_settings(prod="observe")
        self.controller: Controller
        self.feeds: Feeds

    def connect(self, said: Device, _around: Surroundings) -> Connection:
        fake = FakeDevice(said.name)
        names = [each.environment for each in said.environments]
        recipe = Recipe(
            "fake", self.content, lambda content: self.faults, documents_of, self.steps, lambda: self.beside
        )  # fmt: skip
        return Connection(fake.targets(*names), fake.close, feeds=dict.fromkeys(names, recipe))

    def content(self, desired: Desired) -> dict[str, str]:
        self.made += 1
        if self.unmade:
            raise DeviceFault(self.unmade)
        return content_of(desired)

    @asynccontextmanager
    async def running(self, *, database: str = "") -> AsyncIterator[World]:
        """An engine's life, with what the ones before left in the state folder."""
        self.controller = Controller(
            self.folder, self.folder / "audit", self.connect, trouble=lambda: self.trouble, follows=False
        )
        self.controller.adopt(
            config.Settings((), (), {}, config.Catalog(), "", "", devices=Devices((self.device,)), database=database)
        )
        self.feeds = Feeds(self.controller, self.folder, lambda: self.stale)
        try:
            yield self
        finally:
            await self.controller.close()

    async def publish(self, *names: str, base: str = "base1", services: int | None = None) -> None:
        self.controller.follow(News(base, published(*names), len(names) if services is None else services))
        await self.controller.spread()

    async def read(self, mark: str = "") -> Message:
        question = {"t": "feed", "vendor": "fake", "device": "lb1", "environment": "prod", "mark": mark}
        return await self.feeds.answer(question, PEER)

    async def hosts(self) -> set[str]:
        answer = await self.read()
        assert answer["code"] == "", answer
        return {host.removesuffix(".test") for host in answer["documents"]["hosts.txt"][1].split()}

    async def accept(self, mark: str) -> Message:
        question = {"t": "accept_feed", "vendor": "fake", "device": "lb1", "environment": "prod", "mark": mark}
        return await self.feeds.answer(question, PEER)

    async def listed(self) -> dict[str, Any]:
        answer = await self.feeds.answer({"t": "feeds"}, PEER)
        (found,) = answer["feeds"]
        assert isinstance(found, dict)
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 120))


def test_nothing_is_given_before_something_is_published(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            assert (await world.read())["code"] == "unread"
            await world.publish(*TEN)
            assert await world.hosts() == set(TEN)

    run(scene)


def test_whoever_has_it_already_is_sent_nothing_and_a_restart_changes_no_byte(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            first = await world.read()
            again = await world.read(first["mark"])
            assert "documents" not in again
            assert again["mark"] == first["mark"]
        async with world.running():
            await world.publish(*reversed(TEN))
            assert await world.read() == first

    run(scene)


def test_a_wish_is_made_once_however_often_it_is_read(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await asyncio.gather(*(world.read() for _ in range(20)))
            assert world.made == 1

    run(scene)


def test_what_comes_and_the_little_that_goes_is_given_at_once(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            assert await world.hosts() == set(TEN)
            await world.publish(*TEN, "k")
            assert await world.hosts() == {*TEN, "k"}
            await world.publish(*TEN[1:], "k")
            assert await world.hosts() == {*TEN[1:], "k"}

    run(scene)


@pytest.mark.parametrize("restarts", [False, True], ids=["at once", "over a restart of the engine"])
def test_more_than_may_go_is_withheld_until_a_person_says_that_it_is_meant(world: World, restarts: bool) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            if not restarts:
                await refuse_and_accept()
        if restarts:
            async with world.running():
                await refuse_and_accept()

    async def refuse_and_accept() -> None:
        await world.publish("a", "b")
        answer = await world.read()
        assert answer["code"] == "held"
        assert "takes away 8 of 10" in answer["why"]
        assert "documents" not in answer
        shown = await world.listed()
        assert (shown["code"], shown["lost"]) == ("held", 8)
        assert (await world.accept("0" * 32))["code"] == "changed"
        assert (await world.read())["code"] == "held"
        assert (await world.accept(shown["mark"]))["code"] == ""
        assert await world.hosts() == {"a", "b"}

    run(scene)


def test_a_persons_word_counts_for_what_they_saw_and_leaves_an_event(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            await world.publish("a", "b")
            shown = await world.listed()
            await world.publish("c")
            assert (await world.accept(shown["mark"]))["code"] == "changed"
            assert (await world.read())["code"] == "held"
            await world.accept((await world.listed())["mark"])
            assert await world.hosts() == {"c"}
            assert world.controller.trail.recent("lb1", "prod") == [], "nothing was applied to a device"
        lines = [json.loads(line) for path in (world.folder / "audit").glob("*.jsonl")
                 for line in path.read_text().splitlines()]  # fmt: skip
        (event,) = [each for each in lines if each.get("event") == "feed_accepted"]
        assert (event["device"], event["environment"], event["code"]) == ("lb1", "prod", "held")
        assert len(event["removed"]) == 9

    run(scene)


@pytest.mark.parametrize("ends", ["given", "never given"])
def test_a_persons_word_counts_once_and_not_for_the_same_loss_another_day(world: World, ends: str) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            world.trouble = "" if ends == "given" else "backstage is away"
            await world.publish("a", "b")
            answer = await world.accept((await world.listed())["mark"])
            assert answer["code"] == ("" if ends == "given" else "held")
            await world.publish(*TEN)
            world.trouble = ""
            assert await world.hosts() == set(TEN)
            await world.publish("a", "b")
            assert (await world.read())["code"] == "held"

    run(scene)


def test_a_catalog_that_changes_while_a_person_says_yes_is_not_told_as_what_they_meant(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            await world.publish("a", "b")
            lane, note = world.controller.groups["lb1"].lanes["prod"], world.controller.trail.note

            def noted(*arguments: Any) -> None:
                note(*arguments)
                lane.desired = desired_of("prod", "base2", published(*TEN))

            monkeypatch.setattr(world.controller.trail, "note", noted)
            assert (await world.accept((await world.listed())["mark"]))["code"] == "changed"
            assert await world.hosts() == set(TEN)
            await world.publish("a", "b")
            assert (await world.read())["code"] == "held"

    run(scene)


def test_a_catalog_that_runs_empty_bit_by_bit_takes_its_readers_with_it_no_further_than_in_one_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each loss is small and is read at once; what is withheld for it waits for a person, or for an hour."""

    async def scene() -> None:
        async with world.running():
            now_s = world.controller.now()
            monkeypatch.setattr(world.controller, "now", lambda: now_s)
            codes = []
            for gone in range(6):
                await world.publish(*TEN[gone:])
                codes.append((await world.read())["code"])
            assert codes == ["", "", "", "held", "held", "held"]
            await world.publish(*TEN[3:])
            assert "2 went within the last hour" in (await world.read())["why"]
            now_s += LATELY_S
            assert await world.hosts() == set(TEN[3:])
            await world.publish(*TEN[4:])
            assert (await world.accept((await world.listed())["mark"]))["code"] == ""
            await world.publish(*TEN[5:])
            assert await world.hosts() == set(TEN[5:]), "a person has looked"

    run(scene)


def test_where_the_trail_cannot_be_written_a_persons_word_does_not_count(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            await world.publish("a")
            mark = (await world.listed())["mark"]
            (world.folder / "audit").write_text("no folder")
            assert (await world.accept(mark))["code"] == "untold"
            assert (await world.read())["code"] == "held"

    run(scene)


@pytest.mark.parametrize("services", [0, 3], ids=["nowhere", "elsewhere"])
def test_an_emptied_catalog_never_gives_an_empty_feed(world: World, services: int) -> None:
    """Nobody can say yes to it either."""

    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            await world.publish(base="base2", services=services)
            assert (await world.read())["code"] == "empty"
            assert (await world.accept((await world.listed())["mark"]))["code"] == "changed"
            assert (await world.read())["code"] == "empty"
            await world.publish(*TEN)
            assert await world.hosts() == set(TEN)

    run(scene)


def test_while_the_catalog_cannot_be_believed_nothing_goes_and_the_rest_is_given(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            world.trouble = "catalog main is away"
            assert await world.hosts() == set(TEN)
            await world.publish(*TEN, "k")
            assert await world.hosts() == {*TEN, "k"}
            await world.publish(*TEN[1:], "k")
            answer = await world.read()
            assert (answer["code"], "main is away" in answer["why"]) == ("held", True)
            assert (await world.accept((await world.listed())["mark"]))["code"] == "held", "nothing lifts it"
            world.trouble = ""
            assert await world.hosts() == {*TEN[1:], "k"}

    run(scene)


def test_a_first_feed_is_not_made_of_a_catalog_that_cannot_be_believed(world: World) -> None:
    async def scene() -> None:
        world.trouble = "catalog main was never read"
        async with world.running():
            await world.publish("a")
            assert (await world.read())["code"] == "doubtful"
            assert (await world.accept((await world.listed())["mark"]))["code"] == ""
            assert await world.hosts() == {"a"}

    run(scene)


def test_a_catalog_that_was_not_read_for_long_gives_nothing(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            world.stale = "catalog main was last read 1000 s ago"
            assert (await world.read())["code"] == "stale"

    run(scene)


@pytest.mark.parametrize(
    ("age_s", "fault", "is_stale"),
    [(None, "", True), (3.0, "", False), (STALE_S - 1, "away", False), (STALE_S + 1, "away", True),
     (STALE_S + 1, "", False)],
)  # fmt: skip
def test_what_is_stale(age_s: float | None, fault: str, is_stale: bool) -> None:
    """A catalog that answers may be looked at as seldom as its operator likes."""
    assert bool(stale_of([{"name": "main", "age_s": age_s, "fault": fault}])) is is_stale


def test_a_document_with_a_fault_is_given_to_nobody(world: World) -> None:
    async def scene() -> None:
        world.faults = ("`vs` has no `pool`",)
        async with world.running():
            await world.publish(*TEN)
            answer = await world.read()
            assert (answer["code"], answer["why"]) == ("unsound", "`vs` has no `pool`")
            assert (await world.accept((await world.listed())["mark"]))["code"] != ""

    run(scene)


def test_what_cannot_be_made_or_is_too_large_is_given_to_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        world.unmade = "the addresses cannot be read"
        async with world.running():
            await world.publish(*TEN)
            assert (await world.read())["code"] == "unmade"
            world.unmade = ""
            monkeypatch.setattr("gateway.engine.network.documents.LARGEST_BYTES", 10)
            answer = await world.read()
            assert (answer["code"], "more than 10" in answer["why"]) == ("unsound", True)

    assert LARGEST_BYTES > 1_000_000
    run(scene)


def test_a_node_that_does_not_lead_gives_nothing(world: World) -> None:
    async def scene() -> None:
        async with world.running(database="postgresql://db"):
            await world.publish(*TEN)
            assert (await world.read())["code"] == "standby"
            world.controller.lead(7)
            assert await world.hosts() == set(TEN)
            world.controller.lead(None)
            assert (await world.read())["code"] == "standby"

    run(scene)


def test_a_node_that_begins_to_lead_knows_what_its_catalog_had_while_others_gave(world: World) -> None:
    async def scene() -> None:
        async with world.running(database="postgresql://db"):
            await world.publish(*TEN)
            assert (await world.read())["code"] == "standby"
            await world.publish("a", "b")
            world.controller.lead(7)
            assert (await world.read())["code"] == "held"

    run(scene)


def test_what_is_withheld_is_told_of_feeds_that_are_still_there(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            await world.publish("a")
            assert (await world.read())["code"] == "held"
            assert [each["code"] for each in world.feeds.withheld()] == ["held"]
            world.controller.adopt(config.Settings((), (), {}, config.Catalog(), "", ""))
            assert world.feeds.withheld() == []

    run(scene)


def test_a_frozen_environment_gives_what_it_gave_and_nothing_else(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
        frozen = tuple(replace(each, frozen="the audit") for each in world.device.environments)
        world.device = replace(world.device, environments=frozen)
        async with world.running():
            await world.publish(*TEN)
            assert await world.hosts() == set(TEN)
            await world.publish(*TEN, "k")
            answer = await world.read()
            assert (answer["code"], "the audit" in answer["why"]) == ("held", True)

    run(scene)


def test_a_damaged_memory_of_what_readers_have_is_never_taken_for_none(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
        (file,) = (world.folder / "feeds").glob("*.json")
        file.write_bytes(file.read_bytes()[:-10])
        async with world.running():
            await world.publish("a")
            assert (await world.read())["code"] == "forgotten"
            assert (await world.accept((await world.listed())["mark"]))["code"] == ""
            assert await world.hosts() == {"a"}

    run(scene)


def test_what_cannot_be_remembered_is_not_given(world: World) -> None:
    """After a restart nobody would know what must not go."""

    async def scene() -> None:
        (world.folder / "feeds").write_text("no folder")
        async with world.running():
            await world.publish(*TEN)
            assert (await world.read())["code"] == "unkept"

    run(scene)


def test_a_feed_that_nobody_may_read_does_not_exist(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            others = (("other", "lb1", "prod"), ("fake", "lb2", "prod"), ("fake", "lb1", "x"))
            for vendor, device, environment in others:
                said = {"t": "feed", "vendor": vendor, "device": device, "environment": environment}
                assert (await world.feeds.answer(said, PEER))["code"] == "unknown"

    run(scene)


def test_what_else_a_feed_is_made_of_makes_it_anew(world: World) -> None:
    async def scene() -> None:
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            made = world.made
            await world.hosts()
            assert world.made == made
            world.beside += 1
            await world.hosts()
            assert world.made == made + 1

    run(scene)


def test_a_feed_may_say_itself_what_it_takes_away(world: World) -> None:
    """Where its content is none that the device's target understands."""

    def steps(content: Any, observed: Observed) -> Sequence[Step]:
        gone = sorted(observed.content.keys() - content.keys())
        return tuple(Step(Kind.REMOVE, host, f"Takes {host} away.", (host,)) for host in gone)

    async def scene() -> None:
        world.steps = lambda content, observed: ()
        async with world.running():
            await world.publish(*TEN)
            await world.hosts()
            await world.publish("a", base="base2")
            assert await world.hosts() == {"a"}
            await world.publish(*TEN, base="base3")
            assert await world.hosts() == set(TEN)
        world.steps = steps
        async with world.running():
            await world.publish("a", base="base4")
            assert (await world.read())["code"] == "held"
            assert (await world.listed())["lost"] == 9

    run(scene)
