"""The signed line about the caller for services that asked for it (option `assertion`), and the key set to check it by.

Signing takes longer than all the rest of a request, so a line is kept for who it is about and whom it is for, and used
for most of its minute. Whoever becomes somebody else (another team, a new sign-in) is another principal and gets a new
line. Until control has told the keys, a service that asked for a signature is not called without one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import orjson

from gateway.identity.assertion import FIELD
from gateway.identity.upstream_assertion import LIFETIME_S, ServiceSigner, claims_for, signers_of, signing
from policy.facts import Principal

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange

OPTION: Final = "assertion"
USED_S: Final = 45  # of its life: the rest is the service's, for a slow way and a clock beside ours
LIMIT: Final = 8192
NAMELESS: Final = "stagedoor"  # who says it, where there is no central host
_NAME: Final = FIELD.encode("ascii") + b": "


class Assertions:
    """One worker's. ``central``: the host in whose name it is said."""

    def __init__(self, central: Callable[[], str]) -> None:
        self._central = central
        self.jwks = b'{"keys":[]}'
        self._signer: ServiceSigner | None = None
        self._kept: OrderedDict[tuple[int, str], tuple[Principal, bytes, int]] = OrderedDict()

    def take(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Sign with one of these from now on."""
        signers = signers_of(keys)
        self._signer = signing(signers)
        self.jwks = orjson.dumps({"keys": [each.jwk() for each in signers]})
        self._kept.clear()

    def line(self, principal: Principal, service: str, now: int) -> bytes:
        """The whole line, b"" about nobody. Raises `LookupError` while there is no key."""
        if principal.kind == "anonymous":
            return b""
        place = (id(principal), service)
        kept = self._kept.get(place)
        if kept is not None and kept[0] is principal and now < kept[2]:
            return kept[1]
        if self._signer is None:
            raise LookupError("control has told no key to sign with")
        line = _NAME + self._signer.sign(claims_for(principal, service, self._issuer(), now)) + b"\r\n"
        if len(self._kept) >= LIMIT:
            self._kept.popitem(last=False)
        self._kept[place] = (principal, line, now + min(USED_S, LIFETIME_S))
        return line

    def _issuer(self) -> str:
        return f"https://{self._central()}" if self._central() else NAMELESS


def asserted(exchange: Exchange) -> bytes:
    """The line for the service that the exchange is about to ask; b"" about nobody, and when it is refused."""
    door, match = exchange.door, exchange.match
    assert match is not None  # INVARIANT: it has a permit
    try:
        return door.following.assertions.line(exchange.caller.principal, match.exposure.service, door.now)
    except LookupError:
        exchange.refuse("session_unavailable", "there is no key yet to sign with who asks")
        return b""
