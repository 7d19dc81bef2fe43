"""One database and its two ways of use, reading and writing; what differs between the two kinds is in `sqlite` and
`postgres`.

A write is one transaction: acknowledged when its block is left, undone when the block raises. What it tells others
goes with it. A call to a database that is known to be away fails at once, so that nobody waits for it in a queue.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.control.store.faults import ConnectionLost, StoreUnavailable, translated
from gateway.control.store.rows import Notice, NoticeKind

IDS_AT_ONCE: Final = 100  # of a notice
ROWS_AT_ONCE: Final = 500  # of a statement


class Writing:
    """A transaction under way: its connection, and what it will have changed."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.notices: list[Notice] = []

    def tell(self, kind: NoticeKind, ids: Sequence[str]) -> None:
        for first in range(0, len(ids), IDS_AT_ONCE):
            self.notices.append(Notice(kind, tuple(ids[first : first + IDS_AT_ONCE])))


class Database(ABC):
    """``hear`` is called with each notice, of this node and of others; ``on_lost`` when a connection is gone.
    ``fault`` is "" while the database answers."""

    name: str  # for operators; never with a password

    def __init__(self, hear: Callable[[Notice], None]) -> None:
        self.hear = hear
        self.on_lost: Callable[[], None] = lambda: None
        self.fault = "it is not open yet"

    # ---- what the kinds differ in ----

    @abstractmethod
    async def open(self) -> None:
        """Connect, bring the schema up to date, listen to others. Raises `StoreUnavailable`, `SchemaUnknown`."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of all connections; `open` may follow."""

    async def finish(self) -> None:
        """As `close`, for good: no new call comes, and those under way may end."""
        await self.close()

    @abstractmethod
    def insert(self, table: Table) -> Any:
        """An INSERT that knows ON CONFLICT: the dialects spell it alike and share no type."""

    @abstractmethod
    def _connected(self, *, writing: bool) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection in a transaction, committed when its block is left and undone when the block raises."""

    @abstractmethod
    async def serialise(self, connection: AsyncConnection) -> None:
        """From here to the end of its transaction this one is the only one that passed here."""

    @abstractmethod
    async def _announce(self, connection: AsyncConnection, notices: Sequence[Notice]) -> None:
        """Inside the transaction."""

    @abstractmethod
    def _committed(self, notices: Sequence[Notice]) -> None:
        """After it."""

    # ---- use ----

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        with self._watched():
            async with self._connected(writing=False) as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Writing]:
        with self._watched():
            async with self._connected(writing=True) as connection:
                writing = Writing(connection)
                yield writing
                if writing.notices:
                    await self._announce(connection, writing.notices)
        self._committed(writing.notices)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if self.fault:
            raise StoreUnavailable(self.fault)
        try:
            with translated():
                yield
        except ConnectionLost:
            self.on_lost()
            raise
