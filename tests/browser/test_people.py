"""Promises to a person with a browser: sign in and be where they wanted to go, see what is theirs, sign out, on any
screen, and with a screen reader too (axe-core finds nothing serious)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import oidc_provider
from tests.support.chromium import PATIENCE_MS, what_is_wrong
from tests.support.running_lab import RunningLab, running_lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
AXE = oidc_provider.FOLDER / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM} (`apt-get install chromium`)"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@contextmanager
def browsing(**settings: Any) -> Iterator[Page]:
    """A new profile: nobody is signed in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        # The policies of our pages would keep axe-core out.
        yield browser.new_context(ignore_https_errors=True, bypass_csp=True, **settings).new_page()
        browser.close()


def url(lab: RunningLab, path: str, host: str = "localhost") -> str:
    return f"https://{host}:{lab.port}{path}"


def sign_in(page: Page, lab: RunningLab, who: str = "jane", *, mfa: bool = True, path: str = "/portal") -> None:
    page.goto(url(lab, path))
    page.get_by_label("with a second factor").set_checked(mfa)
    page.locator(f"button[value={who}]").click()
    page.wait_for_url(f"**localhost:{lab.port}**")


def test_who_opens_a_service_signs_in_and_is_there_and_everywhere_else_too(lab: RunningLab) -> None:
    with browsing() as page:
        page.goto(url(lab, "/payments?state=open#top", "payments.localhost"))
        page.locator("button[value=jane]").click()
        page.wait_for_url(url(lab, "/payments?state=open", "payments.localhost") + "**")
        assert "pay-2041" in page.inner_text("body")
        page.goto(url(lab, "/payments", "payments.staging.localhost"))
        assert page.url == url(lab, "/payments", "payments.staging.localhost")  # nobody was asked again
        told = json.loads(page.goto(url(lab, "/.stagedoor/whoami", "payments.localhost")).text())  # type: ignore[union-attr]  # it answers
        assert told["ref"] == "user:default/jane"


def test_a_service_that_asks_for_more_gets_it_and_the_person_is_back_where_they_were(lab: RunningLab) -> None:
    with browsing() as page:
        sign_in(page, lab, mfa=False)
        page.goto(url(lab, "/payments", "payments.localhost"))  # prod asks people for a second factor
        assert page.get_by_label("with a second factor").is_checked()
        page.locator("button[value=jane]").click()
        page.wait_for_url(url(lab, "/payments", "payments.localhost"))
        assert "pay-2041" in page.inner_text("body")


def test_who_may_not_is_told_why_in_one_sentence_and_what_to_do(lab: RunningLab) -> None:
    with browsing() as page:
        sign_in(page, lab, "priya")
        answer = page.goto(url(lab, "/payments", "payments.localhost"))
        assert answer is not None
        assert answer.status == 403
        assert "No rule gives you access to this service." in page.inner_text("body")
        assert "Ask its owners" in page.inner_text("body")


def test_the_portal_shows_what_is_reached_and_leads_there(lab: RunningLab) -> None:
    with browsing() as page:
        sign_in(page, lab)
        page.get_by_role("searchbox").fill("payments")
        page.get_by_role("button", name="Search").click()
        assert page.get_by_role("article").count() == 1
        page.get_by_text("Team payments may read payments in prod").wait_for()
        page.get_by_role("link", name="My services").click()
        page.get_by_role("link", name="Payments", exact=True).click()
        assert "Who can reach it" in page.inner_text("main")
        page.get_by_role("link", name="My sessions").click()
        page.get_by_text("this browser", exact=True).wait_for()


def test_signing_out_ends_it_on_every_host_and_at_the_provider(lab: RunningLab) -> None:
    with browsing() as page:
        sign_in(page, lab)
        page.goto(url(lab, "/payments", "payments.localhost"))
        page.goto(url(lab, "/portal"))
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="You are signed out").wait_for()
        page.goto(url(lab, "/payments", "payments.localhost"))
        page.get_by_role("heading", name="Who are you today?").wait_for()


def test_a_session_ended_in_another_browser_is_over_in_this_one(lab: RunningLab) -> None:
    with browsing() as page:
        sign_in(page, lab, "mei")
        other = page.context.browser.new_context(ignore_https_errors=True).new_page()  # type: ignore[union-attr]  # it has one
        sign_in(other, lab, "mei", path="/portal/sessions")
        other.get_by_role("button", name="End all others").click()
        other.wait_for_load_state()
        assert other.get_by_role("article").count() == 1
        assert page.request.get(url(lab, "/.stagedoor/whoami")).status == 401
        assert other.request.get(url(lab, "/.stagedoor/whoami")).status == 200


def test_a_service_with_nothing_wrong_has_something_to_know_and_nothing_to_look_at(lab: RunningLab) -> None:
    with browsing() as page:
        sign_in(page, lab)
        page.goto(url(lab, "/portal/services/component:default/payments"))
        assert "where it really runs in prod" in page.locator(".card", has_text="To know").inner_text()
        assert page.get_by_role("heading", name="To look at").count() == 0


PAGES = ("/portal", "/portal?q=nothing-is-called-so", "/portal/services", "/portal/services/component:default/payments",
         "/portal/sessions", "/portal/services/component:default/orders", "/.stagedoor/signed-out")  # fmt: skip


NO_AXE = "axe-core is not installed; `python -m tests.support.oidc_provider` does it"


@pytest.mark.skipif(not AXE.exists(), reason=NO_AXE)
def test_nothing_serious_is_in_the_way_of_anybody_and_nothing_runs_off_a_small_screen(lab: RunningLab) -> None:
    with browsing() as page:
        sign_in(page, lab)
        for address in [*(url(lab, path) for path in PAGES), url(lab, "/orders", "orders.localhost")]:
            page.goto(address)
            assert what_is_wrong(page) == [], address


@pytest.mark.skipif(not AXE.exists(), reason=NO_AXE)
def test_the_labs_own_pages_are_for_everybody_too(lab: RunningLab) -> None:
    """Where one chooses who to be, and the start page with its live decisions."""
    with browsing() as page:
        page.set_default_timeout(PATIENCE_MS)
        page.goto(url(lab, "/portal"))
        page.get_by_role("heading", name="Who are you today?").wait_for()
        assert what_is_wrong(page) == []
        page.goto(url(lab, "/"))
        page.locator("#state", has_text="live").wait_for()
        assert what_is_wrong(page, scripts=3) == []


def test_a_page_is_used_with_the_keyboard_alone(lab: RunningLab) -> None:
    with browsing() as page:
        sign_in(page, lab)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "q"
        page.keyboard.type("handbook")
        page.keyboard.press("Enter")
        page.wait_for_url("**q=handbook**")
        assert page.get_by_role("article").count() == 1
