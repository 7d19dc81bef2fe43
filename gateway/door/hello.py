"""How a TLS connection begins, as far as one must know to tell whether its first message is there whole.

Nothing is decided here about what the message says: that is OpenSSL's. A message that no client sends, larger than
any or in more records, is told apart from one that is still arriving.

RFC 8446, 4 and 5.1 (and before it RFC 5246): records of type, version and length carry handshake messages of type and
length, which may be spread over several of them.
"""

from __future__ import annotations

from typing import Final

RECORD_HEAD: Final = 5  # type, version, length
MESSAGE_HEAD: Final = 4  # type, length
HANDSHAKE_RECORD: Final = 22
CLIENT_HELLO: Final = 1
HELLO_BYTES: Final = 16 * 1024  # those of browsers have below 2 KiB
RECORDS: Final = 4  # in which one may come
FIRST_LOOK: Final = RECORD_HEAD  # bytes, without which nothing can be said


def hello_wanted(data: bytes) -> int:
    """How many bytes there must be in all, before more can be said about the first message than by ``data``. 0 = it is
    whole, or is no ClientHello; more than `HELLO_BYTES` = no client sends such a one."""
    at = 0
    message = b""
    for _ in range(RECORDS):
        if len(data) < at + RECORD_HEAD:
            return at + RECORD_HEAD
        if data[at] != HANDSHAKE_RECORD:
            return 0
        end = at + RECORD_HEAD + int.from_bytes(data[at + 3 : at + RECORD_HEAD], "big")
        if len(data) < end:
            return end
        message += data[at + RECORD_HEAD : end]
        if len(message) >= MESSAGE_HEAD:
            if message[0] != CLIENT_HELLO:
                return 0
            if len(message) >= MESSAGE_HEAD + int.from_bytes(message[1:MESSAGE_HEAD], "big"):
                return 0
        at = end
    return HELLO_BYTES + 1
