"""Promises about the lab's start page in a real browser: it shows people and services, decisions appear as they are
made, an edit changes a sentence while one looks, and a broken entry is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.lab import firewall
from gateway.lab.calls import ALLOWED, EDIT_FROM, EDIT_TO, EDITED, REFUSED
from gateway.lab.directory import read_directory
from tests.support.running_lab import PROJECT, RunningLab, running_lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM} (`apt-get install chromium`)"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands are for curl"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def page(lab: RunningLab) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        context = browser.new_context(ignore_https_errors=True)
        shown = context.new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.goto(f"https://localhost:{lab.port}/")
        shown.locator("#state", has_text="live").wait_for()
        yield shown
        browser.close()
    assert complaints == [], "the browser's console is quiet, its content security policy included"


def test_people_and_services_are_shown_with_commands_and_sentences(page: Page) -> None:
    people = page.locator("#people")
    assert people.get_by_role("heading").count() >= 8
    assert "Jane Okafor" in people.inner_text()
    services = page.locator("#services")
    assert services.get_by_role("heading").count() >= 7
    assert "Team payments may" in services.inner_text()
    assert page.locator("main .call pre").first.inner_text().startswith("curl --cacert ")


def test_a_decision_appears_as_it_is_made(page: Page, lab: RunningLab) -> None:
    status, _, _ = lab.get(REFUSED.url_host, REFUSED.path, lab.token("--user", "priya"))
    assert status == 403
    newest = page.locator("#decisions li").first
    newest.get_by_text("403 · no_rule").wait_for(timeout=3000)
    assert "priya" in newest.inner_text()
    lab.get(ALLOWED.url_host, ALLOWED.path, lab.token("--user", "jane"))
    newest.get_by_text("200 · owner").wait_for(timeout=3000)
    assert "because it owns it" in newest.inner_text()


def test_only_the_last_ten_stay(page: Page, lab: RunningLab) -> None:
    for number in range(12):
        lab.get(ALLOWED.url_host, f"/nobody/{number}")
    page.locator("#decisions li").first.get_by_text("/nobody/11").wait_for(timeout=3000)
    assert page.locator("#decisions li").count() == 10


def test_an_edit_changes_the_sentence_while_one_looks(page: Page, lab: RunningLab) -> None:
    file = lab.catalog / EDITED
    before = file.read_text()
    sentence = "Everyone in the catalog may read payments in prod"
    assert sentence not in page.locator("#services").inner_text()
    try:
        file.write_text(before.replace(EDIT_FROM, EDIT_TO))
        page.locator("#services li.fresh", has_text=sentence).wait_for(timeout=4000)
    finally:
        file.write_text(before)
    page.locator("#services li", has_text=sentence).wait_for(state="detached", timeout=4000)


def test_a_broken_entry_says_what_became_of_it_and_is_well_again_when_it_is_mended(page: Page, lab: RunningLab) -> None:
    entry = page.locator("#entries .entry", has_text="component:default/payments")
    entry.locator(".verdict", has_text="published").wait_for(timeout=4000)
    assert entry.get_by_role("link", name="prod").get_attribute("href") == f"https://payments.localhost:{lab.port}/"
    file = lab.catalog / EDITED
    before = file.read_text()
    try:
        file.write_text(before.replace("host.prod: payments.localhost", "host.prod: payments.elsewhere.example"))
        entry.locator(".verdict", has_text="held").wait_for(timeout=4000)
        note = entry.locator(".note").inner_text()
        assert note.startswith("prod: host payments.elsewhere.example is outside what prod may use")
        assert "payments.yaml:" in note
        assert "Ask Payments" in entry.inner_text()
        told = entity_command(lab, "payments")
        assert (told["state"], told["sentence"]) == ("held", entry.locator(".why").inner_text())
        assert page.locator("#entries .entry").first.inner_text().startswith("Payments"), "the worst comes first"
    finally:
        file.write_text(before)
    entry.locator(".verdict", has_text="published").wait_for(timeout=4000)
    assert entry.locator(".note").count() == 0


def entity_command(lab: RunningLab, ref: str) -> dict[str, Any]:
    words = ["entity", ref, "--json", "--config", str(lab.root / "stagedoor.yaml")]
    said = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=PROJECT,
    )
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def test_a_command_is_copied_whole(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    first = page.locator(".call").first
    first.get_by_role("button").click()
    first.get_by_text("Copied").wait_for(timeout=3000)
    assert page.evaluate("navigator.clipboard.readText()") == first.locator("pre").inner_text()


def test_it_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_firewalls_page_tells_who_passes_and_goes_on_telling(page: Page, lab: RunningLab) -> None:
    """Somebody who is cut off is stopped there, too, while one looks."""
    page.get_by_role("link", name="Its page").click()
    round_it = page.locator(".call", has_text="Jane goes round the door")
    round_it.get_by_text("is stopped").wait_for(timeout=30_000)
    seats = {name: address for address, name in firewall.seats(read_directory(lab.catalog).users).items()}
    _, address, port = firewall.DATABASE
    for label, value in (("Who, or from where", seats["tomas"]), ("To", address), ("Port", str(port))):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Would it pass?").click()
    asked = page.locator(".call.asked")
    asked.get_by_text("passes").wait_for()
    assert "tomas at " in asked.inner_text()
    lab.stagedoor("cut", "person", "tomas", "--because", "a test")
    try:
        asked.get_by_text("is stopped").wait_for(timeout=6000)
    finally:
        lab.stagedoor("cut", "lift", "person", "tomas")
    asked.get_by_text("passes").wait_for(timeout=6000)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
