"""Several nodes on one PostgreSQL: they hear of each other, live through its absence, and one of them leads.

The server is a real one, and it is stopped, killed, silenced and started again under the stores' feet.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from gateway.config_load.database import database_url
from gateway.control.store import Leadership, Notice, Store, StoreUnavailable
from tests.support import postgres as real
from tests.support.authority import Authority
from tests.support.node import ROOT
from tests.support.postgres import PASSWORD, Postgres
from tests.support.stores import ACT, NOW, Place, cut, eventually, session

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(real.why_not()), reason=real.why_not())]
RESYNC = Notice("resync")
DATABASE_GIVES_UP_S = 11.0  # on a node that is silent: three probes, two seconds apart, after five


@pytest.fixture
def place(tmp_path: Path, postgres: Postgres) -> Place:
    return Place(tmp_path, postgres)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Place]:
    """On a server of the test's own, which it may treat badly."""
    with real.running() as server:
        yield Place(tmp_path, server)


def run(story: Callable[[], Awaitable[None]], patience_s: float = 40.0) -> None:
    async def whole() -> None:
        async with asyncio.timeout(patience_s):
            await story()

    asyncio.run(whole())


def heard_by(store: Store) -> list[Notice]:
    heard: list[Notice] = []
    store.subscribe(heard.append)
    heard.clear()
    return heard


async def refused(ask: Callable[[], Awaitable[object]]) -> str:
    """Waits until a call fails, and says why."""
    while True:
        try:
            await ask()
        except StoreUnavailable as unavailable:
            return str(unavailable)
        await asyncio.sleep(0.01)


# === news ===


def test_a_node_hears_what_another_did_by_ids_alone(place: Place) -> None:
    async def story() -> None:
        async with place.opened() as one, place.opened() as other:
            heard = heard_by(other)
            await one.sessions.add(session())
            await one.put_cut(cut(), ACT)
            await one.sessions.end([session().sid], NOW, "cut")
            await eventually(lambda: len(heard) == 2)
            assert heard == [("cuts", ("person:user:default/jane",)), ("ended", (session().sid,))]

    run(story)


def test_thousands_of_ids_arrive_in_pieces_that_fit(place: Place) -> None:
    async def story() -> None:
        async with place.opened() as one, place.opened() as other:
            rows = [session(number, claims={}, tokens=b"") for number in range(600)]
            for row in rows:
                await one.sessions.add(row)
            heard = heard_by(other)
            await one.sessions.end([row.sid for row in rows], NOW, "cut")
            await eventually(lambda: sum(len(each.ids) for each in heard) == len(rows))
            assert [sid for each in heard for sid in each.ids] == [row.sid for row in rows]
            longest = "\U0001f600" * 1024  # the largest ref there can be
            await one.put_cut(cut(longest), ACT)
            await eventually(lambda: heard[-1] == Notice("cuts", (f"person:{longest}",)))

    run(story)


@pytest.mark.parametrize("payload", ["", "[]", "{}", "[1]", '["ended", 5]', '["drop"]', "null", "[[]]", "\\u0000"])
def test_what_is_no_news_means_that_anything_may_have_changed(place: Place, payload: str) -> None:
    async def story() -> None:
        async with place.opened() as store:
            heard = heard_by(store)
            place.sql(f"SELECT pg_notify('stagedoor', '{payload}')")  # by somebody with the password
            await eventually(lambda: len(heard) == 1)
            assert heard == [RESYNC]

    run(story)


def test_a_lost_ear_is_a_resync_and_no_outage(place: Place) -> None:
    """The listening connection alone is ended, as a proxy between may do. Whatever was missed is read again."""

    async def story() -> None:
        async with place.opened() as store:
            heard = heard_by(store)
            place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
                      "AND datname = current_database()")  # fmt: skip
            await eventually(lambda: RESYNC in heard)
            heard.clear()
            await store.put_cut(cut(), ACT)
            await eventually(lambda: heard == [("cuts", ("person:user:default/jane",))])

    run(story)


# === absence ===


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_went_away_is_found_again(own: Place, how: signal.Signals) -> None:
    """In order, or as in a crash: what was acknowledged is there, and calls fail at once meanwhile."""
    server = own.server
    assert server is not None

    async def story() -> None:
        async with own.opened() as store, own.opened() as other:
            await store.sessions.add(session())
            heard = heard_by(other)
            server.stop(how)
            why = await refused(lambda: store.sessions.get([session().sid]))
            assert PASSWORD not in why
            await eventually(lambda: bool(store.fault) and bool(other.fault))
            loop = asyncio.get_running_loop()
            asked = loop.time()
            for _ in range(100):
                with pytest.raises(StoreUnavailable) as away:
                    await store.sessions.list()
            assert loop.time() - asked < 1.0
            assert "Stagedoor" in away.value.public
            assert PASSWORD not in str(away.value) + store.fault
            server.start()
            await eventually(lambda: not store.fault and not other.fault)
            assert await store.sessions.list() == [session()]
            assert RESYNC in heard

    run(story)


def test_a_silent_server_costs_seconds_once_and_then_nothing(own: Place) -> None:
    """Behind a broken network nobody closes a connection. Who asks first waits; everybody after is told at once."""
    server = own.server
    assert server is not None

    async def story() -> None:
        async with own.opened() as store:
            await store.append_act(ACT)
            server.pause()
            try:
                asked = asyncio.get_running_loop().time()
                assert await refused(store.acts) == "no answer in time"
                assert asyncio.get_running_loop().time() - asked < 12.0
                await eventually(lambda: bool(store.fault))
                asked = asyncio.get_running_loop().time()
                with pytest.raises(StoreUnavailable):
                    await store.acts()
                assert asyncio.get_running_loop().time() - asked < 0.5
            finally:
                server.resume()
            await eventually(lambda: not store.fault)
            assert len(await store.acts()) == 1

    run(story)


def test_a_node_starts_without_its_database_and_finds_it_later(own: Place) -> None:
    server = own.server
    assert server is not None
    server.stop()

    async def story() -> None:
        async with own.opened() as store:
            assert store.fault
            with pytest.raises(StoreUnavailable):
                await store.sessions.add(session())
            heard: list[Notice] = []
            store.subscribe(heard.append)
            assert heard == []  # there is nothing to read yet
            server.start()
            await eventually(lambda: not store.fault)
            await store.sessions.add(session())
            assert heard == [RESYNC]

    run(story)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("?passfile=", "?passfile=/nowhere/"), "password authentication failed"),
        (("stagedoor@", "somebody@"), "password authentication failed"),
        (("/d", "/none"), "does not exist"),
        ((":", ":1"), ""),
    ],
    ids=["no password", "nobody", "no database", "no server"],
)
def test_why_a_database_cannot_be_used_is_said_without_its_password(
    place: Place, change: tuple[str, str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    head, at, rest = place.url.rpartition("@")
    old, new = change
    if old == ":":
        rest = rest.replace(rest.partition(":")[2].partition("/")[0], "1", 1)
    place.url = (head + at).replace(old, new) + rest.replace(old, new, 1) if old != ":" else head + at + rest

    async def story() -> None:
        async with place.opened() as store:
            assert said in store.fault
            assert store.fault
            assert PASSWORD not in store.fault + repr(store) + store.name

    run(story)
    written = capfd.readouterr()
    assert "store_away" in written.err
    assert PASSWORD not in written.err + written.out


@pytest.mark.parametrize(
    ("names", "ca", "said"),
    [
        (("localhost",), "own", ""),
        (("localhost",), "foreign", "certificate verify failed"),
        (("elsewhere.example.com",), "own", "certificate"),
    ],
    ids=["its own", "foreign authority", "another's name"],
)
def test_only_the_server_that_was_meant_gets_the_password(
    tmp_path: Path, own: Place, names: tuple[str, ...], ca: str, said: str
) -> None:
    authorities = {name: Authority(tmp_path, name) for name in ("own", "foreign")}
    server = own.server
    assert server is not None
    server.stop()
    server.certify(*authorities["own"].leaf("server", *names))
    server.start()
    own.url = own.url.replace("127.0.0.1", "localhost") + f"&sslmode=verify-full&sslrootcert={authorities[ca].ca}"
    assert database_url(own.url) == own.url

    async def story() -> None:
        async with own.opened() as store:
            assert said in store.fault
            assert bool(store.fault) is bool(said)
            if not said:
                await store.sessions.add(session())
                heard = heard_by(store)
                await store.sessions.end([session().sid], NOW, "over TLS")
                await eventually(lambda: len(heard) == 1)

    run(story)


def test_a_standby_is_not_taken_for_the_primary(place: Place) -> None:
    """With `target_session_attrs` the driver looks for one that can be written, and says so when there is none."""
    name = place.url.partition("?")[0].rpartition("/")[2]
    place.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    async def story() -> None:
        for more in ("", "&target_session_attrs=read-write"):
            place.url += more
            async with place.opened() as store:
                assert store.fault

    run(story)


def test_no_value_of_a_row_is_in_an_error(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """A driver's error has the statement, its parameters and the row in it."""
    secret = "jane-is-the-secret"

    async def story() -> None:
        async with place.opened() as store:
            await store.sessions.add(session())
            place.sql("ALTER TABLE sessions ADD CHECK (sub <> 'jane-is-the-secret')")
            with pytest.raises(StoreUnavailable) as broken:
                await store.sessions.add(session(2, sub=secret))
            assert str(broken.value) == "CheckViolationError, SQLSTATE 23514"
            assert broken.value.__cause__ is None
            assert broken.value.__suppress_context__
            assert store.fault == ""  # the next call may well succeed
            await store.sessions.add(session(3))

    run(story)
    assert secret not in "".join(capfd.readouterr())


# === one leads ===

LEADER = """
import asyncio, sys
from pathlib import Path
from gateway.control.store import open_store

async def main():
    store = await open_store(sys.argv[1], Path("/nowhere"))
    lead = store.leadership("engine", "child", lambda fence: print(fence, flush=True))
    lead.start()
    await asyncio.sleep(600)

asyncio.run(main())
"""


class Node:
    """A candidate and what it was told, in order."""

    def __init__(self, store: Store, name: str) -> None:
        self.told: list[int | None] = []
        self.lead: Leadership = store.leadership("engine", name, self.told.append)


async def stood_in_vain(place: Place) -> None:
    """Until a candidate has asked for the lock and did not get it: its connection idles behind that question."""
    asked = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' "
             "AND query LIKE 'SELECT pg_try_advisory_lock%'")  # fmt: skip
    while await asyncio.to_thread(place.sql, asked) == "0":
        await asyncio.sleep(0.01)


def test_one_leads_and_the_next_has_a_higher_number(place: Place) -> None:
    async def story() -> None:
        async with place.opened() as store, place.opened() as other:
            one, two = Node(store, "one"), Node(other, "two")
            one.lead.start()
            await eventually(lambda: one.told == [1])
            two.lead.start()
            await stood_in_vain(place)
            assert (one.lead.fence, two.lead.fence) == (1, None)
            await one.lead.close()
            assert one.told == [1, None]
            await eventually(lambda: two.told == [2])
            assert await store.sessions.list() == []
            assert not await one.lead.is_current(1)
            assert await one.lead.is_current(2)
            await two.lead.close()

    run(story)


def test_a_killed_leader_is_followed_by_another(place: Place) -> None:
    killed = subprocess.Popen([sys.executable, "-c", LEADER, place.url], cwd=ROOT, stdout=subprocess.PIPE)

    async def story() -> None:
        assert killed.stdout is not None
        async with place.opened() as store:
            next_one = Node(store, "next")
            assert await asyncio.to_thread(killed.stdout.readline) == b"1\n"
            next_one.lead.start()
            await stood_in_vain(place)
            assert next_one.told == []
            os.kill(killed.pid, signal.SIGKILL)
            await eventually(lambda: next_one.told == [2])
            await next_one.lead.close()

    try:
        run(story)
    finally:
        killed.kill()
        killed.communicate()


def test_a_leader_whose_lock_the_database_let_go_knows_it_before_it_acts_again(place: Place) -> None:
    async def story() -> None:
        async with place.opened() as store, place.opened() as other:
            one, two = Node(store, "one"), Node(other, "two")
            one.lead.start()
            await eventually(lambda: one.told == [1])
            two.lead.start()
            await stood_in_vain(place)
            place.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            await eventually(lambda: 2 in (*one.told, *two.told))
            await eventually(lambda: [one.lead.fence, two.lead.fence].count(None) == 1)
            assert one.told[:2] == [1, None]
            await asyncio.gather(one.lead.close(), two.lead.close())

    run(story)


def test_a_leader_gives_up_when_the_database_is_silent(own: Place) -> None:
    """It cannot know whether another one leads by now, so it does not."""
    server = own.server
    assert server is not None

    async def story() -> None:
        async with own.opened() as store:
            one = Node(store, "one")
            one.lead.start()
            await eventually(lambda: one.told == [1])
            server.pause()
            try:
                silent = asyncio.get_running_loop().time()
                await eventually(lambda: one.told == [1, None])
                assert asyncio.get_running_loop().time() - silent < DATABASE_GIVES_UP_S
            finally:
                server.resume()
            await eventually(lambda: one.told == [1, None, 2])
            await one.lead.close()

    run(story)
