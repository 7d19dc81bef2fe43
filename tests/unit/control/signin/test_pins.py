"""Whose User is whose: the first account that signs in as a User is pinned, another one waits for a word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.control.cuts import CutRefused
from gateway.control.signin.pins import PinRefused
from gateway.control.store import Session, StoreUnavailable
from policy.directory import directory_frames
from policy.facts import Catalog, KeyField, Person, Source
from policy.table import Table
from policy.table_builder import TableBuilder
from tests.support.scripted_provider import ScriptedProvider
from tests.support.signing_control import Place, signing_control

JANE = "user:default/jane"
Story = Callable[[Place, ScriptedProvider], Awaitable[None]]
WHY = "She has a new account."
BURSTS_APART_S = 1200  # a refresh is overdue then, for longer than requests go on meanwhile


def table() -> Table:
    """`jane` and `another` lead to the same User, as an address that changed hands does."""
    fields = {"annotations.one": "jane", "annotations.two": "another"}
    jane = Person(JANE, "jane", (), fields, Source("catalog.yaml", 1))
    keys = [KeyField("sso", "person", "sub", field) for field in fields]
    builder = TableBuilder(Table.allow_none())
    for name, frame in directory_frames(Catalog({JANE: jane}, {}, {}), keys, ("prod",)).items():
        builder.put(name, frame)
    return builder.finish()


def told(folder: Path, story: Story, base: Table | None = None) -> None:
    async def run() -> None:
        async with ScriptedProvider() as provider, signing_control(folder, provider) as place:
            place.sign_in.context.pins._table = lambda: base or table()
            await story(place, provider)

    asyncio.run(run())


async def comes(place: Place, provider: ScriptedProvider, sub: str) -> Session | None:
    """The new session of that account; None when it was turned away as pinned."""
    before = {row.sid for row in await place.rows()}
    provider.changes = {"sub": sub}
    answer = await place.signed_in()
    new = [row for row in await place.rows() if row.sid not in before]
    if answer.status == 403:
        assert "<code>pinned</code>" in await answer.text()
        assert new == []
        return None
    assert answer.status == 303, await answer.text()
    return new[0]


def test_the_first_who_signs_in_is_pinned_and_another_is_turned_away(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        first = await comes(place, provider, "jane")
        assert first is not None
        assert first.ref == JANE
        assert await comes(place, provider, "another") is None
        assert await comes(place, provider, "jane") is not None
        assert await comes(place, provider, "nobody") is not None, "who is no User is pinned to none"
        listed = await place.sign_in.context.pins.listed("")
        assert [(each["issuer"], each["user"], each["subject"]) for each in listed["pins"]] == [("sso", JANE, "jane")]
        assert [(each["user"], each["subject"]) for each in listed["turned_away"]] == [(JANE, "another")]
        assert await place.sign_in.context.pins.listed("joe") == {"pins": [], "turned_away": []}

    told(tmp_path, story)


def test_who_could_not_be_looked_up_is_judged_by_what_doors_find(tmp_path: Path) -> None:
    """No base was read yet: both come in, and once a door has said who they are, the later one is out."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        sids = []
        for sub in ("jane", "another"):
            row = await comes(place, provider, sub)
            assert row is not None
            assert row.ref == ""
            sids.append(row.sid)
            await place.sign_in.context.live.answer([row.sid], {row.sid: place.now()}, {row.sid: JANE})
            await place.sign_in.context.live.compare_found()
        assert set(place.ended) == {sids[1]}
        (left,) = await place.rows()
        assert (left.sid, left.ref) == (sids[0], JANE)

    told(tmp_path, story, Table.allow_none())


@pytest.mark.parametrize("is_turned", [False, True])
def test_of_two_who_are_found_at_once_the_first_is_pinned(tmp_path: Path, is_turned: bool) -> None:
    """Whatever their sessions are called, and though nobody asks about either again."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        sids = []
        for sub in ("jane", "another"):
            row = await comes(place, provider, sub)
            assert row is not None
            sids.append(row.sid)
        sids.sort(reverse=is_turned)
        place.sign_in.context.live.hear([(sid, JANE) for sid in sids])
        async with asyncio.timeout(60):
            while not place.ended:
                await asyncio.sleep(0)
        assert set(place.ended) == {sids[1]}
        assert [(row.sid, row.ref) for row in await place.rows()] == [(sids[0], JANE)]

    told(tmp_path, story, Table.allow_none())


def test_who_is_found_while_the_store_is_away_is_compared_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        live, sessions = place.sign_in.context.live, place.sign_in.context.store.sessions
        first, later = [await comes(place, provider, sub) for sub in ("jane", "another")]
        assert first is not None
        assert later is not None
        asked: list[object] = []

        async def away(sids: object) -> dict[str, Session]:
            asked.append(sids)
            raise StoreUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(sessions, "get", away)
            live.hear([(first.sid, JANE)])
            while not asked:
                await asyncio.sleep(0)
            live.hear([(later.sid, JANE)])
            with pytest.raises(StoreUnavailable):
                await live.compare_found()
        assert not place.ended
        await live.compare_found()
        assert set(place.ended) == {later.sid}
        assert [row.sub for row in await place.rows()] == ["jane"]

    told(tmp_path, story, Table.allow_none())


def test_one_that_cannot_be_compared_keeps_no_other_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours about one session: the others are compared, and what is done now and then goes on."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        live, pins = place.sign_in.context.live, place.sign_in.context.pins
        rows = [await comes(place, provider, sub) for sub in ("nobody", "jane", "another")]
        odd, *others = [row.sid for row in rows if row is not None]
        real = pins.found

        async def found(row: Session, ref: str) -> None:
            if row.sid == odd:
                raise ValueError("odd")
            await real(row, ref)

        monkeypatch.setattr(pins, "found", found)
        live.hear([(sid, JANE) for sid in (odd, *others)])
        await asyncio.gather(*live._tasks)
        await live.compare_found()
        assert set(place.ended) == {others[1]}

    told(tmp_path, story, Table.allow_none())


def test_a_catalog_that_means_somebody_else_now_ends_their_session(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        assert await comes(place, provider, "jane") is not None
        stranger = await comes(place, provider, "nobody")
        assert stranger is not None
        await place.sign_in.context.live.answer([stranger.sid], {}, {stranger.sid: JANE})
        await place.sign_in.context.live.compare_found()
        assert set(place.ended) == {stranger.sid}

    told(tmp_path, story)


def test_a_confirmed_account_takes_the_place_of_the_former(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        pins = place.sign_in.context.pins
        former = await comes(place, provider, "jane")
        assert former is not None
        assert await comes(place, provider, "another") is None
        done = await pins.confirm("sso", "jane", "another", WHY, "root")
        assert done == {"user": JANE, "issuer": "sso", "subject": "another", "ended": 1}
        assert set(place.ended) == {former.sid}
        assert await comes(place, provider, "another") is not None
        assert await comes(place, provider, "jane") is None
        listed = await pins.listed("jane")
        assert [(each["subject"], each["by"]) for each in listed["pins"]] == [("another", "root")]
        assert [each["subject"] for each in listed["turned_away"]] == ["jane"]
        (act,) = [each for each in await place.sign_in.context.store.acts() if each.verb == "confirm pin"]
        assert (act.by, act.about, act.because) == ("root", f"{JANE} sso another", WHY)

    told(tmp_path, story)


def test_without_its_pin_a_user_is_the_next_ones(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        pins = place.sign_in.context.pins
        assert await comes(place, provider, "jane") is not None
        await pins.remove("sso", JANE, WHY, "root")
        assert await comes(place, provider, "another") is not None
        assert await comes(place, provider, "jane") is None
        assert [each.verb for each in await place.sign_in.context.store.acts()] == ["remove pin"]

    told(tmp_path, story)


async def found_by_a_door(place: Place, sid: str) -> None:
    live = place.sign_in.context.live
    await live.answer([sid], {sid: place.now()}, {sid: JANE})
    await live.compare_found()


def test_who_comes_in_short_bursts_is_compared_too(tmp_path: Path) -> None:
    """A door says whose the session is while a refresh has been due for long, and then nothing until the next burst."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        first, later = [await comes(place, provider, sub) for sub in ("jane", "another")]
        assert first is not None
        assert later is not None
        await found_by_a_door(place, first.sid)
        place.skipped_s += BURSTS_APART_S
        await found_by_a_door(place, later.sid)
        assert set(place.ended) == {later.sid}
        assert [row.sid for row in await place.rows()] == [first.sid]

    told(tmp_path, story, Table.allow_none())


def just_before(
    monkeypatch: pytest.MonkeyPatch, place: Place, call: str, doing: Callable[[], Awaitable[object]]
) -> None:
    """Another node does something just before the first call to the store's sessions by that name."""
    sessions = place.sign_in.context.store.sessions
    real = getattr(sessions, call)

    async def late(*said: object) -> object:
        monkeypatch.setattr(sessions, call, real)
        await doing()
        return await real(*said)

    monkeypatch.setattr(sessions, call, late)


def test_who_signs_in_while_another_account_is_confirmed_has_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The confirmation comes between the look at the pin and the session's row, so it sees no session to end."""

    async def story(place: Place, provider: ScriptedProvider) -> None:
        pins = place.sign_in.context.pins
        assert await comes(place, provider, "jane") is not None
        just_before(monkeypatch, place, "add", lambda: pins.confirm("sso", "jane", "another", WHY, "root"))
        assert await comes(place, provider, "jane") is None
        assert await place.rows() == []
        assert [each["subject"] for each in (await pins.listed(""))["pins"]] == ["another"]

    told(tmp_path, story)


def test_who_is_found_by_a_door_while_another_account_is_confirmed_is_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        pins = place.sign_in.context.pins
        row = await comes(place, provider, "jane")
        assert row is not None
        just_before(monkeypatch, place, "name", lambda: pins.confirm("sso", "jane", "another", WHY, "root"))
        await found_by_a_door(place, row.sid)
        assert set(place.ended) == {row.sid}
        assert await place.rows() == []

    told(tmp_path, story, Table.allow_none())


def test_who_is_pinned_next_ends_the_sessions_of_who_was_before(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        former = await comes(place, provider, "jane")
        assert former is not None
        await place.sign_in.context.pins.remove("sso", JANE, WHY, "root")
        assert await comes(place, provider, "jane") is not None, "the same account may be the next"
        assert place.ended == []
        await place.sign_in.context.pins.remove("sso", JANE, WHY, "root")
        assert await comes(place, provider, "another") is not None
        assert former.sid in place.ended
        assert {row.sub for row in await place.rows()} == {"another"}

    told(tmp_path, story)


def test_what_cannot_be_done_is_said_and_changes_nothing(tmp_path: Path) -> None:
    async def story(place: Place, provider: ScriptedProvider) -> None:
        pins = place.sign_in.context.pins
        for issuer, user, sub, because, said in (
            ("elsewhere", "jane", "x", WHY, "nobody signs in at issuer `elsewhere`; there is `sso`"),
            ("sso", "jane", "", WHY, "no subject"),
            ("sso", "jane", "x\n", WHY, "no subject"),
            ("sso", "jane", "x", " ", "say why"),
        ):
            with pytest.raises(PinRefused, match=said):
                await pins.confirm(issuer, user, sub, because, "root")
        with pytest.raises(CutRefused, match="a person is a user"):
            await pins.confirm("sso", "group:default/x", "x", WHY, "root")
        with pytest.raises(PinRefused, match="has no pin"):
            await pins.remove("sso", "jane", WHY, "root")
        with pytest.raises(PinRefused, match="say why"):
            await pins.remove("sso", "jane", "", "root")
        assert await place.sign_in.context.store.acts() == []
        await place.sign_in.context.store.close()
        with pytest.raises(PinRefused, match="the database does not answer"):
            await pins.confirm("sso", "jane", "x", WHY, "root")

    told(tmp_path, story)
