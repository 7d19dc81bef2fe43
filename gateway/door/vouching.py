"""The door's word about a caller, for Stagedoor's own service: a line of the request that leads to control.

Control believes nothing because of the socket a request came by. It made the key and gave it to the doors over the
control link; while a door has none, its requests go without the line, and control serves them to nobody.
Called for requests to the built-in service alone: no other one pays for a signature.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any, Final

from gateway.door.client_certificates import certificate_of
from gateway.identity.assertion import FIELD, Assertion, Request, SharedKey, Shown, audiences_of, sealed

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.http1.request import Head

_COOKIE: Final = b"cookie:"
_NAME: Final = FIELD.encode("ascii") + b": "


def vouched(exchange: Exchange) -> bytes:
    """The whole line, or b"" while there is no key. True on entry: the exchange has a permit and a request id."""
    door = exchange.door
    key = door.following.assertion_key
    match = exchange.match
    if key is None or match is None:
        return b""
    head, caller = exchange.head, exchange.caller
    shown: Shown = "nothing"
    if caller.session:
        shown = "session"
    elif caller is not door.callers.anonymous:
        shown = "token" if head.bearer else "certificate"
    request = Request(
        head.method, head.authority.decode("latin-1"), head.target.raw.decode("latin-1"),
        exchange.request_id.decode("latin-1"),
    )  # fmt: skip
    # Without a key that proved it, what looks like a payload is part of an opaque token.
    audiences = audiences_of(head.bearer) if shown == "token" and caller.key_id else ()
    certificate = certificate_of(exchange.client, head)
    names = certificate.names if certificate is not None else ()
    assertion = Assertion(
        caller.principal, shown, audiences, request, caller.session, exchange.client_address, names
    )  # fmt: skip
    return _NAME + sealed(assertion, match.exposure.service, key, door.now) + b"\r\n"


def with_own_cookies(head: Head) -> list[bytes]:
    """The lines of a request for Stagedoor's own service: our cookies in one line, and nobody else's."""
    passed = [line for line in head.passed if line[: len(_COOKIE)].lower() != _COOKIE]
    return [*passed, b"Cookie: " + head.own_cookies + b"\r\n"] if head.own_cookies else passed


def key_in(message: dict[str, Any]) -> SharedKey | None:
    """The key of an `assertion_key` message; None where it holds none."""
    kid, secret = message.get("kid"), message.get("secret")
    if not isinstance(kid, str) or not isinstance(secret, str):
        return None
    try:
        return SharedKey(kid, b64decode(secret, validate=True))
    except (Base64Error, ValueError):
        return None
