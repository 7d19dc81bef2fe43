"""Pins of people, and who or what is cut off. Each change of an administrator's is one transaction with its act.

Nobody hears of pins: whoever signs in is compared with what is here."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import and_, delete, func, select, update

from gateway.control.store import tables
from gateway.control.store.acts import write_act
from gateway.control.store.database import Database, Writing
from gateway.control.store.rows import Act, Cut, CutKind, Pin
from gateway.control.store.values import columns_of, is_storable

_PINS = tables.pins
_CUTS = tables.cuts
LIFTED_KEPT_S: Final = 90 * 86_400


async def pin(database: Database, issuer: str, sub: str, ref: str, at: int) -> Pin:
    """The pin that holds: this one when the issuer had none for that User. Raises `Unstorable`."""
    wanted = Pin(issuer, sub, ref, at)
    held = select(_PINS).where(_PINS.c.issuer == issuer, _PINS.c.ref == ref)
    values = columns_of(wanted)
    async with database.reading() as connection:  # nearly always it is there, and nothing is to be written
        if (row := (await connection.execute(held)).mappings().one_or_none()) is not None:
            return Pin(**row)
    async with database.writing() as writing:
        insertion = database.insert(_PINS).values(values)
        held_or_made = insertion.on_conflict_do_update(
            index_elements=[_PINS.c.issuer, _PINS.c.ref], set_={"ref": _PINS.c.ref}
        ).returning(*_PINS.c)
        return Pin(**(await writing.connection.execute(held_or_made)).mappings().one())


async def confirm_pin(database: Database, wanted: Pin, act: Act) -> None:
    """Raises `Unstorable`."""
    values = columns_of(wanted)
    replaced = {name: values[name] for name in ("sub", "at", "by")}
    async with database.writing() as writing:
        insertion = database.insert(_PINS).values(values)
        await writing.connection.execute(
            insertion.on_conflict_do_update(index_elements=[_PINS.c.issuer, _PINS.c.ref], set_=replaced)
        )
        await write_act(database, writing, act)


async def unpin(database: Database, issuer: str, ref: str, act: Act) -> bool:
    if not is_storable(issuer + ref):
        return False
    statement = delete(_PINS).where(_PINS.c.issuer == issuer, _PINS.c.ref == ref).returning(_PINS.c.ref)
    return await _done(database, statement, "", act)


async def pins(database: Database, ref: str) -> list[Pin]:
    if not is_storable(ref):
        return []
    statement = select(_PINS).order_by(_PINS.c.ref, _PINS.c.issuer)
    if ref:
        statement = statement.where(_PINS.c.ref == ref)
    async with database.reading() as connection:
        return [Pin(**row) for row in (await connection.execute(statement)).mappings()]


async def put_cut(database: Database, cut: Cut, act: Act) -> None:
    """Of what several nodes say of one subject the latest word decides; the act is written all the same. Raises
    `Unstorable`."""
    values = columns_of(cut)
    replaced = {name: values[name] for name in ("not_before", "because", "by", "lifted")}
    is_latest = and_(_CUTS.c.not_before <= cut.not_before, func.coalesce(_CUTS.c.lifted, 0) <= cut.not_before)
    async with database.writing() as writing:
        insertion = database.insert(_CUTS).values(values)
        await writing.connection.execute(
            insertion.on_conflict_do_update(index_elements=[_CUTS.c.kind, _CUTS.c.ref], set_=replaced, where=is_latest)
        )
        await write_act(database, writing, act)
        writing.tell("cuts", [f"{cut.kind}:{cut.ref}"])


async def lift_cut(database: Database, kind: CutKind, ref: str, act: Act) -> bool:
    """Whether one was in force that was made until then. Its `not_before` goes on to count."""
    if not is_storable(ref):
        return False
    statement = (
        update(_CUTS)
        .where(_CUTS.c.kind == kind, _CUTS.c.ref == ref, _CUTS.c.lifted.is_(None), _CUTS.c.not_before <= act.at)
        .values(lifted=act.at)
        .returning(_CUTS.c.ref)
    )
    return await _done(database, statement, f"{kind}:{ref}", act)


async def forget_cuts(writing: Writing, now: int) -> None:
    """Those lifted so long ago that no token from before them can be left."""
    await writing.connection.execute(delete(_CUTS).where(_CUTS.c.lifted < now - LIFTED_KEPT_S))


async def cuts(database: Database) -> list[Cut]:
    async with database.reading() as connection:
        found = await connection.execute(select(_CUTS).order_by(_CUTS.c.kind, _CUTS.c.ref))
        return [Cut(**row) for row in found.mappings()]


async def _done(database: Database, statement: Any, cut: str, act: Act) -> bool:
    """Whether there was something to do; the act is of that, so else there is none. ``cut``: other nodes hear of it."""
    async with database.writing() as writing:
        if (await writing.connection.execute(statement)).scalar() is None:
            return False
        await write_act(database, writing, act)
        if cut:
            writing.tell("cuts", [cut])
        return True
