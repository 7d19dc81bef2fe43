"""Which of several nodes acts alone for all: one holds PostgreSQL's advisory lock, and its number is the highest yet.

The lock belongs to a connection, so it goes when the node dies, when the database forgets the node, and when the node
finds that the database is silent. Between the last two somebody else may lead already while this node has not noticed.
Hence the fencing number: each new leader takes the next one, and whoever carries out what a leader says refuses a
number below the highest it has seen (`is_current` asks the database). On one node, with SQLite, there is nobody else,
and a start is a new lead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Any, Final

from sqlalchemy import select

from gateway import telemetry
from gateway.control.store import tables
from gateway.control.store.database import Database
from gateway.control.store.faults import ASYNCPG, StoreUnavailable, scrubbed
from gateway.control.store.postgres import PostgresDatabase, connect

BEAT_S: Final = 1.0
SILENT_S: Final = 3.0  # then the lead is given up: well before the database gives up on the node
LONGEST_PAUSE_S: Final = 5.0
_RANDOM: Final = Random()  # spreads the candidates
_LEADERS: Final = tables.leaders
_TAKE: Final = (
    "INSERT INTO leaders (name, fence, node) VALUES ($1, 1, $2) "
    "ON CONFLICT (name) DO UPDATE SET fence = leaders.fence + 1, node = excluded.node RETURNING fence"
)


class Leadership:
    """Of what is called ``name``, as ``node`` wants it. ``changed`` is called with the fencing number when this node
    begins to lead, and with None when it no longer does."""

    def __init__(self, database: Database, name: str, node: str, changed: Callable[[int | None], None]) -> None:
        self._database = database
        self._name = name
        self._node = node
        self._changed = changed
        self.fence: int | None = None
        self._campaign: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._campaign = asyncio.get_running_loop().create_task(self._stand())

    async def close(self) -> None:
        """Lets go, so that the next one need not wait."""
        if self._campaign is not None:
            self._campaign.cancel()
            await asyncio.gather(self._campaign, return_exceptions=True)
        self._lead(None)

    async def is_current(self, fence: int) -> bool:
        """Whether nobody began to lead after the one with this number. Raises `StoreUnavailable`."""
        statement = select(_LEADERS.c.fence).where(_LEADERS.c.name == self._name)
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).scalar() == fence

    # ---- the campaign ----

    async def _stand(self) -> None:
        pause_s = BEAT_S
        while True:
            try:
                if isinstance(self._database, PostgresDatabase):
                    await self._hold(self._database.url)
                else:
                    await self._lead_alone()
            except (StoreUnavailable, *ASYNCPG) as error:
                if self.fence is not None:
                    why = str(error) if isinstance(error, StoreUnavailable) else scrubbed(error)
                    telemetry.log("lead_lost", level="warning", lead=self._name, fence=self.fence, why=why)
                    pause_s = BEAT_S
                self._lead(None)
            await asyncio.sleep(pause_s * _RANDOM.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _hold(self, url: str) -> None:
        """Waits for the lock and leads while its connection lives: until that raises."""
        connection = await connect(url, SILENT_S)
        try:
            while True:
                if await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock):
                    break
                await asyncio.sleep(BEAT_S * _RANDOM.uniform(0.5, 1.0))
            self._lead(int(await connection.fetchval(_TAKE, self._name, self._node)))
            while True:
                await asyncio.sleep(BEAT_S)
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    async def _lead_alone(self) -> None:
        async with self._database.writing() as writing:
            insertion = self._database.insert(_LEADERS).values(name=self._name, fence=1, node=self._node)
            taken = insertion.on_conflict_do_update(
                index_elements=[_LEADERS.c.name], set_={"fence": _LEADERS.c.fence + 1, "node": self._node}
            )
            fence: Any = (await writing.connection.execute(taken.returning(_LEADERS.c.fence))).scalar()
        self._lead(int(fence))
        await asyncio.get_running_loop().create_future()  # until it is cancelled: nobody else is there

    def _lead(self, fence: int | None) -> None:
        if fence != self.fence:
            self.fence = fence
            if fence is not None:
                telemetry.log("lead_taken", lead=self._name, fence=fence)
            self._changed(fence)

    @property
    def _lock(self) -> int:
        """Of 63 bits, the same on every node."""
        return int.from_bytes(blake2b(f"stagedoor {self._name}".encode(), digest_size=8).digest(), "big") >> 1
