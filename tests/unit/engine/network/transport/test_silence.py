"""A deadline that each word of a device puts off, and that ends with the question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.engine.network.transport.silence import Silent, answering, heard, heard_all

SHORT_S = 0.05


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def test_who_says_nothing_is_given_up() -> None:
    async def scene() -> None:
        with pytest.raises(Silent, match="no answer within 0.05 s"):
            async with answering(SHORT_S):
                await asyncio.Event().wait()

    run(scene)


def test_every_word_puts_the_end_off_also_to_a_task_that_was_begun_for_it() -> None:
    async def slowly() -> None:
        for _ in range(8):
            await asyncio.sleep(SHORT_S / 2)
            heard()

    async def scene() -> None:
        async with answering(SHORT_S):
            await asyncio.create_task(slowly())

    run(scene)


def test_what_is_made_of_the_answers_has_no_end() -> None:
    async def scene() -> None:
        async with answering(SHORT_S):
            heard_all()
            await asyncio.sleep(3 * SHORT_S)
            heard()
            await asyncio.sleep(3 * SHORT_S)

    run(scene)


def test_who_is_not_waited_for_has_no_deadline_and_one_that_is_over_is_none() -> None:
    async def scene() -> None:
        left: list[asyncio.Task[None]] = []

        async def later() -> None:
            await asyncio.sleep(SHORT_S / 5)
            heard()
            heard_all()

        async with answering(SHORT_S):
            left.append(asyncio.create_task(later()))
        await left[0]
        heard()
        await asyncio.sleep(2 * SHORT_S)

    run(scene)


def test_another_deadline_within_is_told_as_what_it_is() -> None:
    async def scene() -> None:
        with pytest.raises(TimeoutError):
            async with answering(10.0), asyncio.timeout(SHORT_S):
                await asyncio.Event().wait()

    run(scene)
