"""People sign in at a whole node with a certified provider: over TLS, through real doors, with the rules of a browser.

What goes wrong is tried at the same place: every link, cookie and code in the hands of somebody else.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.control.signin.asking import FORM_S, FORMS
from gateway.control.signin.flow import AT_ONCE
from tests.support import oidc_provider
from tests.support.door import until
from tests.support.signing_in import CENTRAL, SigningIn, parameters, signing_in
from tests.support.surfing import Page, Surfer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(oidc_provider.why_not()), reason=oidc_provider.why_not() or "-"),
]
SIGN_IN = "/.stagedoor/sign-in"
EITHER = 16  # connections of which one and another surely come to different workers


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningIn]:
    with signing_in(tmp_path_factory.mktemp("sign-in"), workers=2) as found:
        yield found


def is_page(page: Page, status: int, code: str) -> bool:
    """Whether it is the page of this failure, with a request id, and leads nowhere by itself."""
    shown = f"<code>{code}</code>" in page.text and "Request <code>" in page.text
    return page.status == status and shown and not page.location


def test_a_person_signs_in_and_is_where_they_wanted_to_go(place: SigningIn) -> None:
    surfer = place.browser()
    page = place.sign_in(surfer, url=f"{place.app}/a/page?x=1&y=%20")
    assert page.status == 200, page.text
    assert page.url == f"{place.app}/a/page?x=1&y=%20"
    assert len(surfer.cookies("echo.test")["__Host-stagedoor"]) < 1000
    assert set(surfer.cookies("echo.test")) == {"__Host-stagedoor"}
    assert set(surfer.cookies(CENTRAL)) == {"__Host-stagedoor"}


def test_the_provider_is_asked_once_for_all_hosts(place: SigningIn) -> None:
    surfer = place.browser()
    place.sign_in(surfer)
    place.provider.asked()
    assert surfer.open(f"{place.central}/portal").status == 200
    assert place.provider.asked() == []


def test_the_request_is_pushed_and_the_address_bar_tells_nothing(place: SigningIn) -> None:
    surfer = place.browser()
    place.provider.asked()
    place.up_to_callback(surfer)
    assert "/request" in place.provider.asked()
    assert not [url for url in surfer.visited if "code_challenge" in url or "nonce" in url]


def test_ten_tabs_at_once_all_arrive(place: SigningIn) -> None:
    surfer = place.browser()
    place.sign_in(surfer)
    for host in ("echo.test", CENTRAL):  # the provider still knows who it is
        del surfer.jar[host, "__Host-stagedoor"]
    addresses = [f"{place.app}/tab/{number}" for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        pages = list(pool.map(surfer.open, addresses))
    assert [(page.status, page.url) for page in pages] == [(200, address) for address in addresses]


def test_a_session_is_always_a_new_one(place: SigningIn) -> None:
    """Fixation: what a browser brought to the sign-in is not what it has afterwards."""
    surfer = place.browser()
    place.sign_in(surfer)
    before = surfer.cookies(CENTRAL)["__Host-stagedoor"]
    del surfer.jar["echo.test", "__Host-stagedoor"], surfer.jar[CENTRAL, "__Host-stagedoor"]
    place.sign_in(surfer)
    assert surfer.cookies(CENTRAL)["__Host-stagedoor"] != before


def test_who_says_no_at_the_provider_is_told_so(place: SigningIn) -> None:
    surfer = place.browser()
    page = place.sign_in(surfer, who="")
    assert is_page(page, 403, "denied")
    assert f"{place.app}/" in page.text
    assert not surfer.cookies(CENTRAL)


# === in the hands of somebody else ===


def test_a_callback_that_another_browser_began_signs_nobody_in(place: SigningIn) -> None:
    """Login CSRF: the attacker's code and state, opened by somebody else."""
    callback = place.up_to_callback(place.browser())
    victim = place.browser()
    assert is_page(victim.open(callback), 400, "cookie_missing")
    assert not victim.cookies(CENTRAL)


def test_a_callback_counts_once(place: SigningIn) -> None:
    surfer = place.browser()
    callback = place.up_to_callback(surfer)
    kept = {name: each for name, each in surfer.jar.items() if name[0] == CENTRAL}
    assert surfer.open(callback).status == 200
    surfer.jar.update(kept)  # the cookie, from a copy
    again = surfer.get(callback)
    assert is_page(again, 400, "callback_used")


def test_an_answer_from_another_issuer_is_a_mix_up(place: SigningIn) -> None:
    for iss in (f"{place.provider.issuer}/", "https://evil.test", place.node.issuer, ""):
        surfer = place.browser()
        said = parameters(place.up_to_callback(surfer))
        page = surfer.get(f"{place.central}/.stagedoor/callback?{urlencode({**said, 'iss': iss})}")
        assert is_page(page, 400, "issuer_mixed_up"), iss


def test_an_answer_without_issuer_is_none_where_the_provider_names_itself(place: SigningIn) -> None:
    surfer = place.browser()
    said = parameters(place.up_to_callback(surfer))
    del said["iss"]
    page = surfer.get(f"{place.central}/.stagedoor/callback?{urlencode(said)}")
    assert is_page(page, 400, "issuer_mixed_up")


@pytest.mark.parametrize("name", ["code", "state", "iss", "error"])
def test_a_parameter_that_is_there_twice_is_none(place: SigningIn, name: str) -> None:
    surfer = place.browser()
    page = surfer.get(place.up_to_callback(surfer) + f"&{name}=x&{name}=y")
    assert is_page(page, 400, "callback_malformed")


@pytest.mark.parametrize("state", ["", "x", "A" * 32, "%00", "..", "A" * 9000])
def test_a_state_that_is_none_is_no_sign_in(place: SigningIn, state: str) -> None:
    page = place.browser().get(f"{place.central}/.stagedoor/callback?code=x&state={state}")
    assert page.status in (400, 414)
    assert not page.location


def test_another_browsers_code_is_worth_nothing_with_ones_own_state(place: SigningIn) -> None:
    """Code injection: PKCE and nonce are of the browser that began."""
    attacker, victim = place.browser(), place.browser()
    stolen = parameters(place.up_to_callback(victim))
    own = parameters(place.up_to_callback(attacker, who="joe"))
    page = attacker.get(f"{place.central}/.stagedoor/callback?{urlencode({**own, 'code': stolen['code']})}")
    assert is_page(page, 403, "denied")
    assert not attacker.cookies(CENTRAL).get("__Host-stagedoor")


def test_a_hand_over_in_another_browser_opens_nothing(place: SigningIn) -> None:
    surfer = place.browser()
    page = surfer.get(place.up_to_callback(surfer))
    assert page.location.startswith(f"{place.app}/.stagedoor/arrive?code=")
    victim = place.browser()
    turned_back = victim.get(page.location)
    assert turned_back.location == f"{place.app}/.stagedoor/arrive?because=cookie"
    assert victim.get(turned_back.location).status == 400
    assert not victim.cookies("echo.test")
    again = surfer.get(page.location)
    assert again.location == f"{place.app}/.stagedoor/arrive?because=used", "nor in the one that began, from then on"
    assert "__Host-stagedoor" not in surfer.cookies("echo.test")


def test_a_hand_over_counts_once(place: SigningIn) -> None:
    surfer = place.browser()
    page = surfer.get(place.up_to_callback(surfer))
    kept = dict(surfer.jar)
    assert surfer.get(page.location).status == 303
    surfer.jar.clear()
    surfer.jar.update(kept)
    assert surfer.get(page.location).location.endswith("/arrive?because=used")
    assert "__Host-stagedoor" not in surfer.cookies("echo.test")


@pytest.mark.parametrize(
    "query",
    [
        "?ticket=1.x.AAAA", "?ticket=https://evil.test", "?ticket=x&ticket=y", "?issuer=idp", "?issuer=nobody",
        "?ticket=" + "A" * 5000,
    ],
)  # fmt: skip
def test_no_link_to_the_sign_in_chooses_where_it_ends(place: SigningIn, query: str) -> None:
    page = place.browser().get(place.central + SIGN_IN + query)
    assert page.status == 400
    assert not page.location


@pytest.mark.parametrize("name", ["rd", "redirect", "return_to", "next", "url", "target", "redirect_uri"])
def test_no_other_parameter_does_either(place: SigningIn, name: str) -> None:
    surfer = place.browser()
    for value in ("https://evil.test", "//evil.test", "/\\evil.test", "/%09/evil.test", "javascript:alert(1)"):
        callback = place.up_to_callback(surfer, url=f"{place.central}{SIGN_IN}?{urlencode({name: value})}")
        assert surfer.get(callback).location == f"{place.central}/"
        surfer.jar.clear()


@pytest.mark.parametrize("target", ["//evil.test/", "/%2f/evil.test", "/a//b", "/\\evil.test"])
def test_a_target_that_browsers_read_as_a_host_is_not_gone_to(place: SigningIn, target: str) -> None:
    surfer = place.browser()
    page = surfer.get(place.app + target)
    while page.location and "/interaction/" not in page.location:
        page = surfer.get(page.location)
    assert "evil.test" not in "".join(surfer.visited[1:])


def test_a_cookie_that_another_site_set_counts_for_nothing(place: SigningIn) -> None:
    """Tossing: two cookies of one name are no cookie; a foreign one opens nowhere."""
    surfer = place.browser()
    callback = place.up_to_callback(surfer)
    name = next(name for _, name in surfer.jar if name.startswith("__Host-stagedoor-signin-"))
    foreign = place.browser()
    own = surfer.cookies(CENTRAL)[name]
    for header in (f"{name}=1.x.AAAA", f"{name}={own}; {name}={own}", f"{name[:-1]}x={own}"):
        assert is_page(foreign.get(callback, {"Cookie": header}), 400, "cookie_missing"), header


def test_a_ticket_of_another_port_leads_nowhere(place: SigningIn) -> None:
    """A port of an application's host may be somebody else's, who would be handed the code and hold its cookie."""
    planted = place.browser().get(f"{place.app}/", {"Host": "echo.test:9"})
    assert planted.location.startswith(f"https://{CENTRAL}:9{SIGN_IN}?ticket=")
    ticket = parameters(planted.location)["ticket"]
    surfer = place.browser()
    place.sign_in(surfer)
    for browser in (surfer, place.browser()):
        assert is_page(browser.get(f"{place.central}{SIGN_IN}?ticket={ticket}"), 400, "ticket_unknown")
    form = urlencode({"ticket": ticket, "email": "jane@marlow.test"}).encode()
    assert is_page(surfer.post(place.central + SIGN_IN, form), 400, "ticket_unknown")


@pytest.mark.parametrize("path", ["/.stagedoor/backchannel-logout/sso", SIGN_IN])
def test_strangers_with_slow_forms_keep_nobody_else_waiting(place: SigningIn, path: str) -> None:
    surfer = place.browser()
    place.sign_in(surfer)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {CENTRAL}:{place.node.port}\r\nOrigin: {place.central}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 30000\r\n\r\n"
    )  # fmt: skip
    with Crowd(place, head, 600) as slow:
        until(lambda: slow.waiting() <= FORMS, 5)
        began = time.monotonic()
        assert surfer.get(f"{place.central}/portal").status == 200
        assert place.up_to_callback(place.browser())
        assert time.monotonic() - began < FORM_S / 2
        assert slow.waiting() > 0, "as few as there were, some were being read all the time"
        until(lambda: slow.waiting() == 0, FORM_S + 5)


def test_a_provider_that_answers_nothing_keeps_nobody_else_waiting(place: SigningIn) -> None:
    surfer = place.browser()
    place.sign_in(surfer)
    assert surfer.get(f"{place.central}/portal").status == 200
    head = f"GET {SIGN_IN} HTTP/1.1\r\nHost: {CENTRAL}:{place.node.port}\r\nAccept: text/html\r\n\r\n"
    with place.provider.silent(), Crowd(place, head, 600) as crowd:
        until(lambda: crowd.waiting() <= AT_ONCE, 5)
        began = time.monotonic()
        assert surfer.get(f"{place.central}/portal").status == 200
        assert is_page(place.browser().get(f"{place.central}{SIGN_IN}"), 503, "busy")
        assert time.monotonic() - began < 2
    until(lambda: place.browser().get(f"{place.central}{SIGN_IN}").status == 303, 20)


class Crowd:
    """So many connections, each with this beginning of a request."""

    def __init__(self, place: SigningIn, head: str, count: int) -> None:
        context = ssl.create_default_context(cafile=str(place.node.folder / "ca.pem"))
        self.open: list[ssl.SSLSocket] = []
        for _ in range(count):
            plain = socket.create_connection(("127.0.0.1", place.node.port), 10)
            self.open.append(context.wrap_socket(plain, server_hostname=CENTRAL))
            self.open[-1].sendall(head.encode())
            self.open[-1].setblocking(False)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.open:
            each.close()

    def waiting(self) -> int:
        """How many were not answered yet; who was, leaves."""
        for each in list(self.open):
            try:
                each.recv(1)
            except ssl.SSLWantReadError:
                continue
            each.close()
            self.open.remove(each)
        return len(self.open)


def test_a_form_of_another_site_chooses_no_provider(place: SigningIn) -> None:
    surfer = place.browser()
    body = urlencode({"email": "jane@marlow.test"}).encode()
    for headers in ({"Origin": "https://evil.test"}, {"Origin": ""}, {"Sec-Fetch-Site": "cross-site"}):
        page = surfer.post(place.central + SIGN_IN, body, headers)
        assert page.status in (400, 403)
        assert not surfer.cookies(CENTRAL)


def test_pages_may_not_be_framed_run_scripts_or_load_from_elsewhere(place: SigningIn) -> None:
    for path in (f"{SIGN_IN}?ticket=x", "/.stagedoor/signed-out", "/.stagedoor/callback"):
        page = place.browser().get(place.central + path)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert "no-store" in page.headers["Cache-Control"]
        assert "<script" not in page.text


@pytest.mark.parametrize("inside", ["iframe", "image", "empty", "object"])
def test_a_sign_in_begins_in_no_other_page(place: SigningIn, inside: str) -> None:
    """Framed, the provider's page would be what another page shows; and a page of pictures would begin a thousand."""
    place.provider.asked()
    page = place.browser().get(place.central + SIGN_IN, {"Sec-Fetch-Dest": inside})
    assert is_page(page, 400, "ticket_unknown")
    assert place.provider.asked() == []


def test_what_people_wrote_is_shown_as_text(place: SigningIn) -> None:
    surfer = place.browser()
    said = parameters(place.up_to_callback(surfer))
    hostile = urlencode({"state": said["state"], "iss": said["iss"], "error": "<script>alert(1)</script>"})
    page = surfer.get(f"{place.central}/.stagedoor/callback?{hostile}")
    assert is_page(page, 403, "denied")
    assert "alert(1)" not in page.text


def test_nothing_secret_is_in_the_log_or_the_trail(place: SigningIn) -> None:
    surfer = place.browser()
    callback = parameters(place.up_to_callback(surfer))
    page = surfer.get(f"{place.central}/.stagedoor/callback?{urlencode(callback)}")
    code = parameters(page.location)["code"]
    surfer.follow(page)
    cookie = surfer.cookies("echo.test")["__Host-stagedoor"]
    folder = place.node.folder
    written = [*(folder / "state" / "audit").rglob("*.jsonl"), folder / "log"]
    until(lambda: any(b"/.stagedoor/arrive" in each.read_bytes() for each in written), 10)
    for secret in (callback["code"], callback["state"], code, cookie, "s3cret-of-the-door"):
        assert not [each for each in written if secret.encode() in each.read_bytes()]


# === signing out ===


def signed_out(place: SigningIn, surfer: Surfer) -> Page:
    """Press the button of the application, and the provider's."""
    by_script = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    page = surfer.follow(surfer.post(f"{place.app}/.stagedoor/sign-out", headers=by_script))
    assert page.url.startswith(place.provider.issuer), page.text
    return surfer.submit(page.form(), logout="yes")


def test_signing_out_ends_it_here_and_at_the_provider(place: SigningIn) -> None:
    surfer = place.browser()
    place.sign_in(surfer)
    page = signed_out(place, surfer)
    assert page.url.startswith(f"{place.central}/.stagedoor/signed-out?state=")
    assert "at sso is over" in page.text
    assert "/interaction/" in surfer.open(f"{place.app}/").url
    assert "/interaction/" in surfer.open(f"{place.central}/portal").url


@pytest.mark.parametrize("state", ["", "?state=", "?state=x", "?state=1.a.AAAA", "?state=x&state=y"])
def test_a_return_that_we_did_not_seal_changes_nothing(place: SigningIn, state: str) -> None:
    surfer = place.browser()
    place.sign_in(surfer)
    page = surfer.get(f"{place.central}/.stagedoor/signed-out{state}")
    assert "at sso is over" not in page.text
    assert surfer.get(f"{place.app}/").status == 200


def test_a_provider_ends_the_sessions_of_a_person_everywhere(place: SigningIn) -> None:
    surfer, other = place.browser(), place.browser()
    place.sign_in(surfer)
    place.sign_in(other, who="joe")
    time.sleep(1.1)  # a session of the second in which the token was signed is its own
    place.provider.log_out("door", "jane")
    until(lambda: surfer.get(f"{place.app}/").status == 303, 1)
    assert other.get(f"{place.app}/").status == 200


# === what outlives a process ===


def test_a_session_outlives_control(place: SigningIn) -> None:
    """A worker that does not know it yet says to come back; nobody is taken for signed out."""
    surfer = place.browser()
    place.sign_in(surfer)
    old = place.node.children("control")[0]
    os.kill(old, signal.SIGKILL)
    statuses: list[int] = []

    def served() -> bool:
        statuses.extend(surfer.get(f"{place.app}/").status for _ in range(EITHER))
        return statuses[-EITHER:] == [200] * EITHER and place.node.children("control")[0] != old

    until(served, 30)
    assert set(statuses) <= {200, 503}

    def newcomer_is_served() -> bool:  # at every worker: each meets the new control by itself
        newcomer = place.browser()
        try:
            place.sign_in(newcomer)
        except AssertionError:
            return False
        return all(newcomer.get(f"{place.app}/").status == 200 for _ in range(EITHER))

    until(newcomer_is_served, 20)


def test_the_files_of_the_node_hold_no_token_in_the_clear(place: SigningIn, tmp_path: Path) -> None:
    surfer = place.browser()
    place.sign_in(surfer)
    for file in (place.node.folder / "state").rglob("*"):
        if file.is_file():
            assert b"eyJhbGciOi" not in file.read_bytes(), file
            assert file.stat().st_mode & 0o077 == 0 or "audit" in str(file), file
