"""From the central host back to the application: a code that is good once, for one browser and one host, for a minute.

The store keeps its hash. It is bound to the host of the ticket, to the cookie that this host gave the browser with the
ticket, and to the session; a code that leaks, or is sent to somebody else, opens nothing. The application's door
redeems it; what it gets is the session cookie for that host alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import orjson

from gateway.control.store import Session, Store
from gateway.identity.session import NONCE_BYTES, SessionCookie, SessionKeys, Ticket, seal_cookie

LASTS_S: Final = 60
ARRIVE: Final = "/.stagedoor/arrive"


class Redeemed(NamedTuple):
    """``why`` is empty when ``cookie`` is not."""

    cookie: str
    target: str
    why: str = ""


class HandOver:
    """``now``: epoch seconds."""

    def __init__(self, store: Store, keys: Callable[[], SessionKeys], now: Callable[[], int]) -> None:
        self._store = store
        self._keys = keys
        self._now = now

    async def address(self, ticket: Ticket, session: Session) -> str:
        """Where the browser is sent with a fresh code. Raises `StoreUnavailable`."""
        code = secrets.token_urlsafe(32)
        payload = {"h": ticket.host, "p": ticket.proof, "s": session.sid, "t": ticket.target}
        await self._store.put_code(_digest(code), orjson.dumps(payload), self._now() + LASTS_S)
        return f"https://{ticket.host}{ARRIVE}?{urlencode({'code': code, 'to': ticket.id[:8]})}"

    async def redeem(self, code: str, host: str, proof: str) -> Redeemed:
        """Once. Raises `StoreUnavailable`."""
        now = self._now()
        payload = await self._store.take_code(_digest(code), now)
        if payload is None:
            return Redeemed("", "", "code_unknown")
        said: dict[str, Any] = orjson.loads(payload)
        if said["h"] != host or not secrets.compare_digest(said["p"].encode(), proof.encode()):
            return Redeemed("", "", "other_browser")
        row = (await self._store.sessions.get([said["s"]])).get(said["s"])
        if row is None or row.over(now):
            return Redeemed("", "", "session_over")
        return Redeemed(self.cookie(row, host.rpartition(":")[0] or host), said["t"])

    def cookie(self, row: Session, host: str) -> str:
        """The value of the session cookie for ``host``, without port."""
        auth_time, amr = row.claims.get("auth_time"), row.claims.get("amr")
        said = SessionCookie(
            row.sid, row.issuer, row.sub, auth_time if type(auth_time) is int else 0,
            tuple(map(str, amr)) if isinstance(amr, list) else (), row.until,
        )  # fmt: skip
        return seal_cookie(said, host, self._keys(), secrets.token_bytes(NONCE_BYTES))


def _digest(code: str) -> bytes:
    return sha256(code.encode("utf-8", "replace")).digest()
