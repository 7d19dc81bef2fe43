"""People's sessions: what is known of each, until when, and who may renew it.

Every change of a session names the state that it expects, so that two nodes, or two tabs, never undo each other: a
session that has ended is never revived, and a refresh that lost its race changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace as with_
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, bindparam, case, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.control.store import tables
from gateway.control.store.acts import write_act
from gateway.control.store.database import ROWS_AT_ONCE, Database, Writing
from gateway.control.store.faults import Unstorable
from gateway.control.store.rows import Act, Session
from gateway.control.store.values import LARGEST, is_storable, lookable, session_columns, session_of

KEPT_S: Final = 86_400  # how long a session that has ended is known to have
EXPIRED_AT_ONCE: Final = 1000
IDLE: Final = "idle"
UNTIL: Final = "until"

T = TypeVar("T")
_T: Final = tables.sessions
_LIVING: Final = _T.c.ended.is_(None)
_GONE: Final = {"tokens": b"", "claims": "{}", "address": "", "agent": ""}


class Sessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: Session) -> None:
        """Raises `Unstorable`, also when the sid is taken."""
        values = session_columns(row)
        insertion = self._database.insert(_T).values(**values, claimed_until=0)
        async with self._database.writing() as writing:
            done = await writing.connection.execute(insertion.on_conflict_do_nothing().returning(_T.c.sid))
            if done.scalar() is None:
                raise Unstorable("`sid` is taken")

    async def get(self, sids: Collection[str]) -> dict[str, Session]:
        """Those that are known, living or not. One that lives in the store may be over: see `Session.over`."""
        found: dict[str, Session] = {}
        async with self._database.reading() as connection:
            for some in _portions(lookable(sids)):
                found |= {each.sid: each for each in await _read(connection, _T.c.sid.in_(some))}
        return found

    async def replace(self, row: Session, if_version: int) -> Session | None:
        """``row`` with its new version, or None when it is not at ``if_version`` or has ended. `seen` and `rest` stay
        as they are in the store unless ``row`` has a new sign-in; the claim to refresh is given up."""
        values = session_columns(row)
        for kept in ("sid", "seen", "rest", "over_at", "version", "ended", "why"):
            del values[kept]
        seen = _later(_T.c.seen, row.signed_in)
        statement = (
            update(_T)
            .where(_T.c.sid == row.sid, _T.c.version == if_version, _LIVING)
            .values(
                **values,
                version=if_version + 1,
                claimed_until=0,
                seen=seen,
                rest=case((_T.c.signed_in == row.signed_in, _T.c.rest), else_=row.rest),
                over_at=_earlier(seen + row.idle_s, row.until),
            )
            .returning(_T.c.seen, _T.c.rest)
        )
        async with self._database.writing() as writing:
            stored = (await writing.connection.execute(statement)).one_or_none()
            if stored is None:
                return None
            writing.tell("changed", [row.sid])
        return with_(row, seen=stored.seen, rest=stored.rest, version=if_version + 1, ended=None, why="")

    async def name(self, sid: str, ref: str) -> bool:
        """Whose it is from now on, in the catalog; whether it lives. Whoever refreshes it meanwhile goes on."""
        if not is_storable(sid + ref):
            return False
        statement = (
            update(_T)
            .where(_T.c.sid == sid, _LIVING)
            .values(ref=ref, version=_T.c.version + 1)
            .returning(_T.c.sid)
        )  # fmt: skip
        async with self._database.writing() as writing:
            return (await writing.connection.execute(statement)).scalar() is not None

    async def claim_refresh(self, sid: str, now: int, until: int) -> bool:
        """Whether the caller may refresh it, alone over all nodes, before ``until``."""
        if not is_storable(sid):
            return False
        statement = (
            update(_T)
            .where(_T.c.sid == sid, _LIVING, _T.c.claimed_until <= now)
            .values(claimed_until=until)
            .returning(_T.c.sid)
        )
        async with self._database.writing() as writing:
            return (await writing.connection.execute(statement)).scalar() is not None

    async def touch(self, seen: Mapping[str, int]) -> None:
        """Told of requests, by their time. One that came too late does not revive its session. Many are written in
        portions, so that what waited for a database fits into the time of a statement when it is back."""
        moments = [{"b_sid": sid, "b_at": seen[sid]} for sid in lookable(seen) if 0 <= seen[sid] <= LARGEST]
        at = bindparam("b_at", type_=_T.c.seen.type)
        statement = (
            update(_T)
            .where(_T.c.sid == bindparam("b_sid"), _LIVING, _T.c.seen < at, _T.c.over_at > at)
            .values(
                seen=at,
                rest=_later(_T.c.rest, at - _T.c.seen),
                over_at=_earlier(at + _T.c.idle_s, _T.c.until),
            )
        )
        for some in _portions(moments):
            async with self._database.writing() as writing:
                await writing.connection.execute(statement, some)

    async def end(self, sids: Collection[str], at: int, why: str, act: Act | None = None) -> list[str]:
        """The sids of those that this call ended; their claims and tokens are gone. The act is written even when
        there was nothing to end."""
        ended: list[str] = []
        async with self._database.writing() as writing:
            for some in _portions(lookable(sids)):
                ended += await _end(writing, list(await _locked(writing, _T.c.sid.in_(some))), at, why)
            if act is not None:
                await write_act(self._database, writing, act)
        return ended

    async def of_person(self, issuer: str, sub: str) -> list[Session]:
        return await self._living(issuer=issuer, sub=sub)

    async def of_ref(self, ref: str) -> list[Session]:
        return await self._living(ref=ref)

    async def of_provider_session(self, issuer: str, provider_sid: str) -> list[Session]:
        return await self._living(issuer=issuer, provider_sid=provider_sid)

    async def _living(self, **keys: str) -> list[Session]:
        if not all(keys.values()) or not all(map(is_storable, keys.values())):
            return []
        async with self._database.reading() as connection:
            return await _read(connection, _LIVING, *(_T.c[name] == value for name, value in keys.items()))

    async def list(self, after: str = "", limit: int = 100) -> list[Session]:
        if not is_storable(after):
            return []
        async with self._database.reading() as connection:
            return await _read(connection, _LIVING, _T.c.sid > after, limit=limit)

    async def ended_since(self, at: int) -> Sequence[str]:
        """Sids of those that ended at that second or later, as far as they are still known."""
        async with self._database.reading() as connection:
            return (await connection.execute(select(_T.c.sid).where(_T.c.ended >= at))).scalars().all()


async def expire_sessions(writing: Writing, now: int) -> list[str]:
    """Ends what is over, up to `EXPIRED_AT_ONCE`, and forgets what ended long ago. The sids of the former."""
    looked_up = select(_T.c.sid).where(_LIVING, _T.c.over_at <= now).order_by(_T.c.over_at).limit(EXPIRED_AT_ONCE)
    found = (await writing.connection.execute(looked_up)).scalars().all()
    ended: list[str] = []
    for some in _portions(sorted(found)):
        over = await _locked(writing, _T.c.sid.in_(some), _T.c.over_at <= now)
        until = {sid for sid, at in over.items() if at <= now}
        ended += await _end(writing, [sid for sid in over if sid in until], now, UNTIL)
        ended += await _end(writing, [sid for sid in over if sid not in until], now, IDLE)
    await writing.connection.execute(delete(_T).where(_T.c.ended < now - KEPT_S))
    return ended


async def _end(writing: Writing, sids: Sequence[str], at: int, why: str) -> Sequence[str]:
    """Of sessions that are locked."""
    if sids:
        statement = update(_T).where(_T.c.sid.in_(sids)).values(ended=at, why=why, **_GONE)
        await writing.connection.execute(statement)
        writing.tell("ended", sids)
    return sids


async def _locked(writing: Writing, *conditions: ColumnElement[bool]) -> dict[str, int]:
    """Living sessions and when each would be over at the latest, locked in the order of their sids, so that two who
    lock several never wait for each other."""
    statement = select(_T.c.sid, _T.c.until).where(_LIVING, *conditions).order_by(_T.c.sid)
    return {row.sid: row.until for row in await writing.connection.execute(statement.with_for_update())}


async def _read(
    connection: AsyncConnection, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Session]:
    found = await connection.execute(select(_T).where(*conditions).order_by(_T.c.sid).limit(limit))
    return [session_of(row) for row in found.mappings()]


def _earlier(one: Any, other: Any) -> ColumnElement[int]:
    return case((one < other, one), else_=other)


def _later(one: Any, other: Any) -> ColumnElement[int]:
    return case((one > other, one), else_=other)


def _portions(rows: Sequence[T]) -> list[Sequence[T]]:
    return [rows[first : first + ROWS_AT_ONCE] for first in range(0, len(rows), ROWS_AT_ONCE)]
