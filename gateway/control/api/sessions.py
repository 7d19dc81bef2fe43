"""People's sessions: everybody sees and ends their own, everywhere at once if they like; administrators anybody's.

A session is its owner's by issuer and subject, or by the User of the catalog whom doors found. What is ended is
committed before it is answered, and every end of somebody else's session is an act with its author. Tokens are in no
answer, and neither are the claims of a sign-in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from gateway.control.api.callers import Caller
from gateway.control.api.problems import Problem
from gateway.control.api.rights import require
from gateway.control.api.routes import Answer, Asked, Query, Route
from gateway.control.sessions.live import LiveSessions
from gateway.control.store import Act, Session, Store, StoreUnavailable
from gateway.identity.session import SESSION_ID

SESSIONS: Final = 100
MOST_SESSIONS: Final = 1000
_Ref = Annotated[str, Field(min_length=1, max_length=512)]
_Because = Annotated[str, Field(max_length=500, description="Why; it is kept with the act.")]


class SessionsQuery(Query):
    user: _Ref | None = Field(None, description="Another person, by full ref. Administrators alone.")
    all: bool = Field(False, description="Everybody's. Administrators alone.")
    after: Annotated[str, Field(max_length=64)] = Field("", description="Of everybody's: those behind this `sid`.")
    limit: int = Field(SESSIONS, ge=1, le=MOST_SESSIONS, description="Of everybody's: how many.")


class EndSessionsQuery(Query):
    user: _Ref | None = Field(None, description="Another person, by full ref. Administrators alone.")
    because: _Because = ""


class EndSessionQuery(Query):
    sid: Annotated[str, Field(max_length=64)] = Field(description="Of the session.")
    because: _Because = ""


class SessionAnswer(Answer):
    sid: str
    person: str = Field(description="Ref of the person, as far as a door has found one.")
    issuer: str
    subject: str
    signed_in: str
    last_used: str
    ends: str
    confirmed: str = Field(description="When the issuer last confirmed who it is.")
    address: str
    browser: str


class SessionsAnswer(Answer):
    sessions: list[SessionAnswer]
    next: str = Field(description="Ask for those `after` it; empty at the end.")


class EndedAnswer(Answer):
    ended: list[str] = Field(description="The `sid` of each session that this call ended.")


class PeopleSessions:
    """What the API and the portal do with sessions. Until `connect` nothing can be told."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._store: Store | None = None
        self._live: LiveSessions | None = None

    def connect(self, store: Store, live: LiveSessions) -> None:
        self._store, self._live = store, live

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("sessions", "Where somebody is signed in with a browser.", self._list, SessionsAnswer, SessionsQuery,
                  ("not_yours", "sessions_away")),
            Route("endSessions", "Sign out everywhere.", self._end_all, EndedAnswer, EndSessionsQuery,
                  ("not_yours", "sessions_away")),
            Route("endSession", "End one session.", self._end_one, EndedAnswer, EndSessionQuery,
                  ("session_unknown", "sessions_away")),
        )  # fmt: skip

    async def of(self, caller: Caller) -> Sequence[Session]:
        """The caller's own, as they are now, by whichever issuer they signed in. Raises `Problem`."""
        who = caller.principal
        if who.kind != "person" or who.actors:
            return ()
        rows: list[Session] = await self._asked(lambda store: store.sessions.of_person(who.issuer, who.subject))
        rows += await self._asked(lambda store: store.sessions.of_ref(who.ref))
        return self._living(list({row.sid: row for row in rows}.values()))

    async def end(self, caller: Caller, sids: Sequence[str]) -> None:
        """Whoever calls has looked whose they are. Raises `Problem`."""
        await self._ended(caller, sids, "")

    async def _ended(self, caller: Caller, sids: Sequence[str], because: str) -> list[str]:
        if self._live is None:
            raise Problem("sessions_away")
        act = Act(self._now(), caller.ref, "end session", " ".join(sids[:8]), because) if sids else None
        try:
            return await self._live.end(sids, "ended", act)
        except StoreUnavailable:
            raise Problem("sessions_away") from None

    # === the API ===

    async def _list(self, asked: Asked) -> dict[str, Any]:
        query: SessionsQuery = asked.query
        following = ""
        if query.all:
            require(asked.caller.is_administrator)
            rows = await self._asked(lambda store: store.sessions.list(query.after, query.limit))
            following = rows[-1].sid if len(rows) == query.limit else ""
        else:
            rows = await self._of_person(asked.caller, query.user)
        return {"sessions": [_told(row) for row in self._living(rows)], "next": following}

    async def _end_all(self, asked: Asked) -> dict[str, Any]:
        rows = await self._of_person(asked.caller, asked.query.user)
        return {"ended": await self._ended(asked.caller, [row.sid for row in rows], asked.query.because)}

    async def _end_one(self, asked: Asked) -> dict[str, Any]:
        """One answer for what is not there and what is somebody else's."""
        sid = asked.query.sid
        rows = await self._asked(lambda store: store.sessions.get([sid])) if SESSION_ID.fullmatch(sid) else {}
        row = rows.get(sid)
        is_own = sid in {each.sid for each in await self.of(asked.caller)}
        if row is None or row.over(self._now()) or not (is_own or asked.caller.is_administrator):
            raise Problem("session_unknown")
        return {"ended": await self._ended(asked.caller, [sid], asked.query.because)}

    async def _of_person(self, caller: Caller, user: str | None) -> Sequence[Session]:
        if user is None or user.lower() == caller.ref:
            return await self.of(caller)
        require(caller.is_administrator)
        found: list[Session] = await self._asked(lambda store: store.sessions.of_ref(user.lower()))
        return found

    async def _asked(self, question: Callable[[Store], Any]) -> Any:
        if self._store is None:
            raise Problem("sessions_away")
        try:
            return await question(self._store)
        except StoreUnavailable:
            raise Problem("sessions_away") from None

    def _living(self, rows: Sequence[Session]) -> list[Session]:
        now = self._now()
        return [row for row in rows if not row.over(now)]


def _told(row: Session) -> dict[str, Any]:
    return {
        "sid": row.sid, "person": row.ref, "issuer": row.issuer, "subject": row.sub,
        "signed_in": _instant(row.signed_in), "last_used": _instant(row.seen), "ends": _instant(row.until),
        "confirmed": _instant(row.confirmed), "address": row.address, "browser": row.agent,
    }  # fmt: skip


def _instant(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))
