"""Where a provider is talked to: its endpoints, from its own discovery document, and from nowhere else.

Each provider has endpoints and keys of its own, found under the address that the operator configured, and the document
must speak for exactly that issuer. So an answer, a code or a token of one provider is never taken to another (RFC 9700
section 4.4, mix-up). Endpoints are `https`, or `http` on loopback; the document is read again each hour, and what was
read last serves while the provider is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import aiohttp

from gateway import telemetry
from gateway.config import Issuer
from gateway.control.fetch import FetchFault, discovery, is_allowed

FRESH_S: Final = 3600.0
RETRY_S: Final = 2.0  # after a failure, while nothing is known


class Endpoints(NamedTuple):
    """Empty where the provider has no such endpoint."""

    authorization: str
    token: str
    userinfo: str
    end_session: str
    pushed: str  # RFC 9126
    says_iss: bool  # RFC 9207: every answer to the callback names the issuer


class Provider:
    """The endpoints of one issuer. ``monotonic``: seconds."""

    def __init__(self, issuer: Issuer, session: aiohttp.ClientSession, monotonic: Callable[[], float]) -> None:
        self.issuer = issuer
        self.fault = ""  # of the last attempt
        self._session = session
        self._monotonic = monotonic
        self._known: Endpoints | None = None
        self._until_s = 0.0
        self._reading = asyncio.Lock()

    async def endpoints(self) -> Endpoints:
        """As they are now, or were an hour ago. Raises `FetchFault` when nothing is known and the provider is away."""
        async with self._reading:
            if self._monotonic() >= self._until_s:
                await self._read()
        if self._known is None:
            raise FetchFault(self.fault)
        return self._known

    @property
    def known(self) -> Endpoints | None:
        """What was read last, without asking."""
        return self._known

    async def _read(self) -> None:
        try:
            self._known, self.fault = endpoints_of(await discovery(self._session, self.issuer)), ""
            self._until_s = self._monotonic() + FRESH_S
        except FetchFault as fault:
            if str(fault) != self.fault:
                telemetry.log("provider_not_read", level="warning", issuer=self.issuer.name, why=str(fault))
            self.fault = str(fault)
            self._until_s = self._monotonic() + RETRY_S


def endpoints_of(document: dict[str, Any]) -> Endpoints:
    """Raises `FetchFault` where nobody could sign in with them."""
    found: dict[str, str] = {}
    for name in ("authorization", "token", "userinfo", "end_session", "pushed_authorization_request"):
        address = document.get(f"{name}_endpoint", "")
        if address and (not isinstance(address, str) or not is_allowed(address) or "#" in address):
            raise FetchFault(f"its `{name}_endpoint` is no https address")
        found[name] = address
    if not found["authorization"] or not found["token"]:
        raise FetchFault("it names no `authorization_endpoint` or no `token_endpoint`")
    methods = document.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise FetchFault("it does not support PKCE with S256")
    return Endpoints(
        found["authorization"], found["token"], found["userinfo"], found["end_session"],
        found["pushed_authorization_request"], document.get("authorization_response_iss_parameter_supported") is True,
    )  # fmt: skip
