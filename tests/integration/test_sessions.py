"""What a session cookie is worth at the door, over real sockets: who it speaks for, how long, and who is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.identity.session import SessionFacts
from tests.integration.conftest import token
from tests.support.door import until
from tests.support.door_sessions import (
    OLD_KEY,
    SessionWorld,
    facts,
    limited,
    session_door,
    session_id,
    session_settings,
)
from tests.support.small_catalog import publish_small_catalog, small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Client


@pytest.fixture
def world(tmp_path: Path, upstream: Upstream) -> Iterator[SessionWorld]:
    with session_door(tmp_path / "state", small_catalog(upstream.url), upstream.url) as made:
        yield made


# === who it is ===


def test_a_session_cookie_speaks_for_the_person_whom_control_names(world: SessionWorld, upstream: Upstream) -> None:
    browser = world.signed_in()
    got = browser.ask("echo.test")
    assert (got.status, got.body) == (200, b"ok")
    seen = upstream.seen[-1]
    assert seen.header("x-stagedoor-user") == "user:default/jane"
    assert seen.header("cookie") is None
    record = world.door.records(1)[-1]
    assert (record["subject"], record["key_id"], record["status"]) == ("user:default/jane", session_id(), 200)


def test_control_is_asked_once_and_not_again_while_its_word_is_fresh(world: SessionWorld) -> None:
    browser = world.signed_in()
    for _ in range(5):
        assert browser.ask("echo.test").status == 200
    assert [each["want"] for each in world.control.wanted_sessions] == [[session_id()]]


def test_hosts_share_a_session_and_not_a_cookie(world: SessionWorld) -> None:
    browser = world.signed_in("echo.test")
    theirs = world.control.cookie("app.test")
    assert browser.ask("app.test", cookie=f"__Host-stagedoor={theirs}").status == 200
    assert browser.ask("app.test", cookie=f"__Host-stagedoor={world.control.cookie('echo.test')}").status == 401
    assert browser.ask("app.test:8443", cookie=f"__Host-stagedoor={theirs}").status == 200
    assert len(world.control.wanted_sessions) == 1


def test_a_bearer_token_beats_the_cookie(world: SessionWorld, upstream: Upstream) -> None:
    browser = world.signed_in()
    assert browser.ask("team.test", cookie=f"__Host-stagedoor={world.control.cookie('team.test')}").status == 200
    got = browser.ask("echo.test", Authorization=f"Bearer {token('joe').decode()}")
    assert got.status == 200
    assert upstream.seen[-1].header("x-stagedoor-user") == "user:default/joe"
    broken = browser.ask("echo.test", Authorization="Bearer a.b.c")
    assert broken.code == "token_malformed"


@pytest.mark.parametrize(
    ("claims", "status"), [({"sub": "nobody"}, 403), ({"auth_time": "x"}, 401), ({"amr": {"pwd": 1}}, 401)]
)
def test_a_person_whom_the_catalog_does_not_know_and_claims_that_cannot_be_read_open_nothing(
    world: SessionWorld, upstream: Upstream, claims: dict[str, object], status: int
) -> None:
    """And nobody is sent to sign in, where the same would come of it."""
    assert world.signed_in(claims=claims).go("echo.test").status == status
    assert upstream.seen == []


# === what is no session ===


def test_what_we_did_not_seal_for_this_host_is_nobody(world: SessionWorld) -> None:
    world.control.put(facts())
    good = world.control.cookie("echo.test")
    version, kid, text = good.split(".")
    places = (0, 20, 60, len(text) - 1)
    flipped = [f"{version}.{kid}.{text[:at]}{'A' if text[at] != 'A' else 'B'}{text[at + 1 :]}" for at in places]
    bad = [
        *flipped,
        f"2.{kid}.{text}", f"{version}.k2.{text}", f"{version}..{text}", f"{version}.{kid}.", f"{version}.{kid}.AAAA",
        f"{good}=", f"{good}.x", f'"{good}"', good[:-4], "1", ".", "..", "A" * 3000, "\xff\xfe",
        world.control.cookie("echo.test", key=("k0", OLD_KEY)),
        world.control.cookie("echo.test", key=("k1", OLD_KEY)),
        world.control.cookie("app.test"),
        world.control.cookie("echo.test", until=int(time.time())),
    ]  # fmt: skip
    browser = world.browser()
    for value in bad:
        got = browser.ask("echo.test", cookie=f"__Host-stagedoor={value}")
        assert (got.status, got.code) == (401, "session_ended"), value
        assert browser.set_cookies == ["__Host-stagedoor=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"], (
            "a cookie that counts no more is taken away with the answer"
        )
    assert world.control.wanted_sessions == [], "nobody is asked about what we did not seal"


def test_an_old_key_opens_as_long_as_it_is_on_the_ring(world: SessionWorld) -> None:
    world.control.put(facts())
    old = world.control.cookie("echo.test", key=("k0", OLD_KEY))
    world.control.session_keys.append(("k0", OLD_KEY))
    world.control.tell(world.control.key_message())
    until(lambda: world.browser().ask("echo.test", cookie=f"__Host-stagedoor={old}").status == 200)
    world.control.session_keys.pop()
    world.control.tell(world.control.key_message())
    # a cookie that was seen is at hand; another one of the same key is not
    another = world.control.cookie("echo.test", key=("k0", OLD_KEY))
    until(lambda: world.browser().ask("echo.test", cookie=f"__Host-stagedoor={another}").status == 401)


@pytest.mark.parametrize(
    "cookies",
    [
        "__Host-stagedoor={good}; __Host-stagedoor={good}",
        "__Host-stagedoor={evil}; __Host-stagedoor={good}",
        "__Host-stagedoor={good}; a=1; __Host-stagedoor={evil}",
        "__HOST-STAGEDOOR={good}",
        "__host-stagedoor={good}",
        "=__Host-stagedoor={good}",
        '"__Host-stagedoor"={good}',
        "__Secure-stagedoor={good}",
        "stagedoor={good}",
        "__Host-stagedoor-to-AAAAAAAA={good}",
        "x=1 __Host-stagedoor={good}",
    ],
)
def test_tossed_cookies_sign_nobody_in(world: SessionWorld, upstream: Upstream, cookies: str) -> None:
    """Two of one name, other spellings, other names: none is taken, and a service sees none of ours."""
    world.control.put(facts())
    world.control.put(facts(2, "joe"))
    good, evil = world.control.cookie("echo.test"), world.control.cookie("echo.test", 2)
    got = world.browser().ask("echo.test", cookie=cookies.format(good=good, evil=evil))
    assert got.status == 401
    assert upstream.seen == []


def test_a_tossed_cookie_of_another_spelling_changes_nothing_for_whoever_is_signed_in(
    world: SessionWorld, upstream: Upstream
) -> None:
    browser = world.signed_in()
    world.control.put(facts(2, "joe"))
    evil, good = world.control.cookie("echo.test", 2), browser.cookies["echo.test"]["__Host-stagedoor"]
    tossed = f"__HOST-stagedoor={evil}; a=1; __Host-stagedoor={good}; =__Host-Stagedoor-x={evil}; b=2"
    assert browser.ask("echo.test", cookie=tossed).status == 200
    assert upstream.seen[-1].header("x-stagedoor-user") == "user:default/jane"
    assert upstream.seen[-1].header("cookie") == "a=1; b=2"


def test_two_session_cookies_on_a_page_are_said_so_and_lead_in_no_circle(world: SessionWorld) -> None:
    good = world.control.cookie("echo.test")
    got = world.browser().go("echo.test", Cookie=f"__Host-stagedoor={good}; __Host-stagedoor={good}")
    assert got.status == 401
    assert b"The browser sent two session cookies" in got.body


# === control ===


def test_fifty_requests_at_once_are_one_question(world: SessionWorld) -> None:
    world.control.tells = False
    browsers = [world.signed_in() for _ in range(50)]
    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(each.ask, "echo.test") for each in browsers]
        until(lambda: len(world.control.wanted_sessions) == 1)
        until(lambda: world.door.thread.call(lambda: world.door.door.sessions.facts._waiters) == 50)
        world.control.push(facts())
        assert {each.result().status for each in asked} == {200}
    assert [each["want"] for each in world.control.wanted_sessions] == [[session_id()]]


def test_sessions_that_are_wanted_together_are_asked_about_together(world: SessionWorld) -> None:
    """One message for one turn of the loop, whatever it holds."""
    door = world.door.door
    sids = [bytes.fromhex(session_id(number)[2:]) for number in range(100)]

    def wanted() -> None:
        for sid in sids:
            door.sessions.facts.ask(sid, door.now)

    world.door.thread.call(wanted)
    until(lambda: world.control.wanted_sessions)
    (message,) = world.control.wanted_sessions
    assert message["want"] == [session_id(number) for number in range(100)]
    assert set(message["seen"]) == set(message["want"])


def test_who_cannot_be_told_waits_two_seconds_and_is_signed_out_by_nothing(world: SessionWorld) -> None:
    world.control.tells = False
    browser = world.signed_in()
    began = time.monotonic()
    got = browser.ask("echo.test")
    assert (got.status, got.code) == (503, "session_unavailable")
    assert 1.5 < time.monotonic() - began < 3.5
    assert browser.set_cookies == []
    assert got.headers["retry-after"] == "2"
    world.control.tells = True
    assert browser.ask("echo.test").status == 200


def test_with_control_away_known_sessions_go_on_and_others_are_refused_at_once(world: SessionWorld) -> None:
    known, unknown = world.signed_in(), world.signed_in(number=2)
    assert known.ask("echo.test").status == 200
    world.door.rest.call(world.control.server.close)
    until(lambda: not world.door.door.following._control.connected)
    assert known.ask("echo.test").status == 200
    began = time.monotonic()
    assert unknown.ask("echo.test").code == "session_unavailable"
    assert time.monotonic() - began < 1


def test_old_facts_are_used_while_control_is_asked_again(world: SessionWorld) -> None:
    """That question is also how control hears that the session is in use, and by whom."""
    browser = world.signed_in(fresh_s=1)
    assert browser.ask("echo.test").status == 200
    world.control.tells = False
    slowest = 0.0

    def asked_again() -> bool:
        nonlocal slowest
        began = time.monotonic()
        assert browser.ask("echo.test").status == 200
        slowest = max(slowest, time.monotonic() - began)
        return len(world.control.wanted_sessions) > 1

    until(asked_again)
    assert slowest < 1
    message = world.control.wanted_sessions[-1]
    assert abs(message["seen"][session_id()] - time.time()) < 3
    assert message["refs"] == {session_id(): "user:default/jane"}


def test_facts_that_nobody_confirmed_for_as_long_as_sessions_idle_count_no_more(world: SessionWorld) -> None:
    browser = world.signed_in(idle_s=120, fresh_s=60)
    assert browser.ask("echo.test").status == 200
    world.control.tells = False
    world.door.skip_to(world.door.door.now + 120)
    assert browser.ask("echo.test").status == 503
    world.control.sessions[session_id()] = SessionFacts(session_id(), "idle")
    world.control.tells = True
    world.door.skip_to(world.door.door.now + 5)  # the question that nobody answered is given up
    until(lambda: browser.ask("echo.test").code == "session_ended")


@pytest.mark.parametrize("over", ["ended", "idle", "unknown"])
def test_a_session_that_is_over_is_nobody_and_its_cookie_goes(world: SessionWorld, over: str) -> None:
    browser = world.signed_in()
    world.control.sessions[session_id()] = SessionFacts(session_id(), over)
    assert browser.ask("echo.test").code == "session_ended"
    assert browser.cookies["echo.test"] == {}


def test_past_its_end_a_session_is_over_without_a_word_from_control(world: SessionWorld) -> None:
    ends = int(time.time()) + 600
    browser = world.signed_in(until=ends)
    world.door.skip_to(ends - 60)
    assert browser.ask("echo.test").status == 200
    world.door.skip_to(ends)
    assert browser.ask("echo.test").status == 401
    assert browser.cookies["echo.test"] == {}


def test_what_control_pushes_counts_from_the_next_request_on(world: SessionWorld, upstream: Upstream) -> None:
    browser = world.signed_in()
    assert browser.ask("echo.test").status == 200
    world.control.push(facts(2), facts(sub="joe", version=2))
    until(lambda: browser.ask("echo.test").status == 200
          and upstream.seen[-1].header("x-stagedoor-user") == "user:default/joe")  # fmt: skip
    world.control.push(facts(sub="jane", version=1))  # what is older is no news
    world.control.push(SessionFacts(session_id(), "ended"))
    until(lambda: browser.ask("echo.test").status == 401)
    assert upstream.seen[-1].header("x-stagedoor-user") == "user:default/joe"
    world.control.push(facts(version=3))
    assert world.signed_in().ask("echo.test").code == "session_ended", "what has ended does not come back"


def test_a_push_about_somebody_who_was_never_here_is_not_kept(world: SessionWorld) -> None:
    world.control.push(facts(7))
    assert world.signed_in().ask("echo.test").status == 200
    held = world.door.thread.call(lambda: list(world.door.door.sessions.facts.held))
    assert held == [bytes.fromhex(session_id()[2:])]


def test_losing_a_team_counts_without_a_word_from_control(world: SessionWorld, upstream: Upstream) -> None:
    browser = world.signed_in("team.test")
    assert browser.ask("team.test").status == 200
    publish_small_catalog(world.door.state, upstream.url, jane_in_team=False)
    world.door.follow_base()
    assert browser.ask("team.test").status == 403
    assert len(world.control.wanted_sessions) == 1


# === the overlay ===


def test_the_overlay_ends_sessions_at_once(world: SessionWorld) -> None:
    browser, other = world.signed_in(), world.signed_in(number=2)
    assert (browser.ask("echo.test").status, other.ask("echo.test").status) == (200, 200)
    world.control.ended = [session_id()]
    world.control.publish()
    assert browser.ask("echo.test").code == "session_ended"
    assert other.ask("echo.test").status == 200


def test_a_door_that_missed_ends_believes_nothing_that_it_held(world: SessionWorld) -> None:
    browser = world.signed_in()
    assert browser.ask("echo.test").status == 200
    world.control.sessions[session_id()] = SessionFacts(session_id(), "ended")
    world.control.ended_from = world.control.seq + 1
    world.control.publish()
    assert browser.ask("echo.test").code == "session_ended"


def test_a_cut_refuses_what_was_issued_before_it_and_takes_what_comes_after(world: SessionWorld) -> None:
    """Sessions and bearer tokens alike, those that were seen before too."""
    browser = world.signed_in()
    bearer = f"Bearer {token('jane').decode()}"
    joe = f"Bearer {token('joe').decode()}"
    assert browser.ask("echo.test").status == browser.ask("echo.test", Authorization=bearer).status == 200
    now = int(time.time())
    world.control.not_before = {"user:default/jane": now}
    world.control.publish()
    assert browser.ask("echo.test", Authorization=bearer).code == "token_revoked"
    assert browser.ask("echo.test", Authorization=f"Bearer {token('jane').decode()}").code == "token_revoked"
    assert browser.ask("echo.test", Authorization=joe).status == 200
    got = browser.go("echo.test")
    assert got.status == 303, "they sign in again"
    newer = token("jane", iat=now)
    assert browser.ask("echo.test", Authorization=f"Bearer {newer.decode()}").status == 200
    again = world.signed_in(number=2, signed_in=now)
    assert again.ask("echo.test").status == 200
    world.control.not_before = {"group:default/team": now + 1}
    world.control.publish()
    assert again.ask("echo.test").code == "session_ended", "a cut team cuts its members"
    world.control.not_before = {}
    world.control.publish()
    assert browser.ask("echo.test", Authorization=bearer).status == 200


# === ends of an environment ===


@pytest.fixture
def strict(tmp_path: Path, upstream: Upstream) -> Iterator[SessionWorld]:
    state = tmp_path / "state"
    settings = limited(session_settings(state), 300, 600)
    with session_door(state, small_catalog(upstream.url), upstream.url, settings=settings) as made:
        yield made


def test_an_environment_asks_for_a_newer_sign_in_than_others(strict: SessionWorld, upstream: Upstream) -> None:
    now = int(time.time())
    browser = strict.signed_in(signed_in=now - 601)
    central = strict.control.cookie("central.test")
    browser.cookies["central.test"] = {"__Host-stagedoor": central}
    assert browser.ask("central.test").status == 200
    got = browser.ask("echo.test")
    assert (got.status, got.code) == (401, "session_ended")
    assert browser.cookies["echo.test"], "elsewhere the session goes on"
    got = browser.go("echo.test")
    assert got.status == 303
    assert strict.control.ticket(got.headers["location"]).max_age == 600


def test_a_pause_that_is_too_long_for_an_environment_asks_for_a_new_sign_in(strict: SessionWorld) -> None:
    browser = strict.signed_in(rest=299)
    assert browser.ask("echo.test").status == 200
    paused = strict.signed_in(number=2, rest=300)
    got = paused.go("echo.test")
    assert got.status == 303
    assert strict.control.ticket(got.headers["location"]).max_age == 300


def test_before_a_pause_is_judged_control_is_asked_how_long_it_was(strict: SessionWorld) -> None:
    """Another worker may have seen the session meanwhile; what this one saw last is not the whole."""
    browser = strict.signed_in()
    assert browser.ask("echo.test").status == 200
    strict.control.put(facts(rest=1000, version=2))

    def age() -> None:
        held = strict.door.door.sessions.facts.held
        (sid,) = held
        old = int.from_bytes(held[sid][:4], "big") - 301
        held[sid] = old.to_bytes(4, "big") + held[sid][4:]

    strict.door.thread.call(age)
    assert browser.ask("echo.test").code == "session_ended"
    assert len(strict.control.wanted_sessions) == 2


# === how much it takes ===


def test_a_thousand_requests_at_once_over_a_turning_ring_and_pushes_never_lose_the_session(world: SessionWorld) -> None:
    browsers = [world.signed_in() for _ in range(8)]
    stop = threading.Event()

    def push() -> None:
        version = 2
        while not stop.is_set():
            world.control.push(facts(version=version))
            version += 1
            stop.wait(0.002)

    pushing = threading.Thread(target=push)
    pushing.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            statuses = set(pool.map(lambda n: browsers[n % 8].ask("echo.test").status, range(400)))
    finally:
        stop.set()
        pushing.join()
    assert statuses == {200}


def test_what_is_of_no_use_any_more_is_forgotten(world: SessionWorld) -> None:
    door, now = world.door.door, int(time.time())
    said = [facts(1, until=now + 600), facts(2, idle_s=300, fresh_s=60), facts(3), facts(4)]
    said.append(SessionFacts(session_id(5), "unknown"))
    sids = [bytes.fromhex(session_id(number)[2:]) for number in (1, 2, 3, 4, 5)]
    world.control.tells = False

    def wanted() -> None:
        for sid in sids:
            door.sessions.facts.ask(sid, now)

    world.door.thread.call(wanted)
    until(lambda: len(world.control.wanted_sessions) >= 1)
    world.control.push(*said)
    held = door.sessions.facts.held
    until(lambda: len(held) == 5)
    world.door.thread.call(lambda: door.sessions.facts.take_ended({"ended": [session_id(4), "junk", 7, None]}, 1))

    def left() -> set[str]:
        return {"s-" + sid.hex() for sid in world.door.thread.call(lambda: list(held))}

    assert len(left()) == 5
    world.door.skip_to(now + 600)
    until(lambda: left() == {session_id(3), session_id(4), session_id(5)})


def test_a_service_and_an_environment_can_be_shut_for_everybody(world: SessionWorld, upstream: Upstream) -> None:
    browser, bearer = world.signed_in(), f"Bearer {token().decode()}"
    central = world.signed_in("central.test")
    for shut in (["component:default/echo"], ["@prod"], ["@central", "@prod", "component:stagedoor/stagedoor"]):
        world.control.shut = shut
        world.control.publish()
        assert browser.ask("echo.test").code == "denied"
        assert browser.ask("echo.test", Authorization=bearer).code == "denied"
        assert world.browser().ask("echo.test").code == "denied"
        assert world.signed_in("app.test").ask("app.test").status == (200 if shut[0].startswith("c") else 403)
        assert central.ask("central.test").status == 200, "where it can be opened again"
    world.control.shut = []
    world.control.publish()
    assert browser.ask("echo.test").status == 200


@pytest.mark.slow
def test_a_bounded_number_of_requests_waits_and_all_of_them_are_answered(world: SessionWorld) -> None:
    world.control.tells = False
    world.control.put(facts())
    cookie = world.control.cookie("echo.test").encode()
    raw = b"GET / HTTP/1.1\r\nHost: echo.test\r\nCookie: __Host-stagedoor=" + cookie + b"\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(world.door.port)).send(raw) for _ in range(1000)]
        until(lambda: world.door.thread.call(lambda: world.door.door.sessions.facts._waiters) == 1000)
        began = time.monotonic()
        late = stack.enter_context(Client(world.door.port)).send(raw).answer()
        assert (late.code, late.problem["detail"]) == ("session_unavailable", "too many wait for the same")
        assert time.monotonic() - began < 1
        world.control.push(facts())
        assert {client.answer().status for client in clients} == {200}
    assert len(world.control.wanted_sessions) == 1
