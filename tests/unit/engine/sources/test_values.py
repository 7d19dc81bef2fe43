"""Single values of annotations: one spelling, or none."""

from __future__ import annotations

import pytest

from gateway.engine.sources.values import duration_s, is_host, network_of, operation_of, prefix_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT4H", 14400), ("P1D", 86400), ("P1DT30M", 88200), ("PT90S", 90), ("PT1H30M5S", 5405),
        ("", 0), ("4h", 0), ("PT", 0), ("P", 0), ("P1Y", 0), ("P1M", 0), ("PT4H ", 0), ("pt4h", 0), ("P1DT", 0),
        ("PT-4H", 0), ("PT99999999H", 0),
    ],
)  # fmt: skip
def test_a_duration_is_iso_8601_without_months(text: str, seconds: int) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "single", "network"),
    [
        ("10.0.0.1", True, "10.0.0.1/32"), ("10.0.0.0/8", False, "10.0.0.0/8"), ("::1", True, "::1/128"),
        ("fd00::/8", False, "fd00::/8"), ("10.0.0.0/8", True, None), ("10.0.0.1/8", False, None), ("10.1", True, None),
        ("::ffff:10.0.0.1", True, None), ("::ffff:10.0.0.0/104", False, None), ("a.internal", False, None),
        ("", True, None),
    ],
)  # fmt: skip
def test_an_address_is_a_network_of_one(text: str, single: bool, network: str | None) -> None:
    found = network_of(text, single=single)
    assert (str(found) if found is not None else None) == network


def test_a_host_is_a_name_with_at_most_one_leading_wildcard() -> None:
    assert all(map(is_host, ("a", "a.example.com", "*.example.com")))
    assert not any(map(is_host, ("", "A.example.com", "a.*.example.com", "*", "a b", "a_b.example.com", "a." * 200)))
    assert not is_host("a." * 200 + "a")


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("get /a/{id}", ("GET", "/a/{id}")), ("GET  /a", ("GET", "/a")), ("POST /a/**", ("POST", "/a/**")),
        ("TRACE /a", None), ("GET a", None), ("GET", None), ("GET /a/**/b", None), ("GET /a*", None),
        ("GET /a//b", None), ("GET /a/../b", None), ("GET /%61", None), ("GET /a?b", None),
    ],
)  # fmt: skip
def test_an_operation_is_a_method_and_a_template(text: str, operation: tuple[str, str] | None) -> None:
    assert operation_of(text) == operation


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("/", "/"), ("/v1/", "/v1"), ("/%76%31", "/v1"), ("v1", ""), ("/a//b", ""), ("/%2e%2e", ""), ("/%ff", ""),
     ("/a%2Fb", ""), ("/" + "a" * 1023, "/" + "a" * 1023), ("/" + "a" * 1024, "")],
)  # fmt: skip
def test_a_prefix_is_decoded_once(path: str, prefix: str) -> None:
    assert prefix_of(path) == prefix
