"""The engine's answers to the command line: what is held is shown, and let go exactly as it was shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.engine.desk import mark_of
from gateway.link import LinkClient, Message
from tests.support.catalogs import entity, people, service, write
from tests.unit.engine.test_sync import Door, Stage, running

MANY = 15


class Asker:
    """The command line's end of the engine's socket."""

    def __init__(self, state: Path) -> None:
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.client = LinkClient(state / "engine.sock", lambda: {"t": "status"}, self._take)

    def _take(self, message: Message) -> None:
        if message["t"] in ("status", "losses_accepted", "losses_changed"):  # what doors are told comes here too
            self.heard.put_nowait(message)

    async def ask(self, **question: Any) -> Message:
        self.client.send(question)
        async with asyncio.timeout(20):
            return await self.heard.get()

    async def until(self, holds: Callable[[Message], bool]) -> Message:
        """The first status of which that is true; the engine has a round behind it in between."""
        async with asyncio.timeout(20):
            while not holds(answer := await self.ask(t="status")):
                await asyncio.sleep(0.02)
        return answer


@asynccontextmanager
async def asking(folder: Path) -> Any:
    async with running(folder) as (stage, door):
        await door.until(lambda: bool(door.services()))
        asker = Asker(stage.state)
        asker.client.start()
        await asker.heard.get()  # the answer to the first question, which a client asks as its hello
        try:
            yield stage, door, asker
        finally:
            asker.client.close()


def run(test: Callable[[Stage, Door, Asker], Coroutine[Any, Any, None]], folder: Path) -> None:
    async def scene() -> None:
        async with asking(folder) as (stage, door, asker):
            await test(stage, door, asker)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "catalog/org.yaml", *people("team"))
    write(tmp_path, "catalog/a.yaml", service("a"))
    write(tmp_path, "catalog/many.yaml", *(service(f"many-{number}") for number in range(MANY)))
    return tmp_path


def lose_many(folder: Path) -> None:
    (folder / "catalog/many.yaml").unlink()


def test_a_round_is_told_with_its_counts_and_its_worst_faults_first(folder: Path) -> None:
    async def scene(stage: Stage, door: Door, asker: Asker) -> None:
        write(folder, "catalog/b.yaml", service("b", host="b.evil.example"), service("c", acces="everyone"))
        said = await asker.until(lambda said: bool(said["errors"]))
        assert (said["services"], said["errors"], said["warnings"]) == (MANY + 2, 1, 1)
        assert "b.evil.example" in said["faults"][0]
        assert "acces" in said["faults"][1]
        assert said["base"] == door.loader.base
        assert said["published_age_s"] in range(20)
        assert said["read_age_s"] in range(20)
        assert (said["held"], said["mark"], said["failure"]) == ({}, "", "")

    run(scene, folder)


def test_held_losses_are_shown_and_accepted_and_the_answer_names_what_is_published(folder: Path) -> None:
    async def scene(stage: Stage, door: Door, asker: Asker) -> None:
        lose_many(folder)
        said = await asker.until(lambda said: bool(said["held"]))
        assert said["held"] == {
            "component": {"count": MANY, "first": sorted(f"component:default/many-{n}" for n in range(MANY))}
        }
        assert len(door.services()) == MANY + 1
        answer = await asker.ask(t="accept_losses", mark=said["mark"])
        assert answer["t"] == "losses_accepted"
        assert (answer["accepted"], answer["held"], answer["failure"]) == ({"component": MANY}, {}, "")
        await door.until(lambda: door.services() == {"a"})
        assert answer["base"] == door.loader.base != said["base"]

    run(scene, folder)


@pytest.mark.parametrize("mark", ["", "0" * 32, None, 7])
def test_what_was_not_shown_is_not_accepted(folder: Path, mark: Any) -> None:
    async def scene(stage: Stage, door: Door, asker: Asker) -> None:
        lose_many(folder)
        await asker.until(lambda said: bool(said["held"]))
        answer = await asker.ask(t="accept_losses", mark=mark)
        assert answer == {"t": "losses_changed", "held": {"component": MANY}}
        assert (await asker.ask(t="status"))["held"]
        assert len(door.services()) == MANY + 1

    run(scene, folder)


def test_what_is_lost_after_it_was_shown_is_not_accepted_with_it(folder: Path) -> None:
    async def scene(stage: Stage, door: Door, asker: Asker) -> None:
        lose_many(folder)
        shown = await asker.until(lambda said: bool(said["held"]))
        write(folder, "catalog/org.yaml", entity("Group", "other", type="team", children=[]))
        await asker.until(lambda said: "user" in said["held"])
        answer = await asker.ask(t="accept_losses", mark=shown["mark"])
        assert answer["t"] == "losses_changed"
        assert set(answer["held"]) == {"component", "group", "user"}

    run(scene, folder)


def test_without_losses_there_is_nothing_to_accept(folder: Path) -> None:
    async def scene(stage: Stage, door: Door, asker: Asker) -> None:
        assert await asker.ask(t="accept_losses", mark="") == {"t": "losses_changed", "held": {}}

    run(scene, folder)


def test_a_round_that_fails_is_told_and_so_is_who_waits_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage, door: Door, asker: Asker) -> None:
        lose_many(folder)
        shown = await asker.until(lambda said: bool(said["held"]))

        def fail() -> None:
            raise OSError("disk full")

        monkeypatch.setattr(stage.sync._rounds, "round", fail)
        answer = await asker.ask(t="accept_losses", mark=shown["mark"])
        assert answer["t"] == "losses_accepted"
        assert "disk full" in answer["failure"]
        assert "disk full" in (await asker.ask(t="status"))["failure"]

    run(scene, folder)


def test_a_mark_is_that_of_exactly_these_losses() -> None:
    one = {"user": frozenset(("user:default/a", "user:default/b"))}
    assert mark_of(one) == mark_of({"user": frozenset(("user:default/b", "user:default/a"))})
    assert len({mark_of(one), mark_of({}), mark_of({"user": frozenset(("user:default/a",))})}) == 3
    assert mark_of({}) == ""


def test_several_questions_on_one_link_are_told_apart_by_their_numbers(folder: Path) -> None:
    """Control asks so: whatever the desk answers, it answers under a number, in whatever order answers come."""

    async def scene(stage: Stage, _door: Door, _asker: Asker) -> None:
        heard: asyncio.Queue[Message] = asyncio.Queue()
        client = LinkClient(stage.state / "engine.sock", lambda: {"t": "status"}, heard.put_nowait)
        client.start()
        asked: list[Message] = [
            {"t": "lint", "most": 1},
            {"t": "owners", "services": ["component:default/a"]},
            {"t": "status"},
            {"t": "read_catalogs", "name": ""},
            {"t": "entity", "ref": "component:default/a"},
        ]
        async with asyncio.timeout(20):
            await heard.get()
            client.send({"t": "question", "id": 99, "asked": {"t": "hello", "role": "door"}})  # none for the desk
            client.send({"t": "question", "id": 98, "asked": "status"})
            for number, question in enumerate(asked):
                client.send({"t": "question", "id": number, "asked": question})
            answers: dict[int, Message] = {}
            while len(answers) < len(asked):
                message = await heard.get()
                assert message["t"] == "answer"
                answers[message["id"]] = message["answer"]
        client.close()
        told = [answers[number] for number in range(len(asked))]
        assert [each["t"] for each in told] == ["lint", "owners", "status", "catalogs_hurried", "entity"]
        assert told[1]["owners"] == {"component:default/a": "group:default/team"}

    run(scene, folder)


def test_a_question_that_cannot_be_answered_ends_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> Message:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("gateway.engine.answers.Answers.answer", broken)

    async def scene(stage: Stage, _door: Door, asker: Asker) -> None:
        heard: asyncio.Queue[Message] = asyncio.Queue()
        client = LinkClient(stage.state / "engine.sock", lambda: {"t": "status"}, heard.put_nowait)
        client.start()
        async with asyncio.timeout(20):
            await heard.get()
            client.send({"t": "question", "id": 1, "asked": {"t": "why", "rule": "r-x"}})
            answer = await heard.get()
        client.close()
        assert answer == {"t": "answer", "id": 1, "answer": {"t": "why", "fault": "failed"}}
        assert (await asker.ask(t="status"))["t"] == "status"

    run(scene, folder)
