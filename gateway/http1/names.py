"""Field names: which the door reads itself, which stop here, which pass (RFC 9110, sections 5.1 and 7.6.1).

A name is judged once and remembered by its exact bytes, so that the head of a request costs one table look-up
a field. Judging folds case, and folds every punctuation a name may hold to ``-``: CGI, WSGI, PHP and most Java
containers turn ``X_Stagedoor_User``, ``X.Stagedoor.User`` and ``X-Stagedoor-User`` into one variable, so a name
that only folds to one of ours is an alias. An alias of a name that matters is dropped, never read.

What stops here, from every peer:

* identity headers: ours, those of the usual proxies (``X-Forwarded-User``, ``X-Auth-Request-*``,
  ``Remote-User`` …), of TLS in front (``X-SSL-*``, ``SSLClientCert…`` as mod_ssl and BIG-IP write them), and what the
  settings add;
* what restates the method, the path, the host or the client's address that the decision was made on:
  ``X-HTTP-Method-Override``, ``X-Original-URL``, ``X-Forwarded-*``, ``Forwarded``, ``X-Real-IP`` … An upstream
  that honoured one of them would act on something nobody has permitted;
* hop-by-hop fields, and ``Proxy``, which CGI makes into the address of a proxy (``HTTP_PROXY``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

PASSES: Final = 0
STOPS: Final = -1
IS_NO_NAME: Final = -2

#: No field that anybody uses has a longer name; longer ones are refused, which also bounds the memo.
NAME_BYTES: Final = 128

#: RFC 9110, 7.6.1, and what only means something between two neighbours.
HOP_BY_HOP: Final = frozenset((
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    b"proxy-authenticate", b"proxy-authorization", b"proxy-authentication-info", b"http2-settings",
    b"x-connection", b"xonnection", b"x-cnection",  # a Connection that a load balancer took out of force
))  # fmt: skip

_IDENTITY: Final = frozenset((
    b"remote-user", b"remote-groups", b"remote-group", b"remote-email", b"remote-name",
    b"client-cert", b"client-cert-chain", b"x-client-cert", b"ssl-client-cert", b"x-f5-auth-token", b"proxy",
))  # fmt: skip

_RESTATED: Final = frozenset((
    b"forwarded", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"client-ip", b"x-cluster-client-ip",
    b"x-http-method", b"x-http-method-override", b"x-method-override",
    b"x-original-url", b"x-original-uri", b"x-original-method", b"x-original-host", b"x-rewrite-url",
    b"x-host", b"x-envoy-original-path", b"x-envoy-original-method",
))  # fmt: skip

_PREFIXES: Final = (b"x-stagedoor", b"x-forwarded-", b"x-auth-request-", b"x-remote-", b"x-ssl-", b"sslclient")

_TOKEN: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_FOLD: Final = bytes.maketrans(b"!#$%&'*+.^_`|~", b"-" * 14)

_MEMO_ENTRIES: Final = 4096


def fold(name: bytes) -> bytes:
    """The form in which aliases of a name are equal."""
    return name.lower().translate(_FOLD)


def is_token(name: bytes) -> bool:
    return _TOKEN.fullmatch(name) is not None


class NameTable:
    """Exact name bytes -> a place above 0 for names the caller reads, or PASSES, STOPS, IS_NO_NAME.

    `kinds` is the memo itself: look there first, and call :meth:`judge` on a miss. It is bounded, and starts
    afresh when names nobody uses have filled it.
    """

    __slots__ = ("_aliased", "_places", "_prefixes", "kinds")

    def __init__(self, places: Mapping[bytes, int], stopped: Iterable[bytes], prefixes: tuple[bytes, ...] = ()) -> None:
        self._places = dict(places)  # by lower-case name
        self._aliased = frozenset(fold(name) for name in (*stopped, *self._places))
        self._prefixes = prefixes
        self.kinds: dict[bytes, int] = {}

    def judge(self, name: bytes) -> int:
        """What `name` is, remembered."""
        kind = self._places.get(name.lower())
        if kind is None:
            if len(name) > NAME_BYTES or not is_token(name):
                return IS_NO_NAME
            folded = fold(name)
            kind = STOPS if folded in self._aliased or folded.startswith(self._prefixes) else PASSES
        if len(self.kinds) >= _MEMO_ENTRIES:
            self.kinds.clear()
        self.kinds[name] = kind
        return kind


def request_names(places: Mapping[bytes, int], identity_headers: Iterable[str]) -> NameTable:
    """The table for requests; `identity_headers` are the names that the settings add to those stopped."""
    added = [name.lower().encode("ascii") for name in identity_headers]
    return NameTable(places, (*HOP_BY_HOP, *_IDENTITY, *_RESTATED, *added), _PREFIXES)


def answer_names(places: Mapping[bytes, int]) -> NameTable:
    """The table for answers: hop-by-hop fields, ours, and what would speak for the whole origin and so for us.

    `Alt-Svc` invites clients to go past the door. `NEL` has a browser send the address and outcome of every request to
    the origin, our hand-over codes included, to whom `Report-To` says (Network Error Logging, 4 and 5; both are kept
    for the origin). `Reporting-Endpoints` passes: it lasts as long as the document it came with, for reports of that
    document (Reporting API, 3.2), which tell nothing that its own script could not.
    """
    return NameTable(places, (*HOP_BY_HOP, b"alt-svc", b"nel", b"report-to", b"x-request-id"), (b"x-stagedoor",))
