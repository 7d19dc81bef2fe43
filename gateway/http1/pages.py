"""Answers of our own: a refusal as problem+json (RFC 9457) for programs, or as a small page for people.

A browser gets the page if it asks for HTML by name and prefers it; everybody else gets JSON. Both say the same:
status, sentence, what to do, code, request id.

No answer here is stored by a cache, and none depends on more than its arguments. `no_rule` takes no detail at
all: to a caller without any right on a service, every one of its paths looks the same, existing or not.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from gateway.errors import Fault
from gateway.http1.for_people import Visitor, page_of

_TYPE: Final = "https://stagedoor.dev/reasons/"
_WITHOUT_DETAIL: Final = frozenset(("no_rule",))
_RETRY_AFTER_S: Final = {
    "overloaded": 1, "rate_limited": 1, "shutting_down": 2, "policy_unavailable": 5, "issuer_unavailable": 5,
    "audit_unavailable": 10, "session_unavailable": 2,
}  # fmt: skip
# RFC 9209, 2.3: why the door answered instead of the service. What is not named here is `http_request_denied`.
_PROXY_ERRORS: Final = {
    "request_": "http_request_error", "path_": "http_request_error", "method_": "http_request_error",
    "expectation_failed": "http_request_error", "host_unknown": "destination_not_found",
    "path_unknown": "destination_not_found", "operation_unknown": "destination_not_found",
    "upstream_connect": "destination_unavailable", "upstream_refused": "destination_ip_prohibited",
    "upstream_timeout": "http_response_timeout", "upstream_closed": "connection_terminated",
    "upstream_malformed": "http_protocol_error", "loop_detected": "proxy_loop_detected",
    "issuer_unavailable": "proxy_internal_error", "policy_unavailable": "proxy_internal_error",
    "audit_unavailable": "proxy_internal_error", "overloaded": "proxy_internal_error",
    "shutting_down": "proxy_internal_error", "session_unavailable": "proxy_internal_error",
}  # fmt: skip
ALLOW: Final = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"

_JSON_FIELDS: Final = b"Content-Type: application/problem+json\r\n"

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, 3.3: scope-token
# What is no strength, as `policy.requirements` writes it.
_NEED: Final = re.compile(r"(max_age|issuer)=(.*)|network|certificate")
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,256}")


def challenge(code: str, need: tuple[str, ...] = ()) -> bytes:
    """The value of WWW-Authenticate that belongs to a code; b"" where none does.

    RFC 6750, 3.1: who sent no token is told the scheme and nothing else. RFC 9470, 3, for a sign-in that is not
    strong (`acr_values`) or recent (`max_age`) enough.
    """
    if code in ("identity_required", "session_ended"):
        return b'Bearer realm="stagedoor"'
    if code.startswith("token_"):
        return b'Bearer realm="stagedoor", error="invalid_token", error_description="%b"' % code.encode("ascii")
    if code == "scope_missing":
        scopes = " ".join(scope for scope in need if _SCOPE.fullmatch(scope))
        return _with('Bearer realm="stagedoor", error="insufficient_scope"', "scope", scopes)
    if code == "requirement_unmet":
        ages = [form[2] for form in map(_NEED.fullmatch, need) if form and form[1] == "max_age" and form[2].isdecimal()]
        strengths = " ".join(want for want in need if _SCOPE.fullmatch(want) and not _NEED.fullmatch(want))
        text = 'Bearer realm="stagedoor", error="insufficient_user_authentication"'
        return _with(_with(text, "acr_values", strengths).decode("ascii"), "max_age", min(ages, key=int, default=""))
    return b""


def proxy_status(code: str) -> bytes:
    """The value of Proxy-Status (RFC 9209) that an answer with this code carries: it says that no service was asked,
    or did not answer, and which of both."""
    error = _PROXY_ERRORS.get(code) or _PROXY_ERRORS.get(code.partition("_")[0] + "_", "http_request_denied")
    return f"stagedoor; error={error}".encode("ascii")


def _with(text: str, name: str, value: str) -> bytes:
    return (f'{text}, {name}="{value}"' if value else text).encode("ascii")


def refusal(
    fault: Fault,
    *,
    request_id: bytes,
    detail: str = "",
    accept: bytes = b"",
    version: int = 11,
    head_only: bool = False,
    www_authenticate: bytes = b"",
    close: bool = False,
    extra: bytes = b"",
    retry_s: int = 0,
    visitor: Visitor | None = None,
) -> bytes:
    """The whole answer. `close`: the connection ends anyway; it also does where the fault says so.

    `www_authenticate` is what :func:`challenge` gave; `extra` are further whole lines; `retry_s` says when it
    is worth another try, where the code alone does not; `visitor` is for pages. An answer to HEAD has
    the length of what GET would have had, and no body.
    """
    shown_id = request_id if _REQUEST_ID.fullmatch(request_id) else b"-"
    detail = "" if fault.code in _WITHOUT_DETAIL else detail
    if prefers_html(accept):
        kind, body = page_of(fault, detail, shown_id.decode("ascii"), visitor)
    else:
        kind, body = _JSON_FIELDS, _problem(fault, detail, shown_id.decode("ascii"))
    retry_s = retry_s or _RETRY_AFTER_S.get(fault.code, 0)
    return b"".join((
        b"HTTP/1.1 %d %b\r\n" % (fault.status, _phrase(fault.status)),
        kind,
        b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: ", shown_id,
        b"\r\nProxy-Status: ", proxy_status(fault.code), b"\r\n",
        b"WWW-Authenticate: %b\r\n" % www_authenticate if www_authenticate else b"",
        ALLOW if fault.status == HTTPStatus.METHOD_NOT_ALLOWED else b"",
        b"Retry-After: %d\r\n" % retry_s if retry_s else b"",
        extra,
        _connection_line(fault.close or close, version),
        b"Content-Length: %d\r\n\r\n" % len(body),
        b"" if head_only else body,
    ))  # fmt: skip


def _connection_line(close: bool, version: int) -> bytes:
    if close:
        return b"Connection: close\r\n"
    return b"" if version >= 11 else b"Connection: keep-alive\r\n"


def _phrase(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode("ascii") if status in HTTPStatus._value2member_map_ else b""


def _problem(fault: Fault, detail: str, request_id: str) -> bytes:
    problem: dict[str, str | int] = {
        "type": _TYPE + fault.code,
        "title": fault.title,
        "status": fault.status,
        "code": fault.code,
    }
    if detail:
        problem["detail"] = detail
    problem["todo"] = fault.todo
    problem["request_id"] = request_id
    return json.dumps(problem, separators=(",", ":")).encode("ascii") + b"\n"


_JSON_TYPES: Final = ("application/json", "application/problem+json", "application/*")


@lru_cache(maxsize=256)
def prefers_html(accept: bytes) -> bool:
    """Whether an Accept value names HTML and does not prefer JSON. ``*/*`` names nothing: programs send it."""
    text = accept.decode("latin-1").lower()
    if "html" not in text:
        return False
    html = json_weight = 0.0
    for element in text.split(","):
        media_type, _, parameters = element.partition(";")
        weight = _weight(parameters)
        if media_type.strip() in ("text/html", "application/xhtml+xml"):
            html = max(html, weight)
        elif media_type.strip() in _JSON_TYPES:
            json_weight = max(json_weight, weight)
    return html > json_weight


def _weight(parameters: str) -> float:
    """The q of an Accept element (RFC 9110, 12.4.2); anything odd counts as 0."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            form = re.fullmatch(r"[01](?:\.\d{0,3})?", value.strip(), re.ASCII)
            return float(form[0]) if form else 0.0
    return 1.0
