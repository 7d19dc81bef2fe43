"""PostgreSQL: one database for several nodes, which hear of each other's changes over NOTIFY, by ids alone.

The connection string goes to the driver as it was configured, without a password: the driver takes that from the
file named by `passfile`, or from PGPASSFILE or PGPASSWORD. So no object of this program has it to show.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, get_args

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import orjson
from sqlalchemy import Table, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.control.store.database import Database
from gateway.control.store.faults import ASYNCPG, translated
from gateway.control.store.rows import Notice, NoticeKind
from gateway.control.store.schema import bring_up_to_date

CHANNEL: Final = "stagedoor"
CONNECTIONS: Final = 8
CONNECT_S: Final = 2.0
COMMAND_S: Final = 3.0
MIGRATE_S: Final = 600.0
PING_S: Final = 2.0  # how often the listening connection is tried
_LOCK: Final = 0x5354_4147_4502  # advisory lock: who counts on from the last number
_KINDS: Final = get_args(NoticeKind)
_SERVER_SETTINGS: Final = {
    "application_name": "stagedoor",
    # A node that is cut off lets go of its locks and its leadership after about 11 seconds.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "10000",
}


async def connect(url: str, command_s: float = COMMAND_S) -> Any:
    """A connection of the driver's own."""
    return await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=command_s, server_settings=_SERVER_SETTINGS)


class PostgresDatabase(Database):
    def __init__(self, url: str, hear: Callable[[Notice], None]) -> None:
        super().__init__(hear)
        self.url = url
        self.name = url.partition("?")[0]
        self._engine = _engine(url)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._ear: Any = None
        self._pinging: asyncio.Task[None] | None = None

    async def open(self) -> None:
        with translated():
            await self._migrate()
            self._ear = await connect(self.url)
            await self._ear.add_listener(CHANNEL, self._heard)
            self._ear.add_termination_listener(self._deafened)
        self._pinging = asyncio.get_running_loop().create_task(self._ping(self._ear))
        self.fault = ""
        self.hear(Notice("resync"))

    async def close(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
        ear, self._ear = self._ear, None
        if ear is not None and not ear.is_closed():
            ear.terminate()
        with suppress(*ASYNCPG):
            await self._engine.dispose()

    def insert(self, table: Table) -> Any:
        return insert(table)

    @asynccontextmanager
    async def _connected(self, *, writing: bool) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() if writing else self._reader.connect() as connection:
            yield connection

    async def serialise(self, connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})

    async def _announce(self, connection: AsyncConnection, notices: Sequence[Notice]) -> None:
        """Delivered when the transaction is committed, to this node's own ear too."""
        said = [
            {"channel": CHANNEL, "payload": orjson.dumps([notice.kind, *notice.ids]).decode()} for notice in notices
        ]
        await connection.execute(text("SELECT pg_notify(:channel, :payload)"), said)

    def _committed(self, notices: Sequence[Notice]) -> None:
        """The server tells them."""

    async def _migrate(self) -> None:
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: connect(self.url, MIGRATE_S), poolclass=NullPool
        )
        try:
            async with engine.begin() as connection:
                await connection.run_sync(bring_up_to_date)
        finally:
            await engine.dispose()

    # ---- the ear ----

    def _heard(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        """Whoever may connect to the database may say anything here: what is no notice means that anything changed."""
        try:
            kind, *ids = orjson.loads(payload)
            sound = kind in _KINDS and all(isinstance(each, str) for each in ids)
        except (orjson.JSONDecodeError, TypeError, ValueError):
            kind, ids, sound = "", [], False
        self.hear(Notice(kind, tuple(ids)) if sound else Notice("resync"))

    def _deafened(self, connection: Any) -> None:
        if connection is self._ear:
            self.on_lost()

    async def _ping(self, ear: Any) -> None:
        """A connection that only listens would never notice that the other end is gone."""
        while not ear.is_closed():
            await asyncio.sleep(PING_S)
            try:
                await ear.execute("SELECT 1", timeout=COMMAND_S)
            except ASYNCPG:
                break
        self._deafened(ear)


def _engine(url: str) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(url),
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=COMMAND_S,
        pool_pre_ping=True,
        hide_parameters=True,
    )
