"""What counts once: hand-over codes, and ids that must not come a second time.

The database decides who came first, so it is once over all nodes.
"""

from __future__ import annotations

from sqlalchemy import delete

from gateway.control.store import tables
from gateway.control.store.database import Database, Writing
from gateway.control.store.faults import Unstorable
from gateway.control.store.values import storable

_CODES = tables.codes
_REMEMBERED = tables.remembered


async def put_code(database: Database, digest: bytes, payload: bytes, until: int) -> None:
    """Raises `Unstorable`, also when the code is there already."""
    values = storable({"digest": digest, "payload": payload, "until": until})
    insertion = database.insert(_CODES).values(values).on_conflict_do_nothing().returning(_CODES.c.until)
    async with database.writing() as writing:
        if (await writing.connection.execute(insertion)).scalar() is None:
            raise Unstorable("`digest` is taken")


async def take_code(database: Database, digest: bytes, now: int) -> bytes | None:
    """Its payload, once. None: there is no such code, or not any more."""
    statement = delete(_CODES).where(_CODES.c.digest == digest).returning(_CODES.c.payload, _CODES.c.until)
    async with database.writing() as writing:
        row = (await writing.connection.execute(statement)).one_or_none()
    return bytes(row.payload) if row is not None and row.until > now else None


async def remember_once(database: Database, kind: str, ident: str, until: int) -> bool:
    """Whether it was not known. Raises `Unstorable`."""
    values = storable({"kind": kind, "id": ident, "until": until})
    insertion = database.insert(_REMEMBERED).values(values).on_conflict_do_nothing().returning(_REMEMBERED.c.until)
    async with database.writing() as writing:
        return (await writing.connection.execute(insertion)).scalar() is not None


async def forget_once(writing: Writing, now: int) -> None:
    """Codes and ids past their time."""
    for table in (_CODES, _REMEMBERED):
        await writing.connection.execute(delete(table).where(table.c.until <= now))
