"""What the values of single fields say: one function a field, each with one reading and no opinion about the rest.

Requests and answers share these. A function returns a plain value, and one named value for "no clear reading";
which refusal that makes is the caller's to say.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from sys import intern
from typing import Final, NamedTuple

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
UNCLEAR: Final = -3
NOTHING: Final[frozenset[bytes]] = frozenset()

_HEXADECIMAL: Final = b"0123456789abcdef"
_DASH: Final = 45
_SPACE: Final = 32
_NO_TRACE: Final = b"0" * 32
_NO_PARENT: Final = b"0" * 16

_LABEL: Final = rb"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_IPV6: Final = rb"\[[0-9A-Fa-f:]{2,39}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?\]"
_AUTHORITY: Final = re.compile(rb"(%b(?:\.%b)*|%b)(?::([1-9][0-9]{0,4}))?" % (_LABEL, _LABEL, _IPV6))
_HOST_BYTES: Final = 253
_LENGTH_DIGITS: Final = 18

_MEMO_ENTRIES: Final = 4096
_hosts: dict[bytes, str] = {}  # Host as sent -> the host to match; starts afresh when full


def host_of(authority: bytes) -> str:
    """The host to match for a Host value without surrounding spaces, remembered; "" if it is not one."""
    known = _hosts.get(authority)
    if known is not None:
        return known
    form = _AUTHORITY.fullmatch(authority)
    if form is None or len(form[1]) > _HOST_BYTES or int(form[2] or 0) > 65535:
        return ""
    host = form[1].decode("ascii").lower()
    if host[0] == "[" and not _is_ipv6(host[1:-1]):
        return ""
    if len(_hosts) >= _MEMO_ENTRIES:
        _hosts.clear()
    # INVARIANT: interned, as all texts of the table are: equal ones are the same object and need no comparing.
    host = _hosts[authority] = intern(host)
    return host


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def body_length(length: bytes | None, coding: bytes | None, version: int) -> int:
    """Where a body ends: a number of octets, CHUNKED, UNTIL_CLOSE if neither field says; UNCLEAR on any doubt.

    RFC 9112, 6.1: with both fields, or with a coding in HTTP/1.0, the framing is faulty. Codings other than
    chunked are allowed there, but the next reader may not know them; and "chunked" must be all that it says,
    because llhttp hands over ``gzip, chunked`` and ``,chunked`` as they are.
    """
    if coding is not None:
        clear = length is None and version == 11 and coding.strip(b" \t").lower() == b"chunked"
        return CHUNKED if clear else UNCLEAR
    if length is None:
        return UNTIL_CLOSE
    digits = length.strip(b" \t")
    return int(digits) if digits.isdigit() and len(digits) <= _LENGTH_DIGITS else UNCLEAR


def bearer_of(authorization: bytes) -> bytes | None:
    """The token of a bearer scheme: b"" for a bearer scheme without one, None for any other scheme."""
    if authorization.startswith(b"Bearer ") and len(authorization) > 7:  # as nearly everybody writes it: one copy
        token = authorization[7:]
        if token[0] > _SPACE and token[-1] > _SPACE:
            return token
    if authorization[:6].lower() != b"bearer" or authorization[6:7] not in (b"", b" ", b"\t"):
        return None
    return authorization[6:].strip(b" \t")


_OF_CONNECTIONS: Final = (b"ntlm", b"negotiate")


def binds_connection(authorization: bytes) -> bool:
    """Whether an Authorization may say who asks in all further requests of the connection that it came on: what the
    two schemes of Windows do (RFC 4559, 6), against RFC 9110, 11.1."""
    return authorization.replace(b"\t", b" ").partition(b" ")[0].lower() in _OF_CONNECTIONS


def via_names(via: bytes, pseudonym: bytes) -> bool:
    """Whether a Via value names this pseudonym as one of the hops so far (RFC 9110, 7.6.3)."""
    lowered = via.lower()
    return pseudonym in lowered and any(hop.split()[1:2] == [pseudonym] for hop in lowered.split(b","))


def nearest_scheme(forwarded_proto: bytes) -> bytes:
    """What the nearest hop said about the client's scheme: the last element, if it is one we know."""
    scheme = forwarded_proto.rpartition(b",")[2].strip(b" \t").lower()
    return scheme if scheme in (b"http", b"https") else b""


class Connection(NamedTuple):
    """A Connection value, read."""

    closes: bool
    keeps: bool
    upgrades: bool
    named: frozenset[bytes]  # lower-case names of the fields that stop with it


_OPTIONS: Final = frozenset((b"", b"close", b"keep-alive", b"upgrade"))
_USUAL: Final[dict[bytes, Connection]] = {}


def connection_of(value: bytes) -> Connection:
    """Read a Connection value; the usual ones are at hand."""
    known = _USUAL.get(value)
    if known is not None:
        return known
    options = frozenset(option.strip(b" \t") for option in value.lower().split(b","))
    return Connection(b"close" in options, b"keep-alive" in options, b"upgrade" in options, options - _OPTIONS)


_USUAL.update({value: connection_of(value) for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close")})


def takes_trailers(te: bytes) -> bool:
    """Whether a TE value says that trailers are welcome (RFC 9110, 10.1.4)."""
    return b"trailers" in [coding.strip(b" \t") for coding in te.lower().split(b",")]


_TIMEOUT: Final = re.compile(rb"(?:^|[,; \t])timeout=([0-9]{1,6})(?![0-9])", re.IGNORECASE)
_SHARE_OF_TIMEOUT: Final = 0.8  # the rest is for the way there: a request must not meet the end of the connection


@lru_cache(maxsize=256)  # Apache counts `max` down beside it
def idle_seconds(keep_alive: bytes) -> float:
    """How long a connection may idle by a Keep-Alive value, in seconds: below 0 for not at all, 0.0 if it does not
    say (the field of RFC 2068, 19.7.1.1, which every server still sends)."""
    form = _TIMEOUT.search(keep_alive)
    if form is None:
        return 0.0
    return int(form[1]) * _SHARE_OF_TIMEOUT or -1.0


_MEMBER: Final = re.compile(rb'(?:[^",]++|"(?:[^"\\]|\\.)*+")++')
_ENDED: Final = re.compile(rb'(?:[^"]++|"(?:[^"\\]|\\.)*+")*+')  # every quoted text does
_OUR_NAME: Final = b"stagedoor"
_NOT_OF_A_NAME: Final = b" \t\"'\\;*"


def of_others(proxy_status: bytes) -> bytes:
    """The line of a Proxy-Status (RFC 9209, 2: a list, whose members begin with who speaks) without what speaks in our
    name, or in one that begins with it. b"" where nothing is left, or where a quoted text does not end: put together
    with the next line, as a list may be, it would say something else."""
    if _ENDED.fullmatch(proxy_status) is None:
        return b""
    members = [each.strip(b" \t") for each in _MEMBER.findall(proxy_status)]
    kept = [each for each in members if each and not each.lower().lstrip(_NOT_OF_A_NAME).startswith(_OUR_NAME)]
    return b"Proxy-Status: " + b", ".join(kept) + b"\r\n" if kept else b""


def without(lines: list[bytes], named: frozenset[bytes]) -> list[bytes]:
    """The lines (``Name: value``) whose field a Connection value does not name."""
    return [line for line in lines if line[: line.index(b":")].lower() not in named]


def breaks_a_line(octets: bytes) -> bool:
    """Whether joined values hold what could end a line or a text. llhttp lets none through in its strict mode;
    this stands if it ever does not. An int in bytes is one memchr: 0.02 µs for 1.4 KB."""
    return 10 in octets or 13 in octets or 0 in octets


def is_traceparent(value: bytes) -> bool:
    """W3C Trace Context, 3.2.2: version, trace and parent in hexadecimal, neither of the two all zero. Its three
    dashes are all that is left without the digits, so their places fix the rest; a regular expression takes ten
    times as long."""
    return (
        len(value) == 55
        and value.translate(None, _HEXADECIMAL) == b"---"
        and value[2] == value[35] == value[52] == _DASH
        and not value.startswith(b"ff")
        and value[3:35] != _NO_TRACE
        and value[36:52] != _NO_PARENT
    )


def octets_of(fields: list[tuple[bytes, bytes]]) -> int:
    """How much these fields take on the wire, each with ``": "`` and the end of its line."""
    return sum(len(name) + len(value) + 4 for name, value in fields)
