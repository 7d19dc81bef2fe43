"""`tests`, as a line and as a mapping: what is called, by whom, with what, and what it must come to."""

from __future__ import annotations

from typing import Any

import pytest

from policy.demands import DemandReader
from policy.facts import Source
from policy.promises.expectations import expectations_in
from policy.statements import Expectation, Shown


def read(node: Any) -> tuple[tuple[Expectation, ...], list[str]]:
    reader = DemandReader(lambda path: Source("access.yaml", 3))
    return expectations_in(reader, node, ("dev", "prod")), [str(fault) for fault in reader.faults]


def one(node: Any) -> Expectation:
    (found,), faults = read(node)
    assert faults == []
    return found


def test_a_url_is_read_as_a_request_would_carry_it() -> None:
    found = one("jane GET https://A.example.com:8443/a%20b/?q=1#x in prod → refused no_rule")
    assert (found.host, found.path, found.method) == ("a.example.com", ("a b", ""), "GET")
    assert (found.subject, found.environment, found.allowed, found.reason) == (
        "user:default/jane", "prod", False, "no_rule",
    )  # fmt: skip
    assert one("jane GET http://a.example.com -> permit").path == ("",)


def test_a_call_below_a_service_is_a_path_or_an_operation() -> None:
    by_path = one("group:x POST /a/{b} of payments in prod -> permit")
    assert (by_path.service, by_path.path, by_path.method) == ("component:default/payments", ("a", "{}"), "POST")
    by_name = one("component:x createRefund of component:ns/payments in dev -> allowed owner")
    assert (by_name.service, by_name.operation, by_name.path) == ("component:ns/payments", "createRefund", None)


def test_a_line_shows_a_second_factor_and_a_certificate() -> None:
    assert one("jane with mfa GET https://a.b/ → permit").shown == Shown(mfa=True)
    assert one("jane with mfa,certificate GET https://a.b/ → permit").shown == Shown(mfa=True, certificate=True)
    assert one("jane with certificate with mfa GET https://a.b/ → permit").shown == Shown(mfa=True, certificate=True)


def test_a_mapping_shows_all_that_a_token_and_a_call_can() -> None:
    shown = {
        "scopes": ["a", "b"], "mfa": True, "signed-in": "13h", "issuer": "okta", "from": "10.1.2.3",
        "certificate": True, "through": "web", "acting": ["component:robot", "user:kim"],
    }  # fmt: skip
    found = one({"who": "jane", "with": shown, "call": "GET https://a.b/", "expect": "permit", "name": "all of it"})
    assert found.name == "all of it"
    assert found.shown == Shown(
        frozenset({"a", "b"}), True, 13 * 3600, "okta", "10.1.2.3", True, "component:default/web",
        ("component:default/robot", "user:default/kim"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "jane → permit", "→ permit", "GET https://a.b/ → permit", "jane GET → permit", "jane GET https://a.b/ → ",
        "jane GET https://a.b/ → permit owner now", "jane GET https://a.b/ → deny", "jane GET https://a.b:0/ → permit",
        "jane GET https://a.b/;x → permit", "jane GET https://a.b/a%2fb → permit", "jane GET https://a.b/%00 → permit",
        "jane GET https://[::1/ → permit", "jane GET ftp://a.b/ → permit", "jane with GET https://a.b/ → permit",
        "jane GET /a of b in prod, dev → permit", "jane GET /a in prod → permit", "x" * 3000 + " → permit", 7, None,
        ["jane"], {"who": "jane"}, {"who": "jane", "call": "GET https://a.b/", "expect": "permit", "with": {"mfa": 1}},
        {"who": "jane", "call": "GET https://a.b/", "expect": "permit", "with": {"from": "somewhere"}},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_fault_and_no_test(line: object) -> None:
    found, faults = read([line])
    assert found == ()
    assert faults


def test_every_fault_is_told_and_the_rest_is_read() -> None:
    found, faults = read(["jane GET https://a.b/ → permit", "jane GETT https://a.b/ → permitt"])
    assert len(found) == 1
    assert len(faults) == 2
