"""A session's browser is called what people call it."""

from __future__ import annotations

import pytest

from gateway.control.portal.pages import browser_of

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (CHROME, "Chrome on Linux"), (CHROME + " Edg/156.0", "Edge on Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/19 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 Safari/604", "Safari on iPhone"),
        ("<b>something else</b>", ""), ("", ""),
    ],
)  # fmt: skip
def test_by_what_it_says_of_itself(agent: str, name: str) -> None:
    assert browser_of(agent) == name
