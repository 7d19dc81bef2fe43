"""Names are asked once while an answer is fresh, and nobody waits for one that hangs, not even the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from gateway.egress import look_ups
from gateway.egress.look_ups import Names
from gateway.egress.resolve import LOOK_UPS

PATIENCE_S = 40.0
LookUp = Callable[[str], list[str]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[LookUp], list[str]]:
    """Sets who answers; returns the list of what was asked."""

    def begin(answer: LookUp) -> list[str]:
        asked: list[str] = []

        def look_up(host: str) -> list[str]:
            asked.append(host)
            return answer(host)

        monkeypatch.setattr(look_ups, "system_look_up", look_up)
        return asked

    return begin


def test_a_fresh_answer_is_kept_and_an_old_one_asked_for_again(answering: Callable[[LookUp], list[str]]) -> None:
    async def scene(names: Names) -> None:
        await asyncio.gather(*(names.addresses("a.test") for _ in range(20)))
        assert await names.addresses("a.test") == ["192.0.2.1"]

    asked = answering(lambda _: ["192.0.2.1"])
    asyncio.run(scene(Names()))
    assert asked == ["a.test"]
    asyncio.run(scene(Names(fresh_s=-1.0)))
    assert asked == ["a.test"] * 3


def test_that_there_is_no_answer_is_an_answer(answering: Callable[[LookUp], list[str]]) -> None:
    def unknown(_host: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    async def scene() -> None:
        names = Names()
        for _ in range(3):
            with pytest.raises(OSError, match="not known"):
                await names.addresses("a.test")

    asked = answering(unknown)
    asyncio.run(scene())
    assert asked == ["a.test"]


def test_names_that_hang_hold_few_threads_and_nobody(answering: Callable[[LookUp], list[str]]) -> None:
    over = threading.Event()
    begun = threading.Semaphore(0)

    def hanging(_host: str) -> list[str]:
        begun.release()
        over.wait(PATIENCE_S)
        return []

    async def scene() -> None:
        names = Names()
        waiting = [asyncio.create_task(names.addresses(f"h{number}.test")) for number in range(10 * LOOK_UPS)]
        for _ in range(LOOK_UPS):
            await asyncio.to_thread(begun.acquire, timeout=PATIENCE_S)
        names.close()
        assert all(isinstance(each, asyncio.CancelledError) for each in
                   await asyncio.gather(*waiting, return_exceptions=True))  # fmt: skip

    asked = answering(hanging)
    try:
        asyncio.run(scene())
        assert len(asked) == LOOK_UPS
    finally:
        over.set()


def test_what_is_kept_is_bounded(answering: Callable[[LookUp], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        names = Names()
        for number in range(50):
            await names.addresses(f"h{number}.test")
        await names.addresses("h49.test")

    monkeypatch.setattr(look_ups, "MOST_KEPT", 10)
    asked = answering(lambda _: [])
    asyncio.run(scene())
    assert len(asked) == 50


def test_of_a_zone_that_answers_with_thousands_of_addresses_few_are_kept(
    answering: Callable[[LookUp], list[str]],
) -> None:
    """Whoever asked looks at each, in a loop that others share; and 20,000 names may be kept."""

    async def scene() -> None:
        assert len(await Names().addresses("a.test")) == look_ups.ADDRESSES

    answering(lambda _: [f"192.0.{number // 256}.{number % 256}" for number in range(4096)])
    asyncio.run(scene())
