"""The one canonical reading of a request target (RFC 9112, section 3.2).

A target is read once. What the policy matches is :attr:`Target.segments`, the path decoded exactly once and
split on ``/``; what goes upstream is :attr:`Target.raw`, the bytes as they came. The two can only be trusted
together if nobody downstream has a second way to read those bytes, so whatever has one is refused here:

* a segment that decodes to ``.`` or ``..`` (also before a ``;`` or trailing spaces, which some servers cut);
* an encoded or plain backslash, NUL, C0, C1 and DEL controls, bytes that are not UTF-8 (overlong forms too);
* double encoding: text that, decoded once, still spells an encoded ``/ \\ . % ;`` or NUL;
* a path that begins with ``//`` (it reads as an authority), a fragment, an incomplete percent-escape;
* octets a browser would never leave bare in a path: ``" < > ` { } \\``. We are stricter than llhttp here;
  ``[ ] ^ |`` are not in RFC 3986's pchar either, but browsers send them bare and nobody reads them twice.

Three oddities have one reading if the service behind says so. They set a bit in :attr:`Target.odd` and stay
opaque inside their segment (an encoded slash is kept as ``%2F``); the caller refuses them unless the exposure
opts in by name, see :data:`ODDITIES`. No option admits the list above.

The query is checked for octets that have no place in a target, forwarded untouched and never matched.
This module knows nothing of hosts: the authority of an absolute form is handed on to be compared with `Host`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import Refused

ENCODED_SLASH: Final = 1
DOUBLE_SLASH: Final = 2
PATH_PARAMETERS: Final = 4

#: Option of an exposure -> the oddity it admits.
ODDITIES: Final = {
    "encoded-slashes": ENCODED_SLASH,
    "double-slashes": DOUBLE_SLASH,
    "path-parameters": PATH_PARAMETERS,
}

_UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_CLEAN: Final = _UNRESERVED + b"!$&'()*+,=:@/" + b"[]^|"
_CLEAN_WITH_QUERY: Final = _CLEAN + b"?"
_PATH: Final = _CLEAN + b"%;"
_QUERY: Final = bytes([octet for octet in range(0x21, 0x7F) if octet != 0x23])  # every visible octet but "#"

_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_INCOMPLETE_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SLASH_ESCAPE: Final = re.compile(rb"%2[Ff]")
_STILL_ENCODED: Final = re.compile(r"%(?:2[EFef5]|5[Cc]|3[Bb]|00)")
_CONTROL_OR_BACKSLASH: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")

# Clean origin forms seen lately. A service has few distinct paths that are hot; one that has many pays the
# reading, never memory: short targets only, and the memo starts afresh when it is full.
_MEMO_ENTRIES: Final = 4096
_MEMO_BYTES: Final = 256
_memo: dict[bytes, Target] = {}


class Target:
    """A request target, read. Equal bytes may share one instance, so nobody writes to it."""

    __slots__ = ("authority", "odd", "path", "raw", "segments")

    def __init__(self, raw: bytes, path: str, segments: tuple[str, ...], odd: int = 0, authority: bytes = b"") -> None:
        self.raw = raw  # origin form or "*": exactly what goes upstream, query included
        self.path = path  # the once-decoded path, for records
        self.segments = segments  # "/" -> ("",), "/a/b/" -> ("a", "b", ""); "*" -> ("",), the root of its host
        self.odd = odd  # ENCODED_SLASH | DOUBLE_SLASH | PATH_PARAMETERS
        self.authority = authority  # lower case; b"" unless the target came in absolute form


def read_target(raw: bytes, method: str) -> Target | Refused:
    """Read `raw` once. Measured: 0.05 µs when seen lately, 0.9 for a clean new path, 3 with escapes."""
    seen = _memo.get(raw)
    if seen is not None:
        return seen
    if raw[:1] == b"/":
        target = _origin_form(raw)
        if target.__class__ is Target and len(raw) <= _MEMO_BYTES:
            if len(_memo) >= _MEMO_ENTRIES:
                _memo.clear()
            _memo[raw] = target
        return target
    if raw == b"*":
        return _asterisk_form(method)
    return _absolute_form(raw, method)


def is_accepted(target: Target, options: frozenset[str]) -> bool:
    """Whether an exposure with these options admits every oddity of this target."""
    return not any(target.odd & bit and option not in options for option, bit in ODDITIES.items())


def below_prefix(target: Target, depth: int) -> bytes | Refused:
    """The bytes to send upstream without the first `depth` segments (option `strip-prefix`).

    Cut on the raw bytes, whose segments correspond one to one to the matched ones; a rest that would begin
    with ``//`` is refused, because the next reader could take it for an authority.
    """
    path, mark, query = target.raw.partition(b"?")
    rest = b"/" + b"/".join(path.split(b"/")[1 + depth :])
    if rest[:2] == b"//":
        return _malformed("the path below the prefix begins with `//`")
    return rest + mark + query


def _malformed(detail: str) -> Refused:
    return Refused("path_malformed", detail)


def _origin_form(raw: bytes, authority: bytes = b"") -> Target | Refused:
    # Text searches cost a fifth of the same searches in bytes; Latin-1 maps octet to character one to one.
    path, _, query = raw.decode("latin-1").partition("?")
    if raw.translate(None, _CLEAN_WITH_QUERY):
        if query and query.encode("latin-1").translate(None, _QUERY):
            return _malformed("the query holds an octet that has no place in a target")
        path_octets = path.encode("latin-1")
        if path_octets.translate(None, _CLEAN):
            return _unusual_path(raw, path_octets, authority)
    if "//" in path or "/." in path:
        return _unusual_path(raw, path.encode("latin-1"), authority)
    return Target(raw, path, tuple(path[1:].split("/")), 0, authority)


def _unusual_path(raw: bytes, path: bytes, authority: bytes) -> Target | Refused:
    """A path with escapes, dots after a slash, or an oddity: judged on its whole decoded text."""
    if path.translate(None, _PATH):
        return _malformed("the path holds an octet that must be percent-encoded")
    if _INCOMPLETE_ESCAPE.search(path):
        return _malformed("the path holds an incomplete percent-escape")
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return _malformed("the path is not UTF-8")
    fault = _second_reading(decoded)
    if fault:
        return _malformed(fault)
    odd = (DOUBLE_SLASH if "//" in decoded else 0) | (PATH_PARAMETERS if ";" in decoded else 0)
    if _SLASH_ESCAPE.search(path):
        odd |= ENCODED_SLASH
        # INVARIANT: "%2F" in the text means an encoded slash and nothing else; "%252F" was refused above.
        decoded = unquote_to_bytes(_SLASH_ESCAPE.sub(b"%252F", path)).decode("utf-8")
    return Target(raw, decoded, tuple(decoded[1:].split("/")), odd, authority)


def _second_reading(decoded: str) -> str:
    """Why somebody could read this decoded path in another way; "" when nobody can."""
    if _CONTROL_OR_BACKSLASH.search(decoded):
        return "the path holds a control character or a backslash"
    if _STILL_ENCODED.search(decoded):
        return "the path is encoded twice"
    if decoded[:2] == "//":
        return "the path begins with `//`"
    for segment in decoded.split("/"):
        # "..;x" is ".." for servers with path parameters, ".. " for those that trim names.
        if segment[:1] == "." and segment.partition(";")[0].rstrip(" ") in (".", ".."):
            return "the path holds a dot segment"
    return ""


def _asterisk_form(method: str) -> Target | Refused:
    """``OPTIONS *`` asks about the host as a whole; it is decided like a question about the host's root."""
    if method != "OPTIONS":
        return _malformed("`*` is a target of OPTIONS alone")
    return Target(b"*", "*", ("",))


def _absolute_form(raw: bytes, method: str) -> Target | Refused:
    """``GET http://host/path``: the rest is read as an origin form, the authority must turn out to be `Host`."""
    form = _ABSOLUTE.fullmatch(raw)
    if form is None:
        return _malformed("the target is neither a path nor an http or https address")
    authority, rest = form[1].lower(), form[2]
    if not authority:
        return Refused("request_host", "the target's authority is empty")
    if not rest and method == "OPTIONS":  # RFC 9112, 3.2.4: an empty path with OPTIONS becomes "*"
        return Target(b"*", "*", ("",), 0, authority)
    return _origin_form(rest if rest[:1] == b"/" else b"/" + rest, authority)
