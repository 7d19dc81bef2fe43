"""Signed calls by programs that are nobody in the catalog: the scheme of the Standard Webhooks specification.

Three fields: `Webhook-Id`, `Webhook-Timestamp` (epoch seconds) and `Webhook-Signature`: a list, separated by blanks, of
`v1,BASE64` with the HMAC-SHA256 over `ID.TIMESTAMP.BODY`. Senders and libraries for it exist. The secret is the text in
its file; one that begins with `whsec_` spells its bytes in base64, as that specification has it.

A call counts once: its time is within the window, not before this process began to remember, and its id is new. What is
remembered is bounded; when it is full, calls are refused until the oldest are out of the window. Pure but for what it
remembers: the clock is an argument.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from gateway.control.api.problems import Problem

ID: Final = "Webhook-Id"
TIMESTAMP: Final = "Webhook-Timestamp"
SIGNATURE: Final = "Webhook-Signature"
WINDOW_S: Final = 300
REMEMBERED: Final = 10_000
SIGNATURES: Final = 8  # in one field: while a secret is changed there are two
ENCODED: Final = "whsec_"
_ID: Final = re.compile(r"[\x21-\x2d\x2f-\x7e]{8,128}", re.ASCII)  # a dot ends it in what is signed
_SECONDS: Final = re.compile(r"\d{1,12}", re.ASCII)


def is_signed(headers: Mapping[str, str]) -> bool:
    return SIGNATURE in headers


def key_of(secret: str) -> bytes:
    """Raises `ValueError` when a secret that should be base64 is none."""
    if not secret.startswith(ENCODED):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix(ENCODED), validate=True)
    except Base64Error:
        raise ValueError(f"what follows `{ENCODED}` is no base64") from None


def signature_of(key: bytes, call_id: str, timestamp: str, body: bytes) -> str:
    message = f"{call_id}.{timestamp}.".encode() + body
    return "v1," + b64encode(hmac.digest(key, message, "sha256")).decode()


class SignedCalls:
    """What has been called. ``now``: epoch seconds."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._since = now()  # earlier calls may have been made to a process before this one
        self._seen: OrderedDict[str, int] = OrderedDict()  # id -> when it was heard

    def accept(self, headers: Mapping[str, str], body: bytes, secret: str) -> str:
        """The call's id, taken from now on. Raises `Problem`; the reasons name nothing of the secret."""
        call_id, timestamp, signatures = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
        if not _ID.fullmatch(call_id) or not _SECONDS.fullmatch(timestamp):
            detail = f"`{ID}` (8 to 128 characters, no dot) or `{TIMESTAMP}` (seconds) is missing"
            raise Problem("signature_refused", detail)
        expected = signature_of(key_of(secret), call_id, timestamp, body).encode()
        given = [each.encode("utf-8", "replace") for each in signatures.split(" ")[:SIGNATURES]]
        # Every one is looked at, so that the time it takes tells nothing about which one holds.
        if not sum(hmac.compare_digest(each, expected) for each in given):
            raise Problem("signature_refused", f"no signature in `{SIGNATURE}` holds")
        now = self._now()
        if abs(now - int(timestamp)) > WINDOW_S:
            raise Problem("signature_refused", f"`{TIMESTAMP}` is more than {WINDOW_S} s from now")
        if int(timestamp) < self._since:
            raise Problem("signature_refused", f"`{TIMESTAMP}` is before this process began: sign a new call")
        self._forget(now)
        if call_id in self._seen:
            raise Problem("signature_used")
        if len(self._seen) >= REMEMBERED:
            raise Problem("rate_limited")
        self._seen[call_id] = now
        return call_id

    def forget(self, call_id: str) -> None:
        """Of a call that was taken and came to nothing: it may be sent again, under the same id."""
        self._seen.pop(call_id, None)

    def _forget(self, now: int) -> None:
        """A call may be dated ahead by a window: it is out of it after two."""
        while self._seen and now - next(iter(self._seen.values())) > 2 * WINDOW_S:
            self._seen.popitem(last=False)
