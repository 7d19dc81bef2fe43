"""Promises to an administrator who reads a long plan in a browser: a step to look at twice is found without reading the
others, with eyes, keys or a screen reader, on any screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.chromium import CHROMIUM, NARROW, NO_CHROMIUM, WIDE, chromium, hosts_asked, profile, what_is_wrong
from tests.support.device_scene import DeviceScene, device_scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=NO_CHROMIUM),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]
_COLOURS = """() => [...document.querySelectorAll(".steps li")].map(each =>
  [each.classList.contains("caution"), getComputedStyle(each).backgroundColor, each.innerText])"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceScene]:
    with device_scene(tmp_path_factory.mktemp("devices")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def opened(browser: Browser, scene: DeviceScene, path: str, width: int = 1000) -> Page:
    page = profile(
        browser, viewport={"width": width, "height": 900},
        extra_http_headers={"Authorization": f"Bearer {scene.central.token('root')}"},
    )  # fmt: skip
    page.goto(f"http://localhost:{scene.central.node.port}{path}")
    return page


@pytest.mark.parametrize("path", ["/portal/devices", "/portal/devices/dc1/prod", "/portal/devices/dc2/prod"])
def test_a_page_is_well_made(scene: DeviceScene, browser: Browser, path: str) -> None:
    page = opened(browser, scene, path)
    asked = hosts_asked(page)
    page.reload()
    assert what_is_wrong(page) == []
    for width in (NARROW, WIDE):  # with everything unfolded, too
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert asked == {"localhost"}
    page.context.close()


def test_a_step_to_look_at_twice_stands_out_among_many(scene: DeviceScene, browser: Browser) -> None:
    page = opened(browser, scene, "/portal/devices/dc1/prod")
    steps = page.evaluate(_COLOURS)
    marked = [(colour, text) for is_marked, colour, text in steps if is_marked]
    assert len(steps) > 25
    assert 0 < len(marked) < 8
    assert {colour for colour, _ in marked}.isdisjoint({colour for is_marked, colour, _ in steps if not is_marked})
    assert all("Look twice." in text for _, text in marked)  # not by colour alone
    first = page.locator(".twice").bounding_box()
    assert first is not None
    assert first["y"] < 900  # on the first screen
    page.context.close()


def test_from_the_list_to_a_marked_step_by_keys_alone(scene: DeviceScene, browser: Browser) -> None:
    page = opened(browser, scene, "/portal/devices")
    page.get_by_role("link", name="prod on dc1").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="prod on dc1").wait_for()
    page.get_by_role("link", name="Step 4", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**#step-4")
    assert page.locator("#step-4").evaluate("each => each.matches(':target')")
    page.locator("#step-1 summary").focus()
    page.keyboard.press("Enter")
    page.locator("#step-1 pre").first.wait_for()
    page.context.close()


def test_three_values_stand_side_by_side_and_below_each_other_where_it_is_narrow(
    scene: DeviceScene, browser: Browser
) -> None:
    for width, is_aside in ((1000, True), (NARROW, False)):
        page = opened(browser, scene, "/portal/devices/dc1/prod", width)
        boxes = page.evaluate(
            """() => [...document.querySelector('.three').children].map(each => each.getBoundingClientRect().y)"""
        )
        assert len(boxes) == 3
        assert (len(set(boxes)) == 1) == is_aside
        assert page.get_by_text("Catalog wants").count() >= 3
        page.context.close()
