"""Trailers: the fields behind a chunked body that may go on, and the last chunk that carries them.

None may, unless the operator listed it for the service; the default is that all end here. RFC 9110, 6.5.1: fields
that frame, route, authenticate, modify or control a message "cannot be processed outside the header section", so a
receiver that merges trailers into the head must find nothing there that the door has judged before. That is why a
name is refused, listed or not, if the door reads, writes or strips it in a head, if it is an alias of such a name,
or if it belongs to one of the groups that the RFC names. What is left is what services invented for the purpose:
checksums, timings, the status of a call.

A trailer passes whole or not at all: its name to the letter (in any case), its value without what ends a line. One
that the sender's own `Connection` names was meant for this hop (RFC 9110, 7.6.1) and stops here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.config import Settings
from gateway.http1.forward import LAST_CHUNK, AnswerRules
from gateway.http1.head import HeadRules
from gateway.http1.names import PASSES, fold, is_token
from gateway.http1.values import breaks_a_line, octets_of

#: RFC 9110, 10.1.4: who sends `TE` names it in `Connection`, so that it is this hop's word and no other's.
WELCOME: Final = b"Connection: TE\r\nTE: trailers\r\n"

# By what RFC 9110, 6.5.1, names them for; what the door itself reads, writes or strips is known to its name tables.
_IN_THE_HEAD_ALONE: Final = frozenset((
    # routing and request modifiers
    b"cache-control", b"max-forwards", b"pragma", b"range", b"priority", b"referer", b"user-agent", b"from",
    # authentication
    b"www-authenticate", b"authentication-info", b"signature", b"signature-input", b"dpop", b"x-api-key",
    b"x-csrf-token", b"x-xsrf-token", b"x-requested-with",
    # response controls
    b"age", b"allow", b"clear-site-data", b"date", b"expires", b"link", b"location", b"refresh",
    b"reporting-endpoints", b"retry-after", b"set-cookie2", b"strict-transport-security", b"vary", b"warning",
    b"permissions-policy", b"referrer-policy", b"x-frame-options", b"x-xss-protection", b"last-modified", b"server",
    # content format
    b"accept-ranges", b"content-disposition", b"content-encoding", b"content-language", b"content-location",
    b"content-range", b"content-type", b"mime-version", b"sourcemap", b"x-content-type-options",
    # what servers in front of an application obey
    b"x-sendfile", b"x-lighttpd-send-file", b"status",
))  # fmt: skip
_GROUPS: Final = (
    b"accept-", b"access-control-", b"content-security-policy", b"cross-origin-", b"if-", b"proxy-", b"sec-",
    b"x-accel-", b"x-envoy-",
)  # fmt: skip


def may_be_trailer(name: str, settings: Settings) -> bool:
    """Whether a field may pass behind a body at all. The settings name fields, too, that the door reads."""
    octets = name.lower().encode("latin-1", "replace")
    if not is_token(octets):
        return False
    certificates = [each.client_certificate_header for each in settings.listeners if each.client_certificate_header]
    heads = HeadRules(settings.limits, identity_headers=certificates).names, AnswerRules().names
    if [table for table in heads if table.judge(octets) != PASSES]:
        return False
    folded = fold(octets)
    return folded not in _IN_THE_HEAD_ALONE and not folded.startswith(_GROUPS)


def allowed_trailers(names: Iterable[str], settings: Settings) -> frozenset[bytes]:
    """The lower-case names that pass for a service, of those that the operator listed."""
    return frozenset(name.lower().encode("ascii") for name in names if may_be_trailer(name, settings))


def are_too_large(fields: list[tuple[bytes, bytes]], most: int, most_bytes: int) -> bool:
    """Trailers are held to the limits of a head."""
    return len(fields) > most or octets_of(fields) > most_bytes


def last_chunk(fields: list[tuple[bytes, bytes]], allowed: frozenset[bytes], stops: frozenset[bytes]) -> bytes:
    """The end of a chunked body (RFC 9112, 7.1.2) with the fields whose lower-case name is in `allowed`.

    `stops`: lower-case names that the message's `Connection` holds.
    """
    lines = []
    for name, value in fields:
        lowered = name.lower()
        if lowered in allowed and lowered not in stops and is_token(name) and not breaks_a_line(value):
            lines.append(name + b": " + value + b"\r\n")
    return b"0\r\n" + b"".join(lines) + b"\r\n" if lines else LAST_CHUNK
