"""Tunnels of people in browsers: whose page opens one, and what ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.identity.session import SessionFacts
from policy.facts import Catalog
from tests.integration.conftest import token
from tests.support.door import until
from tests.support.door_sessions import (
    SessionWorld,
    facts,
    limited,
    session_door,
    session_id,
    session_settings,
)
from tests.support.small_catalog import publish, service, small_catalog, with_janet_for_jane
from tests.support.switching import SWITCHING, UPGRADE, Side, SwitchingService
from tests.support.wire import Client

SHOP = "https://shop.example.com"


@pytest.fixture
def switching() -> Iterator[SwitchingService]:
    made = SwitchingService()
    yield made
    made.close()


def catalog(url: str, **changes: bool) -> Catalog:
    small = small_catalog(url, **changes)
    listed = service("listed", (url,), "everyone", cors=(SHOP,))
    return Catalog(small.people, small.teams, {**small.services, listed.ref: listed})


@pytest.fixture
def world(tmp_path: Path, switching: SwitchingService) -> Iterator[SessionWorld]:
    with session_door(tmp_path / "state", catalog(switching.url), switching.url) as made:
        yield made


def asked(world: SessionWorld, host: str, *lines: str, number: int = 1, bearer: bytes = b"") -> Client:
    """A browser's request for a WebSocket."""
    head = [f"GET /live HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n"]
    head += [f"{line}\r\n" for line in lines]
    head.append(f"Cookie: __Host-stagedoor={world.control.cookie(host, number)}\r\n")
    identity = b"Authorization: Bearer " + bearer + b"\r\n" if bearer else b""
    return Client(world.door.port).send("".join(head).encode() + identity + UPGRADE + b"\r\n")


def opened(
    world: SessionWorld, switching: SwitchingService, host: str = "echo.test", number: int = 1, bearer: bytes = b""
) -> tuple[Side, Side]:
    """An open tunnel: the browser's side and the service's."""
    asking = asked(world, host, f"Origin: https://{host}", number=number, bearer=bearer)
    there = switching.meet()
    there.send(SWITCHING)
    here = Side(asking.sock)
    switching.met.append(here)
    assert here.read_head().startswith(b"HTTP/1.1 101")
    there.send(b"hello")
    assert here.read(5) == b"hello"
    return here, there


# === whose page asks ===


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("Origin: https://evil.example",), "origin_foreign"),
        (("Origin: null",), "origin_foreign"),
        (("Origin: https://app.test",), "origin_foreign"),
        (("Origin: http://echo.test",), "origin_foreign"),
        (("Origin: https://echo.test.evil.example",), "origin_foreign"),
        (("Sec-Fetch-Site: cross-site",), "origin_foreign"),
        (("Sec-Fetch-Site: same-site",), "origin_foreign"),
    ],
)
def test_a_page_of_another_site_opens_no_websocket_in_somebody_s_name(
    world: SessionWorld, lines: tuple[str, ...], code: str
) -> None:
    world.control.put(facts())
    with asked(world, "echo.test", *lines) as asking:
        got = asking.answer()
    assert (got.status, got.code) == (403, code)


def test_a_listed_origin_and_a_bearer_token_do(world: SessionWorld, switching: SwitchingService) -> None:
    world.control.put(facts())
    for host, origin, bearer in (("listed.test", SHOP, b""), ("echo.test", "https://evil.example", token())):
        here = Side(asked(world, host, f"Origin: {origin}", bearer=bearer).sock)
        switching.met.append(here)
        switching.meet().send(SWITCHING)
        assert here.read_head().startswith(b"HTTP/1.1 101")


def test_without_a_session_a_websocket_is_refused_and_never_redirected(world: SessionWorld) -> None:
    with asked(world, "echo.test", "Origin: https://echo.test", "Accept: text/html") as asking:
        got = asking.answer()
    assert (got.status, got.headers["content-type"]) == (401, "text/html; charset=utf-8")
    with asked(world, "echo.test", "Origin: https://echo.test") as asking:
        got = asking.answer()
    assert (got.status, got.code) == (401, "session_ended")


# === what ends it ===


def test_the_end_of_its_session_ends_a_tunnel_within_two_seconds(
    world: SessionWorld, switching: SwitchingService
) -> None:
    """Whoever says it: the overlay, a push, the sign-out of another tab."""
    for number in (1, 2, 3):
        world.control.put(facts(number))

    def named() -> None:
        world.control.ended = [session_id(1)]
        world.control.publish()

    def pushed() -> None:
        world.control.push(SessionFacts(session_id(2), "ended"))

    def cut() -> None:
        world.control.not_before = {"user:default/jane": int(time.time())}
        world.control.publish()

    ways = (named, pushed, cut)
    tunnels = [opened(world, switching, number=number) for number in (1, 2, 3)]
    for way, (here, _) in zip(ways, tunnels, strict=True):
        began = time.monotonic()
        way()
        assert here.was_reset()
        assert time.monotonic() - began < 2
    reasons = [each["reason"] for each in world.door.records(6) if each.get("tunnel") == "token"]
    assert reasons == ["session_ended"] * 3


def test_a_cut_ends_the_tunnels_of_tokens_issued_before_it(world: SessionWorld, switching: SwitchingService) -> None:
    here, _ = opened(world, switching, bearer=token("jane"))
    kept, there = opened(world, switching, bearer=token("joe"))
    world.control.not_before = {"user:default/jane": int(time.time()) + 1}
    world.control.publish()
    assert here.was_reset()
    there.send(b"on")
    assert kept.read(2) == b"on"
    assert [each["reason"] for each in world.door.records(3) if each.get("tunnel") == "token"] == ["token_revoked"]


def test_at_its_end_a_session_takes_its_tunnels_with_it(world: SessionWorld, switching: SwitchingService) -> None:
    ends = int(time.time()) + 600
    world.control.put(facts(until=ends))
    here, there = opened(world, switching)
    world.door.skip_to(ends - 60)
    there.send(b"on")
    assert here.read(2) == b"on"
    world.door.skip_to(ends)
    assert here.was_reset()
    assert world.door.records(2)[-1]["reason"] == "session_ended"


def test_losing_a_right_ends_a_tunnel_and_keeping_it_does_not(world: SessionWorld, switching: SwitchingService) -> None:
    world.control.put(facts())
    lost, _ = opened(world, switching, "team.test")
    kept, there = opened(world, switching, "echo.test")
    publish(world.door.state, catalog(switching.url, jane_in_team=False))
    world.door.follow_base()
    assert lost.was_reset()
    there.send(b"on")
    assert kept.read(2) == b"on"


def test_whose_open_tunnel_becomes_another_user_s_is_told_without_a_request(
    world: SessionWorld, switching: SwitchingService
) -> None:
    """On it hangs whose account a User is."""
    world.control.put(facts())
    here, there = opened(world, switching)
    publish(world.door.state, with_janet_for_jane(catalog(switching.url)))
    world.door.follow_base()
    until(lambda: len(world.control.found) > 1)
    assert world.control.found == [[session_id(), "user:default/jane"], [session_id(), "user:default/janet"]]
    there.send(b"on")
    assert here.read(2) == b"on"


def test_a_tunnel_is_a_use_of_its_session_and_outlives_a_moment_without_control(
    world: SessionWorld, switching: SwitchingService
) -> None:
    world.control.put(facts(fresh_s=1))
    here, there = opened(world, switching)
    asked_before = len(world.control.wanted_sessions)
    until(lambda: time.time() - world.control.wanted_sessions[0]["seen"][session_id()] > 2)
    world.control.publish()  # every tunnel is asked again
    until(lambda: len(world.control.wanted_sessions) > asked_before)
    assert world.control.wanted_sessions[-1]["refs"] == {session_id(): "user:default/jane"}
    world.control.tells = False
    world.door.thread.call(world.door.door.sessions.facts.held.clear)  # as after an overlay that says so
    world.control.publish()
    there.send(b"on")
    assert here.read(2) == b"on"


@pytest.mark.slow
def test_an_environment_s_own_end_ends_its_tunnels_at_its_time(tmp_path: Path, switching: SwitchingService) -> None:
    """Nobody says anything: not within the minute after which every tunnel is asked again, but then. There is time to
    open it on a slow machine."""
    state = tmp_path / "state"
    settings = limited(session_settings(state), None, 600)
    with session_door(state, catalog(switching.url), switching.url, settings=settings) as world:
        began = int(time.time())
        world.control.put(facts(signed_in=began - 585))
        here, _ = opened(world, switching)
        here.sock.settimeout(60)
        opened_s = time.monotonic()
        assert here.was_reset()
        assert time.time() >= began + 15
        assert time.monotonic() - opened_s < 45, "it was asked again only after a minute"
    assert world.door.records(2)[-1]["reason"] == "session_ended"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_end_is_felt_at_the_socket_within_its_time_however_often_it_is_tried(
    world: SessionWorld, switching: SwitchingService
) -> None:
    """A thousand times: from the message until the open connection is cut, and until a request is refused."""
    cut_s, refused_s = [], []
    browser = world.browser()
    for number in range(1, 1001):
        world.control.put(facts(number))
        here, there = opened(world, switching, number=number)
        cookie = f"__Host-stagedoor={world.control.cookie('echo.test', number)}"
        world.control.ended = [session_id(number)]
        began = time.monotonic()
        world.control.publish()
        got = browser.ask("echo.test", cookie=cookie)
        refused_s.append(time.monotonic() - began)
        assert got.code == "session_ended"
        assert here.was_reset()
        cut_s.append(time.monotonic() - began)
        here.sock.close()
        there.sock.close()
    assert (max(refused_s) < 1, max(cut_s) < 2) == (True, True), (max(refused_s), max(cut_s))
