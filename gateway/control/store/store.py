"""The store as the rest of control uses it: its parts put together, and the news from them passed on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway import telemetry
from gateway.control.store import acts, once, subjects
from gateway.control.store.database import Database
from gateway.control.store.leadership import Leadership
from gateway.control.store.postgres import PostgresDatabase
from gateway.control.store.recovery import Recovery
from gateway.control.store.rows import Act, Cut, CutKind, Notice, Pin
from gateway.control.store.sessions import Sessions, expire_sessions
from gateway.control.store.sqlite import SqliteDatabase


async def open_store(url: str, folder: Path) -> Store:
    """``url`` is `state.database`; "" is SQLite in the state ``folder``. Raises `SchemaUnknown`."""
    store = Store(url, folder)
    await store.open()
    return store


class Store:
    """See the package's docstring for what each call promises."""

    def __init__(self, url: str, folder: Path) -> None:
        self._callbacks: list[Callable[[Notice], None]] = []
        self._database: Database = (
            PostgresDatabase(url, self._hear) if url else SqliteDatabase(folder, self._hear)
        )  # fmt: skip
        self._recovery = Recovery(self._database)
        self.sessions = Sessions(self._database)

    async def open(self) -> None:
        await self._recovery.start()

    async def close(self) -> None:
        await self._recovery.close()

    @property
    def fault(self) -> str:
        return self._database.fault

    @property
    def name(self) -> str:
        """The database's, for operators."""
        return self._database.name

    async def expire(self, now: int) -> list[str]:
        async with self._database.writing() as writing:
            await once.forget_once(writing, now)
            await subjects.forget_cuts(writing, now)
            return await expire_sessions(writing, now)

    # ---- what counts once ----

    async def put_code(self, digest: bytes, payload: bytes, until: int) -> None:
        await once.put_code(self._database, digest, payload, until)

    async def take_code(self, digest: bytes, now: int) -> bytes | None:
        return await once.take_code(self._database, digest, now)

    async def remember_once(self, kind: str, ident: str, until: int) -> bool:
        return await once.remember_once(self._database, kind, ident, until)

    # ---- subjects ----

    async def pin(self, issuer: str, sub: str, ref: str, at: int) -> Pin:
        return await subjects.pin(self._database, issuer, sub, ref, at)

    async def confirm_pin(self, pin: Pin, act: Act) -> None:
        await subjects.confirm_pin(self._database, pin, act)

    async def unpin(self, issuer: str, ref: str, act: Act) -> bool:
        return await subjects.unpin(self._database, issuer, ref, act)

    async def pins(self, ref: str = "") -> list[Pin]:
        return await subjects.pins(self._database, ref)

    async def put_cut(self, cut: Cut, act: Act) -> None:
        await subjects.put_cut(self._database, cut, act)

    async def lift_cut(self, kind: CutKind, ref: str, act: Act) -> bool:
        return await subjects.lift_cut(self._database, kind, ref, act)

    async def cuts(self) -> list[Cut]:
        return await subjects.cuts(self._database)

    # ---- acts ----

    async def append_act(self, act: Act) -> int:
        return await acts.append_act(self._database, act)

    async def acts(self, after: int = 0, limit: int = 100) -> list[Act]:
        return await acts.acts(self._database, after, limit)

    def leadership(self, name: str, node: str, changed: Callable[[int | None], None]) -> Leadership:
        """Of what only one of several nodes may do; to be started, and closed before the store is."""
        return Leadership(self._database, name, node, changed)

    # ---- news ----

    def subscribe(self, callback: Callable[[Notice], None]) -> None:
        """While the database answers, the callback begins with a `resync` of its own."""
        self._callbacks.append(callback)
        if not self.fault:
            callback(Notice("resync"))

    def _hear(self, notice: Notice) -> None:
        for callback in self._callbacks:
            try:
                callback(notice)
            except Exception as error:  # one listener's defect is not another's
                telemetry.log("notice_not_heard", level="error", notice=notice.kind, why=type(error).__name__)
