"""As whom a catalog is asked: the token that lies in a file, or one that an identity provider gives for an hour.

Backstage takes both for its `backend.auth.externalAccess`: a static token, or the token of an issuer whose keys it
reads (`type: jwks`). For the second Stagedoor is a client of its own at that issuer and asks for a token with the
client credentials grant (RFC 6749, section 4.4), again when nine tenths of its life are over, or when the catalog
knows it no more.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import quote_plus

import aiohttp
import orjson

from gateway.config.sources import Backstage, ClientCredentials
from gateway.secret_files import read_secret

ANSWER_BYTES: Final = 64 * 1024
UNSAID_LIFE_S: Final = 300.0  # of a token whose issuer does not say how long it lives
SHORTEST_LIFE_S: Final = 10.0
_TOKEN_FIX: Final = "write the token into it, one line and nothing else, readable by this user"
_SECRET_FIX: Final = "write the client's secret into it, one line and nothing else, readable by this user"
_GRANT_FIX: Final = "allow this client the client credentials grant, with this scope and audience"


class NoToken(Exception):
    """Why there is none; ``fix`` is what to do. Neither holds a secret."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.fix = fix


class Credentials(Protocol):
    async def token(self, session: aiohttp.ClientSession) -> str:
        """Raises `NoToken`."""

    def refused(self) -> bool:
        """The catalog did not know the token. Returns whether another one may do better."""


class FileToken:
    """Read for every call, so a rotated one counts at once."""

    def __init__(self, file: str) -> None:
        self._file = file

    async def token(self, session: aiohttp.ClientSession) -> str:
        return _sendable(_read(self._file, "token", _TOKEN_FIX), f"`{self._file}` holds no token", _TOKEN_FIX)

    def refused(self) -> bool:
        return False


class ClientToken:
    """Asked for when there is none, kept while it lives."""

    def __init__(self, client: ClientCredentials, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._token = ""
        self._until_s = 0.0

    async def token(self, session: aiohttp.ClientSession) -> str:
        if not self._token or self._monotonic() >= self._until_s:
            asked_s = self._monotonic()
            self._token, life_s = await self._ask(session)
            self._until_s = asked_s + 0.9 * max(life_s, SHORTEST_LIFE_S)
        return self._token

    def refused(self) -> bool:
        known, self._token = self._token, ""
        return bool(known)

    async def _ask(self, session: aiohttp.ClientSession) -> tuple[str, float]:
        """The token and its life in seconds."""
        client = self._client
        secret = _read(client.client_secret_file, "secret", _SECRET_FIX)
        pair = f"{quote_plus(client.client_id)}:{quote_plus(secret)}"  # RFC 6749, 2.3.1: encoded, then joined
        form = {"grant_type": "client_credentials"}
        if client.scopes:
            form["scope"] = " ".join(client.scopes)
        if client.audience:
            form["audience"] = client.audience
        fields = {"Authorization": "Basic " + b64encode(pair.encode()).decode()}
        try:
            async with session.post(client.url, data=form, headers=fields, allow_redirects=False) as answer:
                return self._given(answer.status, await _start_of(answer))
        except (aiohttp.ClientError, OSError) as error:  # a deadline that passed is an OSError too
            why = getattr(error, "strerror", "") or type(error).__name__
            raise NoToken(f"`{client.url}` cannot be reached: {why}", "make it reachable from here") from None

    def _given(self, status: int, text: bytes) -> tuple[str, float]:
        """RFC 6749, 5.1 and 5.2."""
        url = self._client.url
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise NoToken(f"`{url}` answered {status} and no JSON", "write the issuer's token endpoint")
        if status != 200:
            error = said.get("error")
            shown = f" `{error[:40]}`" if isinstance(error, str) and error.isascii() and error.isprintable() else ""
            raise NoToken(f"`{url}` answered {status}{shown}", _GRANT_FIX)
        token, kind, life_s = said.get("access_token"), said.get("token_type"), said.get("expires_in", UNSAID_LIFE_S)
        if not isinstance(token, str) or not isinstance(kind, str) or kind.lower() != "bearer":
            raise NoToken(f"`{url}` gave no bearer token", _GRANT_FIX)
        if isinstance(life_s, bool) or not isinstance(life_s, int | float):
            life_s = UNSAID_LIFE_S
        return _sendable(token, f"`{url}` gave a token that cannot be sent", _GRANT_FIX), float(life_s)


def credentials_of(said: Backstage) -> Credentials:
    return FileToken(said.token_file) if said.client is None else ClientToken(said.client)


async def _start_of(answer: aiohttp.ClientResponse) -> bytes:
    """No more than an answer may have; what is cut off is no JSON any more."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > ANSWER_BYTES:
            break
    return bytes(body[:ANSWER_BYTES])


def _read(file: str, what: str, fix: str) -> str:
    try:
        return read_secret(file)
    except OSError as error:
        raise NoToken(f"cannot read `{file}`: {str(error.strerror).lower()}", fix) from None
    except ValueError as error:
        raise NoToken(f"`{file}` holds no {what}: {error}", fix) from None


def _sendable(token: str, why: str, fix: str) -> str:
    """As the value of a header."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise NoToken(f"{why}: it has blanks or letters beyond ASCII", fix)
    return token
