"""Answers of our own: what programs and people read, and what never leaks into them."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from gateway.errors import FAULTS
from gateway.http1.pages import challenge, prefers_html, proxy_status, refusal

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def parts(out: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = out.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body


def test_a_program_reads_a_problem_document() -> None:
    """RFC 9457, with the code, what to do, and the request id beside its own members."""
    first, fields, body = parts(refusal(FAULTS["path_malformed"], request_id=b"req-1", detail="a dot segment"))
    assert first == "HTTP/1.1 400 Bad Request"
    assert fields["Content-Type"] == "application/problem+json"
    assert fields["Connection"] == "close"
    assert fields["X-Request-Id"] == "req-1"
    assert int(fields["Content-Length"]) == len(body)
    assert json.loads(body) == {
        "type": "https://stagedoor.dev/reasons/path_malformed",
        "title": FAULTS["path_malformed"].title,
        "status": 400,
        "code": "path_malformed",
        "detail": "a dot segment",
        "todo": FAULTS["path_malformed"].todo,
        "request_id": "req-1",
    }


def test_a_person_reads_a_page_that_loads_and_runs_nothing() -> None:
    _, fields, body = parts(refusal(FAULTS["no_rule"], request_id=b"req-1", accept=BROWSER))
    page = body.decode("utf-8")
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode("ascii")
    policy = fields["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"src=|href=|url\(|<script|@import", page)
    assert "No rule gives you access to this service." in page and "req-1" in page and "no_rule" in page


@pytest.mark.parametrize("accept", [b"", BROWSER])
def test_what_came_from_outside_is_escaped(accept: bytes) -> None:
    evil = '<script>alert("1")</script>\r\nX-Evil: 1'
    out = refusal(FAULTS["path_malformed"], request_id=b"<b>\r\n\r\n", detail=evil, accept=accept)
    head, _, body = out.partition(b"\r\n\r\n")
    assert b"Evil" not in head
    assert b"X-Request-Id: -\r\n" in head
    assert accept == b"" or b"<script" not in body
    assert accept != b"" or json.loads(body)["detail"] == evil


@pytest.mark.parametrize("accept", [b"", BROWSER])
def test_head_has_the_length_and_no_body(accept: bytes) -> None:
    whole = refusal(FAULTS["no_rule"], request_id=b"r", accept=accept)
    bodiless = refusal(FAULTS["no_rule"], request_id=b"r", accept=accept, head_only=True)
    assert bodiless == whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_no_refusal_is_stored_and_each_has_its_request_id(code: str) -> None:
    _, fields, _ = parts(refusal(FAULTS[code], request_id=b"req-1"))
    assert fields["Cache-Control"] == "no-store"
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert fields["X-Request-Id"] == "req-1"
    assert (fields.get("Connection") == "close") is FAULTS[code].close


def test_no_rule_looks_the_same_whatever_the_cause() -> None:
    """Without any right on a service nobody learns which of its paths exist."""
    assert refusal(FAULTS["no_rule"], request_id=b"r", detail="deny r-abc") == refusal(
        FAULTS["no_rule"], request_id=b"r"
    )


def test_the_connection_says_what_happens_to_it() -> None:
    fault = FAULTS["no_rule"]
    assert b"Connection" not in refusal(fault, request_id=b"r")
    assert b"\r\nConnection: close\r\n" in refusal(fault, request_id=b"r", close=True)
    assert b"\r\nConnection: keep-alive\r\n" in refusal(fault, request_id=b"r", version=10)


def test_405_names_the_methods_and_503_a_time() -> None:
    assert b"\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" in refusal(
        FAULTS["method_refused"], request_id=b"r"
    )
    assert b"\r\nRetry-After: 5\r\n" in refusal(FAULTS["policy_unavailable"], request_id=b"r")
    assert b"Retry-After" not in refusal(FAULTS["no_rule"], request_id=b"r")


def test_further_lines_and_the_challenge_are_written() -> None:
    out = refusal(FAULTS["token_expired"], request_id=b"r", www_authenticate=b"Bearer", extra=b"Proxy-Status: x\r\n")
    assert b"\r\nWWW-Authenticate: Bearer\r\n" in out
    assert b"\r\nProxy-Status: x\r\n" in out


def test_an_unsent_status_has_an_empty_phrase() -> None:
    assert refusal(FAULTS["client_gone"], request_id=b"r").startswith(b"HTTP/1.1 499 \r\n")


@pytest.mark.parametrize(
    ("code", "need", "expected"),
    [
        ("identity_required", (), b'Bearer realm="stagedoor"'),
        ("token_expired", (), b'Bearer realm="stagedoor", error="invalid_token", error_description="token_expired"'),
        (
            "scope_missing",
            ("payments:read", "payments:refund"),
            b'Bearer realm="stagedoor", error="insufficient_scope", scope="payments:read payments:refund"',
        ),
        ("scope_missing", ("a b", 'x"y', "é"), b'Bearer realm="stagedoor", error="insufficient_scope"'),
        (
            "requirement_unmet",
            ("mfa", "max_age=43200", "max_age=3600"),
            b'Bearer realm="stagedoor", error="insufficient_user_authentication", acr_values="mfa", max_age="3600"',
        ),
        ("requirement_unmet", ("issuer=corp",), b'Bearer realm="stagedoor", error="insufficient_user_authentication"'),
        (
            "requirement_unmet",
            ("issuer=ci,main", "network", "certificate"),
            b'Bearer realm="stagedoor", error="insufficient_user_authentication"',
        ),
        ("requirement_unmet", (), b'Bearer realm="stagedoor", error="insufficient_user_authentication"'),
        ("no_rule", ("x",), b""),
        ("path_malformed", (), b""),
    ],
)
def test_a_challenge_says_what_would_help(code: str, need: tuple[str, ...], expected: bytes) -> None:
    assert challenge(code, need) == expected


@pytest.mark.parametrize("code", [code for code, fault in FAULTS.items() if fault.status == 401])
def test_every_401_has_a_challenge(code: str) -> None:
    """RFC 9110, 15.5.2: the server MUST send one."""
    assert challenge(code).startswith(b'Bearer realm="stagedoor"')


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        (b"text/html", True),
        (b"TEXT/HTML;Q=0.5", True),
        (b"application/json;q=0.5, text/html", True),
        (b"", False),
        (b"*/*", False),
        (b"text/*", False),
        (b"application/json, text/html", False),
        (b"application/*, text/html;q=0.9", False),
        (b"text/html;q=0", False),
        (b"text/html;q=x", False),
        (b"text/html;level=1;q=0.4, application/problem+json;q=0.3", True),
        (b"\xff/html", False),
    ],
)
def test_a_page_is_for_those_who_ask_for_html_by_name(accept: bytes, html: bool) -> None:
    assert prefers_html(accept) is html


# RFC 9209, 2.3: the registered error types that this door can mean.
PROXY_ERRORS = frozenset((
    "destination_not_found", "destination_unavailable", "destination_ip_prohibited", "connection_terminated",
    "http_request_error", "http_request_denied", "http_response_timeout", "http_protocol_error",
    "proxy_internal_error", "proxy_loop_detected",
))  # fmt: skip


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_every_answer_of_ours_says_that_the_door_gave_it(code: str) -> None:
    answer = refusal(FAULTS[code], request_id=b"a-1")
    (line,) = [line for line in answer.split(b"\r\n") if line.startswith(b"Proxy-Status: ")]
    assert line.removeprefix(b"Proxy-Status: stagedoor; error=").decode() in PROXY_ERRORS


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("request_timeout", b"http_request_error"),
        ("path_unknown", b"destination_not_found"),
        ("token_expired", b"http_request_denied"),
        ("no_rule", b"http_request_denied"),
        ("requirement_unmet", b"http_request_denied"),
        ("upstream_timeout", b"http_response_timeout"),
        ("policy_unavailable", b"proxy_internal_error"),
    ],
)
def test_the_error_type_is_the_one_that_fits(code: str, error: bytes) -> None:
    assert proxy_status(code) == b"stagedoor; error=" + error
