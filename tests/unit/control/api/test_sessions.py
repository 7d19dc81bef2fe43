"""Who sees and ends which sessions: one's own, administrators anybody's, and an agent nobody's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.control.api.callers import Caller
from gateway.control.api.problems import Problem
from gateway.control.api.routes import Asked
from gateway.control.api.sessions import EndSessionQuery, EndSessionsQuery, PeopleSessions, SessionsQuery
from gateway.control.sessions.live import LiveSessions
from gateway.control.store import Session, Store, StoreUnavailable, open_store
from policy.facts import Principal
from tests.support.tokens import NOW

ENDED: list[str] = []


def sid(number: int) -> str:
    return f"s-{number:032x}"


def session(number: int, sub: str, issuer: str = "sso", ref: str = "") -> Session:
    return Session(sid(number), issuer, sub, NOW - 60, NOW - 5, NOW + 3600, 600, ref=ref, agent="Firefox")


def caller(sub: str = "jane", *, administrator: bool = False, **changes: Any) -> Caller:
    who: dict[str, Any] = {"kind": "person", "ref": f"user:default/{sub}", "issuer": "sso", "subject": sub, **changes}
    return Caller(Principal(**who), administrator, True)


JANE, JOE, ROOT = caller(), caller("joe"), caller("root", administrator=True)
AGENT = caller(actors=(Principal("workload", "component:default/agent"),))


def told(folder: Path, story: Callable[[PeopleSessions, Store], Awaitable[None]]) -> None:
    async def run() -> None:
        store = await open_store("", folder)
        none: Any = None
        live = LiveSessions(store, none, none, none, lambda facts: None, ENDED.extend, lambda: NOW)
        people = PeopleSessions(lambda: NOW)
        with pytest.raises(Problem):
            await people.of(JANE)
        people.connect(store, live)
        for row in (session(1, "jane"), session(2, "jane", "partner", "user:default/jane"), session(3, "joe")):
            await store.sessions.add(row)
        try:
            await story(people, store)
        finally:
            await live.close()
            await store.close()

    asyncio.run(run())


async def ask(people: PeopleSessions, name: str, who: Caller, query: object) -> Any:
    route = next(each for each in people.routes() if each.name == name)
    answer = await route.answers(Asked(who, query, b"", {}))
    assert route.answer is not None
    route.answer.model_validate(answer)
    return answer


def listed(answer: Any) -> list[str]:
    return sorted(each["sid"] for each in answer["sessions"])


def test_everybody_sees_their_own_and_no_token(tmp_path: Path) -> None:
    async def story(people: PeopleSessions, store: Store) -> None:
        assert listed(await ask(people, "sessions", JANE, SessionsQuery())) == [sid(1), sid(2)]
        assert listed(await ask(people, "sessions", JOE, SessionsQuery())) == [sid(3)]
        assert listed(await ask(people, "sessions", AGENT, SessionsQuery())) == []
        stranger = caller(issuer="other", ref="user:default/other")
        assert listed(await ask(people, "sessions", stranger, SessionsQuery())) == []

    told(tmp_path, story)


def test_of_others_administrators_alone(tmp_path: Path) -> None:
    async def story(people: PeopleSessions, store: Store) -> None:
        of_jane, of_all = SessionsQuery(user="user:default/jane"), SessionsQuery(all=True)
        for query in (of_jane, of_all):
            with pytest.raises(Problem, match="not_yours"):
                await ask(people, "sessions", JOE, query)
        assert listed(await ask(people, "sessions", ROOT, of_jane)) == [sid(2)]  # as far as doors have told the ref
        assert listed(await ask(people, "sessions", ROOT, of_all)) == [sid(1), sid(2), sid(3)]
        first = await ask(people, "sessions", ROOT, SessionsQuery(all=True, limit=2))
        assert (listed(first), first["next"]) == ([sid(1), sid(2)], sid(2))
        rest = await ask(people, "sessions", ROOT, SessionsQuery(all=True, limit=2, after=first["next"]))
        assert (listed(rest), rest["next"]) == ([sid(3)], "")

    told(tmp_path, story)


def test_one_signs_out_everywhere_and_nobody_else(tmp_path: Path) -> None:
    async def story(people: PeopleSessions, store: Store) -> None:
        ENDED.clear()
        answer = await ask(people, "endSessions", JANE, EndSessionsQuery())
        assert sorted(answer["ended"]) == [sid(1), sid(2)]
        assert {sid(1), sid(2)} <= set(ENDED)
        assert [row.sid for row in await store.sessions.list()] == [sid(3)]
        with pytest.raises(Problem, match="not_yours"):
            await ask(people, "endSessions", JANE, EndSessionsQuery(user="user:default/joe"))
        assert await ask(people, "endSessions", JANE, EndSessionsQuery()) == {"ended": []}

    told(tmp_path, story)


def test_what_is_not_there_and_what_is_not_yours_look_alike(tmp_path: Path) -> None:
    async def story(people: PeopleSessions, store: Store) -> None:
        for wanted in (sid(1), sid(9), "../x", ""):
            with pytest.raises(Problem, match="session_unknown"):
                await ask(people, "endSession", JOE, EndSessionQuery(sid=wanted))
        with pytest.raises(Problem, match="session_unknown"):
            await ask(people, "endSession", AGENT, EndSessionQuery(sid=sid(1)))
        assert (await ask(people, "endSession", JANE, EndSessionQuery(sid=sid(1))))["ended"] == [sid(1)]

    told(tmp_path, story)


def test_an_administrators_end_is_an_act(tmp_path: Path) -> None:
    async def story(people: PeopleSessions, store: Store) -> None:
        await ask(people, "endSession", ROOT, EndSessionQuery(sid=sid(3), because="The laptop was stolen."))
        (act,) = await store.acts()
        assert (act.by, act.verb, act.about) == ("user:default/root", "end session", sid(3))
        assert act.because == "The laptop was stolen."

    told(tmp_path, story)


def test_a_store_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(people: PeopleSessions, store: Store) -> None:
        async def away(*_: object) -> None:
            raise StoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(store.sessions, "of_person", away)
            with pytest.raises(Problem, match="sessions_away"):
                await ask(people, "endSessions", JANE, EndSessionsQuery())

    told(tmp_path, story)
