"""One thing at a time on a device, the latest wish, and a pace that a device in trouble can bear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.engine.network.faults import Busy, Outdated, Unreachable
from gateway.engine.network.plans.guards import Consent, Terms
from gateway.engine.network.reconcile.group import Group, Pace, pause_after
from tests.support.network import Bench, FakeDevice, wish

HARNESS_S = 60.0
QUICK = Pace(settle_s=0.0, poll_s=3600.0, again_s=0.0, shortest_s=0.01, longest_s=0.02, patience_s=0.05, end_s=5.0)
ENFORCE = Terms("enforce")


@asynccontextmanager
async def running(bench: Bench, device: FakeDevice, pace: Pace, *environments: str) -> AsyncIterator[Group]:
    lanes = {name: bench.lane(device, ENFORCE, name) for name in environments or ("prod",)}
    group = Group(device.name, lanes, device.close, pace)
    group.start()
    try:
        yield group
    finally:
        if device.gate is not None:
            device.gate.set()
        await group.close()


async def until(device: FakeDevice, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HARNESS_S):
        while not holds():
            await device.news.wait()
            await asyncio.sleep(0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def run(scene: Callable[[], Awaitable[Any]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(HARNESS_S):
            await scene()

    asyncio.run(timed())


def test_one_write_is_in_flight_whatever_the_environment(bench: Bench) -> None:
    device = FakeDevice()
    names = ("dev", "staging", "prod")

    async def scene() -> None:
        async with running(bench, device, QUICK, *names) as group:
            for version in ("base1", "base2", "base3"):
                for name in names:
                    group.want(wish("a", version, version=version, environment=name))
                await until(device, lambda: len(device.content) == 3 and all(
                    f"{version}.test" in content for content in device.content.values()  # noqa: B023 - awaited here
                ))  # fmt: skip

    run(scene)
    assert device.most_writing == 1
    assert device.is_closed


def test_the_latest_wish_wins_while_a_write_is_under_way(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        device.gate = asyncio.Event()
        async with running(bench, device, QUICK) as group:
            group.want(wish("a"))
            await until(device, lambda: device.writing == 1)
            for number in range(20):
                group.want(wish("a", f"s{number}", version=f"base{number}"))
            device.gate.set()
            await until(device, lambda: len(device.applied) == 2)
            await until(device, lambda: device.writing == 0)

    run(scene)
    assert [plan.version for plan in device.applied] == ["base1", "base19"]


def test_a_device_in_trouble_is_not_asked_more_often_for_more_wishes(bench: Bench) -> None:
    """A storm of 503 answers must not be fed by a busy catalog."""
    device = FakeDevice()
    device.away = Busy("503 Configuration operation in progress")

    async def scene() -> None:
        async with running(bench, device, QUICK._replace(shortest_s=3600.0, longest_s=3600.0)) as group:
            group.want(wish("a"))
            await until(device, lambda: device.observed == 1)
            for number in range(50):
                group.want(wish("a", f"s{number}"))
                await asyncio.sleep(0)
            await asyncio.to_thread(lambda: None)
            assert device.observed == 1
            assert "503" in group.lanes["prod"].standing().fault

    run(scene)


def test_pauses_are_random_grow_and_have_bounds() -> None:
    pace, random = Pace(), Random(7)
    rounds = [[pause_after(failures, pace, random) for _ in range(400)] for failures in range(12)]
    assert all(5.0 <= pause <= 240.0 for pauses in rounds for pause in pauses)
    longest = [max(pauses) for pauses in rounds]
    assert longest[0] <= 10.0 < longest[2] < longest[4]
    assert longest[-1] > 200.0
    assert len({round(pause, 3) for pause in rounds[-1]}) > 300
    assert pause_after(10_000, pace, random) <= 240.0


def test_what_changed_while_the_device_was_away_is_true_on_it_when_it_is_back(bench: Bench) -> None:
    """Nothing is replayed: the last wish alone counts, in every environment."""
    device = FakeDevice()
    device.content["prod"] = {"old.test": "component:default/old", "a.test": "component:default/a"}
    device.away = Unreachable("no route to host")

    async def scene() -> None:
        async with running(bench, device, QUICK, "dev", "prod") as group:
            group.want(wish("a", "b"))
            await until(device, lambda: device.observed >= 2)
            group.want(wish("a", "b", "c"))
            group.want(wish("a", "c"))
            group.want(wish("x", environment="dev"))
            before = device.observed
            await until(device, lambda: device.observed >= before + 2)
            device.away = None
            await until(device, lambda: len(device.applied) == 2 and device.writing == 0)
            assert device.content["prod"].keys() == {"a.test", "c.test"}
            assert device.content["dev"].keys() == {"x.test"}
            assert group.lanes["prod"].standing().fault == ""

    run(scene)


def test_many_writers_end_with_the_same_thing_and_no_lost_write(tmp_path: Path) -> None:
    """Several nodes want the same of one device: whoever comes second plans anew and finds nothing to do."""
    device = FakeDevice()
    benches = [Bench(tmp_path / str(number)) for number in range(5)]
    for bench in benches:
        bench.folder.mkdir()

    async def scene() -> None:
        device.gate = asyncio.Event()
        groups = []
        for bench in benches:
            groups.append(Group("lb1", {"prod": bench.lane(device, ENFORCE)}, device.close, QUICK))
            groups[-1].start()
            groups[-1].want(wish("a", "b"))
        await until(device, lambda: device.writing == 5)
        device.gate.set()
        await until(device, lambda: device.writing == 0)
        async with asyncio.timeout(HARNESS_S):
            while not all(group.lanes["prod"].standing().state == "in-step" for group in groups):
                await asyncio.sleep(0.01)
        for group in groups:
            await group.close()

    run(scene)
    assert len(device.applied) == 1
    for bench in benches:
        applied = bench.ledger.read("lb1", "prod")
        assert applied is not None
        assert applied.content == device.content["prod"]


def test_outdated_is_planned_anew_and_not_for_ever_at_once(bench: Bench) -> None:
    device = FakeDevice()
    device.faults["apply"] = [Outdated("it changed") for _ in range(100)]

    async def scene() -> None:
        async with running(bench, device, QUICK._replace(shortest_s=3600.0, longest_s=3600.0)) as group:
            group.want(wish("a"))
            await until(device, lambda: len(device.faults["apply"]) == 96)
            await until(device, lambda: device.writing == 0)
            await asyncio.to_thread(lambda: None)
            assert len(device.faults["apply"]) == 96

    run(scene)


def test_a_fault_of_one_environment_does_not_keep_the_other_waiting(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        pace = QUICK._replace(shortest_s=3600.0, longest_s=3600.0)
        async with running(bench, device, pace, "dev", "prod") as group:
            device.faults["observe"] = [RuntimeError("a fault of the adapter")]
            group.want(wish("x", environment="dev"))
            await until(device, lambda: device.observed == 1)
            group.want(wish("a"))
            await until(device, lambda: "prod" in device.content and device.writing == 0)
            assert "a fault of the adapter" in group.lanes["dev"].standing().fault

    run(scene)


def test_a_person_waits_for_the_device_and_is_told_who_has_it(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        device.gate = asyncio.Event()
        async with running(bench, device, QUICK) as group:
            group.want(wish("a"))
            await until(device, lambda: device.writing == 1)
            with pytest.raises(Busy, match="an apply by engine is under way"):
                async with group.held():
                    pass
            device.gate.set()
            await until(device, lambda: device.writing == 0)
            async with asyncio.timeout(HARNESS_S):
                while group.lock.locked():
                    await asyncio.sleep(0.01)
            async with group.held():
                sight = await group.lanes["prod"].look()
            assert sight.plan.steps == ()

    run(scene)


def test_who_asks_and_changes_nothing_waits_no_longer_than_for_silence(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        device.gate = asyncio.Event()
        async with running(bench, device, QUICK._replace(patience_s=HARNESS_S, silent_s=0.05)) as group:
            with pytest.raises(Unreachable, match="`lb1` does not answer: no answer within 0.05 s; see whether"):
                async with group.asked():
                    await asyncio.Event().wait()
            group.want(wish("a"))
            await until(device, lambda: device.writing == 1)
            with pytest.raises(Busy, match="an apply by engine is under way"):
                async with group.asked():
                    pass
            device.gate.set()
            async with group.asked():
                await group.lanes["prod"].look()

    run(scene)


def test_a_person_is_not_kept_waiting_by_a_pause(bench: Bench) -> None:
    device = FakeDevice()
    device.faults["observe"] = [Busy("503")]

    async def scene() -> None:
        async with running(bench, device, QUICK._replace(shortest_s=3600.0, longest_s=3600.0)) as group:
            group.want(wish("a"))
            await until(device, lambda: device.observed == 1)
            lane = group.lanes["prod"]
            async with asyncio.timeout(HARNESS_S):
                while not lane.fault:
                    await asyncio.sleep(0)
            async with group.held():
                await lane.apply((await lane.look()).plan, Consent("jane"))
            group.look_soon("prod")
            seen = device.observed
            await until(device, lambda: device.observed > seen)

    run(scene)
    assert len(device.applied) == 1


def test_a_device_is_let_go_of_when_nobody_holds_it_any_more(bench: Bench) -> None:
    """A reload amid a person's apply must not take the connection from under it."""
    device = FakeDevice()

    async def scene() -> None:
        async with running(bench, device, QUICK) as group:
            async with group.held():
                closing = asyncio.get_running_loop().create_task(group.close(HARNESS_S))
                for _ in range(5):
                    await asyncio.to_thread(lambda: None)
                assert not device.is_closed
            await closing
            assert device.is_closed

    run(scene)


def test_what_hangs_is_waited_for_no_longer_than_was_said(bench: Bench) -> None:
    device = FakeDevice()

    async def scene() -> None:
        async with running(bench, device, QUICK) as group, group.held():
            await group.close(0.01)
            assert device.is_closed

    run(scene)


def test_who_waited_while_the_settings_changed_is_sent_away(bench: Bench) -> None:
    """The device would be theirs under terms that hold no more."""
    device = FakeDevice()

    async def waits(group: Group) -> None:
        async with group.held():
            pass

    async def scene() -> None:
        async with running(bench, device, QUICK._replace(patience_s=HARNESS_S)) as group:
            async with group.held():
                waiting = asyncio.get_running_loop().create_task(waits(group))
                await asyncio.sleep(0)
                group.retire()
            with pytest.raises(Busy, match="settings changed"):
                await waiting
            assert not group.lock.locked()

    run(scene)
