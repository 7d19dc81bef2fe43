"""A small OpenID provider for the lab: people sign in by choosing who they are, programs with their credentials.

It stands where Okta, Entra ID or Keycloak stand in a company, and Stagedoor treats it as it treats them: it reads
discovery and keys over HTTP and verifies signatures. What a real provider would never offer, minting a token for
any person, sits behind `/admin` and a secret only this user can read. The provider listens on 127.0.0.1 and
nowhere else.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import secrets
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.lab.authorization import SCOPES, AuthorizationServer, LabClient, Parts, request_of
from gateway.lab.child import LOOPBACK, serve_until_parent_ends
from gateway.lab.directory import read_directory
from gateway.lab.folder import LabError, LabFolder
from gateway.lab.picking import Picking
from gateway.lab.sign_ins import MFA, PASSWORD, SignIns
from gateway.lab.signing import ALGORITHMS, Algorithm, SigningKeys
from policy.builtin import API_AUDIENCE

AUDIENCE = "marlow-services"
ISSUER_NAME = "marlow"  # as Stagedoor's settings call it
OWN_CLIENT = "door"  # as no audience is called: its ID tokens are for nobody else
COMMAND_LINE_CLIENT = "laptop"  # of `stagedoor login`, without a secret
DEFAULT_TTL_S = 3600
LONGEST_TTL_S = 24 * 3600


def client_secret(secret: str, client_id: str) -> str:
    """Each client's secret follows from the lab's own, so there is no list of them to keep."""
    return hmac.new(secret.encode(), client_id.encode(), hashlib.sha256).hexdigest()[:40]


class Provider:
    """The provider's endpoints over its keys and the catalog's directory. ``door``: origin of the central host, where
    people who sign in are sent back to; ``past``: the same host past the BIG-IP; ``trust``: for its certificate."""

    def __init__(
        self, issuer: str, keys: SigningKeys, catalog: Path, secret: str, clock: Callable[[], float],
        door: str = "", trust: ssl.SSLContext | None = None, past: str = "",
    ) -> None:  # fmt: skip
        self.issuer = issuer
        self._keys = keys
        self._catalog = catalog
        self._secret = secret
        self._clock = clock
        self._door = door
        self._origins = tuple(origin for origin in (door, past) if origin)
        self._sign_ins = SignIns(clock)
        parts = Parts(
            self._client, lambda client, scope: self._workload_claims(client, scope, DEFAULT_TTL_S), self._person,
            self._about, lambda claims, typ: keys.sign(claims, "RS256", typ), lambda: self.issuer, clock, DEFAULT_TTL_S,
        )  # fmt: skip
        self._server = AuthorizationServer(parts, self._sign_ins)
        self._picking = Picking(self._server, lambda: read_directory(catalog), keys.jwks, trust)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/jwks.json", self._jwks)
        app.router.add_post("/token", self._token)
        app.router.add_get("/userinfo", self._userinfo)
        app.router.add_post("/admin/mint", self._mint)
        app.router.add_post("/admin/rotate", self._rotate)
        app.router.add_post("/admin/sign-out", self._sign_out)
        self._picking.add_to(app)
        return app

    async def _discovery(self, _request: web.Request) -> web.Response:
        document = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks.json",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/sign-out",
            "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
            "response_types_supported": ["code"],
            "scopes_supported": list(SCOPES),
            "acr_values_supported": [PASSWORD, MFA],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }
        return web.json_response(document, headers={"Cache-Control": "max-age=3600"})

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self._keys.jwks(), headers={"Cache-Control": "max-age=300"})

    async def _token(self, request: web.Request) -> web.Response:
        answer: web.Response = self._server.create_token_response(await request_of(request, self.issuer))
        return answer

    async def _userinfo(self, request: web.Request) -> web.Response:
        """OpenID Connect Core 1.0, 5.3."""
        claims = self._keys.claims_of(request.headers.get("Authorization", "").removeprefix("Bearer "), self.issuer)
        users = read_directory(self._catalog).users.values()
        user = next((each for each in users if each.subject == claims.get("sub")), None)
        if user is None:
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return web.json_response({"error": "invalid_token"}, status=401, headers=headers)
        return web.json_response(self._about(user.name), headers={"Cache-Control": "no-store"})

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

    async def _sign_out(self, request: web.Request) -> web.Response:
        """What an administrator does when a laptop is lost: the person's sign-ins end, and their clients are told."""
        if not self._is_admin(request):
            return web.json_response({"error": "invalid_token"}, status=401)
        ended = self._sign_ins.of_user(str((await request.json()).get("user", "")))
        for each in ended:
            await self._picking.end(each.sid)
        return web.json_response({"ended": len(ended)})

    # === what it says of people and programs ===

    def _client(self, client_id: str) -> LabClient | None:
        """Stagedoor itself, which signs people in; its command line; or one of the catalog's programs."""
        secret = client_secret(self._secret, client_id)
        if client_id == OWN_CLIENT and self._door:
            own = [f"{origin}/.stagedoor" for origin in self._origins]
            metadata = {"post_logout_redirect_uris": [f"{each}/signed-out" for each in own]}
            logout = f"{own[0]}/backchannel-logout/{ISSUER_NAME}"
            return LabClient(client_id, secret, tuple(f"{each}/callback" for each in own), metadata, logout)
        if client_id == COMMAND_LINE_CLIENT:
            return LabClient(client_id, "", (f"http://{LOOPBACK}/callback",))
        return LabClient(client_id, secret) if client_id in read_directory(self._catalog).clients else None

    def _person(self, name: str, client_id: str, scope: str) -> dict[str, Any]:
        subject = read_directory(self._catalog).user(name).subject
        return self._claims(subject, client_id, scope, DEFAULT_TTL_S)

    def _about(self, name: str) -> dict[str, Any]:
        user = read_directory(self._catalog).user(name)
        return {
            "sub": user.subject,
            "name": user.title,
            "preferred_username": user.name,
            "email": user.email,
            "email_verified": True,
            "groups": list(user.teams),
        }

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
        claims |= self._about(name)
        claims |= {
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="gateway.lab.provider")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--door", default="")
    parser.add_argument("--past", default="")
    options = parser.parse_args()
    folder = LabFolder(options.folder)
    keys = SigningKeys(folder.signing_keys)
    issuer = f"http://{LOOPBACK}:{options.port}"
    trust = ssl.create_default_context(cafile=str(folder.certificates / "ca.pem"))
    provider = Provider(issuer, keys, options.catalog, folder.secret(), time.time, options.door, trust, options.past)
    asyncio.run(serve_until_parent_ends({options.port: provider.app()}))


if __name__ == "__main__":
    main()
