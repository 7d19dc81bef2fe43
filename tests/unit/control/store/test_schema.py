"""The schema: what the migrations make is what the program reads, older ones are brought up to date, newer ones are
left alone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.control.store import SchemaUnknown, Store, open_store, tables
from gateway.control.store.postgres import connect
from gateway.control.store.schema import MIGRATIONS, VERSION_TABLE, known_versions
from tests.support.stores import ACT, KINDS, Place, server_of, session


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, server_of(request))


def on_connection(place: Place, work: Callable[[Connection], Any]) -> Any:
    """What ``work`` returns, done past the store, in a transaction."""
    if not place.url:
        engine = create_engine(f"sqlite:///{place.folder / 'store.sqlite3'}", poolclass=NullPool)
        with engine.begin() as connection:
            return work(connection)

    async def there() -> Any:
        made = {"async_creator": lambda: connect(place.url), "poolclass": NullPool}
        engine = create_async_engine("postgresql+asyncpg://", **made)
        async with engine.begin() as connection:
            return await connection.run_sync(work)

    return asyncio.run(there())


def version_of(place: Place) -> Any:
    return on_connection(place, lambda it: it.execute(text("SELECT version_num FROM stagedoor_schema")).scalar())


def pretend(place: Place, version: str) -> None:
    """That another program wrote the schema."""
    change = text("UPDATE stagedoor_schema SET version_num = :version")
    on_connection(place, lambda it: it.execute(change, {"version": version}))


async def nothing(store: Store) -> None:
    assert await store.sessions.list() == []


def migrate_to(connection: Connection, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def test_the_migrations_make_what_the_program_reads(place: Place) -> None:
    place.run(nothing)

    def differences(connection: Connection) -> Any:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), tables.METADATA)

    assert on_connection(place, differences) == []


def test_versions_are_numbered_without_gaps_and_follow_each_other_as_their_files_say() -> None:
    assert known_versions() == tuple(f"{number:04}" for number in range(1, len(known_versions()) + 1))
    steps = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    assert tuple(step.revision for step in steps)[::-1] == known_versions()


@pytest.mark.parametrize("version", known_versions()[:-1])
def test_an_older_schema_is_brought_up_to_date_with_what_it_holds(place: Place, version: str) -> None:
    on_connection(place, lambda connection: migrate_to(connection, version))

    async def write(store: Store) -> None:
        await store.sessions.add(session())
        await store.append_act(ACT)

    async def read(store: Store) -> None:
        assert await store.sessions.list() == [session()]
        assert len(await store.acts()) == 1

    place.run(write)
    place.run(read)
    assert version_of(place) == known_versions()[-1]


@pytest.mark.parametrize("version", ["9999", "", "x" * 32])
def test_a_schema_of_a_newer_program_is_not_touched(place: Place, version: str) -> None:
    place.run(nothing)
    pretend(place, version)

    async def start() -> None:
        with pytest.raises(SchemaUnknown, match="start the newer Stagedoor that wrote it") as refused:
            await open_store(place.url, place.folder)
        assert f"`{known_versions()[-1]}`" in str(refused.value)

    asyncio.run(start())
    assert version_of(place) == version


def test_a_step_that_breaks_leaves_the_schema_as_it_was(place: Place) -> None:
    """Somebody made a table of that name: the whole step is undone, and people are told that the store is away."""
    on_connection(place, lambda connection: connection.execute(text("CREATE TABLE leaders (x INT)")))

    async def start() -> None:
        store = await open_store(place.url, place.folder)
        assert store.fault
        await store.close()

    asyncio.run(start())
    assert not on_connection(place, lambda it: it.dialect.has_table(it, "sessions"))
    place.sql("DROP TABLE leaders")
    place.run(nothing)


def test_many_that_start_at_once_bring_it_up_to_date_once(place: Place) -> None:
    async def story() -> None:
        stores = await asyncio.gather(*(open_store(place.url, place.folder) for _ in range(5)))
        assert [store.fault for store in stores] == [""] * 5
        await asyncio.gather(*(store.sessions.add(session(number)) for number, store in enumerate(stores)))
        assert len(await stores[0].sessions.list()) == 5
        await asyncio.gather(*(store.close() for store in stores))

    asyncio.run(story())


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_schema_that_grew_newer_under_a_running_node_stops_its_writes(place: Place) -> None:
    """The next connection looks again: nothing is written into what this program does not know."""

    async def story() -> None:
        store = await open_store(place.url, place.folder)
        await asyncio.to_thread(pretend, place, "9999")
        place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                  "WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
        async with asyncio.timeout(20):
            while not store.fault:
                await asyncio.sleep(0.01)
        assert "start the newer Stagedoor" in store.fault
        await asyncio.to_thread(pretend, place, known_versions()[-1])
        async with asyncio.timeout(20):
            while store.fault:
                await asyncio.sleep(0.01)
        await store.sessions.add(session())
        await store.close()

    asyncio.run(story())


def test_the_steps_are_part_of_the_package() -> None:
    """They are files that Alembic reads: an installation without them could not make a database."""
    assert (MIGRATIONS / "env.py").exists()
    assert (MIGRATIONS / "versions" / "__init__.py").exists()  # else setuptools leaves the folder out
    assert sqlite3.sqlite_version_info >= (3, 35)  # RETURNING
