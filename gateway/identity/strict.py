"""Strict readers for what arrives inside tokens and key sets: base64url, JSON objects, plain text.

One reading or none. Every lenient decoder gives two different inputs one meaning (padding, junk characters, spare
trailing bits, duplicate members, UTF-16), and that is how a signature over one thing is read as another. All
three readers return ``None`` on doubt and never raise, because their input was chosen by a client.

Nothing here knows what a token or a key is.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from json import JSONDecoder
from typing import Final

import orjson

DEPTH_LIMIT: Final = 16  # the deepest claims in use (resource permissions) nest five levels
TEXT_LIMIT: Final = 255  # OpenID Connect Core 1.0 section 2 gives `sub` this many; names get the same

# RFC 4648 section 5, without padding (RFC 7515 section 2). The three characters of the other alphabet are sent to
# one that strict decoding refuses, so `+` never passes for `-`.
_ALPHABET: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING: Final = (b"", None, b"==", b"=")
# Last characters whose unused low bits are zero, by segment length modulo 4. Any other spells bytes that a second
# text spells too (RFC 4648 section 3.5).
_CANONICAL_ENDS: Final[tuple[frozenset[int], ...]] = (
    frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)

# Controls, line separators and lone surrogates: what ends a header line, forges a log line or cannot be encoded.
_UNCLEAN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_JSON_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


def base64url(segment: bytes) -> bytes | None:
    """The bytes that ``segment`` spells, or None unless it is their only spelling."""
    if not segment:
        return b""
    rest = len(segment) & 3
    padding = _PADDING[rest]
    if padding is None or segment[-1] not in _CANONICAL_ENDS[rest]:
        return None
    try:
        return a2b_base64(segment.translate(_ALPHABET) + padding, strict_mode=True)
    except Base64Error:
        return None


def json_object(text: bytes) -> dict[str, object] | None:
    """The object that ``text`` is: UTF-8, bounded depth, no duplicate member in any object, no NaN or Infinity by name
    or by size, no half of a surrogate pair."""
    # Counting brackets is cheap and settles nearly every token; only one with many is measured.
    if text.count(b"{") + text.count(b"[") > DEPTH_LIMIT and _depth(text) > DEPTH_LIMIT:
        return None
    try:
        # The plain form is the last line: it asks Python about each object's members. A text that is, byte for byte,
        # how its value is written has one reading too, and most issuers write so: 1.2 µs instead of 3.
        value = orjson.loads(text)
        if orjson.dumps(value) != text:
            value = _DECODER.decode(text.decode("utf-8"))
    except ValueError:  # not JSON, not UTF-8, a duplicate, half a surrogate pair, thousands of digits
        return None
    return value if type(value) is dict else None


def is_clean(value: object) -> bool:
    """A text of 1 to 255 characters that can stand in a header line and a log line."""
    if type(value) is not str or not 0 < len(value) <= TEXT_LIMIT:
        return False
    # The expression decides. Printable text holds nothing it looks for, and asking that takes a fifth of the time.
    return value.isprintable() or _UNCLEAN.search(value) is None


def _depth(text: bytes) -> int:
    deepest = depth = 0
    for byte in _JSON_STRING.sub(b"", text):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """RFC 8725 section 2.4 and RFC 7519 section 4 leave duplicates to the parser; here they are no object at all."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


_DECODER: Final = JSONDecoder(object_pairs_hook=_members)  # asked after orjson, which knows no NaN
