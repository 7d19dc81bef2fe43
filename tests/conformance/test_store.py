"""What a store promises, asked of SQLite and of a real PostgreSQL alike.

What only one of many may get (a code, a claim, a pin, a number) is asked for by many at once, over two stores that
have opened the same database.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.control.store import Cut, Notice, Pin, Session, Store, Unstorable
from tests.support.stores import ACT, KINDS, NOW, Place, cut, eventually, server_of, session

MANY = 12
DAY = 86_400


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, server_of(request))


def by_many(
    place: Place, ask: Callable[[Store, int], Awaitable[Any]], ready: Callable[[Store], Awaitable[Any]]
) -> list[Any]:
    """What `MANY` callers get, half of them at another node, all at once."""
    answers: list[Any] = []

    async def story(store: Store) -> None:
        await ready(store)
        async with place.opened() as other:
            answers.extend(await asyncio.gather(*(ask((store, other)[n % 2], n) for n in range(MANY))))

    place.run(story)
    return answers


# === sessions ===


def test_a_session_comes_back_as_it_was_written_also_after_a_restart(place: Place) -> None:
    written = session(claims={"n": 1.5, "list": [None, True, "ü\u0000\U0001f600"], "deep": {"er": []}}, rest=7)

    async def write(store: Store) -> None:
        await store.sessions.add(written)

    async def read(store: Store) -> None:
        assert await store.sessions.get([written.sid, "s-unknown"]) == {written.sid: written}

    place.run(write)
    place.run(read)


def test_a_sid_is_given_once(place: Place) -> None:
    async def story(store: Store) -> None:
        await store.sessions.add(session(1))
        with pytest.raises(Unstorable, match="taken"):
            await store.sessions.add(session(1, sub="mallory"))
        assert (await store.sessions.get([session(1).sid]))[session(1).sid].sub == "jane"

    place.run(story)


def test_a_refresh_that_lost_its_race_changes_nothing(place: Place) -> None:
    """Of all that saw version 1, one writes version 2: no tab undoes the refresh of another."""

    async def ask(store: Store, number: int) -> Session | None:
        return await store.sessions.replace(session(tokens=b"%d" % number), 1)

    got = by_many(place, ask, lambda store: store.sessions.add(session()))
    (winner,) = [each for each in got if each is not None]
    assert winner.version == 2

    async def read(store: Store) -> None:
        assert (await store.sessions.get([winner.sid]))[winner.sid] == winner

    place.run(read)


def test_one_caller_at_a_time_may_refresh_and_a_dead_one_is_not_waited_for_for_ever(place: Place) -> None:
    async def ask(store: Store, number: int) -> bool:
        return await store.sessions.claim_refresh(session().sid, NOW, NOW + 30)

    assert sum(by_many(place, ask, lambda store: store.sessions.add(session()))) == 1

    async def story(store: Store) -> None:
        claim = store.sessions.claim_refresh
        assert not await claim(session().sid, NOW + 29, NOW + 60)
        assert await claim(session().sid, NOW + 30, NOW + 60)
        await store.sessions.replace(session(), 1)  # gives the claim up
        assert await claim(session().sid, NOW + 31, NOW + 60)
        assert not await claim("s-unknown", NOW, NOW + 60)

    place.run(story)


def test_a_session_is_named_without_a_word_to_who_refreshes_it(place: Place) -> None:
    """The refresh token is used once: a name does not let another node use it, and is not lost to what is renewed."""

    async def story(store: Store) -> None:
        await store.sessions.add(session())
        assert await store.sessions.claim_refresh(session().sid, NOW, NOW + 30)
        assert await store.sessions.name(session().sid, "user:default/jane")
        assert not await store.sessions.claim_refresh(session().sid, NOW + 29, NOW + 60)
        assert await store.sessions.replace(session(), 1) is None, "it would undo the name"
        (named,) = await store.sessions.of_ref("user:default/jane")
        assert named == session(ref="user:default/jane", version=2)
        await store.sessions.end([named.sid], NOW, "gone")
        assert not await store.sessions.name(named.sid, "user:default/joe")
        assert not await store.sessions.name("s-unknown", "user:default/joe")
        assert not await store.sessions.name(named.sid, "\0")

    place.run(story)


def test_touches_go_forwards_and_remember_the_longest_pause(place: Place) -> None:
    async def story(store: Store) -> None:
        await store.sessions.add(session(1))
        for at in (NOW + 1000, NOW + 400, NOW + 1100, NOW + 1100):
            await store.sessions.touch({session(1).sid: at, "s-unknown": at})
        (found,) = await store.sessions.list()
        assert (found.seen, found.rest, found.version) == (NOW + 1100, 1000, 1)
        kept = await store.sessions.replace(replace(found, seen=5, rest=5, claims={}), 1)
        assert kept is not None
        assert (kept.seen, kept.rest) == (NOW + 1100, 1000)
        again = await store.sessions.replace(replace(kept, signed_in=NOW + 1200, rest=0), 2)
        assert again is not None
        assert (again.seen, again.rest) == (NOW + 1200, 0)
        assert await store.sessions.list() == [again]

    place.run(story)


@pytest.mark.parametrize("at", [NOW + 3600, NOW + 28_800, NOW + 2**40])
def test_a_touch_never_revives_what_is_over(place: Place, at: int) -> None:
    """A report that comes late, or from a clock that runs ahead, is no request in time."""

    async def story(store: Store) -> None:
        await store.sessions.add(session())
        await store.sessions.touch({session().sid: at})
        assert await store.sessions.list() == [session()]
        assert await store.expire(NOW + 3600) == [session().sid]

    place.run(story)


def test_what_has_ended_stays_so_and_holds_nothing_of_the_person_any_more(place: Place) -> None:
    async def story(store: Store) -> None:
        sid = session().sid
        await store.sessions.add(session())
        assert await store.sessions.end([sid, "s-unknown"], NOW + 5, "signed out") == [sid]
        assert await store.sessions.end([sid], NOW + 9, "again") == []
        await store.sessions.touch({sid: NOW + 10})
        assert await store.sessions.replace(session(), 1) is None
        assert not await store.sessions.claim_refresh(sid, NOW, NOW + 30)
        found = (await store.sessions.get([sid]))[sid]
        assert (found.ended, found.why, found.over(NOW)) == (NOW + 5, "signed out", "signed out")
        assert (found.tokens, found.claims, found.address, found.agent) == (b"", {}, "", "")
        assert await store.sessions.ended_since(NOW + 5) == [sid]
        assert await store.sessions.ended_since(NOW + 6) == []

    place.run(story)


def test_each_session_is_ended_by_one(place: Place) -> None:
    """Who ends it tells the provider: two that did would tell it twice, none would leave it signed in there."""
    sids = [session(number).sid for number in range(40)]

    async def ready(store: Store) -> None:
        for number in range(40):
            await store.sessions.add(session(number))

    ended = by_many(place, lambda store, n: store.sessions.end(sids[:: 1 if n % 3 else -1], NOW, "cut"), ready)
    assert sorted(sid for each in ended for sid in each) == sids


def test_more_sessions_than_a_statement_names_are_ended_as_one(place: Place) -> None:
    async def story(store: Store) -> None:
        rows = [session(number, claims={}, tokens=b"") for number in range(603)]
        for first in range(0, len(rows), 4):
            await asyncio.gather(*(store.sessions.add(row) for row in rows[first : first + 4]))
        assert len(await store.sessions.get([row.sid for row in rows])) == len(rows)
        assert await store.sessions.end([row.sid for row in rows], NOW, "cut") == [row.sid for row in rows]
        assert await store.sessions.list() == []

    place.run(story)


def test_sessions_run_out_and_are_forgotten_after_a_day(place: Place) -> None:
    async def story(store: Store) -> None:
        await store.sessions.add(session(1))
        await store.sessions.add(session(2, idle_s=10**6))
        await store.sessions.add(session(3, until=NOW + 10**6))
        await store.sessions.touch({session(3).sid: NOW + 3000})
        assert await store.expire(NOW + 3599) == []
        assert await store.expire(NOW + 3600) == [session(1).sid]
        assert await store.expire(NOW + 28_800) == [session(2).sid, session(3).sid]
        found = await store.sessions.get([session(number).sid for number in (1, 2, 3)])
        assert [each.why for _, each in sorted(found.items())] == ["idle", "until", "idle"]
        assert await store.expire(NOW + 28_800 + DAY) == []
        assert list(await store.sessions.get(list(found))) == [session(2).sid, session(3).sid]
        await store.expire(NOW + 28_801 + DAY)
        assert await store.sessions.get(list(found)) == {}

    place.run(story)


def test_living_sessions_are_found_by_whose_they_are(place: Place) -> None:
    async def story(store: Store) -> None:
        mine, other, ended = session(1), session(2, issuer="second"), session(3)
        blank = session(4, sub="anna", ref="", provider_sid="")
        for each in (mine, other, ended, blank):
            await store.sessions.add(each)
        await store.sessions.end([ended.sid], NOW, "cut")
        assert await store.sessions.of_person("corp", "jane") == [mine]
        assert await store.sessions.of_ref("user:default/jane") == [mine, other]
        assert await store.sessions.of_provider_session("corp", "p-1") == [mine]
        assert await store.sessions.of_provider_session("second", "p-1") == []
        assert await store.sessions.of_ref("") == []  # nobody's: not everybody's who matched nobody
        assert await store.sessions.of_provider_session("corp", "") == []

    place.run(story)


def test_pages_of_sessions_leave_none_out(place: Place) -> None:
    async def story(store: Store) -> None:
        rows = [session(number) for number in range(7)]
        for row in reversed(rows):
            await store.sessions.add(row)
        read: list[Session] = []
        while page := await store.sessions.list(read[-1].sid if read else "", 3):
            assert len(page) <= 3
            read += page
        assert read == rows

    place.run(story)


# === what counts once ===


def test_a_code_is_taken_once_over_all_nodes(place: Place) -> None:
    got = by_many(
        place,
        lambda store, n: store.take_code(b"\0digest", NOW),
        lambda store: store.put_code(b"\0digest", b"\0payload", NOW + 60),
    )
    assert sorted(got, key=bool) == [None] * (MANY - 1) + [b"\0payload"]


def test_a_code_past_its_time_is_none_and_gone(place: Place) -> None:
    async def story(store: Store) -> None:
        await store.put_code(b"late", b"payload", NOW + 60)
        await store.put_code(b"swept", b"payload", NOW + 60)
        assert await store.take_code(b"late", NOW + 60) is None
        assert await store.take_code(b"late", NOW) is None
        await store.expire(NOW + 60)
        assert await store.take_code(b"swept", NOW) is None
        assert await store.take_code(b"other", NOW) is None

    place.run(story)


def test_a_code_that_is_there_is_not_replaced(place: Place) -> None:
    async def story(store: Store) -> None:
        await store.put_code(b"digest", b"first", NOW + 60)
        with pytest.raises(Unstorable, match="taken"):
            await store.put_code(b"digest", b"second", NOW + 60)
        assert await store.take_code(b"digest", NOW) == b"first"

    place.run(story)


def test_an_id_is_new_once_over_all_nodes(place: Place) -> None:
    async def ready(store: Store) -> None:
        assert await store.remember_once("other kind", "jti", NOW + 60)

    assert sum(by_many(place, lambda store, n: store.remember_once("logout", "jti", NOW + 60), ready)) == 1

    async def story(store: Store) -> None:
        await store.expire(NOW + 59)
        assert not await store.remember_once("logout", "jti", NOW + 60)
        await store.expire(NOW + 60)
        assert await store.remember_once("logout", "jti", NOW + 120)

    place.run(story)


# === pins, cuts, acts ===


def test_the_first_subject_is_pinned_whoever_else_comes(place: Place) -> None:
    async def ready(store: Store) -> None:
        assert await store.pins() == []

    got = by_many(place, lambda store, n: store.pin("corp", f"sub-{n}", "user:default/jane", NOW + n), ready)
    assert len({(pin.sub, pin.at) for pin in got}) == 1

    async def story(store: Store) -> None:
        assert await store.pins("user:default/jane") == [got[0]]
        assert await store.pin("second", "x", "user:default/jane", NOW) == Pin("second", "x", "user:default/jane", NOW)
        assert await store.pins("user:default/john") == []

    place.run(story)


def test_a_pin_changes_only_with_the_act_that_says_so(place: Place) -> None:
    async def story(store: Store) -> None:
        await store.pin("corp", "old", "user:default/jane", NOW)
        new = Pin("corp", "new", "user:default/jane", NOW + 5, "user:default/root")
        await store.confirm_pin(new, replace(ACT, verb="confirm pin"))
        assert await store.pin("corp", "old", "user:default/jane", NOW + 9) == new
        assert await store.unpin("corp", "user:default/jane", replace(ACT, verb="unpin"))
        assert not await store.unpin("corp", "user:default/jane", replace(ACT, verb="unpin"))
        assert await store.pins() == []
        assert [act.verb for act in await store.acts()] == ["confirm pin", "unpin"]

    place.run(story)


def test_a_cut_and_its_undo_each_leave_an_act(place: Place) -> None:
    async def story(store: Store) -> None:
        await store.put_cut(cut(), ACT)
        later = cut(not_before=NOW + 100)
        await store.put_cut(later, ACT)
        service = Cut("service", "component:default/x", NOW, "why", "me")
        await store.put_cut(service, ACT)
        assert await store.cuts() == [later, service]
        assert not await store.lift_cut("team", later.ref, ACT)
        lift = replace(ACT, verb="lift cut", at=NOW + 150)
        assert await store.lift_cut("person", later.ref, lift)
        assert not await store.lift_cut("person", later.ref, lift)
        assert await store.cuts() == [replace(later, lifted=NOW + 150), service]  # old tokens stay refused
        assert [act.verb for act in await store.acts()] == ["cut person"] * 3 + ["lift cut"]
        await store.put_cut(cut(not_before=NOW + 200), ACT)
        assert await store.cuts() == [cut(not_before=NOW + 200), service]

    place.run(story)
    place.run(lambda store: _has_cuts(store, ["user:default/jane", "component:default/x"]))


def test_of_two_words_on_one_subject_the_later_decides_in_whatever_order_they_come(place: Place) -> None:
    """A node that was away tells the store what it said meanwhile; another one may have said more since."""

    async def story(store: Store) -> None:
        await store.put_cut(cut(not_before=NOW + 100), ACT)
        await store.put_cut(cut(not_before=NOW), ACT)
        assert await store.cuts() == [cut(not_before=NOW + 100)]
        assert not await store.lift_cut("person", cut().ref, replace(ACT, at=NOW + 50))
        assert await store.lift_cut("person", cut().ref, replace(ACT, at=NOW + 150))
        await store.put_cut(cut(not_before=NOW + 149), ACT)
        assert await store.cuts() == [replace(cut(not_before=NOW + 100), lifted=NOW + 150)]

    place.run(story)


def test_a_lifted_cut_is_forgotten_when_no_token_can_be_left_and_one_in_force_never(place: Place) -> None:
    async def story(store: Store) -> None:
        await store.put_cut(cut(), ACT)
        await store.put_cut(cut("user:default/anna"), ACT)
        assert await store.lift_cut("person", "user:default/jane", ACT)
        await store.expire(NOW + 90 * DAY)
        assert len(await store.cuts()) == 2
        await store.expire(NOW + 90 * DAY + 1)
        await _has_cuts(store, ["user:default/anna"])
        await store.expire(NOW + 9000 * DAY)
        await _has_cuts(store, ["user:default/anna"])

    place.run(story)


async def _has_cuts(store: Store, refs: list[str]) -> None:
    assert [each.ref for each in await store.cuts() if each.lifted is None] == refs


def test_an_act_and_what_it_did_are_there_together_or_not_at_all(place: Place) -> None:
    broken = replace(ACT, because="\0")

    async def story(store: Store) -> None:
        heard: list[Notice] = []
        store.subscribe(heard.append)
        await store.sessions.add(session())
        await store.put_cut(cut("user:default/anna"), ACT)
        await eventually(lambda: any(each.kind == "cuts" for each in heard))
        before = len(heard)
        for attempt in (
            store.put_cut(cut(), broken),
            store.lift_cut("person", "user:default/anna", broken),
            store.confirm_pin(Pin("corp", "x", "user:default/jane", NOW), broken),
            store.sessions.end([session().sid], NOW, "cut", broken),
        ):
            with pytest.raises(Unstorable, match="because"):
                await attempt
        await _has_cuts(store, ["user:default/anna"])
        assert await store.pins() == []
        assert await store.sessions.list() == [session()]
        assert len(await store.acts()) == 1
        assert await store.sessions.end([session().sid], NOW, "cut", ACT) == [session().sid]
        assert len(await store.acts()) == 2
        await eventually(lambda: Notice("ended", (session().sid,)) in heard)
        assert heard[before:] == [Notice("ended", (session().sid,))]  # nothing of what was undone

    place.run(story)


def test_acts_are_numbered_without_gaps_in_the_order_of_their_commits(place: Place) -> None:
    async def ready(store: Store) -> None:
        assert await store.acts() == []

    numbers = by_many(place, lambda store, n: store.append_act(replace(ACT, about=str(n))), ready)
    assert sorted(numbers) == list(range(1, MANY + 1))

    async def story(store: Store) -> None:
        read = await store.acts(limit=5) + await store.acts(after=5)
        assert [act.number for act in read] == list(range(1, MANY + 1))
        assert {act.about: act.number for act in read} == {str(n): number for n, number in enumerate(numbers)}
        assert replace(read[0], number=0, about="") == replace(ACT, about="")

    place.run(story)


@pytest.mark.parametrize("statement", ["UPDATE acts SET because = 'nothing', at = 1", "DELETE FROM acts"])
def test_not_even_by_hand_is_an_act_changed(place: Place, statement: str) -> None:
    async def write(store: Store) -> None:
        await store.append_act(ACT)

    async def read(store: Store) -> None:
        assert await store.acts() == [replace(ACT, number=1)]

    place.run(write)
    with pytest.raises((AssertionError, sqlite3.Error), match="never changed"):
        place.sql(statement)
    place.run(read)


# === hostile values, news ===


@pytest.mark.parametrize("hostile", ["\0", "a\0b", "\ud800", "x" * 1025])
def test_a_text_that_a_database_cannot_keep_is_refused_by_name_and_found_nowhere(place: Place, hostile: str) -> None:
    async def story(store: Store) -> None:
        for name, attempt in (
            ("sub", store.sessions.add(session(sub=hostile))),
            ("provider_sid", store.sessions.add(session(provider_sid=hostile))),
            ("id", store.remember_once("logout", hostile, NOW)),
            ("sub", store.pin("corp", hostile, "user:default/jane", NOW)),
            ("ref", store.put_cut(cut(hostile), ACT)),
        ):
            with pytest.raises(Unstorable, match=f"^`{name}`") as refused:
                await attempt
            assert hostile not in str(refused.value)
        assert await store.sessions.get([hostile]) == {}
        assert await store.sessions.end([hostile], NOW, "x") == []
        await store.sessions.touch({hostile: NOW})
        assert await store.sessions.list(hostile) == []
        assert await store.sessions.of_person("corp", hostile) == []
        assert await store.sessions.of_provider_session(hostile, "p-1") == []
        assert not await store.sessions.claim_refresh(hostile, NOW, NOW)
        assert not await store.lift_cut("person", hostile, ACT)
        assert await store.pins(hostile) == []

    place.run(story)


@pytest.mark.parametrize("claims", [{"n": 2**70}, {"o": object()}, {"s": "\ud800"}], ids=["number", "object", "text"])
def test_claims_that_json_cannot_say_are_refused(place: Place, claims: dict[str, Any]) -> None:
    async def story(store: Store) -> None:
        with pytest.raises(Unstorable, match="claims"):
            await store.sessions.add(session(claims=claims))
        with pytest.raises(Unstorable, match="until"):
            await store.sessions.add(session(until=2**63))
        assert await store.sessions.list() == []

    place.run(story)


@pytest.mark.parametrize("text", ["'; DROP TABLE sessions; --", "%", "_", "\\", '"', "ü\U0001f600", "$1", ":sid", "?"])
def test_no_text_is_more_than_a_text(place: Place, text: str) -> None:
    async def story(store: Store) -> None:
        odd = session(sub=text, ref=text, agent=text, claims={text: text})
        await store.sessions.add(odd)
        await store.sessions.add(session(2, sub="other", ref="other"))
        assert await store.sessions.of_person("corp", text) == [odd]
        assert await store.sessions.of_ref(text) == [odd]
        await store.put_cut(cut(text), replace(ACT, because=text))
        await _has_cuts(store, [text])

    place.run(story)


def test_news_come_after_the_commit_and_say_what_changed(place: Place) -> None:
    async def story(store: Store) -> None:
        heard: list[Notice] = []

        def broken(notice: Notice) -> None:
            raise RuntimeError("a listener's own defect")

        store.subscribe(heard.append)
        with pytest.raises(RuntimeError):
            store.subscribe(broken)
        await store.sessions.add(session())
        await store.sessions.replace(session(), 1)
        await store.put_cut(cut(), ACT)
        await store.pin("corp", "jane", "user:default/jane", NOW)
        await store.append_act(ACT)  # nobody need hear of either
        await store.sessions.end([session().sid], NOW, "x")
        await store.sessions.end([session().sid], NOW, "x")  # nothing changed
        await eventually(lambda: len(heard) == 4)
        assert heard == [
            ("resync", ()), ("changed", (session().sid,)), ("cuts", ("person:user:default/jane",)),
            ("ended", (session().sid,)),
        ]  # fmt: skip

    place.run(story)


def test_a_call_that_is_given_up_leaves_the_store_well(place: Place) -> None:
    """A request that may wait two seconds ends its question; the next one is answered."""

    async def story(store: Store) -> None:
        await store.sessions.add(session())
        for number in range(30):
            task = asyncio.get_running_loop().create_task(store.append_act(replace(ACT, about=str(number))))
            for _ in range(number):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        acts = await store.acts()
        assert [act.number for act in acts] == list(range(1, len(acts) + 1))
        assert await store.append_act(ACT) == len(acts) + 1
        assert await asyncio.gather(*(store.sessions.list() for _ in range(20))) == [[session()]] * 20

    place.run(story)
