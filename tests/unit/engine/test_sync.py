"""The engine role over its real socket: edits reach the doors in time, faults change nothing, it stops when told."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway import config
from gateway.child import NodeState, ParentChannel, RoleContext
from gateway.engine import sync
from gateway.engine.rounds import Outcome, Rounds
from gateway.engine.sync import Sync
from gateway.link import LinkClient
from gateway.snapshot import BaseLoader
from tests.support.catalogs import ACCESS, people, service, settings, write

IN_FORCE_S = 2.0  # the promise: from the saved file to the table of a door


class Door:
    """What a door does with the engine's messages."""

    def __init__(self, state: Path) -> None:
        self.loader = BaseLoader(state)
        self.messages: list[dict[str, Any]] = []
        self.client = LinkClient(state / "engine.sock", self._hello, self._heard)
        self._news = asyncio.Event()

    def _hello(self) -> dict[str, Any]:
        return {"t": "hello", "role": "door", "slot": 0, "pid": 1, "base": self.loader.base, "seq": 0}

    def _heard(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self.loader.begin(message)
        while self.loader.busy:
            self.loader.step()
        self.client.send({"t": "ack", "base": self.loader.base})
        self._news.set()

    async def until(self, holds: Callable[[], bool], within_s: float = 20.0) -> float:
        began = time.monotonic()
        async with asyncio.timeout(within_s):
            while not holds():
                self._news.clear()
                await self._news.wait()
        return time.monotonic() - began

    def services(self) -> set[str]:
        return {key.partition(":default/")[2].partition("@")[0] for key in self.loader.table.exposures}


class Stage:
    def __init__(self, folder: Path, said: config.Settings) -> None:
        self.folder = folder
        self.state = Path(said.state_folder)
        self.state.mkdir(exist_ok=True)
        self.parent, self.child = socket.socketpair()
        context = RoleContext("engine", 0, said, self.state, {}, ParentChannel(self.child), NodeState.create())
        self.sync = Sync(context)


@asynccontextmanager
async def running(folder: Path, **changes: Any) -> AsyncIterator[tuple[Stage, Door]]:
    stage = Stage(folder, settings(folder, **changes))
    role = asyncio.get_running_loop().create_task(stage.sync.serve())
    door = Door(stage.state)
    door.client.start()
    try:
        yield stage, door
    finally:
        door.client.close()
        stage.parent.send(b"stop\n")
        async with asyncio.timeout(10):
            await role
        stage.parent.close()
        stage.child.close()


def run(test: Callable[[Path], Coroutine[Any, Any, None]], folder: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "catalog/org.yaml", *people("team"))
    write(tmp_path, "catalog/a.yaml", service("a"))
    return tmp_path


def test_an_edited_file_is_in_force_at_a_door_in_time(folder: Path) -> None:
    async def scene(folder: Path) -> None:
        async with running(folder) as (_, door):
            await door.until(lambda: door.services() == {"a"})
            write(folder, "catalog/b.yaml", service("b"))
            assert await door.until(lambda: "b" in door.services()) < IN_FORCE_S
            write(folder, "access.yaml", ACCESS.replace("owners: [read]", "owners: [all]"))
            base = door.loader.base
            assert await door.until(lambda: door.loader.base != base) < IN_FORCE_S
            (folder / "catalog/b.yaml").unlink()
            assert await door.until(lambda: "b" not in door.services()) < IN_FORCE_S
            assert "set" in door.messages[-1]

    run(scene, folder)


def test_a_broken_file_changes_nothing_and_its_repair_is_noticed(folder: Path) -> None:
    async def scene(folder: Path) -> None:
        async with running(folder) as (_, door):
            await door.until(lambda: door.services() == {"a"})
            write(folder, "catalog/a.yaml", "kind: [")
            write(folder, "catalog/b.yaml", service("b"))
            await door.until(lambda: door.services() == {"a", "b"})
            write(folder, "catalog/a.yaml", service("a"), service("c"))
            await door.until(lambda: door.services() == {"a", "b", "c"})

    run(scene, folder)


def test_a_round_that_fails_is_not_tried_again_at_once_whatever_happens_in_watched_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the disk is full and the log lies beside the access policy."""
    began: list[float] = []
    real = Rounds.round

    def failing(rounds: Rounds) -> Outcome:
        began.append(time.monotonic())
        write(folder, "log", str(len(began)))
        if len(began) < 4:
            raise OSError(28, "No space left on device")
        return real(rounds)

    monkeypatch.setattr(Rounds, "round", failing)
    monkeypatch.setattr(sync, "RETRY_S", 0.2)

    async def scene(folder: Path) -> None:
        async with running(folder) as (_, door):
            await door.until(lambda: door.services() == {"a"})
        assert min(later - earlier for earlier, later in pairwise(began[:4])) >= 0.19

    run(scene, folder)


def test_a_door_that_is_up_to_date_is_told_nothing(folder: Path) -> None:
    async def scene(folder: Path) -> None:
        async with running(folder) as (_, door):
            await door.until(lambda: door.services() == {"a"})
            late = Door(Path(settings(folder).state_folder))
            late.loader.load()
            late.client.start()
            write(folder, "catalog/b.yaml", service("b"))
            await late.until(lambda: late.services() == {"a", "b"})
            assert [message["from"] for message in late.messages] == [door.messages[-1]["from"]]
            late.client.close()

    run(scene, folder)


def test_a_door_that_found_a_damaged_base_gets_a_whole_one(folder: Path) -> None:
    async def scene(folder: Path) -> None:
        async with running(folder) as (stage, door):
            await door.until(lambda: door.services() == {"a"})
            await asyncio.gather(*stage.sync._errands)  # the first door's look at the disk is over: nobody mends now
            for frame in (stage.state / "frames").iterdir():
                frame.write_bytes(frame.read_bytes()[:-1])
            (stage.state / "manifest").write_bytes(b"damaged")
            late = Door(stage.state)
            assert not late.loader.load().ready
            late.client.start()
            await late.until(lambda: late.services() == {"a"})
            assert late.loader.fault == ""
            late.client.close()

    run(scene, folder)


def test_new_settings_take_effect_without_a_restart(folder: Path) -> None:
    async def scene(folder: Path) -> None:
        async with running(folder) as (stage, door):
            await door.until(lambda: door.services() == {"a"})
            write(folder, "other/b.yaml", *people("team"), service("a"), service("b"))
            changed = settings(folder, catalog=config.Catalog(files=(str(folder / "other"),)))
            (stage.state / "settings-new.frame").write_bytes(config.encode(changed))
            stage.parent.send(b"settings settings-new.frame\n")
            await door.until(lambda: door.services() == {"a", "b"})
            stage.parent.send(b"settings missing.frame\n")
            write(folder, "other/c.yaml", service("c"))
            await door.until(lambda: door.services() == {"a", "b", "c"})

    run(scene, folder)


def test_it_tells_the_supervisor_that_it_is_ready_and_stops_when_told(folder: Path) -> None:
    async def scene(folder: Path) -> None:
        async with running(folder) as (stage, door):
            await door.until(lambda: door.services() == {"a"})
            assert stage.parent.recv(100) == b"ready\n"

    run(scene, folder)
    assert not (Path(settings(folder).state_folder) / "engine.sock").exists()
