"""Who is asking control: what a door signed about the caller, and nothing else.

Control makes the key when it starts and gives it to each door over the control link, whose both ends the kernel vouches
for. It is kept nowhere. A request without a door's word is nobody's, though it came by the socket that doors use.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from gateway import telemetry
from gateway.config import Issuer
from gateway.control.api.problems import Problem
from gateway.identity.assertion import FIELD, KEY_BYTES, Assertion, Request, SharedKey, Unproved, opened
from gateway.link import Message
from policy.builtin import API_AUDIENCE, BUILTIN_SERVICE, is_ref
from policy.facts import Principal


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom a door has let in, with what they may ask about.

    Whoever uses somebody's token on their behalf (RFC 8693 `act`) asks about that person alone: an agent is no
    administrator and no owner because the person is.
    """

    principal: Principal
    is_administrator: bool
    has_token: bool  # and it is meant for this API
    session: str = ""  # by whose cookie they came: a browser, on pages
    client: str = ""  # the address that the request came from, as the door found it
    certificate: tuple[str, ...] = ()  # names in the client's certificate

    @property
    def ref(self) -> str:
        return self.principal.ref

    def owns(self, team: str) -> bool:
        """Whether ``team``, an owner, is one of theirs, or above one of theirs."""
        return bool(team) and team in self.principal.subjects and not self.principal.actors


class Callers:
    """``administrators`` and ``issuers``: the settings; ``now``: epoch seconds, never backwards."""

    def __init__(self, administrators: tuple[str, ...], issuers: tuple[Issuer, ...], now: Callable[[], int]) -> None:
        secret = secrets.token_bytes(KEY_BYTES)
        self._key = SharedKey(secrets.token_hex(8), secret)
        self._told: Message = {"t": "assertion_key", "kid": self._key.kid, "secret": b64encode(secret).decode()}
        self._now = now
        self.configure(administrators, issuers)

    def configure(self, administrators: tuple[str, ...], issuers: tuple[Issuer, ...]) -> None:
        self._subjects = frozenset(each.lower() for each in administrators if is_ref(each))
        self._clients = frozenset(each for each in administrators if each and not is_ref(each))
        self._issuers = frozenset(each.name for each in issuers if API_AUDIENCE in each.audiences)

    def message(self) -> Message:
        """For a door that says hello: the key that it vouches with."""
        return self._told

    def of(self, request: web.Request) -> Caller:
        """Raises `Problem` where nobody vouches for exactly this request."""
        said = opened(_field(request), BUILTIN_SERVICE.ref, self._key, _as_sent(request), self._now())
        if isinstance(said, Unproved):
            named = request.headers.get("X-Request-Id", "")
            telemetry.log("caller_unproved", level="warning", why=said.why, request_id=named)
            raise Problem("control_starting" if said.stale else "caller_unproved")
        return self._judged(said)

    def _judged(self, said: Assertion) -> Caller:
        who = said.principal
        is_named = not who.subjects.isdisjoint(self._subjects)
        is_named = is_named or (who.kind == "workload" and who.client_id in self._clients)
        # An issuer that is trusted for other audiences alone may write this one into its tokens too.
        has_token = said.shown == "token" and API_AUDIENCE in said.audiences and who.issuer in self._issuers
        is_somebody = who.kind != "anonymous" and (has_token or bool(said.session))
        is_administrator = is_named and is_somebody and not who.actors
        return Caller(who, is_administrator, has_token, said.session, said.client, said.certificate)


def _field(request: web.Request) -> bytes:
    """The one assertion; two of them are none."""
    said = request.headers.getall(FIELD, ())
    return said[0].encode("latin-1", "replace") if len(said) == 1 else b""


def _as_sent(request: web.Request) -> Request:
    headers = request.headers
    return Request(request.method, headers.get("Host", ""), request.raw_path, headers.get("X-Request-Id", ""))
