"""Stores for tests: what a test needs to know of a database of either kind, and rows to put into it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.control.store import Act, Cut, Session, Store, open_store
from tests.support.postgres import Postgres, why_not

KINDS = ("sqlite", "postgres")
NOW = 1_800_000_000
PATIENCE_S = 20.0
ACT = Act(NOW, "user:default/root", "cut person", "user:default/jane", "she lost her laptop")


def server_of(request: pytest.FixtureRequest) -> Postgres | None:
    """For a fixture with `KINDS` as its parameters: the run's server, None for SQLite. Skips where there is none."""
    if request.param == "sqlite":
        return None
    if why := why_not():
        pytest.skip(why)
    server: Postgres = request.getfixturevalue("postgres")
    return server


class Place:
    """One empty database. Any number of stores open it, each a node of its own where the kind has several."""

    def __init__(self, folder: Path, server: Postgres | None) -> None:
        self.folder = folder
        self.server = server
        self.url = server.database() if server is not None else ""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Store]:
        store = await open_store(self.url, self.folder)
        try:
            yield store
        finally:
            await store.close()

    def run(self, story: Callable[[Store], Awaitable[None]]) -> None:
        """A story about one node."""

        async def whole() -> None:
            async with asyncio.timeout(PATIENCE_S), self.opened() as store:
                assert store.fault == ""
                await story(store)

        asyncio.run(whole())

    def sql(self, statement: str) -> str:
        """By hand, past the program. Raises `AssertionError`, or `sqlite3.Error`, when the database refuses."""
        if self.server is not None:
            return self.server.sql(statement, self.url.partition("?")[0].rpartition("/")[2])
        connection = sqlite3.connect(self.folder / "store.sqlite3")
        try:
            with connection:
                return str(connection.execute(statement).fetchall())
        finally:
            connection.close()


def session(number: int = 1, **changed: Any) -> Session:
    """Signed in at `NOW`, for eight hours, one of them without a request."""
    said: dict[str, Any] = {
        "sid": f"s-{number:032x}", "issuer": "corp", "sub": "jane", "signed_in": NOW, "seen": NOW,
        "until": NOW + 28_800, "idle_s": 3600, "claims": {"sub": "jane", "groups": ["a", "ü"]},
        "tokens": b"\0sealed\xff",
        "provider_sid": f"p-{number}", "ref": "user:default/jane", "confirmed": NOW, "address": "192.0.2.1",
        "agent": "Mozilla/5.0",
    }  # fmt: skip
    return Session(**(said | changed))


def cut(ref: str = "user:default/jane", not_before: int = NOW) -> Cut:
    return Cut("person", ref, not_before, "she lost her laptop", "user:default/root")


async def eventually(is_so: Callable[[], bool]) -> None:
    """Waits for news from elsewhere, as long as the story's own patience."""
    while not is_so():
        await asyncio.sleep(0.01)
