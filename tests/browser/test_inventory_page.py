"""Promises to the owner of a service that thousands may use: one page tells what was made of it, who lags behind stands
first, and it is for everybody: on a phone, in the dark, by keys alone, with a screen reader."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.central import CentralNode
from tests.support.chromium import CHROMIUM, NARROW, NO_CHROMIUM, WIDE, chromium, hosts_asked, profile, what_is_wrong
from tests.support.inventory_scene import PAGE, PEOPLE, PROGRAMS, inventory_scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=NO_CHROMIUM),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
    pytest.mark.timeout(180),
]
DRAWN_S = 3.0  # on a machine that does other things, too
LONGEST = 512 * 1024


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralNode]:
    with inventory_scene(tmp_path_factory.mktemp("inventory")) as node:
        yield node


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def opened(browser: Browser, central: CentralNode, path: str, who: str = "olga", width: int = 1000) -> Page:
    page = profile(
        browser, viewport={"width": width, "height": 900},
        extra_http_headers={"Authorization": f"Bearer {central.token(who)}"},
    )  # fmt: skip
    page.goto(f"http://localhost:{central.node.port}{path}")
    return page


@pytest.mark.parametrize("who", ["olga", "root"])
def test_the_page_is_for_everybody(browser: Browser, central: CentralNode, who: str) -> None:
    page = opened(browser, central, PAGE, who)
    asked = hosts_asked(page)
    page.reload()
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert what_is_wrong(page) == []
    for width in (NARROW, WIDE):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert asked == {"localhost"}
    page.context.close()


def test_thousands_of_people_and_dozens_of_rules_are_counted_and_folded(browser: Browser, central: CentralNode) -> None:
    began_s = time.monotonic()
    page = opened(browser, central, PAGE)
    assert time.monotonic() - began_s < DRAWN_S
    assert len(page.content()) < LONGEST
    text = page.inner_text("main")
    assert f"{PEOPLE + 1:,} people of the catalog, by {PROGRAMS + 1} rules." in text
    assert "51 more rules" in text
    assert "30 more addresses" in text
    assert page.locator(".rows:visible > li").count() < 40
    page.context.close()


def test_thousands_of_people_are_named_in_pages(browser: Browser, central: CentralNode) -> None:
    page = opened(browser, central, PAGE)
    page.get_by_role("link", name=f"{PEOPLE + 1:,} people").click()
    page.get_by_role("heading", name="Whom rule").wait_for()
    assert f"1–100 of {PEOPLE + 1:,} people" in page.inner_text("main")
    page.get_by_role("link", name="More").click()
    page.get_by_text(f"101–200 of {PEOPLE + 1:,} people").wait_for()
    assert page.locator(".names li").count() == 100
    assert what_is_wrong(page) == []
    page.context.close()


def test_what_the_firewall_lacks_is_said_on_the_first_screen(browser: Browser, central: CentralNode) -> None:
    page = opened(browser, central, PAGE, width=NARROW)
    head = page.get_by_role("heading", name="Who lags behind").bounding_box()
    assert head is not None
    assert head["y"] < 700
    assert "edge in prod" in page.inner_text(".twice")
    page.context.close()


def test_by_keys_alone_from_the_service_to_a_folded_rule(browser: Browser, central: CentralNode) -> None:
    page = opened(browser, central, PAGE.removesuffix("/inventory"))
    page.get_by_role("link", name="All that was made of it").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{PAGE}")
    fold = page.locator("summary", has_text="more rules").first
    fold.focus()
    assert fold.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.locator(".fold").first.locator("li").last.wait_for()
    page.context.close()
