"""The page of the way: whom it asks about, and what it takes for granted of them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.control.api.callers import Caller
from gateway.control.api.ways import Ways
from gateway.control.pages import Pages
from gateway.control.portal.filters import FILTERS
from gateway.control.portal.ways import WayPages
from policy.facts import Principal

URL = "https://pay.test/"


def caller(*, is_administrator: bool) -> Caller:
    return Caller(Principal("person", "user:default/jane", frozenset()), is_administrator, True)


def drawn(query: str, *, is_administrator: bool) -> tuple[str, list[tuple[str | None, bool]]]:
    """The page, and about whom it asked, with a second factor or without."""
    asked: list[tuple[str | None, bool]] = []

    class Asked:
        async def path(self, _caller: Caller, method: str, url: str, user: str | None, mfa: bool) -> Any:
            assert (method, url) == ("GET", URL)
            asked.append((user, mfa))
            hop = {"kind": "door", "at": "pay.test", "state": "open", "sentence": "May.", "todo": ""}
            way = {"person": "omar", "method": method, "url": url, "state": "open", "sentence": "Open.", "hops": [hop]}
            return way, ""

    def who(_caller: Caller, here: str) -> dict[str, Any]:
        return {"person": "jane", "here": here}

    pages = WayPages(cast("Ways", Asked()), Pages("gateway.control.portal", FILTERS), who)
    request = make_mocked_request("GET", f"/portal/path?url={URL}{query}")
    page = asyncio.run(pages.one(request, caller(is_administrator=is_administrator)))
    return str(getattr(page, "text", "")), asked


@pytest.mark.parametrize(("query", "mfa"), [("&user=omar", False), ("&user=omar&mfa=on", True)])
def test_administrators_ask_what_a_second_factor_would_open(query: str, mfa: bool) -> None:
    page, asked = drawn(query, is_administrator=True)
    assert asked == [("omar", mfa)]
    assert ('name="mfa" checked' in page) is mfa


@pytest.mark.parametrize("is_administrator", [False, True])
def test_of_oneself_the_door_knows_how_one_signed_in(is_administrator: bool) -> None:
    page, asked = drawn("&mfa=on", is_administrator=is_administrator)
    assert asked == [(None, False)]
    assert ('name="mfa"' in page) is is_administrator
