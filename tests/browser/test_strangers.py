"""Promises to somebody who comes for the first time, with a certified provider and a browser as people have it: they
get where they wanted to go, with ten tabs, with the keyboard alone, without a script; whatever fails leads on; no page
asks a third party for anything, and each is for everybody (axe-core, 360 px to 1920 px)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.support import oidc_provider
from tests.support.chromium import AXE, CHROMIUM, NO_CHROMIUM, chromium, hosts_asked, profile, what_is_wrong
from tests.support.door import until
from tests.support.signing_in import PEOPLE, SigningIn, signing_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TITLE = "Unbroken" * 25
# Beside it: words from right to left and without spaces, more operations than anybody reads, and a service of one team.
MORE = f"""\
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {{name: liv}}
spec: {{memberOf: [team]}}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {{name: kim}}
spec: {{memberOf: [team]}}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {{name: noa}}
spec: {{memberOf: [team]}}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: live
  annotations: {{stagedoor.dev/environments: prod, stagedoor.dev/host: live.test, stagedoor.dev/upstream: LIVE}}
spec: {{type: website, lifecycle: production, owner: team}}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: wide
  title: {TITLE}
  annotations: {{stagedoor.dev/environments: prod, stagedoor.dev/host: wide.test, stagedoor.dev/upstream: UPSTREAM}}
spec: {{type: service, lifecycle: production, owner: team, providesApis: [many]}}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: hebrew
  title: "שירות התשלומים של החברה 支払いサービス全体の管理画面"
  annotations: {{stagedoor.dev/environments: prod, stagedoor.dev/host: other.test, stagedoor.dev/upstream: UPSTREAM}}
spec: {{type: website, lifecycle: production, owner: team}}
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {{name: many}}
spec:
  type: openapi
  lifecycle: production
  owner: team
  definition: |
    openapi: 3.0.3
    info: {{title: many, version: "1"}}
    paths:
PATHS"""
OPERATIONS = 300
# A path in YAML, below `paths`: from the right of the text above.
PATH = '      "/things/{number}": {{get: {{responses: {{"200": {{description: ok}}}}}}}}\n'
PARTNERS = """\
  - name: partners
    issuer: http://127.0.0.1:1
    audiences: [partners]
    match: {sub: metadata.name}
    client: {id: door, secret_file: client.secret, domains: [partner.test]}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=NO_CHROMIUM),
    pytest.mark.skipif(bool(oidc_provider.why_not()) or not AXE.exists(), reason=oidc_provider.why_not()),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]


@pytest.fixture(scope="module")
def live() -> Iterator[str]:
    """A service with a page and a WebSocket that says what it is told."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    def is_page(connection: ServerConnection, asked: Request) -> Response | None:
        return None if "Upgrade" in asked.headers else connection.respond(HTTPStatus.OK, "live")

    with serve(echo, "127.0.0.1", 0, process_request=is_page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, live: str) -> Iterator[SigningIn]:
    folder = tmp_path_factory.mktemp("strangers")
    # The provider's logout tokens end all of somebody's sessions: who signs out is nobody whose pages others look at.
    people: dict[str, dict[str, Any]] = {
        **PEOPLE,
        **{each: {"name": each.title()} for each in ("zed", "stray", "liv", "kim", "noa")},
    }

    def more(text: str) -> str:
        upstream = re.search(r"upstream: (\S+)", (folder / "catalog" / "all.yaml").read_text())
        assert upstream is not None
        paths = "".join(PATH.format(number=number) for number in range(OPERATIONS))
        catalog = MORE.replace("LIVE", live).replace("UPSTREAM", upstream[1]).replace("PATHS", paths)
        (folder / "catalog" / "more.yaml").write_text(catalog)
        return text.replace("central_host:", PARTNERS + "central_host:", 1)

    with signing_in(folder, more=more, people=people) as node:
        yield node


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    shown = profile(browser)
    yield shown
    shown.context.close()


@pytest.fixture(scope="module")
def known(browser: Browser, place: SigningIn) -> Callable[[str], Page]:
    """A new profile of somebody who has signed in, once for all pages that are only looked at."""
    cookies: dict[str, Any] = {}

    def made(who: str) -> Page:
        if who and who not in cookies:
            first = profile(browser)
            sign_in(first, f"{place.app}/", who)
            cookies[who] = first.context.storage_state()
            first.context.close()
        return profile(browser, storage_state=cookies.get(who))

    return made


def opened(page: Page, url: str, words: str) -> None:
    """Go there, and again where a machine that stood still made a door give up waiting (503)."""
    for _ in range(8):
        answer = page.goto(url)
        if answer is None or answer.status != 503:
            break
        page.wait_for_timeout(1000)
    text = page.inner_text("body")
    assert words in text, (page.url, text[:600])


def waited(page: Page, holds: Callable[[], bool]) -> None:
    """Until it holds; the browser goes on meanwhile."""

    def seen() -> bool:
        page.wait_for_timeout(100)
        return holds()

    until(seen, 40)


def sign_in(page: Page, url: str, who: str = "jane") -> None:
    page.goto(url)
    page.get_by_role("link", name="sso").click()
    page.get_by_label("Name").fill(who)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(url)


# === getting there ===


def test_ten_tabs_at_once_all_get_where_they_wanted_to_go(page: Page, place: SigningIn) -> None:
    """Known at the provider, signed in nowhere: ten ways to it and back, at the same time."""
    sign_in(page, f"{place.app}/")
    for name in ("echo.test", "localhost"):
        page.context.clear_cookies(domain=name)
    page.goto("about:blank")
    wanted = [f"{place.app}/?tab={number}" for number in range(10)]
    page.evaluate("wanted => { for (const each of wanted) window.open(each, '_blank', 'noopener') }", wanted)
    waited(page, lambda: len(page.context.pages) == 11)
    for each in page.context.pages[1:]:
        each.get_by_role("link", name="sso").wait_for()
    for each in page.context.pages[1:]:
        each.evaluate("document.querySelector('.choices a').click()")  # and nobody waits for what comes of it
    waited(page, lambda: {each.url for each in page.context.pages[1:]} == set(wanted))
    for each in page.context.pages[1:]:
        opened(each, each.url, "ok")


def test_the_keyboard_alone_is_enough_from_the_picker_to_the_page_and_out_again(page: Page, place: SigningIn) -> None:
    page.goto(f"{place.app}/")
    assert [each.inner_text() for each in page.get_by_role("listitem").all()] == ["sso", "partners"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "sso"
    # Who uses no mouse has to see where they are.
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.get_by_label("Name").wait_for()
    page.keyboard.type("kim")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{place.app}/")
    opened(page, f"{place.central}/portal/sessions", "this browser")
    page.get_by_role("button", name="Sign out", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Sign out").wait_for()  # the provider asks, too
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="You are signed out").wait_for()


def test_no_script_is_needed_for_any_of_it(browser: Browser, place: SigningIn) -> None:
    page = profile(browser, java_script_enabled=False)
    sign_in(page, f"{place.app}/", "noa")
    opened(page, f"{place.central}/portal", "Team team may")
    page.get_by_role("searchbox").fill("echo")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**q=echo**")
    page.get_by_role("article").get_by_role("link", name=f"{place.app}/").click()
    page.wait_for_url(f"{place.app}/")
    opened(page, f"{place.central}/portal/sessions", "this browser")
    page.get_by_role("button", name="Sign out of this browser").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="You are signed out").wait_for()
    page.context.close()


def test_no_page_asks_a_third_party_for_anything(page: Page, place: SigningIn) -> None:
    asked = hosts_asked(page)
    sign_in(page, f"{place.app}/")
    for path in ("/portal", "/portal/services", "/portal/sessions", "/.stagedoor/signed-out", "/.stagedoor/callback"):
        page.goto(f"{place.central}{path}")
    page.goto(f"{place.app}/.stagedoor/nothing")
    assert asked == {"echo.test", "localhost", "127.0.0.1"}  # the last is the provider


def test_a_sign_out_at_the_provider_ends_a_websocket_that_is_open(page: Page, place: SigningIn) -> None:
    sign_in(page, f"https://live.test:{place.node.port}/", "liv")
    said = page.evaluate("""() => new Promise((told, failed) => {
        const live = new WebSocket("wss://" + location.host + "/live");
        live.onopen = () => live.send("hello");
        live.onmessage = message => told(message.data);
        live.onerror = () => failed(new Error("no WebSocket"));
        live.onclose = () => { window.over = true; }; })""")
    assert said == "hello"
    place.provider.log_out("door", "liv")
    page.wait_for_function("window.over")
    assert page.evaluate("fetch('/').then(answer => answer.status)") == 401


# === what fails leads on ===


def test_what_was_sent_after_the_session_ended_is_sent_once_signed_in_again(page: Page, place: SigningIn) -> None:
    """The page holds it: the other tab signs in, and reloading sends it."""
    got: list[str] = []
    sign_in(page, f"{place.app}/")
    page.context.clear_cookies(domain="echo.test")
    page.evaluate("""document.body.innerHTML =
        '<form method=post action=/notes><input name=text value=kept><button>Save</button></form>'""")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="You have to sign in for this.").wait_for()
    assert "Nothing of this request was sent on" in page.inner_text("main")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in with a new tab").click()
    opened.value.wait_for_url(f"{place.app}/")
    page.on("response", lambda said: got.append(f"{said.request.method} {said.status} {said.request.post_data}"))
    page.reload()
    assert got == ["POST 200 text=kept"]


def test_who_fails_begins_again_where_they_wanted_to_go(page: Page, place: SigningIn) -> None:
    page.goto(f"{place.app}/?wanted=this")
    page.get_by_role("link", name="partners").click()
    page.get_by_role("heading", name="Your identity provider does not answer.").wait_for()
    page.get_by_role("link", name="Try again").click()
    page.get_by_label("Or let your work e-mail address choose").fill("jane@nowhere.test")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="No identity provider is known for this e-mail address.").wait_for()
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_role("link", name="sso").click()
    page.get_by_role("button", name="Sign in").click()  # without a name: the provider says no
    page.get_by_role("heading", name="Your identity provider did not sign you in.").wait_for()
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_role("link", name="sso").click()
    page.get_by_label("Name").fill("jane")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{place.app}/?wanted=this")


def test_the_wrong_account_is_no_dead_end(page: Page, place: SigningIn) -> None:
    """Nobody in the catalog: told so, signed out there and at the provider, and in as somebody else."""
    sign_in(page, f"{place.app}/", "stray")
    opened(page, f"{place.app}/", "The catalog does not know you.")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="You are signed out").wait_for()
    sign_in(page, f"{place.app}/", "jane")
    opened(page, f"{place.app}/", "ok")


def test_who_may_not_is_told_who_they_are_and_where_they_may(page: Page, place: SigningIn) -> None:
    sign_in(page, f"{place.app}/", "joe")
    opened(page, f"https://wide.test:{place.node.port}/things/1", "No rule gives you access to this service.")
    assert "You are signed in as joe." in page.inner_text("main")
    page.get_by_role("link", name="What I can reach").click()
    page.wait_for_url(f"{place.central}/portal")
    assert page.get_by_role("article").count() == 1


def test_who_goes_back_to_the_middle_of_a_sign_in_is_told_that_it_was_finished(page: Page, place: SigningIn) -> None:
    callbacks: list[str] = []
    page.on("request", lambda request: callbacks.append(request.url) if "/callback?" in request.url else None)
    sign_in(page, f"{place.app}/")
    page.goto(callbacks[0])
    page.get_by_role("heading", name="This sign-in was finished before.").wait_for()
    page.get_by_role("link", name="Go on").click()
    page.wait_for_url(f"{place.central}/portal")


# === each page ===

# Who looks, "" = nobody; at which host; what; what is said there.
OWN = "/portal/services/component:default"
EVERY = {
    "picker": ("", "echo.test", "/", "choose where you have an account"),
    "signed out": ("", "localhost", "/.stagedoor/signed-out", "You are signed out"),
    "cookie missing": ("", "localhost", "/.stagedoor/callback?code=a&state=b", "did not bring back the cookie"),
    "callback malformed": ("", "localhost", "/.stagedoor/callback", "is not what it must be"),
    "old link": ("", "localhost", "/.stagedoor/sign-in?ticket=old", "link is too old"),
    "unknown provider": ("", "localhost", "/.stagedoor/sign-in?issuer=nobody", "cannot sign in with this"),
    "provider away": ("", "localhost", "/.stagedoor/sign-in?issuer=partners", "does not answer"),
    "no arrival": ("", "echo.test", "/.stagedoor/arrive?code=old", "did not come to its end"),
    "unknown host": ("", "nothing.test", "/", "No service is published"),
    "what I can reach": ("jane", "localhost", "/portal", "Team team may"),
    "nothing found": ("jane", "localhost", "/portal?q=nothing-is-called-so", "Nothing of that name"),
    "my services": ("jane", "localhost", "/portal/services", "published"),
    "no services": ("joe", "localhost", "/portal/services", "No entry of the catalog"),
    "a wide service": ("jane", "localhost", "/portal/services/component:default/wide", "UnbrokenUnbroken"),
    "a service from right to left": ("jane", "localhost", "/portal/services/component:default/hebrew", "支払い"),
    "no such service": ("jane", "localhost", "/portal/services/component:default/nothing", "No service of yours"),
    "a way": ("jane", "localhost", "/portal/path?url=https://wide.test/things/1", "leads wide.test nowhere"),
    "no link": ("jane", "localhost", "/portal/path?url=https://[", "is no URL"),
    "a long link": ("jane", "localhost", f"/portal/path?url=https://{'a' * 300}.test/", "is no host that a door"),
    "what was made of it": ("jane", "localhost", f"{OWN}/wide/inventory", "nobody lags behind"),
    "made from right to left": ("jane", "localhost", f"{OWN}/hebrew/inventory", "Whom the doors let in"),
    "nothing made": ("jane", "localhost", f"{OWN}/nothing/inventory", "No service of yours"),
    "my sessions": ("jane", "localhost", "/portal/sessions", "this browser"),
    "no such page": ("jane", "localhost", "/nothing", "has no such page"),
    "refused": ("joe", "wide.test", "/things/1", "No rule gives you"),
    "not in the catalog": ("zed", "localhost", "/portal", "does not know you"),
}


@pytest.mark.parametrize("name", EVERY)
def test_a_page_is_for_everybody(known: Callable[[str], Page], place: SigningIn, name: str) -> None:
    who, host, path, words = EVERY[name]
    page = known(who)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    opened(page, f"https://{host}:{place.node.port}{path}", words)
    assert re.search(r"[Rr]equest\s+[0-9a-f]+-", page.inner_text("footer")), "its request id"
    for each in page.locator("summary").all():
        each.click()
    assert what_is_wrong(page) == []
    assert [each for each in said if "status of" not in each] == []
    page.context.close()
