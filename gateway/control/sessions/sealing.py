"""Seals what leaves control's hands and must come back unread: tokens in the store, transactions in cookies.

AES-GCM under keys made from those of the session cookies, one for each use, so that nothing sealed for one opens as the
other; bound to what it belongs to (a session's id, a cookie's name). The first key seals, all of them open, and what
does not open is None and never an error.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.identity.strict import base64url

NONCE_BYTES: Final = 12
_FORM: Final = b"1"
Use = Literal["tokens", "transaction", "logout"]


class Sealer:
    """(name, secret) of each key, the first one seals. Without keys there is nothing to seal with."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self._keys = {name.encode(): secret for name, secret in keys}
        self._first = keys[0][0].encode()

    def seal(self, use: Use, plain: bytes, about: str) -> bytes:
        """Text that fits into a cookie: visible ASCII without `;`, `,` and quotes."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._key(use, self._first).encrypt(nonce, plain, about.encode())
        return b".".join((_FORM, self._first, urlsafe_b64encode(sealed).rstrip(b"=")))

    def open(self, use: Use, text: bytes, about: str) -> bytes | None:
        form, _, rest = text.partition(b".")
        name, _, spelled = rest.partition(b".")
        sealed = base64url(spelled) if form == _FORM and name in self._keys else None
        if sealed is None or len(sealed) <= NONCE_BYTES:
            return None
        try:
            return self._key(use, name).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
        except InvalidTag:
            return None

    def _key(self, use: Use, name: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._keys[name], b"stagedoor " + use.encode(), "sha256"))
