"""What a browser carries from our redirect to its return, sealed: one cookie for each sign-in that is under way.

The `state` that comes back names the cookie, so ten tabs have ten cookies and none disturbs another. A browser that has
not got it did not begin this sign-in (login CSRF), and what another site puts into it opens nowhere (cookie tossing:
`__Host-` and AEAD bound to the cookie's name). The proof key of PKCE never leaves the cookie, and the `nonce` follows
from it. A cookie is used once: the answer to the callback takes it away, and the store remembers its `state`.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import orjson

from gateway.control.sessions.sealing import Sealer
from gateway.identity.session import Ticket
from gateway.identity.strict import json_object

COOKIE: Final = "__Host-stagedoor-signin-"  # and the first eight characters of the state
LASTS_S: Final = 600
MOST: Final = 10  # under way in one browser
MOST_BYTES: Final = 12 * 1024  # of all of them: a head has room for 32 KiB
ATTRIBUTES: Final = "; Path=/; Secure; HttpOnly; SameSite=Lax"


@dataclass(frozen=True, slots=True)
class Transaction:
    """``ticket`` says where the person came from; None: to the central host itself."""

    state: str
    verifier: str
    issuer: str
    begun_at: int
    ticket: Ticket | None
    tries: int = 1

    @property
    def nonce(self) -> str:
        return _digest(f"nonce.{self.verifier}")


def new_transaction(issuer: str, ticket: Ticket | None, now: int, tries: int = 1) -> Transaction:
    return Transaction(secrets.token_urlsafe(24), secrets.token_urlsafe(32), issuer, now, ticket, tries)


def cookie_of(transaction: Transaction, sealer: Sealer) -> str:
    """The value of Set-Cookie."""
    name = COOKIE + transaction.state[:8]
    ticket = transaction.ticket
    said: dict[str, Any] = {
        "s": transaction.state, "v": transaction.verifier, "i": transaction.issuer, "at": transaction.begun_at,
        "n": transaction.tries,
    }  # fmt: skip
    if ticket is not None:
        who = [ticket.id, ticket.host, ticket.target, ticket.proof]
        said["t"] = [*who, ticket.issued_at, list(ticket.acr_values), ticket.max_age]
    value = sealer.seal("transaction", orjson.dumps(said), name).decode()
    return f"{name}={value}; Max-Age={LASTS_S}{ATTRIBUTES}"


def gone_cookie(name: str) -> str:
    """The value of Set-Cookie that takes it away."""
    return f"{name}=; Max-Age=0{ATTRIBUTES}"


def opened_cookie(state: str, cookies: Mapping[str, str], sealer: Sealer, now: int) -> Transaction | None:
    """The transaction that this `state` belongs to; None unless this browser carries it, and not for too long."""
    found = _opened(COOKIE + state[:8], cookies.get(COOKIE + state[:8], ""), sealer)
    if found is None or not secrets.compare_digest(found.state.encode(), state.encode()):
        return None
    return found if found.begun_at - 5 <= now < found.begun_at + LASTS_S else None


def surplus(cookies: Mapping[str, str], sealer: Sealer) -> list[str]:
    """Names of the sign-in cookies that have to go before another one comes: what is none, then the oldest."""
    ages: list[tuple[int, str, int]] = []
    gone: list[str] = []
    for name, value in cookies.items():
        if name.startswith(COOKIE):
            found = _opened(name, value, sealer)
            if found is None:
                gone.append(name)
            else:
                ages.append((found.begun_at, name, len(name) + len(value)))
    ages.sort(reverse=True)
    room = MOST_BYTES
    for position, (_, name, size) in enumerate(ages):
        room -= size
        if position >= MOST - 1 or room < 0:
            gone.append(name)
    return gone


def _opened(name: str, value: str, sealer: Sealer) -> Transaction | None:
    plain = sealer.open("transaction", value.encode("latin-1", "replace"), name) if value else None
    said = json_object(plain) if plain is not None else None
    if said is None:
        return None
    listed: Any = said.get("t")
    ticket = None
    if listed is not None:  # INVARIANT: we sealed it, so it is what `cookie_of` wrote
        id_, host, target, proof, issued_at, acr_values, max_age = listed
        ticket = Ticket(id_, host, target, proof, issued_at, tuple(acr_values), max_age)
    state, verifier, issuer = str(said["s"]), str(said["v"]), str(said["i"])
    return Transaction(state, verifier, issuer, int(str(said["at"])), ticket, int(str(said["n"])))


def _digest(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
