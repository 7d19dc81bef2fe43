"""The file of one node: its owner's alone, synced with every commit, and a fault of the disk is said in a sentence."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.control.store import Store, StoreUnavailable, open_store
from gateway.control.store.sqlite import CONNECTIONS, SqliteDatabase
from tests.support.stores import ACT, NOW, Place, session


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """The file must not owe its mode to the user's habits."""
    old = os.umask(0)
    yield
    os.umask(old)


def test_the_file_and_its_log_are_the_owners_alone(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.sessions.add(session())
        assert modes(tmp_path) == dict.fromkeys(("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm"), 0o600)

    Place(tmp_path, None).run(story)
    (tmp_path / "store.sqlite3").chmod(0o644)  # by a backup that was brought back
    Place(tmp_path, None).run(story_again)
    assert modes(tmp_path) == {"store.sqlite3": 0o600}


async def story_again(store: Store) -> None:
    assert await store.sessions.list() == [session()]


def test_every_connection_syncs_every_commit(tmp_path: Path) -> None:
    """WAL with less than FULL keeps a database whole and loses its last commits with the power."""

    async def story() -> None:
        database = SqliteDatabase(tmp_path, lambda notice: None)
        await database.open()
        held = [database.reading() for _ in range(CONNECTIONS)]
        for each in held:
            connection = await each.__aenter__()
            for name, value in (("synchronous", 2), ("journal_mode", "wal"), ("secure_delete", 1)):
                assert (await connection.execute(text(f"PRAGMA {name}"))).scalar() == value
        for each in held:
            await each.__aexit__(None, None, None)
        await database.close()

    asyncio.run(story())


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_no_thread_of_it_outlives_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool) -> None:
    """A call is under way, or was given up, when the store is closed and the loop after it: the thread that still works
    on it would answer nobody, and die of that."""
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda said: died.append(said.exc_value))
    begun = threading.Event()
    go_on = threading.Event()

    def slow() -> int:
        begun.set()
        return int(go_on.wait(60))

    async def story() -> None:
        store = await open_store("", tmp_path)

        async def ask() -> None:
            async with store._database.reading() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                assert raw is not None
                await raw.create_function("slow", 0, slow)
                await connection.execute(text("SELECT slow()"))

        asking = asyncio.get_running_loop().create_task(ask())
        assert await asyncio.to_thread(begun.wait, 60)
        if is_cancelled:
            asking.cancel()
        asyncio.get_running_loop().call_later(0.2, go_on.set)
        await store.close()

    before = set(threading.enumerate())
    asyncio.run(story())
    left = [each for each in threading.enumerate() if each not in before]
    go_on.set()
    for each in left:
        each.join(60)
    assert left == []
    assert died == []


def test_who_calls_while_it_closes_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was made then would be closed by nobody."""

    async def story() -> None:
        store = await open_store("", tmp_path)
        database = store._database
        real = database.close
        said: list[str] = []

        async def close() -> None:
            try:
                await store.acts()
            except StoreUnavailable as fault:
                said.append(str(fault))
            await real()

        monkeypatch.setattr(database, "close", close)
        await store.close()
        assert said == ["it is closed"]

    asyncio.run(story())


def test_tokens_that_are_gone_are_gone_from_the_file(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.sessions.add(session(tokens=b"SEALED-AND-SECRET" * 900))
        await store.sessions.end([session().sid], NOW, "cut")

    Place(tmp_path, None).run(story)
    assert [path.name for path in tmp_path.iterdir() if b"SEALED-AND-SECRET" in path.read_bytes()] == []


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "store.sqlite3").symlink_to(elsewhere / "file")
    assert fault_of(tmp_path / "state")
    assert list(elsewhere.iterdir()) == []


def fault_of(folder: Path) -> str:
    async def start() -> str:
        store = await open_store("", folder)
        try:
            with pytest.raises(StoreUnavailable) as away:
                await store.append_act(ACT)
            assert str(away.value) == store.fault
            return store.fault
        finally:
            await store.close()

    return asyncio.run(start())


def test_a_file_that_is_none_is_said_to_be_so_and_is_kept(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3").write_bytes(b"not a database, but somebody's only copy of it" * 100)
    assert fault_of(tmp_path) == "file is not a database"
    assert (tmp_path / "store.sqlite3").read_bytes().startswith(b"not a database")


def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        store = await open_store("", tmp_path / "state")
        assert "no such file or directory" in store.fault
        (tmp_path / "state").mkdir()
        async with asyncio.timeout(20):
            while store.fault:
                await asyncio.sleep(0.01)
        assert await store.append_act(ACT) == 1
        await store.close()

    asyncio.run(story())


def test_a_disk_that_is_full_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The write that has no room is refused whole; with room again it succeeds."""

    async def story(store: Store) -> None:
        await store.sessions.add(session(1))
        limit_pages(store, 1)
        with pytest.raises(StoreUnavailable, match="full"):
            for number in range(2, 100):
                await store.sessions.add(session(number, tokens=bytes(200_000)))
        kept = len(await store.sessions.list())
        limit_pages(store, 2**30)
        async with asyncio.timeout(20):
            while store.fault:
                await asyncio.sleep(0.01)
        await store.sessions.add(session(100))
        assert len(await store.sessions.list()) == kept + 1

    Place(tmp_path, None).run(story)


def limit_pages(store: Store, pages: int) -> None:
    """A limit of SQLite's own stands for the disk's: it fails in the same place, with the same code."""
    from sqlalchemy import event

    database = store._database
    assert isinstance(database, SqliteDatabase)
    engine = database._engine.sync_engine

    def limit(connection: object) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]  # an event's argument

    event.listen(engine, "begin", limit)


def test_another_program_that_holds_the_file_is_waited_for(tmp_path: Path) -> None:
    """A backup by the sqlite3 command takes its time and turns nobody away."""

    async def story(store: Store) -> None:
        holder = sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        asked = asyncio.get_running_loop().create_task(store.append_act(ACT))
        assert await store.acts() == []  # readers need not wait
        assert not asked.done()
        holder.execute("COMMIT")
        holder.close()
        assert await asked == 1

    Place(tmp_path, None).run(story)
