"""A real browser for tests: new profiles, and what any page of ours must be whoever looks at it.

Hosts of tests lead to loopback; the address bar keeps the name. A page's own policy stays in force: axe-core is
evaluated beside it, as a developer's console does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from tests.support import oidc_provider

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM: Final = Path("/usr/bin/chromium")
AXE: Final = oidc_provider.FOLDER / "node_modules" / "axe-core" / "axe.min.js"
NO_CHROMIUM: Final = f"needs a browser at {CHROMIUM} (`apt-get install chromium`)"
FLAGS: Final = (
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
)  # fmt: skip
PATIENCE_MS: Final = 40_000.0  # a machine that stands still for a while is no failure
NARROW: Final = 360
WIDE: Final = 1920
_AXE_SAYS: Final = """async rules => { const said = await axe.run(rules); return [said.passes.length,
  said.violations.filter(each => ["serious", "critical"].includes(each.impact))
    .map(each => each.id + " " + each.nodes.map(node => node.html.slice(0, 200)).join(" "))]; }"""
_LOOKS: Final = """() => ({
  title: document.title, lang: document.documentElement.lang, mains: document.querySelectorAll("main").length,
  headings: [...document.querySelectorAll("h1")].map(each => each.textContent.trim()),
  scripts: document.querySelectorAll("script, [onclick], [onload], [style]").length})"""


@contextmanager
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS), timeout=PATIENCE_MS)
        yield browser
        browser.close()


def profile(browser: Browser, **settings: Any) -> Page:
    """A new one with one tab: nobody is signed in."""
    context = browser.new_context(ignore_https_errors=True, **settings)
    context.set_default_timeout(PATIENCE_MS)
    return context.new_page()


def what_is_wrong(page: Page, *, scripts: int = 0) -> list[str]:
    """Of the page that is open: how it is made, how wide it is, and what axe-core says, in both schemes.
    ``scripts``: how many it has."""
    told: Mapping[str, Any] = page.evaluate(_LOOKS)
    wrong = [f"{name}: {told[name]!r}" for name, good in (("lang", "en"), ("mains", 1), ("scripts", scripts))
             if told[name] != good]  # fmt: skip
    if len(told["headings"]) != 1 or not told["headings"][0] or not told["title"]:
        wrong.append(f"headings: {told['headings']!r}, title: {told['title']!r}")
    for width in (NARROW, 768, WIDE):
        page.set_viewport_size({"width": width, "height": 800})
        if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            wrong.append(f"scrolls sideways at {width}")
    if not AXE.exists():
        assert not wrong
        pytest.skip("axe-core is not installed; `python -m tests.support.oidc_provider` does it")
    page.evaluate(AXE.read_text())
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    looked, found = page.evaluate(_AXE_SAYS, {})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    compared, dark = page.evaluate(_AXE_SAYS, {"runOnly": ["color-contrast"]})  # all that is another in the dark
    assert looked > 10 and compared + len(dark) == 1, "axe-core looked at nothing"
    return [*wrong, *found, *(f"in the dark: {each}" for each in dark)]


def hosts_asked(page: Page) -> set[str]:
    """Grows with each host that a page of this tab's profile sends a request to."""
    asked: set[str] = set()
    page.context.on("request", lambda request: asked.add(urlsplit(request.url).hostname or ""))
    return asked
