"""A look at a database from outside: does it answer, which schema has it, and would an acknowledged write last?

Nothing is made, changed or brought up to date, so it may be done beside a running node and before the first start.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.control.store.faults import SchemaUnknown, StoreUnavailable, translated
from gateway.control.store.postgres import connect
from gateway.control.store.schema import known_versions, version_of
from gateway.control.store.sqlite import FILE

_SETTINGS = "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')"
_SESSIONS = "SELECT sid, tokens FROM sessions WHERE ended IS NULL ORDER BY signed_in DESC LIMIT 20"


class Inspected(NamedTuple):
    """``fault``: a node could not work with it. ``doubts``: it could, and something is lost when power is."""

    server: str  # "SQLite 3.40.1", "PostgreSQL 15.4"
    fault: str = ""
    schema: str = ""  # "" = none yet
    newest: str = ""  # that this program knows
    took_s: float = 0.0
    doubts: tuple[str, ...] = ()
    sealed: tuple[tuple[str, bytes], ...] = ()  # the newest living sessions and what is sealed in them


async def inspect_database(url: str, folder: Path) -> Inspected:
    """``url`` and ``folder`` as for `open_store`. A SQLite file that is not there has no schema, and no fault."""
    began = time.monotonic()
    try:
        found = await _postgres(url) if url else await asyncio.to_thread(_sqlite, folder / FILE)
    except (StoreUnavailable, SchemaUnknown) as fault:
        return Inspected("PostgreSQL" if url else "SQLite", str(fault), newest=known_versions()[-1])
    return found._replace(newest=known_versions()[-1], took_s=time.monotonic() - began)


async def _postgres(url: str) -> Inspected:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connect(url), poolclass=NullPool)
    try:
        with translated():
            async with engine.connect() as connection:
                return await connection.run_sync(_of_postgres)
    finally:
        await engine.dispose()


def _of_postgres(connection: Connection) -> Inspected:
    version, fsync, commit = connection.execute(text(_SETTINGS)).one()
    server = f"PostgreSQL {version.partition(' ')[0]}"
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar():
        return Inspected(server, "it is a standby: nothing can be written there")
    doubts = [name for name, value in (("fsync", fsync), ("synchronous_commit", commit)) if value == "off"]
    schema = version_of(connection)
    said = tuple(f"`{name}` is off" for name in doubts)
    return Inspected(server, schema=schema, doubts=said, sealed=_sealed(connection) if schema else ())


def _sqlite(path: Path) -> Inspected:
    server = f"SQLite {sqlite3.sqlite_version}"
    if not path.exists():
        return Inspected(server)
    address = f"file:{quote(str(path))}?mode=ro"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)
    with translated(), engine.connect() as connection:
        schema = version_of(connection)
        damage = connection.execute(text("PRAGMA quick_check(1)")).scalar()
        if damage != "ok":
            return Inspected(server, "its file is damaged", schema)
        return Inspected(server, schema=schema, sealed=_sealed(connection) if schema else ())


def _sealed(connection: Connection) -> tuple[tuple[str, bytes], ...]:
    found = connection.execute(text(_SESSIONS))
    return tuple((row.sid, bytes(row.tokens)) for row in found)
