"""A small OpenID provider for the lab: discovery, JWKS, client credentials, and tokens for people on request.

It stands where Okta, Entra ID or Keycloak stand in a company, and Stagedoor treats it as it treats them: it reads
discovery and keys over HTTP and verifies signatures. What a real provider would never offer, minting a token for
any person, sits behind `/admin` and a secret only this user can read. The provider listens on 127.0.0.1 and
nowhere else.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.lab.child import LOOPBACK, serve_until_parent_ends
from gateway.lab.directory import read_directory
from gateway.lab.folder import LabError, LabFolder
from gateway.lab.signing import ALGORITHMS, Algorithm, SigningKeys
from policy.builtin import API_AUDIENCE

AUDIENCE = "marlow-services"
DEFAULT_TTL_S = 3600
LONGEST_TTL_S = 24 * 3600


def client_secret(secret: str, client_id: str) -> str:
    """Each client's secret follows from the lab's own, so there is no list of them to keep."""
    return hmac.new(secret.encode(), client_id.encode(), hashlib.sha256).hexdigest()[:40]


class Provider:
    """The provider's endpoints over its keys and the catalog's directory."""

    def __init__(self, issuer: str, keys: SigningKeys, catalog: Path, secret: str, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self._keys = keys
        self._catalog = catalog
        self._secret = secret
        self._clock = clock

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/jwks.json", self._jwks)
        app.router.add_post("/token", self._token)
        app.router.add_post("/admin/mint", self._mint)
        app.router.add_post("/admin/rotate", self._rotate)
        return app

    async def _discovery(self, _request: web.Request) -> web.Response:
        document = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks.json",
            "token_endpoint": f"{self.issuer}/token",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(ALGORITHMS),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }
        return web.json_response(document, headers={"Cache-Control": "max-age=3600"})

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self._keys.jwks(), headers={"Cache-Control": "max-age=300"})

    async def _token(self, request: web.Request) -> web.Response:
        """RFC 6749 section 4.4, with the errors of its section 5.2."""
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        client_id, given = _client_credentials(request, form)
        wanted = client_secret(self._secret, client_id)
        if client_id not in read_directory(self._catalog).clients or not hmac.compare_digest(given, wanted):
            headers = {"WWW-Authenticate": 'Basic realm="lab"'}
            return web.json_response({"error": "invalid_client"}, status=401, headers=headers)
        claims = self._workload_claims(client_id, str(form.get("scope", "")), DEFAULT_TTL_S)
        answer = {"access_token": self._keys.sign(claims, "RS256"), "token_type": "Bearer", "expires_in": DEFAULT_TTL_S}
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def _mint(self, request: web.Request) -> web.Response:
        if not self._is_admin(request):
            return web.json_response({"error": "invalid_token"}, status=401)
        wish: dict[str, Any] = await request.json()
        algorithm = wish.get("alg", "RS256")
        if algorithm not in ALGORITHMS:
            return web.json_response({"error": f"`{algorithm}` is none of {', '.join(ALGORITHMS)}"}, status=400)
        ttl_s = max(-LONGEST_TTL_S, min(LONGEST_TTL_S, int(wish.get("ttl_s", DEFAULT_TTL_S))))
        try:
            token, known = self._signed(wish, ttl_s, algorithm)
        except LabError as error:
            return web.json_response({"error": str(error)}, status=409)
        return web.json_response({"token": token, "known": known}, headers={"Cache-Control": "no-store"})

    async def _rotate(self, request: web.Request) -> web.Response:
        if not self._is_admin(request):
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response({"current": self._keys.rotate()})

    def _signed(self, wish: dict[str, Any], ttl_s: int, algorithm: Algorithm) -> tuple[str, bool]:
        directory = read_directory(self._catalog)
        scope = str(wish.get("scope", ""))
        audience = {"aud": API_AUDIENCE if wish.get("api") else AUDIENCE}
        if wish.get("client"):
            client_id = str(wish["client"])
            claims = self._workload_claims(client_id, scope, ttl_s) | audience
            return self._keys.sign(claims, algorithm), client_id in directory.clients
        name = str(wish.get("user", ""))
        user = directory.user(name)
        claims = self._claims(user.subject, "lab-command-line", scope, ttl_s)
        claims |= {
            "preferred_username": user.name,
            "email": user.email,
            "email_verified": True,
            "groups": list(user.teams),
            "auth_time": claims["iat"],
            "amr": ["pwd", "mfa"] if wish.get("mfa", True) else ["pwd"],
            **audience,
        }
        return self._keys.sign(claims, algorithm), name in directory.users

    def _workload_claims(self, client_id: str, scope: str, ttl_s: int) -> dict[str, Any]:
        return {**self._claims(client_id, client_id, scope, ttl_s), "gty": "client-credentials"}

    def _claims(self, subject: str, client_id: str, scope: str, ttl_s: int) -> dict[str, Any]:
        """The claims of RFC 9068. A token asked for with a negative lifetime was good until that long ago."""
        now = int(self._clock())
        issued = now if ttl_s > 0 else now + ttl_s - DEFAULT_TTL_S
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": subject,
            "aud": AUDIENCE,
            "client_id": client_id,
            "iat": issued,
            "exp": now + ttl_s,
            "jti": secrets.token_hex(12),
        }
        return {**claims, "scope": scope} if scope else claims

    def _is_admin(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._secret}".encode())


def _client_credentials(request: web.Request, form: Any) -> tuple[str, str]:
    header = request.headers.get("Authorization", "")
    if not header.startswith("Basic "):
        return str(form.get("client_id", "")), str(form.get("client_secret", ""))
    try:
        name, _, given = base64.b64decode(header[6:], validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return name, given


def main() -> None:
    parser = argparse.ArgumentParser(prog="gateway.lab.provider")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    folder = LabFolder(options.folder)
    keys = SigningKeys(folder.signing_keys)
    issuer = f"http://{LOOPBACK}:{options.port}"
    provider = Provider(issuer, keys, options.catalog, folder.secret(), time.time)
    asyncio.run(serve_until_parent_ends({options.port: provider.app()}))


if __name__ == "__main__":
    main()
