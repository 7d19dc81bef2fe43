"""Only a page of the host itself may use what a browser sends along for that host."""

from __future__ import annotations

import pytest

from gateway.http1.origin import is_own_origin


@pytest.mark.parametrize(
    ("origin", "authority", "scheme"),
    [
        (b"https://app.test", b"app.test", b"https"),
        (b"https://app.test", b"App.Test:443", b"https"),
        (b"https://APP.test:443 ", b"app.test", b"https"),
        (b"http://app.test", b"app.test:80", b"http"),
        (b"http://app.test:8080", b"app.test:8080", b"http"),
        (b"https://app.test", b"app.test", b"http"),  # encryption ended in front of the door
        (b"https://[::1]:8443", b"[::1]:8443", b"https"),
    ],
)
def test_a_page_of_the_host_itself(origin: bytes, authority: bytes, scheme: bytes) -> None:
    assert is_own_origin(origin, authority, scheme)


@pytest.mark.parametrize(
    ("origin", "authority", "scheme"),
    [
        (b"https://evil.test", b"app.test", b"https"),
        (b"https://app.test.evil.test", b"app.test", b"https"),
        (b"https://evil.test/app.test", b"app.test", b"https"),
        (b"https://app.test@evil.test", b"app.test", b"https"),
        (b"https://app.test:8443", b"app.test", b"https"),
        (b"https://app.test", b"app.test:8443", b"https"),
        (b"https://app.test:80", b"app.test", b"https"),
        (b"http://app.test", b"app.test", b"https"),  # whoever sits in the network wrote that page
        (b"null", b"app.test", b"https"),
        (b"app.test", b"app.test", b"https"),
        (b"file://", b"", b"https"),
        (b"chrome-extension://app.test", b"app.test", b"https"),
        (b"https://evil.test, https://app.test", b"app.test", b"https"),
        (b"", b"", b"https"),
    ],
)
def test_any_other_page(origin: bytes, authority: bytes, scheme: bytes) -> None:
    assert not is_own_origin(origin, authority, scheme)
