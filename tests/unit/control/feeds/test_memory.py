"""What is held of the engine's documents: while it stands to them, a quarter of an hour longer, and no doubt more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.control.api.problems import Problem
from gateway.control.feeds.memory import AWAY_S, Given, Key, Memory, Withheld, stored

KEY: Key = ("bigip", "dc1", "prod")
OTHER: Key = ("bigip", "dc1", "dev")


class Engine:
    """Answers `answer`, or is away where there is none."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.answer: dict[str, Any] | None = None
        self.asked: list[dict[str, Any]] = []
        self.gate: asyncio.Event | None = None
        self.memory = Memory(self.ask, lambda: self.now_s)

    async def ask(self, question: dict[str, Any], within_s: float) -> dict[str, Any]:
        self.asked.append(question)
        assert within_s > 0
        if self.gate is not None:
            await self.gate.wait()
        if self.answer is None:
            raise Problem("engine_away")
        return self.answer

    def gives(self, text: str, mark: str = "m1") -> None:
        self.answer = {"t": "feed", "code": "", "mark": mark, "documents": {"as3.json": ["application/json", text]}}


def run(scene: Callable[[Engine], Coroutine[Any, Any, None]]) -> None:
    async def timed() -> None:
        await asyncio.wait_for(scene(Engine()), 60)

    asyncio.run(timed())


def text_of(found: Given | Withheld) -> str:
    assert isinstance(found, Given), found
    return found.documents["as3.json"].body.decode()


def test_what_is_known_is_not_sent_again() -> None:
    async def scene(engine: Engine) -> None:
        engine.gives("{1}")
        assert text_of(await engine.memory.look(KEY)) == "{1}"
        engine.answer = {"t": "feed", "code": "", "mark": "m1"}
        assert text_of(await engine.memory.look(KEY)) == "{1}"
        assert [each["mark"] for each in engine.asked] == ["", "m1"]

    run(scene)


@pytest.mark.parametrize("answer", [None, {"code": "unread"}, {"code": "unknown"}], ids=["away", "begun", "before"])
def test_while_the_engine_is_away_or_has_just_begun_what_it_gave_is_given_for_a_while(answer: Any) -> None:
    async def scene(engine: Engine) -> None:
        engine.answer = answer
        assert await engine.memory.look(KEY) == Withheld("away")
        engine.gives("{1}")
        await engine.memory.look(KEY)
        engine.answer, engine.now_s = answer, engine.now_s + AWAY_S
        found = await engine.memory.look(KEY)
        assert text_of(found) == "{1}"
        assert isinstance(found, Given)
        assert found.age_s == AWAY_S
        engine.now_s += 1
        assert await engine.memory.look(KEY) == Withheld("away")

    run(scene)


@pytest.mark.parametrize("code", ["held", "empty", "standby", "stale", "unsound", "doubtful", "of another version"])
def test_what_the_engine_withholds_is_forgotten_at_once(code: str) -> None:
    """Also where it goes away afterwards: its doubt is the last that is known."""

    async def scene(engine: Engine) -> None:
        engine.gives("{1}")
        await engine.memory.look(KEY)
        engine.answer = {"code": code}
        assert await engine.memory.look(KEY) == Withheld(code)
        engine.answer = None
        assert await engine.memory.look(KEY) == Withheld("away")

    run(scene)


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"code": None}, {"code": 7}, {"code": ""}, {"code": "", "mark": ""}, {"code": "", "mark": 7},
        {"code": "", "mark": "m9"}, {"code": "", "mark": "m9", "documents": {}},
        {"code": "", "mark": "m9", "documents": {"as3.json": ["application/json", ""]}},
        {"code": "", "mark": "m9", "documents": {"../as3.json": ["application/json", "{}"]}},
        {"code": "", "mark": "m9", "documents": {"as3.json": "{}"}},
        {"code": "", "mark": "m9", "documents": {"a": ["t", "x"], "b": ["t"]}},
        {"code": "", "mark": "m9", "documents": ["as3.json"]},
    ],
)  # fmt: skip
def test_an_answer_that_is_none_gives_nothing(answer: dict[str, Any]) -> None:
    async def scene(engine: Engine) -> None:
        engine.gives("{1}")
        await engine.memory.look(KEY)
        engine.answer = answer
        assert await engine.memory.look(KEY) == Withheld("unmade")

    run(scene)


def test_many_readers_are_one_question_and_one_who_leaves_takes_no_answer_from_the_others() -> None:
    async def scene(engine: Engine) -> None:
        engine.gives("{1}")
        engine.gate = asyncio.Event()
        readers = [asyncio.create_task(engine.memory.look(KEY)) for _ in range(10)]
        await asyncio.sleep(0)
        readers[0].cancel()
        engine.gate.set()
        found = await asyncio.gather(*readers[1:])
        assert {text_of(each) for each in found} == {"{1}"}
        assert len(engine.asked) == 1

    run(scene)


def test_what_nobody_may_read_any_more_is_forgotten() -> None:
    async def scene(engine: Engine) -> None:
        engine.gives("{1}")
        await engine.memory.look(KEY)
        await engine.memory.look(OTHER)
        engine.memory.keep_only(frozenset((OTHER,)))
        assert list(engine.memory.ages()) == [OTHER]
        engine.answer = None
        assert await engine.memory.look(KEY) == Withheld("away")

    run(scene)


def test_a_tag_is_strong_and_of_the_bytes_alone() -> None:
    one, two = stored("a/b", "x"), stored("c/d", "x")
    assert one.etag == two.etag
    assert one.etag != stored("a/b", "y").etag
    assert one.etag.startswith('"')
