"""Whose page asks: what a browser says about it, and what that means for a request with a session cookie.

A browser adds the cookie by itself, whoever wrote the page; `Origin` (RFC 6454) and the Fetch Metadata fields are what
no page can forge. A request that changes something, or opens a WebSocket, in the name of whoever is signed in comes
from a page of this host, or of an origin that the service's owner listed, and says so: silence is refused, because a
cookie alone shows nobody's will.

`Origin: null` is a page that hides where it is from: a foreign one, or one of ours with `Referrer-Policy: no-referrer`,
which takes the origin from its own forms. There `Sec-Fetch-Site: same-origin` tells, and nothing else does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.http1.origin import is_own_origin
from gateway.http1.pages import prefers_html

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.http1.request import Head

_SITE: Final = b"sec-fetch-site:"
_MODE: Final = b"sec-fetch-mode:"
_DEST: Final = b"sec-fetch-dest:"
_PURPOSE: Final = (b"sec-purpose:", b"purpose:")
_OWN_SITES: Final = frozenset((b"same-origin", b"none"))  # none: a person, by the address bar or a bookmark
_HTTPS: Final = b"https"
_HIDDEN: Final = b"null"


def scheme_of(exchange: Exchange) -> bytes:
    """How the client came, as far as it is known here."""
    return exchange.head.forwarded_proto or exchange.client.listening.proto.encode("ascii")


def is_https(exchange: Exchange) -> bool:
    return scheme_of(exchange) == _HTTPS


def is_foreign(exchange: Exchange) -> bool:
    """Whether a page asks that has no say here, or nothing tells which page does: browsers tell it whenever something
    is to change (Fetch, 3.1: `Origin` goes with every method but GET and HEAD), so what does not is a program.

    True on entry: `exchange.allow` tells whether the origin is listed."""
    head = exchange.head
    if head.origin:
        return not exchange.allow and not _is_own_origin(exchange, _said(head, _SITE))
    sites = _said(head, _SITE)
    return not sites or not _OWN_SITES.issuperset(sites)


def is_own(exchange: Exchange, *, shown: bool = False) -> bool:
    """Whether no page of another host asks. ``shown``: the browser must say so, silence is not enough."""
    head = exchange.head
    sites = _said(head, _SITE)
    if head.origin and not _is_own_origin(exchange, sites):
        return False
    return _OWN_SITES.issuperset(sites) and (not shown or bool(head.origin or sites))


def _is_own_origin(exchange: Exchange, sites: list[bytes]) -> bool:
    head = exchange.head
    if head.origin == _HIDDEN:
        return sites == [b"same-origin"]
    return is_own_origin(head.origin, head.authority, scheme_of(exchange))


def is_navigation(head: Head, method: str = "GET") -> bool:
    """Whether somebody goes to a page: only then can an answer send them elsewhere and back."""
    if head.method != method or head.tunnel or not prefers_html(head.accept):
        return False
    if any(b"prefetch" in value for name in _PURPOSE for value in _said(head, name)):
        return False
    return {b"navigate"}.issuperset(_said(head, _MODE)) and {b"document"}.issuperset(_said(head, _DEST))


def _said(head: Head, name: bytes) -> list[bytes]:
    return [line[len(name) :].strip().lower() for line in head.passed if line[: len(name)].lower() == name]
