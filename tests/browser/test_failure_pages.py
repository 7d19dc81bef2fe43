"""Promises of every page that says no, the rare ones too: one sentence, what to do, and nothing in anybody's way.

The pages are drawn as control and the doors draw them and shown under their own policies, without a node: what leads to
each of them in earnest is tested where it happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.control.pages import STATIC, Pages
from gateway.control.signin.failures import FAILURES
from gateway.errors import FAULTS
from gateway.http1.for_people import Visitor, parting_page
from gateway.http1.pages import refusal
from tests.support.chromium import AXE, CHROMIUM, NO_CHROMIUM, chromium, profile, what_is_wrong

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Route

HERE = "https://door.test"
BROWSER = b"text/html"
VISITOR = Visitor(True, "jane", f"{HERE}/portal")
REFUSED = (
    "no_rule", "denied", "identity_unknown", "identity_required", "operation_unknown", "requirement_unmet",
    "scope_missing", "session_ended", "session_not_begun", "upstream_connect", "request_head_too_large",
)  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=NO_CHROMIUM),
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there; `python -m tests.support.oidc_provider`"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        shown = profile(browser)
        shown.route(f"{HERE}/**", _static)
        yield shown


def _static(route: Route) -> None:
    name = route.request.url.rpartition("/")[2]
    if name in STATIC:
        body = files("gateway.control.pages").joinpath("static", name).read_bytes()
        route.fulfill(status=200, body=body, content_type=STATIC[name])
    else:
        route.fulfill(status=404, body="")


def show(page: Page, status: int, headers: dict[str, str], body: bytes) -> list[str]:
    """What the console says about it."""
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        said.append(message.text)

    page.on("console", hear)
    page.route(f"{HERE}/shown", lambda route: route.fulfill(status=status, headers=headers, body=body))
    page.goto(f"{HERE}/shown")
    page.unroute(f"{HERE}/shown")
    page.remove_listener("console", hear)
    return [each for each in said if "status of" not in each]


@pytest.mark.parametrize("code", sorted(FAILURES))
def test_why_nobody_was_signed_in_can_be_read_by_everybody(page: Page, code: str) -> None:
    failure = FAILURES[code]
    values = {
        "sentence": failure.sentence, "todo": failure.todo, "code": code, "called": "Sign in again",
        "again": "/.stagedoor/sign-in" if failure.again else "",
    }  # fmt: skip
    asked = make_mocked_request("GET", "/.stagedoor/sign-in", headers={"X-Request-Id": "r-1-2"})
    drawn = Pages().page(asked, "failed.html", values, status=failure.status)
    assert isinstance(drawn.body, bytes)
    assert show(page, 200, dict(drawn.headers), drawn.body) == []
    assert page.get_by_role("heading").inner_text() == failure.sentence
    text = page.inner_text("body")
    assert failure.todo in text and code in text and "r-1-2" in text
    assert page.get_by_role("link", name="Sign in again").count() == int(failure.again)
    assert what_is_wrong(page) == []


@pytest.mark.parametrize("code", REFUSED)
def test_why_the_door_refuses_can_be_read_by_everybody(page: Page, code: str) -> None:
    answer = refusal(FAULTS[code], request_id=b"r-1-2", detail="x" * 300, accept=BROWSER, visitor=VISITOR)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    headers = {name: value for name, value in lines if name not in ("Content-Length", "Connection")}
    assert show(page, 200, headers, body) == []
    text = page.inner_text("body")
    assert code in text and "r-1-2" in text
    assert "signed in as jane" in text
    assert what_is_wrong(page) == []


def test_the_page_between_two_sign_outs_can_be_read(page: Page) -> None:
    """Its address leads nowhere here, so that it stays."""
    fields, body = parting_page(f"{HERE}/static/nothing")
    page.route(f"{HERE}/static/nothing", lambda route: route.fulfill(status=204))
    headers = dict(line.split(": ", 1) for line in fields.decode().strip().split("\r\n"))
    assert show(page, 200, headers, body) == []
    assert page.get_by_role("link", name="Go on").count() == 1
    assert what_is_wrong(page) == []
