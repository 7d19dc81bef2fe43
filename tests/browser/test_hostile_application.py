"""Promises about an application that means harm, in a real browser: its pages, with scripts, a service worker and any
header they like, act for nobody on another host, read nothing there, show no page of ours, sign nobody out elsewhere.

`evil.corp.test` and `good.corp.test` are one site to a browser, so `SameSite` keeps nothing from them; the central host
is another one. Somebody is signed in at all three.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.support import oidc_provider
from tests.support.door import LoopThread, until
from tests.support.signing_in import SigningIn, parameters, signing_in
from tests.support.upstream import Seen, Upstream

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run",
    "--ignore-certificate-errors", "--host-resolver-rules=MAP *.corp.test 127.0.0.1",
]  # fmt: skip
SESSION = "__Host-stagedoor"
COMPONENT = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: {name}.corp.test
    stagedoor.dev/upstream: http://127.0.0.1:{port}
    stagedoor.dev/access: everyone
spec: {{type: website, lifecycle: production, owner: team}}
---
"""
# It writes down every address it sees, answers some of its pages with what it gets elsewhere, and holds arrivals back.
WORKER = """\
const seen = [];
let holds = false;
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(clients.claim()));
self.addEventListener("fetch", event => {
  const address = new URL(event.request.url);
  if (address.pathname === "/hold") {
    holds = address.searchParams.has("on");
    event.respondWith(new Response(""));
    return;
  }
  if (address.pathname === "/seen") {
    event.respondWith(new Response(JSON.stringify(seen)));
    return;
  }
  seen.push(event.request.url);
  if (address.pathname === "/shown") {
    const wanted = address.searchParams.get("what");
    event.respondWith(fetch(wanted, {mode: "no-cors", credentials: "include"}));
  } else if (holds && address.pathname === "/.stagedoor/arrive") {
    event.respondWith(new Response("held back"));
  }
});
"""
PAGE = b"<!doctype html><title>An application</title><p>Nothing to see"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM} (`apt-get install chromium`)"),
    pytest.mark.skipif(bool(oidc_provider.why_not()), reason=oidc_provider.why_not() or "-"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]


class Scene(NamedTuple):
    place: SigningIn
    evil: str
    good: str
    central: str
    upstream: Upstream  # of the good one


def hostile(seen: Seen) -> bytes:
    path, more, kind, body = seen.target.partition("?")[0], "", "text/html", PAGE
    if path == "/worker.js":
        kind, body = "text/javascript", WORKER.encode()
    elif path == "/clears":
        more = 'Clear-Site-Data: "cookies"\r\nClear-Site-Data: "*"\r\n'
    elif path == "/sets":
        more = "".join(
            f"Set-Cookie: {name}=tossed; Path=/; Secure{domain}\r\n"
            for name in (SESSION, f"={SESSION}", "__host-stagedoor", f"{SESSION}-signin-AAAAAAAA")
            for domain in ("", "; Domain=corp.test")
        )
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder, thread = tmp_path_factory.mktemp("hostile"), LoopThread("applications")
    evil, good = Upstream(thread, answer=hostile).start(), Upstream(thread, answer=hostile).start()

    def with_applications(text: str) -> str:
        listed = [COMPONENT.format(name=name, port=each.port) for name, each in (("evil", evil), ("good", good))]
        (folder / "catalog" / "applications.yaml").write_text("".join(listed))
        return text

    with signing_in(folder, more=with_applications) as place:
        port = place.node.port
        yield Scene(place, f"https://evil.corp.test:{port}", f"https://good.corp.test:{port}", place.central, good)
    evil.stop()
    good.stop()
    thread.close()


@pytest.fixture
def page(scene: Scene) -> Iterator[Page]:
    """On a page of the hostile application, whose worker is in control; jane is signed in everywhere."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        shown = browser.new_context(ignore_https_errors=True).new_page()
        shown.goto(f"{scene.good}/")
        while "/interaction/" in shown.url:
            for field in shown.locator("input[name=login]").all():
                field.fill("jane")
            shown.locator("button[type=submit]").first.click()
        shown.goto(f"{scene.evil}/")
        assert shown.url == f"{scene.evil}/"
        shown.evaluate("navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready)")
        shown.wait_for_function("navigator.serviceWorker.controller !== null")
        yield shown
        browser.close()


def sessions(context: BrowserContext) -> dict[str, str]:
    """Host → its session cookie."""
    return {each["domain"]: each["value"] for each in context.cookies() if each["name"] == SESSION}


def is_signed_in(scene: Scene, context: BrowserContext) -> bool:
    """At the good application and the central host: by what they themselves tell a person who goes there."""
    other = context.new_page()
    try:
        answers = [other.goto(f"{host}/.stagedoor/whoami") for host in (scene.good, scene.central)]
        return [each.status for each in answers if each is not None] == [200, 200]
    finally:
        other.close()


def tried(page: Page, script: str) -> Any:
    """What a script of the hostile page got, or the name of the error it got instead."""
    return page.evaluate(f"(async () => {{ try {{ {script} }} catch (error) {{ return error.name; }} }})()")


def asked(scene: Scene, path: str, method: str) -> list[Seen]:
    return [each for each in scene.upstream.seen if each.target == path and each.method == method]


def test_its_scripts_read_nothing_of_another_host(scene: Scene, page: Page) -> None:
    addresses = (
        f"{scene.good}/.stagedoor/whoami", f"{scene.central}/.stagedoor/whoami", f"{scene.central}/portal",
        f"{scene.central}/.stagedoor/api/v1/sessions", f"{scene.central}/.stagedoor/sign-in", f"{scene.good}/",
    )  # fmt: skip
    for address in addresses:
        reading = f"const got = await fetch('{address}', {{credentials: 'include'}}); return await got.text();"
        assert tried(page, reading) == "TypeError", address
        unseen = "return [got.type, got.status, (await got.text()).length]"
        blind = f"const got = await fetch('{address}', {{credentials: 'include', mode: 'no-cors'}}); {unseen};"
        assert tried(page, blind) in ("TypeError", ["opaque", 0, 0]), address
    told = page.evaluate("fetch('/.stagedoor/whoami').then(answer => answer.json())")
    assert told["ref"] == "user:default/jane", "of its own visitors it may know who they are"


def test_its_scripts_and_forms_change_nothing_on_another_host(scene: Scene, page: Page) -> None:
    before = sessions(page.context)
    changing = (
        f"{scene.central}/portal/sessions/end", f"{scene.central}/.stagedoor/sign-out",
        f"{scene.good}/.stagedoor/sign-out", f"{scene.good}/pay",
    )  # fmt: skip
    for address in changing:
        tried(page, f"""
            const body = new URLSearchParams({{session: "all"}});
            await fetch("{address}", {{method: "POST", body, mode: "no-cors", credentials: "include"}});
            await fetch("{address}", {{method: "POST", body, mode: "no-cors", credentials: "include",
                                       referrerPolicy: "no-referrer"}});
            navigator.sendBeacon("{address}", body);
        """)  # fmt: skip
        for policy in ("unsafe-url", "no-referrer"):
            page.goto(f"{scene.evil}/")
            with page.expect_navigation() as way:
                page.evaluate(f"""() => {{
                document.body.innerHTML = `<meta name=referrer content={policy}><form method=post action="{address}">
                  <input name=session value=all></form>`;
                document.querySelector("form").submit();
            }}""")  # fmt: skip
            assert page.url == address
            assert way.value is not None
            assert way.value.status in (401, 403)
        page.goto(f"{scene.evil}/")
    assert asked(scene, "/pay", "POST") == []
    assert sessions(page.context) == before
    assert is_signed_in(scene, page.context)


def test_it_opens_no_websocket_in_its_visitors_name(scene: Scene, page: Page) -> None:
    address = scene.good.replace("https:", "wss:") + "/live"
    assert tried(page, f"""
        return await new Promise(resolve => {{
            const socket = new WebSocket("{address}");
            socket.onopen = () => resolve("open");
            socket.onclose = () => resolve("closed");
        }});
    """) == "closed"  # fmt: skip
    assert asked(scene, "/live", "GET") == []


def test_it_frames_and_shows_no_page_of_ours(scene: Scene, page: Page) -> None:
    for address in (f"{scene.central}/portal", f"{scene.central}/.stagedoor/sign-in", f"{scene.good}/.stagedoor/x"):
        page.goto(f"{scene.evil}/")
        with page.expect_response(address):
            page.evaluate(f"document.body.innerHTML = '<iframe src=\"{address}\"></iframe>'")
        page.wait_for_function("frames.length === 1")
        until(lambda: page.title() and page.frames[1].url.startswith("chrome-error:"), 5)
        other = page.context.new_page()
        with pytest.raises(Exception, match="net::ERR_FAILED"):
            other.goto(f"{scene.evil}/shown?what={address}")
        other.close()
    page.goto(f"{scene.evil}/")
    registering = f"await navigator.serviceWorker.register('{scene.central}/worker.js'); return 'registered';"
    assert tried(page, registering) == "SecurityError"
    wider = "await navigator.serviceWorker.register('/.stagedoor/worker.js'); return 'registered';"
    assert tried(page, wider) == "TypeError", "nothing of a service is below our prefix"


def test_it_takes_and_plants_no_cookie_of_ours(scene: Scene, page: Page) -> None:
    before = sessions(page.context)
    assert sorted(before) == ["evil.corp.test", "good.corp.test", "localhost"]
    assert "stagedoor" not in page.evaluate("document.cookie")
    planting = [
        f"{name}=planted; {attributes}"
        for name in (SESSION, f"={SESSION}", f"{SESSION}-signin-AAAAAAAA", "__host-stagedoor")
        for attributes in ("path=/; secure", "path=/; secure; domain=corp.test", "path=/a; secure; domain=corp.test")
    ]
    page.evaluate(f"for (const each of {json.dumps(planting)}) document.cookie = each")
    page.goto(f"{scene.evil}/sets")
    assert sessions(page.context) == before
    assert is_signed_in(scene, page.context)


@pytest.mark.parametrize("number", [20, 60])
def test_whoever_it_gives_more_cookies_than_fit_is_told_what_to_do(scene: Scene, page: Page, number: int) -> None:
    """Any host may set cookies for all of its site. What a person can do, they are told, on every host of it."""
    tossing = "document.cookie = `c${each}=${'x'.repeat(4000)}; path=/; secure; domain=corp.test`"
    page.evaluate(f"for (let each = 0; each < {number}; each++) {tossing}")
    for host in (scene.good, scene.evil):
        other = page.context.new_page()
        shown = other.goto(f"{host}/")
        assert shown is not None
        assert (shown.status, shown.headers["content-type"]) == (431, "text/html; charset=utf-8")
        assert "Delete the cookies of this site in your browser's settings" in other.inner_text("main")
        other.close()
    page.context.clear_cookies(name=re.compile("^c"))
    page.goto(f"{scene.good}/")
    assert page.title() == "An application"


def test_it_signs_nobody_out_elsewhere(scene: Scene, page: Page) -> None:
    """`Clear-Site-Data` takes the cookies of a whole site."""
    before = sessions(page.context)
    page.goto(f"{scene.evil}/clears")
    page.evaluate("fetch('/clears')")
    assert sessions(page.context) == before
    assert is_signed_in(scene, page.context)


def test_the_code_its_worker_sees_is_worth_nothing_to_anybody_else(scene: Scene, page: Page) -> None:
    """A worker sees where the pages of its host are; so the code of an arrival has to be worth nothing by itself."""
    page.evaluate("fetch('/hold?on')")
    page.context.clear_cookies(domain="evil.corp.test")
    page.goto(f"{scene.evil}/again")
    assert page.inner_text("body") == "held back"
    seen = page.evaluate("fetch('/seen').then(answer => answer.json())")
    arrival = next(each for each in seen if "/.stagedoor/arrive?" in each)
    assert not [each for each in seen if scene.central in each or scene.good in each]
    stranger = scene.place.browser()
    stranger.places["evil.corp.test"] = stranger.places["good.corp.test"] = scene.place.node.port
    for address in (arrival.replace("evil.", "good."), arrival):
        assert stranger.get(address).location.endswith("/.stagedoor/arrive?because=cookie")
    tossed = f"__Host-stagedoor-to-{parameters(arrival)['to']}=AAAAAAAAAAAAAAAAAAAAAA"
    assert stranger.get(arrival, {"Cookie": tossed}).location.endswith("/.stagedoor/arrive?because=used")
    assert not stranger.jar


READING = """
[location.href, document.URL, document.referrer, JSON.stringify(history.state),
 ...performance.getEntries().map(each => each.name), ...navigation.entries().map(each => each.url)]
"""


def test_where_it_leads_a_visitor_it_reads_no_code_afterwards(scene: Scene, page: Page) -> None:
    """Somebody begins a sign-in at the hostile host elsewhere, and its page leads jane to where that one ends: the code
    that comes back is for them. A page may read where its window has been on its own host, so none is ever shown where
    the code is; and what its worker saw of the code is used up by then."""
    stranger = scene.place.browser()
    stranger.places["evil.corp.test"] = scene.place.node.port
    begun = stranger.get(f"{scene.evil}/")
    assert begun.location.startswith(scene.central)
    page.evaluate(f"location.href = {json.dumps(begun.location)}")
    page.wait_for_url(f"{scene.evil}/.stagedoor/arrive?because=cookie")
    page.get_by_role("link", name="Start again").click()
    page.wait_for_url(f"{scene.evil}/")
    told = page.evaluate(READING)
    assert not [each for each in told if each and "code=" in each]
    seen = page.evaluate("fetch('/seen').then(answer => answer.json())")
    arrival = next(each for each in seen if "/.stagedoor/arrive?code=" in each)
    assert stranger.get(arrival).location == f"{scene.evil}/.stagedoor/arrive?because=used"
    assert SESSION not in stranger.cookies("evil.corp.test")


def test_who_was_kept_from_arriving_arrives_as_soon_as_nobody_keeps_them(scene: Scene, page: Page) -> None:
    page.evaluate("fetch('/hold?on')")
    page.context.clear_cookies(domain="evil.corp.test")
    page.goto(f"{scene.evil}/again")
    page.evaluate("fetch('/hold')")
    page.goto(f"{scene.evil}/again?x=1")
    assert page.url == f"{scene.evil}/again?x=1"
    assert page.title() == "An application"
