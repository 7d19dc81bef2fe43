"""The way of a person at the door, over real sockets: sent to the sign-in, arriving, asking who they are, leaving; and
what becomes of those who would use that way for something else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Rate
from gateway.identity.session import SessionKeys, Ticket, open_ticket, proof_of, seal_ticket
from policy.facts import Catalog
from tests.integration.conftest import token
from tests.support.door import until
from tests.support.door_sessions import (
    OLD_KEY,
    Browser,
    SessionWorld,
    facts,
    session_door,
    session_id,
    session_settings,
)
from tests.support.small_catalog import POLICY, service, small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Got

SHOP = "https://shop.example.com"
UNREPORTED = '{"max_age":0}'  # what a browser was told to report about this host ends here
STRICT = {
    **POLICY,
    "rules": [
        {"allow": "all-people", "to": {"service": "component:default/safe"}, "in": ["prod"],
         "operations": ["GET /mfa"], "require": ["mfa"], "because": "Strong."},
        {"allow": "all-people", "to": {"service": "component:default/safe"}, "in": ["prod"],
         "operations": ["GET /fresh"], "require": [{"fresh": "5m"}], "because": "Fresh."},
    ],
}  # fmt: skip


def catalog(url: str) -> Catalog:
    small = small_catalog(url)
    listed = service("listed", (url,), "everyone", cors=(SHOP,))
    safe = service("safe", (url,), "owners", owner="group:default/nobody")
    return Catalog(small.people, small.teams, {**small.services, listed.ref: listed, safe.ref: safe})


@pytest.fixture
def world(tmp_path: Path, upstream: Upstream) -> Iterator[SessionWorld]:
    with session_door(tmp_path / "state", catalog(upstream.url), upstream.url) as made:
        yield made


def sign_in(world: SessionWorld, browser: Browser, host: str = "echo.test", target: str = "/") -> str:
    """From a page to the address with which control sends the browser back."""
    got = browser.go(host, target)
    assert got.status == 303, got.body
    return world.control.code_for(world.control.ticket(got.headers["location"]))


def turned_back(world: SessionWorld, browser: Browser, way: str, why: str, **fields: str) -> Got:
    """The page at the end of an arrival that comes to nothing: at an address without the code, which was used up."""
    got = browser.go("echo.test", way, **fields)
    assert (got.status, got.headers["location"]) == (303, f"/.stagedoor/arrive?because={why}"), got.body
    assert got.headers["referrer-policy"] == "no-referrer"
    assert got.headers["nel"] == UNREPORTED
    code = way.partition("code=")[2].partition("&")[0]
    until(lambda: any(each["code"] == code for each in world.control.redeemed))
    assert code not in world.control.codes
    page = browser.go("echo.test", got.headers["location"])
    assert (page.status, "__Host-stagedoor" in browser.cookies["echo.test"]) == (400, False)
    return page


def told_elsewhere(got: Got) -> str:
    """Why nobody arrived, of an answer that shows nothing at the address that holds the code."""
    path, _, why = got.headers["location"].partition("?because=")
    assert (got.status, path, got.body) == (303, "/.stagedoor/arrive", b"")
    assert got.headers["referrer-policy"] == "no-referrer"
    assert got.headers["nel"] == UNREPORTED
    return why


# === to the sign-in ===


def test_a_person_is_sent_to_sign_in_and_comes_back_to_where_they_were(world: SessionWorld, upstream: Upstream) -> None:
    world.control.put(facts())
    browser = world.browser()
    got = browser.go("echo.test:8443", "/orders/7?a=b%20c&d=%C3%A9")
    assert got.status == 303
    assert got.body == b""
    assert got.headers["cache-control"] == "no-store"
    assert re.fullmatch(
        r"https://central\.test:8443/\.stagedoor/sign-in\?ticket=[0-9A-Za-z_.-]+", got.headers["location"]
    )
    ticket = world.control.ticket(got.headers["location"])
    (name,) = browser.cookies["echo.test"]
    assert name == f"__Host-stagedoor-to-{ticket.id[:8]}"
    assert browser.set_cookies[0].endswith("; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert ticket.proof == proof_of(browser.cookies["echo.test"][name])
    assert (ticket.host, ticket.target) == ("echo.test:8443", "/orders/7?a=b%20c&d=%C3%A9")
    arrived = browser.go("echo.test:8443", world.control.code_for(ticket))
    assert (arrived.status, arrived.headers["location"]) == (303, "/orders/7?a=b%20c&d=%C3%A9")
    assert arrived.headers["nel"] == UNREPORTED
    assert list(browser.cookies["echo.test"]) == ["__Host-stagedoor"]
    assert not any("Max-Age" in line for line in browser.set_cookies if line.startswith("__Host-stagedoor=1"))
    there = browser.go("echo.test:8443", arrived.headers["location"])
    assert (there.status, upstream.seen[-1].target) == (200, "/orders/7?a=b%20c&d=%C3%A9")
    records = world.door.records(3)
    assert [(each["reason"], each["status"]) for each in records] == [
        ("identity_required", 303), ("own_endpoint", 303), ("owner", 200)
    ]  # fmt: skip
    assert records[1]["operation"] == "GET /.stagedoor/arrive"
    assert records[1]["key_id"] == session_id()
    text = json.dumps(records)
    secrets = [got.headers["location"][-40:], *browser.cookies["echo.test"].values()]
    assert not any(secret in text for secret in secrets)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GET", {"Accept": "application/json"}),
        ("GET", {"Accept": "*/*"}),
        ("GET", {}),
        ("HEAD", {"Accept": "text/html"}),
        ("GET", {"Accept": "text/html", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}),
        ("GET", {"Accept": "text/html", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}),
        ("GET", {"Accept": "text/html", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}),
        ("GET", {"Accept": "text/html", "Sec_Fetch_Mode": "websocket", "Sec_Fetch_Dest": "websocket"}),
        ("GET", {"Accept": "text/html", "Sec_Purpose": "prefetch;prerender"}),
        ("GET", {"Accept": "application/grpc-web+proto"}),
        ("POST", {"Accept": "application/json"}),
        ("DELETE", {"Accept": "text/html"}),
    ],
)
def test_whoever_is_not_on_the_way_to_a_page_gets_a_refusal_to_act_on(
    world: SessionWorld, method: str, fields: dict[str, Any]
) -> None:
    browser = world.browser()
    got = browser.ask("echo.test", method=method, **fields)
    assert got.status == 401
    assert got.headers["www-authenticate"] == 'Bearer realm="stagedoor"'
    assert browser.set_cookies == []


def test_a_page_that_would_post_is_told_that_nothing_was_sent_on(world: SessionWorld, upstream: Upstream) -> None:
    browser = world.signed_in()
    world.control.sessions.clear()
    got = browser.ask("echo.test", "/orders", "POST", b"a=1", Accept="text/html", Sec_Fetch_Mode="navigate",
                      Sec_Fetch_Dest="document", Origin="https://echo.test")  # fmt: skip
    assert got.status == 401
    assert b"Nothing of this request was sent on" in got.body
    assert b"Your session has ended." in got.body
    assert upstream.seen == []


def test_scripts_of_a_listed_origin_can_read_that_they_are_not_signed_in(world: SessionWorld) -> None:
    got = world.browser().ask("listed.test", Origin=SHOP, Sec_Fetch_Mode="cors", Sec_Fetch_Site="cross-site")
    assert (got.status, got.code) == (401, "identity_required")
    assert got.headers["access-control-allow-origin"] == SHOP


def test_without_https_nobody_is_given_a_cookie(world: SessionWorld) -> None:
    browser = world.browser()
    browser.scheme = "http"
    got = browser.go("echo.test")
    assert got.status == 401
    assert b"Signing in needs https" in got.body
    assert browser.set_cookies == []
    ticket = world.control.ticket(world.browser().go("echo.test").headers["location"])
    turned_back(world, browser, world.control.code_for(ticket), "https")
    assert browser.set_cookies == []


@pytest.mark.parametrize("lacking", ["client", "central_host"])
def test_where_nobody_signs_in_with_a_browser_nothing_is_different(
    tmp_path: Path, upstream: Upstream, lacking: str
) -> None:
    settings = session_settings(tmp_path / "state")
    if lacking == "client":
        settings = replace(settings, issuers=(replace(settings.issuers[0], client=None),))
    else:
        settings = replace(settings, central_host="")
    with session_door(tmp_path / "state", catalog(upstream.url), upstream.url, settings=settings) as world:
        browser = world.browser()
        assert browser.go("echo.test").status == 401
        assert browser.set_cookies == []


def test_the_central_host_sends_people_to_the_same_sign_in(world: SessionWorld) -> None:
    got = world.browser().go("central.test:9443", "/")
    assert got.status == 303
    assert got.headers["location"].startswith("https://central.test:9443/.stagedoor/sign-in?")
    assert world.control.ticket(got.headers["location"]).host == "central.test:9443"


# === where people are sent back to ===


@pytest.mark.parametrize(
    "target",
    [
        "/%2f%2fevil.example", "/%5cevil.example", "/?next=//evil.example", "/a?to=https://evil.example/",
        "/.evil.example", "/@evil.example", "/%09/evil.example", "/https:/evil.example",
        "/" + "a" * 3000, "/?" + "q" * 3000,
    ],
)  # fmt: skip
def test_a_target_stays_on_its_host_whatever_it_holds(world: SessionWorld, target: str) -> None:
    got = world.browser().go("echo.test", target)
    if got.status == 400:  # no request with one reading
        return
    assert got.status == 303
    kept = world.control.ticket(got.headers["location"]).target
    assert kept == (target if len(target) <= 2048 else "/")
    assert kept[0] == "/"
    assert kept[1:2] not in ("/", "\\")


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/",
        "javascript:alert(1)", "", "evil.example", " //evil.example", "/\t/evil.example", "/\r\nSet-Cookie: a=b",
        "/\n/evil.example", "/a\\..\\b", "\x00/", "/\x7f", "/é", "?a", "data:text/html,x", "/\u2028",
    ],
)  # fmt: skip
def test_whatever_control_says_nobody_is_sent_to_another_host(world: SessionWorld, target: str) -> None:
    """An open redirect in every spelling: what is no path of this host becomes its root."""
    browser = world.browser()
    way = sign_in(world, browser)
    code = way.partition("code=")[2].partition("&")[0]
    host, proof, cookie, _ = world.control.codes[code]
    world.control.codes[code] = (host, proof, cookie, target)
    got = browser.go("echo.test", way)
    assert (got.status, got.headers["location"]) == (303, "/")
    assert "a" not in browser.cookies["echo.test"]


def test_a_host_in_absolute_form_or_another_port_is_no_way_out(world: SessionWorld) -> None:
    head = (
        "GET https://echo.test/x?y HTTP/1.1\r\nHost: echo.test\r\nX-Forwarded-Proto: https\r\n"
        "Accept: text/html\r\nConnection: close\r\n\r\n"
    )
    answer = world.door.exchange(head.encode()).decode()
    location = answer.partition("Location: ")[2].partition("\r\n")[0]
    assert world.control.ticket(location).target == "/x?y"
    evil = head.replace("https://echo.test/", "https://evil.example/").encode()
    assert world.door.exchange(evil).startswith(b"HTTP/1.1 400")


# === arriving ===


@pytest.mark.parametrize(
    "way",
    [
        "/.stagedoor/arrive", "/.stagedoor/arrive?", "/.stagedoor/arrive?code={code}", "/.stagedoor/arrive?to={to}",
        "/.stagedoor/arrive?to={to}&code={code}", "/.stagedoor/arrive?code={code}&to={to}&to={to}",
        "/.stagedoor/arrive?code={code}&code={code}&to={to}", "/.stagedoor/arrive?code={code}&to={to}x",
        "/.stagedoor/arrive?code=&to={to}", "/.stagedoor/arrive?code={code}&to=",
        "/.stagedoor/arrive?code={code}&to=%41",
        "/.stagedoor/arrive?code={code}&to={to}#x", "/.stagedoor/arrive?CODE={code}&to={to}",
    ],
)  # fmt: skip
def test_an_arrival_has_one_form(world: SessionWorld, way: str) -> None:
    browser = world.browser()
    good = sign_in(world, browser)
    code, _, to = good.partition("code=")[2].partition("&to=")
    got = browser.go("echo.test", way.format(code=code, to=to))
    assert got.status == 400
    assert "__Host-stagedoor" not in browser.cookies["echo.test"]
    assert world.control.redeemed == []
    assert browser.go("echo.test", good).status == 303, "nothing of it was used up"


def test_a_link_that_somebody_else_prepared_signs_nobody_in(world: SessionWorld) -> None:
    """Login CSRF: the attacker signs in as themselves and has the victim open the last address."""
    attacker, victim = world.browser(), world.browser()
    page = turned_back(world, victim, sign_in(world, attacker), "cookie", Sec_Fetch_Site="cross-site")
    assert victim.cookies["echo.test"] == {}
    assert b"Your browser did not bring back our cookie" in page.body
    assert b'<a href="/">' in page.body
    # with a cookie of the victim's own sign-in under that name it is another browser's proof
    planted = sign_in(world, attacker)
    victim.cookies["echo.test"] = {f"__Host-stagedoor-to-{planted[-8:]}": "A" * 22}
    turned_back(world, victim, planted, "used")


def test_the_code_of_an_arrival_that_fails_is_worth_nothing_to_whoever_began_it(world: SessionWorld) -> None:
    """A page of the same host reads where the windows that it opened are: somebody begins a sign-in, has a visitor end
    it, and would carry the visitor's session away with the code."""
    for fields in ({}, {"Sec_Fetch_Dest": "iframe"}, {"X_Forwarded_Proto": "http"}):
        attacker, victim = world.browser(), world.browser()
        way = sign_in(world, attacker)
        why = {(): "cookie", ("Sec_Fetch_Dest",): "way", ("X_Forwarded_Proto",): "https"}[tuple(fields)]
        turned_back(world, victim, way, why, **fields)
        turned_back(world, attacker, way, "used")


@pytest.mark.parametrize("said", ["", "=", "=x", "=cookie&code=1", "=%63ookie", "=cookie=", "=<script>"])
def test_a_page_about_a_failed_arrival_says_one_of_few_things(world: SessionWorld, said: str) -> None:
    got = world.browser().go("echo.test", f"/.stagedoor/arrive?because{said}")
    assert (got.status, b"The address is not one that a sign-in ends with" in got.body) == (400, True)


def test_a_tossed_cookie_beside_the_real_one_ends_the_arrival(world: SessionWorld) -> None:
    browser = world.browser()
    way = sign_in(world, browser)
    (name,) = browser.cookies["echo.test"]
    real = browser.cookies["echo.test"][name]
    for tossed in ("{name}=evil; {name}={real}", "{name}={real}; {name}=evil", "{upper}={real}"):
        sent = tossed.format(name=name, upper=name.upper(), real=real)
        turned_back(world, browser, way, "cookie", Cookie=sent)
        browser.cookies["echo.test"] = {}
        way = sign_in(world, browser)
        (name,) = browser.cookies["echo.test"]
        real = browser.cookies["echo.test"][name]
    assert browser.go("echo.test", way).headers["location"] == "/"


def test_a_code_is_worth_something_once_and_on_its_host(world: SessionWorld) -> None:
    browser = world.browser()
    way = sign_in(world, browser)
    jar = dict(browser.cookies["echo.test"])
    other = world.browser()
    other.cookies["app.test"] = dict(jar)
    assert other.go("app.test", way).headers["location"] == "/.stagedoor/arrive?because=used"
    way = sign_in(world, browser)
    jar = dict(browser.cookies["echo.test"])
    elsewhere = browser.go("echo.test:8443", way)
    assert elsewhere.headers["location"].endswith("=used"), "the port is a part of where it began"
    way = sign_in(world, browser)
    jar = dict(browser.cookies["echo.test"])
    assert browser.go("echo.test", way).status == 303
    browser.cookies["echo.test"] = jar
    assert b"This sign-in was used already" in turned_back(world, browser, way, "used").body
    turned_back(world, browser, re.sub("code=[^&]+", "code=" + "x" * 43, sign_in(world, browser)), "used")


@pytest.mark.parametrize(
    "fields",
    [
        {"Sec_Fetch_Dest": "image", "Sec_Fetch_Mode": "no-cors"}, {"Sec_Fetch_Dest": "iframe"},
        {"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}, {"Accept": "application/json"},
    ],
)  # fmt: skip
def test_only_somebody_on_the_way_to_a_page_arrives(world: SessionWorld, fields: dict[str, str]) -> None:
    browser = world.browser()
    turned_back(world, browser, sign_in(world, browser), "way", **fields)


def test_a_session_is_never_one_that_the_browser_had_before(world: SessionWorld) -> None:
    """Fixation: whatever session the browser brings, the cookie after a sign-in is the one control made for it."""
    world.control.put(facts(9, "joe"))
    browser = world.browser()
    browser.cookies["echo.test"] = {"__Host-stagedoor": world.control.cookie("echo.test", 9)}
    planted = browser.cookies["echo.test"]["__Host-stagedoor"]
    world.control.sessions.clear()
    world.control.put(facts())
    way = sign_in(world, browser)
    assert "__Host-stagedoor" not in browser.cookies["echo.test"], "the dead one was taken away on the way"
    assert browser.go("echo.test", way).status == 303
    assert browser.cookies["echo.test"]["__Host-stagedoor"] != planted
    assert json.loads(browser.ask("echo.test", "/.stagedoor/whoami").body)["ref"] == "user:default/jane"


@pytest.mark.parametrize("value", ["x", "1.k1.AAAA", "a\r\nSet-Cookie: b=c", "", None, 7, "A" * 5000])
def test_what_control_gives_out_must_open_here(world: SessionWorld, value: object) -> None:
    browser = world.browser()
    way = sign_in(world, browser)
    code = way.partition("code=")[2].partition("&")[0]
    host, proof, _, target = world.control.codes[code]
    world.control.codes[code] = (host, proof, value, target)  # type: ignore[assignment]  # what it must not be
    got = browser.go("echo.test", way)
    assert told_elsewhere(got) in ("later", "used")
    assert "__Host-stagedoor" not in browser.cookies["echo.test"]
    assert "b" not in browser.cookies["echo.test"]


@pytest.mark.slow
def test_an_arrival_while_control_is_silent_is_told_so_within_seconds(world: SessionWorld) -> None:
    browser = world.browser()
    way = sign_in(world, browser)
    world.control.tells = False
    began = time.monotonic()
    assert told_elsewhere(browser.go("echo.test", way)) == "later"
    assert 4 < time.monotonic() - began < 7
    world.control.tells = True
    way = sign_in(world, browser)
    world.door.rest.call(world.control.server.close)
    until(lambda: not world.door.door.following._control.connected)
    assert told_elsewhere(browser.go("echo.test", way)) == "later"


def test_no_refusal_that_a_page_can_bring_about_shows_an_address_with_a_code(
    tmp_path: Path, upstream: Upstream
) -> None:
    """Script of the host floods the door, or plants cookies, and reads where a window of the host has stopped."""
    limits = replace(session_settings(tmp_path).limits, refusals=Rate(1, 1))
    settings = replace(session_settings(tmp_path), limits=limits)
    with session_door(tmp_path, catalog(upstream.url), upstream.url, settings=settings) as world:
        world.control.put(facts())
        browser = world.browser()
        way = sign_in(world, browser)
        browser.cookies["echo.test"]["planted"] = "x" * 100_000
        assert told_elsewhere(browser.go("echo.test", way)) == "later"
        assert browser.go("echo.test", "/.stagedoor/arrive?because=later").status == 431
        del browser.cookies["echo.test"]["planted"]
        until(lambda: world.browser().go("echo.test", "/.stagedoor/arrive?because=used").status == 429)
        assert told_elsewhere(browser.go("echo.test", way)) == "many"
        assert not world.control.redeemed


def test_an_arrival_waits_for_the_next_control(world: SessionWorld) -> None:
    """Control is being replaced: what it was not asked yet is asked of the next one."""
    browser, door = world.browser(), world.door
    way = sign_in(world, browser)
    door.rest.call(world.control.server.close)
    until(lambda: not door.door.following._control.connected)
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(browser.go, "echo.test", way)
        until(lambda: door.rest.call(lambda: len(door.door.errands._unsent)) == 1)
        door.rest.wait(world.control.server.start())
        got = going.result(10)
    assert (got.status, got.headers["location"]) == (303, "/")
    assert [each["code"] for each in world.control.redeemed] == [way.partition("code=")[2].partition("&")[0]]


def test_ten_tabs_at_once_all_come_to_where_they_were(world: SessionWorld, upstream: Upstream) -> None:
    world.control.put(facts())
    browser = world.browser()
    browser.cookies["echo.test"] = {}

    def open_tab(number: int) -> tuple[str, list[str]]:
        tab = Browser(world.door.port)
        got = tab.go("echo.test", f"/tab/{number}")
        return world.control.code_for(world.control.ticket(got.headers["location"])), tab.set_cookies

    with ThreadPoolExecutor(10) as pool:
        tabs = list(pool.map(open_tab, range(10)))
    for _, lines in tabs:
        name, _, value = lines[0].partition(";")[0].partition("=")
        browser.cookies["echo.test"][name] = value
    assert len(browser.cookies["echo.test"]) == 10
    sent = "; ".join(f"{name}={value}" for name, value in browser.cookies["echo.test"].items())

    def arrive(way: str) -> str:
        tab = Browser(world.door.port)
        got = tab.go("echo.test", way, Cookie=sent)
        assert got.status == 303, got.body
        return got.headers["location"]

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(arrive, [way for way, _ in tabs])) == [f"/tab/{number}" for number in range(10)]


def test_sign_ins_that_nobody_ends_do_not_fill_a_browser(world: SessionWorld) -> None:
    """Header bloat: ten of them are kept, the newest, and a session's cookie has a bound of its own."""
    browser = world.browser()
    for _ in range(40):
        assert browser.go("echo.test").status == 303
    assert len(browser.cookies["echo.test"]) == 10
    ways = [world.control.code_for(world.control.ticket(browser.go("echo.test").headers["location"])) for _ in range(2)]
    assert all(browser.go("echo.test", way).status == 303 for way in ways)
    long = world.control.cookie("echo.test", subject="x" * 5000, issuer="y" * 300, amr=("z" * 50,) * 90)
    assert len("__Host-stagedoor=" + long) < 1000


def test_sign_ins_that_somebody_else_began_make_no_answer_too_large(world: SessionWorld) -> None:
    """A page of the same host can write hundreds of such cookies; a BIG-IP resets an answer of more than 64 fields, so
    they go a few at a time, and the sign-in works from the first."""
    browser = world.browser()
    browser.cookies["echo.test"] = {f"__Host-stagedoor-to-{number:08d}": "x" for number in range(200)}
    for _ in range(8):
        got = browser.go("echo.test")
        assert got.status == 303
        assert len(got.headers) + len(browser.set_cookies) <= 64
    assert len(browser.cookies["echo.test"]) == 10


# === stronger sign-ins ===


@pytest.fixture
def strict(tmp_path: Path, upstream: Upstream) -> Iterator[SessionWorld]:
    with session_door(tmp_path / "state", catalog(upstream.url), upstream.url, policy=STRICT) as made:
        yield made


def test_a_person_whose_sign_in_is_not_enough_is_sent_for_a_better_one(strict: SessionWorld) -> None:
    now = int(time.time())
    browser = strict.signed_in("safe.test", signed_in=now - 1000, claims={"auth_time": now - 1000})
    got = browser.go("safe.test", "/mfa")
    assert got.status == 303
    ticket = strict.control.ticket(got.headers["location"])
    assert (ticket.acr_values, ticket.max_age, ticket.target) == (("mfa",), -1, "/mfa")
    ticket = strict.control.ticket(browser.go("safe.test", "/fresh").headers["location"])
    assert (ticket.acr_values, ticket.max_age) == ((), 300)
    assert browser.cookies["safe.test"]["__Host-stagedoor"], "what they have is not taken away"
    for target in ("/mfa", "/fresh"):
        assert browser.ask("safe.test", target).code == "requirement_unmet"


def test_a_newer_sign_in_than_that_of_a_moment_ago_is_not_asked_for(strict: SessionWorld) -> None:
    """A provider that does not say when it was would send them in a circle; a stronger one is another thing."""
    now = int(time.time())
    browser = strict.signed_in("safe.test", signed_in=now, claims={"auth_time": 0})
    got = browser.go("safe.test", "/fresh")
    assert got.status == 401
    assert b"The provider does not say when the sign-in of a moment ago was." in got.body
    assert browser.go("safe.test", "/mfa").status == 303
    said = strict.signed_in("safe.test", 2, signed_in=now, claims={"auth_time": now})
    assert said.go("safe.test", "/fresh").status == 200


def test_a_token_that_is_too_weak_is_told_so(strict: SessionWorld) -> None:
    got = strict.browser().go("safe.test", "/mfa", Authorization=f"Bearer {token().decode()}")
    assert (got.status, "acr_values" in got.headers["www-authenticate"]) == (401, True)


# === who is signed in ===


def test_a_page_can_ask_who_is_signed_in(world: SessionWorld) -> None:
    now = int(time.time())
    browser = world.signed_in(claims={"amr": ["pwd", "otp"], "acr": "urn:x", "auth_time": now - 60})
    got = browser.ask("echo.test", "/.stagedoor/whoami", Sec_Fetch_Site="same-origin")
    said = json.loads(got.body)
    assert {name: said[name] for name in ("ref", "kind", "teams", "issuer", "amr", "acr")} == {
        "ref": "user:default/jane", "kind": "person", "teams": ["group:default/team"], "issuer": "test",
        "amr": ["otp", "pwd"], "acr": "urn:x",
    }  # fmt: skip
    assert said["session_ends"].endswith("Z")
    assert said["auth_time"].endswith("Z")
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["cross-origin-resource-policy"] == "same-origin"
    record = world.door.records(1)[-1]
    assert (record["decision"], record["reason"], record["operation"]) == (
        "permit", "own_endpoint", "GET /.stagedoor/whoami"
    )  # fmt: skip
    head = browser.ask("echo.test", "/.stagedoor/whoami", "HEAD")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": SHOP}, {"Origin": "http://listed.test"},
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "x"},
        {"Origin": "https://listed.test", "Sec_Fetch_Site": "cross-site"},
    ],
)  # fmt: skip
def test_another_site_is_not_told_who_is_signed_in(world: SessionWorld, fields: dict[str, Any]) -> None:
    """A listed origin neither: it works with the token that it was given."""
    got = world.signed_in("listed.test").ask("listed.test", "/.stagedoor/whoami", **fields)
    assert (got.status, got.code) == (403, "origin_foreign")


def test_nobody_is_told_that_they_are_nobody(world: SessionWorld) -> None:
    assert world.browser().ask("echo.test", "/.stagedoor/whoami").code == "identity_required"
    said = world.browser().ask("echo.test", "/.stagedoor/whoami", Authorization=f"Bearer {token('joe').decode()}")
    assert json.loads(said.body)["ref"] == "user:default/joe"
    assert json.loads(said.body)["session_ends"] is None
    central = world.signed_in("central.test").ask("central.test", "/.stagedoor/whoami")
    assert json.loads(central.body)["ref"] == "user:default/jane"


# === signing out ===


@pytest.mark.parametrize("host", ["echo.test", "central.test"])
def test_signing_out_ends_the_session_at_control_and_takes_the_cookie(world: SessionWorld, host: str) -> None:
    browser = world.signed_in(host)
    got = browser.ask(host, "/.stagedoor/sign-out", "POST", Origin=f"https://{host}")
    assert (got.status, got.headers["location"]) == (303, world.control.to)
    assert browser.cookies[host] == {}
    assert world.control.signed_out[0]["sid"] == session_id()
    assert world.control.signed_out[0]["host"] == host
    record = world.door.records(1)[-1]
    assert (record["reason"], record["key_id"]) == ("own_endpoint", session_id())


def test_somebody_who_leaves_a_page_sees_one_on_the_way(world: SessionWorld) -> None:
    """A browser holds a form's redirects to the `form-action` of its page: so the way goes on from a page of ours."""
    world.control.to = 'https://idp.test/end?a="><script>alert(1)</script>&b=c'
    browser = world.signed_in()
    got = browser.ask("echo.test", "/.stagedoor/sign-out", "POST", b"x=1", Origin="https://echo.test",
                      Accept="text/html", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document")  # fmt: skip
    assert (got.status, browser.cookies["echo.test"]) == (200, {})
    assert b'<meta http-equiv="refresh" content="0;url=https://idp.test/end?a=&quot;&gt;&lt;script&gt;' in got.body
    assert b"<script" not in got.body
    assert "default-src 'none'" in got.headers["content-security-policy"]


@pytest.mark.parametrize(
    "to",
    [
        "",
        "http://evil.example/",
        "//evil.example",
        "javascript:x",
        "https://a b",
        "https://x\r\ny:z",
        "http://127.0.0.1.evil.example/",
        "http://localhost@evil.example/",
        "http://127.0.0.1:80@evil.example/",
    ],
)
def test_where_control_says_nothing_of_use_it_goes_to_the_central_host(world: SessionWorld, to: str) -> None:
    world.control.to = to
    got = world.signed_in().ask("echo.test:8443", "/.stagedoor/sign-out", "POST", Origin="https://echo.test:8443")
    assert got.headers["location"] == "https://central.test:8443/.stagedoor/signed-out"


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": SHOP}, {"Origin": "https://app.test"},
        {"Origin": "https://listed.test.evil.example"}, {"Origin": "https://listed.test:444"},
        {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "https://listed.test", "Sec_Fetch_Site": "same-site"},
    ],
)  # fmt: skip
def test_no_other_site_signs_anybody_out(world: SessionWorld, fields: dict[str, Any]) -> None:
    browser = world.signed_in("listed.test")
    got = browser.ask("listed.test", "/.stagedoor/sign-out", "POST", **fields)
    assert (got.status, got.code) == (403, "origin_foreign")
    assert browser.cookies["listed.test"]
    assert world.control.signed_out == []


@pytest.mark.slow
def test_signing_out_without_a_session_and_with_control_away(world: SessionWorld) -> None:
    got = world.browser().ask("echo.test", "/.stagedoor/sign-out", "POST", Sec_Fetch_Site="same-origin")
    assert (got.status, got.headers["location"]) == (303, "https://central.test/.stagedoor/signed-out")
    browser = world.signed_in()
    assert browser.ask("echo.test").status == 200
    world.door.rest.call(world.control.server.close)
    until(lambda: not world.door.door.following._control.connected)
    got = browser.ask("echo.test", "/.stagedoor/sign-out", "POST", Origin="https://echo.test")
    assert (got.status, got.code) == (503, "session_unavailable")
    assert browser.cookies["echo.test"], "what did not happen does not look as if it had"


@pytest.mark.parametrize("path", ["whoami/", "sign-out", "Whoami", "sign-in", "callback", "whoamI", "x", "arrive/"])
def test_everything_else_below_our_prefix_is_not_there_on_a_service_s_host(
    world: SessionWorld, upstream: Upstream, path: str
) -> None:
    assert world.signed_in().ask("echo.test", f"/.stagedoor/{path}").code == "path_unknown"
    assert world.signed_in().ask("echo.test", "/.stagedoor/whoami", "POST").code == "path_unknown"
    assert upstream.seen == []


# === whose page asks ===


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Origin": "https://echo.test"}, 200),
        ({"Origin": "https://echo.test:443"}, 200),
        ({"Origin": "HTTPS://ECHO.TEST"}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({}, 403),  # every browser says one of them whenever something is to change
        ({"Origin": "null"}, 403),
        ({"Origin": "http://echo.test"}, 403),
        ({"Origin": "https://echo.test:8443"}, 403),
        ({"Origin": "https://echo.test."}, 403),
        ({"Origin": "https://evil.echo.test"}, 403),
        ({"Origin": "https://echo.test.evil.example"}, 403),
        ({"Origin": "https://echo.test@evil.example"}, 403),
        ({"Origin": "https://evil.example/echo.test"}, 403),
        ({"Origin": "https://echo.test, https://evil.example"}, 403),
        ({"Origin": "https://echo.test https://evil.example"}, 403),
        ({"Origin": "echo.test"}, 403),
        ({"Origin": "//echo.test"}, 403),
        ({"Origin": "https://"}, 403),
        ({"Origin": "chrome-extension://abc"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": SHOP}, 403),
        ({"Origin": "https://app.test"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": ""}, 403),
        ({"Sec_Fetch_Site": "same-origin, cross-site"}, 403),
    ],
)
def test_what_changes_something_comes_from_a_page_of_this_host(
    world: SessionWorld, upstream: Upstream, method: str, fields: dict[str, str], status: int
) -> None:
    got = world.signed_in().ask("echo.test", "/x", method, b"a", **fields)
    assert got.status == status
    assert len(upstream.seen) == (1 if status == 200 else 0)
    if status == 403:
        assert got.code == "origin_foreign"
        bearer = f"Bearer {token().decode()}"
        assert world.browser().ask("echo.test", "/x", method, b"a", Authorization=bearer, **fields).status == 200


def test_a_listed_origin_may_act_and_an_empty_origin_is_none(world: SessionWorld) -> None:
    browser = world.signed_in("listed.test")
    assert browser.ask("listed.test", "/x", "POST", b"a", Origin=SHOP).status == 200
    assert browser.ask("listed.test", "/x", "POST", b"a", Origin=SHOP + ":444").status == 403


def test_reading_asks_nobody_where_it_comes_from(world: SessionWorld) -> None:
    """What another site may read of it is the browser's to say; what changes nothing may be linked to."""
    evil: dict[str, Any] = {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}
    for method in ("GET", "HEAD"):
        assert world.signed_in().ask("echo.test", "/x", method, **evil).status == 200


# === between the own service and the browser ===


def test_the_own_service_sees_and_sets_our_cookies_and_no_service_does(world: SessionWorld, upstream: Upstream) -> None:
    upstream.answer = lambda seen: (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: __Host-stagedoor=1.a.b; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"
        b"Set-Cookie: __Host-stagedoor-signin-AAAAAAAA=c; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"
        b"set-cookie: theirs=1; Path=/; Secure; HttpOnly; SameSite=Lax\r\nContent-Length: 2\r\n\r\nok"
    )
    # control answers on a Unix socket; the scripted one listens on a port, so its rules are those of a service
    browser = world.signed_in("central.test")
    mine = browser.cookies["central.test"]["__Host-stagedoor"]
    sent = f"a=1; __Host-stagedoor={mine}; __Host-stagedoor-signin-B=2; BIGipServerx=1"
    assert browser.ask("central.test", "/", cookie=sent).status == 200
    assert upstream.seen[-1].header("cookie") == f"__Host-stagedoor={mine}; __Host-stagedoor-signin-B=2"
    service = world.signed_in("echo.test")
    theirs = service.cookies["echo.test"]["__Host-stagedoor"]
    assert service.ask("echo.test", cookie=f"a=1; __Host-stagedoor={theirs}").status == 200
    assert upstream.seen[-1].header("cookie") == "a=1"
    assert [line.partition("=")[0] for line in service.set_cookies] == ["theirs"]


def test_a_ticket_that_no_door_made_or_an_old_one_opens_nowhere(world: SessionWorld) -> None:
    now = int(time.time())
    keys = SessionKeys(world.control.session_keys)
    ticket = Ticket("x" * 22, "echo.test", "/", "p", now)
    good = seal_ticket(ticket, keys, b"n" * 12).encode()
    assert open_ticket(good, keys, now) == ticket
    assert open_ticket(good, keys, now + 600) is None
    assert open_ticket(good, keys, now - 10) is None
    assert open_ticket(good, SessionKeys([("k1", OLD_KEY)]), now) is None
    assert open_ticket(world.control.cookie("echo.test").encode(), keys, now) is None
    browser = world.browser()
    assert browser.ask("echo.test", cookie=f"__Host-stagedoor={good.decode()}").status == 401
