"""Calls to a provider as its client: codes and refresh tokens for tokens, pushed requests, userinfo.

One deadline, no redirects, a cap on the answer, strict JSON. Three ways to fail, because they mean different things to
a session: the provider is away (try again), it will not have us (an operator must look), it will not have *this* code
or refresh token (the sign-in is over). What it says in words may repeat what it was sent, so only its error
code is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import aiohttp

from gateway import telemetry
from gateway.config import Issuer
from gateway.config.sign_in import Client
from gateway.control.fetch import FetchFault, bounded, is_allowed
from gateway.control.signin.client_proof import ProofFault, proof
from gateway.control.signin.provider import Provider
from gateway.errors import StagedoorError
from gateway.identity.strict import json_object

DEADLINE_S: Final = 8.0
ANSWER_BYTES: Final = 256 * 1024
TOKEN_LIMIT: Final = 16 * 1024  # characters of each token that is kept
LONGEST_S: Final = 30 * 86400
OFFLINE: Final = "offline_access"  # OpenID Connect Core 1.0 section 11
NEVER_ASKED_AGAIN: Final = "it gives no refresh token, so what it says at a sign-in counts until the session ends"
_CODE: Final = re.compile(r"[a-z_]{1,40}\Z")
# RFC 6749 section 5.2, OpenID Connect Core 1.0 section 3.1.2.6, RFC 9470: about the grant, not about us.
_GRANT: Final = frozenset({"invalid_grant", "interaction_required", "login_required", "consent_required",
                           "account_selection_required", "insufficient_user_authentication"})  # fmt: skip
_LATER: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})


class ProviderAway(StagedoorError):
    """It does not answer, or not sensibly."""


class ProviderRefused(StagedoorError):
    """It will not have this client, or this request: settings here and there do not fit."""


class GrantRefused(StagedoorError):
    """It will not have this code or this refresh token (any more)."""


class Tokens(NamedTuple):
    """Empty where there is none. ``expires_s``: how long the access token lasts, 0 = not said."""

    id_token: str
    access_token: str
    refresh_token: str
    expires_s: int


class Exchange:
    """Calls to one provider. ``wall``: epoch seconds."""

    def __init__(
        self, provider: Provider, client: Client, session: aiohttp.ClientSession, wall: Callable[[], float]
    ) -> None:
        self.provider = provider
        self.client = client
        self._session = session
        self._wall = wall
        self._told = False  # the log, that no refresh token comes

    @property
    def issuer(self) -> Issuer:
        return self.provider.issuer

    async def redeem(self, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """RFC 6749 section 4.1.3 with RFC 7636 section 4.5."""
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        tokens = await self._tokens({**form, "redirect_uri": redirect_uri})
        self._mind(tokens)
        return tokens

    async def refresh(self, refresh_token: str) -> Tokens:
        """RFC 6749 section 6."""
        return await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def push(self, parameters: Mapping[str, str]) -> str:
        """RFC 9126: the request itself goes to the provider, and the browser carries its name alone."""
        answer = await self._post((await self._endpoints()).pushed, parameters, wanted=(200, 201))
        uri = answer.get("request_uri")
        if not isinstance(uri, str) or not 0 < len(uri) <= 1024 or not uri.isprintable():
            raise ProviderAway("its answer to a pushed request names no `request_uri`")
        return uri

    async def userinfo(self, access_token: str) -> bytes:
        """OpenID Connect Core 1.0 section 5.3: the answer's text."""
        address = (await self._endpoints()).userinfo
        if not address:
            raise ProviderRefused("it has no userinfo endpoint; say `userinfo: false`")
        return await self.get(address, access_token)

    async def get(self, address: str, access_token: str) -> bytes:
        """Any other answer of the provider to this token's bearer."""
        return await self._call("GET", address, {"Authorization": f"Bearer {access_token}"}, None, (200,))

    def _mind(self, tokens: Tokens) -> None:
        """Tell the operators, once, where sessions of this provider can never be asked about again."""
        if tokens.refresh_token or self._told:
            return
        self._told = True
        telemetry.log(
            "no_refresh_token", level="warning", issuer=self.issuer.name, why=NEVER_ASKED_AGAIN,
            todo=todo_for_refresh(self.issuer.preset, self.client.scopes),
        )  # fmt: skip

    async def _tokens(self, form: Mapping[str, str]) -> Tokens:
        answer = await self._post((await self._endpoints()).token, form, wanted=(200,))
        texts = [answer.get(name, "") for name in ("id_token", "access_token", "refresh_token")]
        if not all(isinstance(text, str) and len(text) <= TOKEN_LIMIT and text.isascii() for text in texts):
            raise ProviderAway("it answered with a token that is none")
        kind, expires = answer.get("token_type", "Bearer"), answer.get("expires_in", 0)
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise ProviderRefused("its tokens are of another type than Bearer")
        if isinstance(expires, str) and expires.isdecimal() and len(expires) < 12:  # as Entra ID's first version
            expires = int(expires)
        expires_s = min(expires, LONGEST_S) if type(expires) is int and expires > 0 else 0
        return Tokens(texts[0], texts[1], texts[2], expires_s)

    async def _post(self, address: str, form: Mapping[str, str], wanted: tuple[int, ...]) -> dict[str, Any]:
        try:
            fields, more = proof(self.issuer, self.client, (await self._endpoints()).token, int(self._wall()))
        except ProofFault as fault:
            raise ProviderRefused(str(fault)) from None
        answer = json_object(await self._call("POST", address, fields, {**form, **more}, wanted))
        if answer is None:
            raise ProviderAway("it answered with something else than one JSON object")
        return answer

    async def _endpoints(self) -> Any:
        try:
            return await self.provider.endpoints()
        except FetchFault as fault:
            raise ProviderAway(str(fault)) from None

    async def _call(
        self, method: str, address: str, headers: Mapping[str, str], form: Mapping[str, str] | None,
        wanted: tuple[int, ...],
    ) -> bytes:  # fmt: skip
        if not is_allowed(address):
            raise ProviderRefused("an address of it is not https")
        where = address.partition("?")[0]
        try:
            async with self._session.request(
                method, address, headers=headers, data=form, allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=DEADLINE_S),
            ) as answer:  # fmt: skip
                body = await bounded(answer, where, ANSWER_BYTES)
                status = answer.status
        except FetchFault as fault:
            raise ProviderAway(str(fault)) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ProviderAway(f"cannot ask `{where}`: {type(error).__name__}") from None
        if status in wanted:
            return body
        raise _refusal(status, body, where)


def todo_for_refresh(preset: str, scopes: Collection[str]) -> str:
    """What makes a provider give refresh tokens to a client that asks for these scopes."""
    if preset == "google":
        return "keep `sessions.absolute` short: Google gives none to who does not ask in its own way"
    if OFFLINE not in scopes and preset != "keycloak":
        return f"add `{OFFLINE}` to `scopes` of `client`, and allow this client the grant `refresh_token` there"
    return "allow this client the grant `refresh_token` there"


def _refusal(status: int, body: bytes, where: str) -> StagedoorError:
    said = (json_object(body) or {}).get("error", "")
    code = said if isinstance(said, str) and _CODE.match(said) else ""
    words = f"`{where}` answered {status}" + (f", `{code}`" if code else "")
    if code in _GRANT:
        return GrantRefused(words)
    if status >= 500 or status in (408, 425, 429) or code in _LATER or status < 400:
        return ProviderAway(words)
    return ProviderRefused(words)
