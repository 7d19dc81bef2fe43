"""Sessions as the doors know them: facts when they ask, touches in batches, and an end that reaches every door.

The store has the truth. A door asks about a session when it first sees its cookie and then once a minute while it is
used; the answer says who it is and how long it counts. Where the provider is to be asked again, requests do not wait
for it as long as what is known is recent; after a longer pause they do, for a moment. Whoever asks about one session
meanwhile shares one refresh.

What ends here is gone from the store first and then told to all doors, so an end that was answered survives any crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from gateway import telemetry
from gateway.config import Settings
from gateway.control.sessions.found_users import FoundUsers
from gateway.control.sessions.kept_tokens import KeptTokens, opened_tokens
from gateway.control.sessions.renewal import Renewal
from gateway.control.sessions.sealing import Sealer
from gateway.control.signin.pins import Pins
from gateway.control.store import Act, Notice, Session, Store, StoreUnavailable
from gateway.errors import StagedoorError
from gateway.identity.session import SessionFacts, facts_message

FRESH_S: Final = 60
RECENT_S: Final = 90  # a refresh that is due no longer than this keeps nobody waiting
PATIENCE_S: Final = 1.5  # a door waits two seconds
TOUCH_S: Final = 5.0
SWEEP_S: Final = 60
AT_ONCE: Final = 64  # refreshes under way
ENDED_KEPT_S: Final = 600
KEY_MISSED_AGAIN_S: Final = 60
FINISH_S: Final = 3.0

Facts = dict[str, Any]


class LiveSessions:
    """``tell`` sends facts to all doors, ``on_ended`` tells them which sessions are over."""

    def __init__(
        self,
        store: Store,
        renewal: Renewal,
        pins: Pins,
        sealer: Callable[[], Sealer],
        tell: Callable[[list[Facts]], None],
        on_ended: Callable[[Iterable[str]], None],
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._renewal = renewal
        self._pins = pins
        self._sealer = sealer
        self._tell = tell
        self._on_ended = on_ended
        self._now = now
        self._settings: Settings | None = None
        self._heard = now()  # the store answered then; what ended later may have been missed
        self._key_missed = 0  # when it was said last
        self._seen: dict[str, int] = {}  # touches that are not written yet
        self._found = FoundUsers(store, pins)
        self._flights: dict[str, asyncio.Task[None]] = {}  # refreshes, by sid
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        store.subscribe(self._on_notice)

    def adopt(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> None:
        for pause_s, doing in (
            (self._touch_s, self.write_touches), (lambda: TOUCH_S, self.compare_found), (lambda: SWEEP_S, self._sweep),
        ):  # fmt: skip
            self._loops.append(asyncio.get_running_loop().create_task(self._repeat(pause_s, doing)))

    async def close(self) -> None:
        """What is under way may finish: a refresh that is broken off would lose the token it was given."""
        for loop in self._loops:
            loop.cancel()
        if under_way := {*self._tasks, *self._flights.values()}:
            _, late = await asyncio.wait(under_way, timeout=FINISH_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=FINISH_S)
        await self._guarded(self.write_touches)

    # === what doors ask ===

    async def answer(self, want: Collection[str], seen: Mapping[str, int], refs: Mapping[str, str]) -> list[Facts]:
        """Facts about the wanted sessions, as far as they are known within the doors' patience; the rest follows by
        ``tell``. ``seen``: used at that time. Raises `StoreUnavailable`."""
        now = self._now()
        rows = await self._rows(want, now)
        found: list[Facts] = []
        waits: list[str] = []
        for sid in want:
            row = rows.get(sid)
            if row is None or row.over(now):
                found.append(over_message(sid, row, now))
                continue
            if (ref := refs.get(sid) or row.ref or self._pins.ref_of(row)) != row.ref:
                self.hear([(sid, ref)])
            kept = self._opened(row)
            if kept is None:
                found.append(over_message(sid, None, now))
            elif self._is_settled(row, kept, now):
                found.append(self._facts(row, now, seen.get(sid, 0)))
            else:
                waits.append(sid)
        for sid, at in seen.items():
            self._seen[sid] = max(self._seen.get(sid, 0), min(at, now))
        return found + await self._awaited(waits) if waits else found

    async def _rows(self, sids: Collection[str], now: int) -> dict[str, Session]:
        """From the store. One that looks idle is read again once the touches that wait are written."""
        rows = await self._store.sessions.get(sids) if sids else {}
        if any(row.over(now) == "idle" for row in rows.values()) and self._seen:
            await self.write_touches()
            rows = await self._store.sessions.get(sids)
        return rows

    def _opened(self, row: Session) -> KeptTokens | None:
        """What lies sealed in it. None where this node lacks the key: it is no session here, and goes on elsewhere."""
        kept = opened_tokens(row.tokens, row.sid, self._sealer())
        now = self._now()
        if kept is None and row.ended is None and now - self._key_missed >= KEY_MISSED_AGAIN_S:
            self._key_missed = now
            why = "it was sealed with a key that this node has not; are `sessions.keys_file` of all nodes the same?"
            telemetry.log("session_key_missing", level="error", session=row.sid, why=why)
        return kept

    def _is_settled(self, row: Session, kept: KeptTokens, now: int) -> bool:
        """Whether what is known is good enough to answer with; a refresh is begun when one is due."""
        if not kept.refresh_token or kept.due > now:
            return True
        self._refresh(row)
        return bool(kept.away_since) or now - max(kept.due, row.signed_in) <= RECENT_S

    async def _awaited(self, sids: list[str]) -> list[Facts]:
        """Facts once their refresh is over; after the doors' patience what is known, where offline use is allowed."""
        flights = [flight for sid in sids if (flight := self._flights.get(sid)) is not None]
        if flights:
            await asyncio.wait(flights, timeout=PATIENCE_S)
        now = self._now()
        rows = await self._rows(sids, now)
        assert self._settings is not None
        found = []
        for sid in sids:
            row = rows.get(sid)
            if row is None or row.over(now):
                found.append(over_message(sid, row, now))
            elif sid not in self._flights or self._settings.sessions.offline_s > 0:
                found.append(self._facts(row, now, now))
        return found

    def _facts(self, row: Session, now: int, used: int) -> Facts:
        kept = opened_tokens(row.tokens, row.sid, self._sealer())
        due_s = kept.due - now if kept is not None and kept.refresh_token else FRESH_S
        fresh_s = max(1, min(FRESH_S, due_s, self._shortest_idle(row.idle_s) // 4))
        pause = max(0, used - max(row.seen, self._seen.get(row.sid, 0)))
        facts = facts_message(
            SessionFacts(
                row.sid, "", row.issuer, row.claims, row.signed_in, row.until, row.idle_s, int(fresh_s), row.version
            )
        )
        return {**facts, "rest": max(row.rest, pause)}

    def _shortest_idle(self, idle_s: float) -> int:
        """Of all environments; ``idle_s`` where none has its own."""
        environments = self._settings.environments.values() if self._settings is not None else ()
        own = [each.sessions.idle_s for each in environments if each.sessions.idle_s is not None]
        return int(min([idle_s, *own]))

    # === refresh ===

    def _refresh(self, row: Session) -> None:
        """Begin one, unless one is under way."""
        if row.sid not in self._flights:
            self._flights[row.sid] = asyncio.get_running_loop().create_task(self._fly(row))

    async def _fly(self, row: Session) -> None:
        try:
            async with self._turns:
                assert self._settings is not None
                if why := await self._renewal.renew(row, self._settings.sessions):
                    await self.end([row.sid], why)
        except StoreUnavailable as fault:
            telemetry.log("session_not_renewed", level="warning", session=row.sid, why=str(fault))
        except Exception as error:  # a fault of ours: the session goes on, and is tried again with the next question
            telemetry.log("session_not_renewed", level="error", session=row.sid, why=type(error).__name__)
        finally:
            del self._flights[row.sid]

    # === ends ===

    async def end(self, sids: Collection[str], why: str, act: Act | None = None) -> list[str]:
        """Committed when it returns, and on its way to all doors. Raises `StoreUnavailable`."""
        ended = await self._store.sessions.end(sids, self._now(), why, act)
        self._on_ended(ended)
        return ended

    def _on_notice(self, notice: Notice) -> None:
        if notice.kind == "ended":
            self._on_ended(notice.ids)
        elif notice.kind == "changed":
            self._spawn(self._push(notice.ids))
        elif notice.kind == "resync":
            self._spawn(self._catch_up())

    async def _catch_up(self) -> None:
        async def read() -> None:
            now = self._now()
            self._on_ended(await self._store.sessions.ended_since(min(now - ENDED_KEPT_S, self._heard - SWEEP_S)))
            self._heard = now

        await self._guarded(read)

    async def _push(self, sids: Collection[str]) -> None:
        async def read() -> None:
            now = self._now()
            rows = await self._store.sessions.get(sids)
            known = [row for row in rows.values() if not row.over(now) and self._opened(row) is not None]
            self._tell([self._facts(row, now, 0) for row in known])

        await self._guarded(read)

    # === whose they are ===

    def hear(self, people: Iterable[tuple[str, str]]) -> None:
        """Sessions and whom a door found them to be: compared with the pins at once, or when the store is back."""
        if self._found.add(people):
            self._spawn(self._guarded(self.compare_found))

    async def compare_found(self) -> None:
        """All that were not compared. Raises `StoreUnavailable`; then they wait for the next time."""
        await self._found.compare()

    # === now and then ===

    async def write_touches(self) -> None:
        """What was used since the last time, in one write."""
        seen, self._seen = self._seen, {}
        try:
            await self._store.sessions.touch(seen)
        except StoreUnavailable:
            self._seen = {**seen, **self._seen}
            raise

    async def _sweep(self) -> None:
        self._on_ended(await self._store.expire(self._now()))
        self._heard = self._now()

    def _touch_s(self) -> float:
        """Only the last touch of a batch is written: one that comes after the idle time would be too late, and what
        lies between two batches looks like a pause."""
        idle_s = self._settings.sessions.idle_s if self._settings is not None else TOUCH_S
        return min(TOUCH_S, self._shortest_idle(idle_s) / 8)

    async def _repeat(self, pause_s: Callable[[], float], doing: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(pause_s())
            task = self._spawn(self._guarded(doing))
            await asyncio.shield(task)

    async def _guarded(self, doing: Callable[[], Any]) -> None:
        try:
            await doing()
        except StagedoorError as fault:
            telemetry.log("sessions_not_kept", level="warning", why=str(fault))
        except Exception as error:  # a fault of ours: what is done now and then goes on with the rest
            telemetry.log("sessions_not_kept", level="error", why=type(error).__name__)

    def _spawn(self, doing: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def over_message(sid: str, row: Session | None, now: int) -> Facts:
    """That there is no such session any more."""
    over = "unknown" if row is None else "idle" if row.over(now) == "idle" else "ended"
    return facts_message(SessionFacts(sid, over))
