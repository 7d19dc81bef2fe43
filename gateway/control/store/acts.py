"""Administrative acts, numbered without gaps in the order of their commits, and never changed: the database refuses.

So who reads on from a number misses none, and a number that is missing is one that was taken out by hand.
"""

from __future__ import annotations

from sqlalchemy import func, insert, select

from gateway.control.store import tables
from gateway.control.store.database import Database, Writing
from gateway.control.store.rows import Act
from gateway.control.store.values import columns_of

_T = tables.acts


async def write_act(database: Database, writing: Writing, act: Act) -> int:
    """Its number; one act after the other is written, over all nodes. Raises `Unstorable`."""
    values = columns_of(act)
    await database.serialise(writing.connection)
    last = (await writing.connection.execute(select(func.max(_T.c.number)))).scalar() or 0
    await writing.connection.execute(insert(_T).values(values | {"number": last + 1}))
    return int(last) + 1


async def append_act(database: Database, act: Act) -> int:
    async with database.writing() as writing:
        return await write_act(database, writing, act)


async def acts(database: Database, after: int, limit: int) -> list[Act]:
    statement = select(_T).where(_T.c.number > after).order_by(_T.c.number).limit(limit)
    async with database.reading() as connection:
        return [Act(**row) for row in (await connection.execute(statement)).mappings()]
