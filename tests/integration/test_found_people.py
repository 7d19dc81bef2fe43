"""Whom a door finds a session to be reaches control, from the first request on, once for each User, and in order: on it
hangs whose account a User is. Real sockets, a scripted control."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.door import until
from tests.support.door_sessions import SessionWorld, session_door, session_id
from tests.support.small_catalog import publish, small_catalog, with_janet_for_jane
from tests.support.upstream import Upstream

JANE, JOE, JANET = "user:default/jane", "user:default/joe", "user:default/janet"


@pytest.fixture
def world(tmp_path: Path, upstream: Upstream) -> Iterator[SessionWorld]:
    with session_door(tmp_path / "state", small_catalog(upstream.url), upstream.url) as made:
        yield made


def told(world: SessionWorld, *people: tuple[int, str]) -> None:
    """Control hears of these, and of nobody else until something new is told."""
    wanted = [[session_id(number), ref] for number, ref in people]
    until(lambda: len(world.control.found) >= len(wanted))
    assert world.control.found == wanted


def test_each_session_is_told_at_its_first_request_and_in_order(world: SessionWorld) -> None:
    """The ids fall, so that no order but that of the requests gives the same."""
    people = [(3, "jane"), (2, "joe"), (1, "nobody"), (0, "jane")]
    browsers = [world.signed_in(number=number, sub=sub) for number, sub in people]
    for browser in browsers + browsers:
        browser.ask("echo.test")
    told(world, (3, JANE), (2, JOE), (0, JANE))


def test_who_becomes_another_user_is_told_again(world: SessionWorld, upstream: Upstream) -> None:
    browser = world.signed_in()
    assert browser.ask("echo.test").status == 200
    publish(world.door.state, small_catalog(upstream.url, jane_in_team=False))
    world.door.follow_base()
    assert browser.ask("echo.test").status == 200
    publish(world.door.state, with_janet_for_jane(small_catalog(upstream.url)))
    world.door.follow_base()
    assert browser.ask("echo.test").status == 200
    told(world, (1, JANE), (1, JANET))


def test_whom_an_older_catalog_meant_is_not_told_with_a_question(world: SessionWorld, upstream: Upstream) -> None:
    """Jane's account is Janet's by now, and Jane somebody else's: who asks about the session must not say Jane, or it
    would end as one that is not hers."""
    browser = world.signed_in(fresh_s=0)
    assert browser.ask("echo.test").status == 200
    publish(world.door.state, with_janet_for_jane(small_catalog(upstream.url)))
    world.door.follow_base()
    world.control.wanted_sessions.clear()
    assert browser.ask("echo.test").status == 200
    until(lambda: world.control.wanted_sessions)
    assert {ref for message in world.control.wanted_sessions for ref in message["refs"].values()} <= {JANET}
    told(world, (1, JANE), (1, JANET))


def test_who_becomes_who_they_were_while_control_is_away_is_told_to_be_that(world: SessionWorld) -> None:
    """Whoever was told last is whom control knows: the order is kept, and nothing is told twice."""
    door, sid, other = world.door.door, bytes(15) + b"\x07", bytes(15) + b"\x08"

    def found() -> None:
        for number, ref in ((sid, JANE), (sid, JANE), (sid, JOE), (other, JANE), (sid, JANE), (other, JANE)):
            door.sessions.people.found(number, ref)

    world.door.thread.call(door.following._control.close)
    world.door.thread.call(found)
    world.door.thread.call(door.following._control.start)
    told(world, (7, JANE), (7, JOE), (8, JANE), (7, JANE))


def test_what_could_not_be_told_while_control_is_away_is_told_when_it_is_back(world: SessionWorld) -> None:
    browsers = [world.signed_in(number=number, sub=sub) for number, sub in ((2, "jane"), (1, "joe"))]
    for browser in browsers:
        assert browser.ask("echo.test").status == 200
    told(world, (2, JANE), (1, JOE))
    door = world.door.door

    def forgotten_and_found() -> None:
        door.sessions.people.found(bytes(15) + b"\x02", JANE)
        door.sessions.people.found(bytes(15) + b"\x01", JOE)

    world.control.found.clear()
    world.door.thread.call(door.following._control.close)
    world.door.thread.call(forgotten_and_found)
    world.door.thread.call(lambda: None)  # the turn in which it would have been told is over
    assert world.control.found == []
    world.door.thread.call(door.following._control.start)
    told(world, (2, JANE), (1, JOE))
