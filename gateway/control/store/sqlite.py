"""SQLite: one file in the state folder, for one node. Write-ahead log, and every commit is on disk when it returns.

Writers wait for each other here, in turn, rather than in SQLite, which lets them try again by chance. Each connection
has a thread, which answers to the loop: so the loop outlives them all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import URL, Connection, Table, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from gateway.control.store.database import Database
from gateway.control.store.faults import translated
from gateway.control.store.rows import Notice
from gateway.control.store.schema import bring_up_to_date

FILE: Final = "store.sqlite3"
CONNECTIONS: Final = 4  # a thread each
BUSY_MS: Final = 3000
FINISH_S: Final = 5.0  # longer than a statement that waits for another program
LOOK_S: Final = 0.01
_PRAGMAS: Final = (
    f"busy_timeout = {BUSY_MS}",
    "journal_mode = WAL",
    "synchronous = FULL",  # WAL alone syncs at checkpoints only: an acknowledged write could be lost with the power
    "secure_delete = ON",  # tokens that are gone are gone from the file
    "trusted_schema = OFF",
)


class SqliteDatabase(Database):
    def __init__(self, folder: Path, hear: Callable[[Notice], None]) -> None:
        super().__init__(hear)
        self.path = folder / FILE
        self.name = str(self.path)
        self._engine = _engine(self.path)
        self._turn = asyncio.Lock()
        self._opened: WeakSet[Any] = WeakSet()
        event.listen(self._engine.sync_engine, "connect", self._connects)

    async def open(self) -> None:
        with translated():
            _make(self.path)
            async with self._connected(writing=True) as connection:
                await connection.run_sync(bring_up_to_date)
        self.fault = ""
        self.hear(Notice("resync"))

    async def close(self) -> None:
        await self._engine.dispose()

    async def finish(self) -> None:
        """A thread that answers a loop which is closed can only fail: so nobody's call is left behind, also of those
        that were cancelled."""
        pool = self._engine.sync_engine.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)
        await _while(pool.checkedout)
        await self.close()
        for connection in self._living():
            connection.stop()
        await _while(self._living)

    def _connects(self, connection: Any, record: Any) -> None:
        self._opened.add(connection.driver_connection)

    def _living(self) -> list[Any]:
        """The driver's connections whose thread may still answer."""
        return [each for each in self._opened if each._thread.is_alive()]

    def insert(self, table: Table) -> Any:
        return insert(table)

    @asynccontextmanager
    async def _connected(self, *, writing: bool) -> AsyncIterator[AsyncConnection]:
        if not writing:
            async with self._engine.connect() as connection:
                yield connection
            return
        async with self._turn, self._engine.connect() as connection:
            await connection.execution_options(stagedoor_begin="BEGIN IMMEDIATE")
            async with connection.begin():
                yield connection

    async def serialise(self, connection: AsyncConnection) -> None:
        """There is one writer at a time anyway."""

    async def _announce(self, connection: AsyncConnection, notices: Sequence[Notice]) -> None:
        """Nobody else is there to hear it."""

    def _committed(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            self.hear(notice)


async def _while(busy: Callable[[], object]) -> None:
    """For `FINISH_S` of this program's own time: a machine that stood still meanwhile does not count as a wait."""
    for _ in range(int(FINISH_S / LOOK_S)):
        if not busy():
            return
        await asyncio.sleep(LOOK_S)


def _make(path: Path) -> None:
    """The file, for its owner alone, before SQLite makes it readable for others; its log takes its mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=BUSY_MS / 1000,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver opens no transaction of its own accord
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("stagedoor_begin", "BEGIN"))
