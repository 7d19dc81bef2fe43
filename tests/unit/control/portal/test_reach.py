"""Where a link of the portal leads: to something that its reader may open, or nowhere."""

from __future__ import annotations

import pytest

from gateway.control.portal.filters import moment, ported
from gateway.control.portal.reach import first_page


@pytest.mark.parametrize(
    ("names", "leads_to"),
    [
        (["GET /**", "POST /**"], "/"),  # a website
        (["GET /", "GET /items"], "/"),
        (["GET /items/{id}", "GET /orders", "GET /items"], "/items"),  # what can be opened as it stands, the shortest
        (["GET /items/{id}", "GET /files/**"], ""),
        (["POST /webhooks/carrier"], ""),  # nothing that a link does
        (["HEAD /items"], ""),
        ([], ""),
    ],
)
def test_a_link_leads_where_its_reader_may_go(names: list[str], leads_to: str) -> None:
    assert first_page(names) == leads_to


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://shop.test/", "https://shop.test:8443/"), ("https://shop.test/a/b", "https://shop.test:8443/a/b"),
        ("https://shop.test:99/", "https://shop.test:99/"), ("", ""),
    ],
)  # fmt: skip
def test_an_address_has_the_port_by_which_people_came(url: str, shown: str) -> None:
    assert ported(url, ":8443") == shown
    assert ported(url, "") == url


def test_an_instant_is_told_to_the_minute() -> None:
    assert moment("2026-11-22T14:34:34.725Z") == "2026-11-22 14:34 UTC"
    assert moment("") == ""
