"""Cookies: which are ours, which belong to the way here, and which are between a browser and the service.

Ours are `__Host-stagedoor` and what begins with `__Host-stagedoor-`: a browser keeps such a name for the host that set
it, over https, with no Domain (RFC 6265bis, 4.1.3.2). A service never sees one and never sets one, in whatever case or
disguise: a cookie without a name whose value reads like one of ours is sent as if it were ours. What counts as the
session is the one spelling that we set. Two of them are a browser that was made to hold what we did not give it, and
none is taken.

Not to be told apart here: what a cookie is worth. That is asked of the text in it (`identity.session`).
"""

from __future__ import annotations

from typing import Final

SESSION_COOKIE: Final = b"__Host-stagedoor"
TO_COOKIE: Final = b"__Host-stagedoor-to-"  # and eight characters of a ticket's id: who asked for that ticket
_SESSION: Final = SESSION_COOKIE + b"="
_OWN_TEXT: Final = "__host-stagedoor"
_OWN: Final = b"__host-stagedoor"
_OWN_START: Final = b"__host-stagedoor-"
_BIGIP: Final = "bigipserver"
_CLEARED: Final = (b'"cache"', b'"storage"', b'"executionContexts"', b'"clientHints"')
_BIGIP_COOKIES: Final = _BIGIP.encode("ascii")


def sorted_cookies(cookie: bytes) -> tuple[bytes, bytes, bytes]:
    """A Cookie value taken apart: what is for the service; ours, as they came; the value of the session's, b"" if there
    is none, or two.

    Most hold nothing that stops here and stay as they are: searched as text, which takes a third of what the same
    search takes in bytes.
    """
    lowered = cookie.decode("latin-1").lower()
    if _OWN_TEXT not in lowered and _BIGIP not in lowered:
        return cookie, b"", b""
    passed: list[bytes] = []
    own: list[bytes] = []
    session = b""
    sessions = 0
    for pair in cookie.split(b";"):
        pair = pair.strip(b" \t")
        if pair.startswith(_SESSION):
            sessions += 1
            session = pair[len(_SESSION) :]
            own.append(pair)
            continue
        name = _folded(pair)
        if name == _OWN or name.startswith(_OWN_START):
            own.append(pair)
        elif pair and not name.startswith(_BIGIP_COOKIES):
            passed.append(pair)
    return b"; ".join(passed), b"; ".join(own), session if sessions == 1 else b""


def values_of(own: bytes, name: bytes) -> list[bytes]:
    """What our cookies of exactly this name hold."""
    start = name + b"="
    return [pair[len(start) :] for pair in own.split(b"; ") if pair.startswith(start)]


def names_of(own: bytes, start: bytes) -> list[bytes]:
    """The names of our cookies that begin so, the oldest first (RFC 6265, 5.4)."""
    return [pair.partition(b"=")[0] for pair in own.split(b"; ") if pair.startswith(start)]


def is_own_cookie(set_cookie: bytes) -> bool:
    """Whether a Set-Cookie value sets a cookie of ours."""
    name = _folded(set_cookie.partition(b";")[0])
    return name == _OWN or name.startswith(_OWN_START)


def spared(clear_site_data: bytes) -> bytes:
    """What is left of a service's Clear-Site-Data when no cookie goes: browsers take those of all hosts of a site with
    it (Clear Site Data, 3.1.3), so that one service could sign everybody out of all. b"" where nothing is left."""
    kept: list[bytes] = []
    for each in clear_site_data.split(b","):
        kind = each.strip(b" \t")
        if kind == b'"*"':
            kept.extend(_CLEARED)
        elif kind in _CLEARED:
            kept.append(kind)
    return b", ".join(kept)


def line_about_cookies(sets: bool, value: bytes, own: bool) -> bytes:
    """A Set-Cookie (``sets``) or Clear-Site-Data line as it goes to the client; b"" where a service would set one of
    our cookies, or clear nothing but cookies. ``own``: our own service, which may."""
    if sets:
        return b"Set-Cookie: " + value + b"\r\n" if own or not is_own_cookie(value) else b""
    left = value if own else spared(value)
    return b"Clear-Site-Data: " + left + b"\r\n" if left else b""


def _folded(pair: bytes) -> bytes:
    """The name in which spellings are equal. Browsers store ``=name=value`` as a nameless cookie and send it back as
    ``name=value``, so leading ``=`` go."""
    return pair.lstrip(b" \t=").partition(b"=")[0].strip(b' \t"').lower()
