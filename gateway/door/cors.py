"""Scripts of other origins (Fetch standard, section 3.3): what a browser asks first, and may read afterwards.

The owner of a service says in the catalog whose scripts may read its answers. For origins that are listed, the door
answers the browser's preflight itself, the same for every path, so that it tells nobody which ones exist, and says on
each answer, its own refusals included, that the script may read it. Where the owner wants the service to answer, the
preflight goes there stripped of everything that could authenticate it. Otherwise there is nothing to say: a preflight
carries no credentials, and is refused like any request without them.

Cookies are never part of it (no `Access-Control-Allow-Credentials`): a script of another origin acts with the token
that it was given, not with the session of whoever looks at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.http1.dates import date_line
from gateway.http1.request import Head
from policy.facts import Permit
from policy.reasons import OWN_ENDPOINT
from policy.table import Exposure, Match

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange

UPSTREAM: Final = "upstream"
PREFLIGHT_S: Final = 600  # a browser may remember the answer this long
_ASKED_METHOD: Final = b"access-control-request-method:"
_ASKED_FIELDS: Final = b"access-control-request-headers:"
_CREDENTIALS: Final = (b"authorization:", b"cookie:")
_ANSWERED_HERE: Final = (b"access-control-allow-origin:", b"access-control-allow-credentials:")


def asked_by_script(exchange: Exchange, match: Match) -> bool:
    """Whether the request was a preflight of another origin, which needs nobody's identity and is done now."""
    head = exchange.head
    exchange.allow = allow_lines(match.exposure, head.origin)
    asked = asked_method(head)
    if not asked:
        return False
    if not exchange.allow:
        permit = match.exposure.preflight(match.segments[match.exposure.depth :], asked)
        if permit is not None:
            head.passed = without_credentials(head.passed)
            exchange.permit = permit
            exchange.forward(match, permit)
        return permit is not None
    exchange.permit = Permit(OWN_ENDPOINT, "", "OPTIONS")
    exchange.request_id = head.request_id or exchange.door.next_request_id()
    exchange.status = 204
    exchange.closes = exchange.is_last()
    lines = date_line(exchange.door.now) + exchange.allow
    exchange.prepared = preflight_answer(head, lines, exchange.request_id, exchange.closes)
    exchange.answer_prepared()
    return True


def asked_method(head: Head) -> str:
    """The method that a preflight asks about; "" if the request is none. A request with a body is none."""
    if head.method != "OPTIONS" or not head.origin or head.length:
        return ""
    return _value_of(head.passed, _ASKED_METHOD).decode("latin-1")


def allow_lines(exposure: Exposure, origin: bytes) -> bytes:
    """The lines that let scripts of this origin read an answer; b"" unless its owner lists the origin."""
    if origin.decode("latin-1") not in exposure.cors or UPSTREAM in exposure.cors:
        return b""
    return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n" % origin


def preflight_answer(head: Head, allow: bytes, request_id: bytes, close: bool) -> bytes:
    """The whole answer to a preflight of a listed origin: what it asked for is decided when it is done."""
    fields = _value_of(head.passed, _ASKED_FIELDS)
    return b"".join((
        b"HTTP/1.1 204 No Content\r\n", allow,
        b"Access-Control-Allow-Methods: ", _value_of(head.passed, _ASKED_METHOD),
        b"\r\nAccess-Control-Allow-Headers: " + fields if fields else b"",
        b"\r\nAccess-Control-Max-Age: %d\r\nX-Request-Id: %b\r\n" % (PREFLIGHT_S, request_id),
        b"Connection: close\r\n" if close else b"" if head.version >= 11 else b"Connection: keep-alive\r\n", b"\r\n",
    ))  # fmt: skip


def without_credentials(passed: list[bytes]) -> list[bytes]:
    """The lines of a preflight that may go to the service."""
    return [line for line in passed if not line.lower().startswith(_CREDENTIALS)]


def readable(lines: bytes, allow: bytes) -> bytes:
    """An answer's status line and fields with ours in the place of what the service says about it."""
    kept = [line for line in lines.split(b"\r\n") if not line.lower().startswith(_ANSWERED_HERE)]
    return b"\r\n".join(kept) + allow


def _value_of(lines: list[bytes], name: bytes) -> bytes:
    found = [line[len(name) :].strip() for line in lines if line[: len(name)].lower() == name]
    return found[0] if len(found) == 1 else b""
