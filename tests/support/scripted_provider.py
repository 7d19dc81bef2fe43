"""A provider that does as a test says: wrong discovery, wrong tokens, slow, away, refresh tokens used twice.

It speaks HTTP on loopback like any provider. What it answers is signed by hand (`tests.support.tokens`), so every byte
can be wrong; what it was asked is kept.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.tokens import RS256, Signer

CLIENT = "door"


class ScriptedProvider:
    """Start with ``async with``. ``changes`` go over the claims of the next ID tokens, `...` takes one away."""

    def __init__(self) -> None:
        self.signers: tuple[Signer, ...] = (RS256,)
        self.signer = RS256
        self.header: dict[str, object] = {}
        self.changes: dict[str, object] = {}
        self.document: dict[str, object] = {}  # over the discovery document
        self.userinfo: object = None  # what userinfo answers; None: the person
        self.groups: list[object] = []  # pages of Graph's answer
        self.answer: dict[str, object] = {}  # over the token answer
        self.status: dict[str, int] = {}  # by path
        self.error = ""  # of the token endpoint, with status 400
        self.slow_s: dict[str, float] = {}  # by path
        self.forms: list[dict[str, str]] = []  # that the token endpoint got
        self.headers: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.nonce = ""
        self.ahead_s = 0  # its clock
        self.refresh_token = "r-0"  # the one that counts now; used twice, the grant is over
        self.grant_over = False
        self._server: TestServer | None = None

    @property
    def issuer(self) -> str:
        assert self._server is not None
        return str(self._server.make_url("")).rstrip("/")

    async def __aenter__(self) -> ScriptedProvider:
        app = web.Application()
        for path, answers in (
            ("/.well-known/openid-configuration", self._discovery), ("/jwks", self._jwks), ("/token", self._token),
            ("/userinfo", self._userinfo), ("/par", self._pushed),
            ("/v1.0/me/transitiveMemberOf", self._groups),
        ):  # fmt: skip
            app.router.add_route("*", path, self._scripted(answers))
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await self._server.close()

    def id_token(self, **changes: object) -> str:
        now = int(time.time()) + self.ahead_s
        claims: dict[str, object] = {
            "iss": self.issuer, "sub": "jane", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": self.nonce,
            "auth_time": now, "acr": "one", "amr": ["pwd"], "sid": "p-1", "groups": ["team"],
            **self.changes, **changes,
        }  # fmt: skip
        header = self.signer.header(typ="JWT", **self.header)
        return self.signer.sign(header, {name: value for name, value in claims.items() if value is not ...}).decode()

    def logout_token(self, **changes: object) -> str:
        now = int(time.time()) + self.ahead_s
        claims: dict[str, object] = {
            "iss": self.issuer, "aud": CLIENT, "exp": now + 120, "iat": now, "jti": f"j-{time.monotonic_ns()}",
            "sub": "jane", "events": {"http://schemas.openid.net/event/backchannel-logout": {}}, **changes,
        }  # fmt: skip
        header = self.signer.header(typ="logout+jwt", **self.header)
        return self.signer.sign(header, {name: value for name, value in claims.items() if value is not ...}).decode()

    # === its endpoints ===

    def _scripted(self, answers: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.Response:
            self.asked.append(request.path)
            await asyncio.sleep(self.slow_s.get(request.path, 0))
            if status := self.status.get(request.path, 0):
                return web.Response(status=status, headers={"Location": "/elsewhere"} if 300 <= status < 400 else {})
            found: web.Response = await answers(request)
            return found

        return answer

    async def _discovery(self, _request: web.Request) -> web.Response:
        base = self.issuer
        document: dict[str, object] = {
            "issuer": base, "jwks_uri": f"{base}/jwks", "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token", "userinfo_endpoint": f"{base}/userinfo",
            "end_session_endpoint": f"{base}/logout", "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True, **self.document,
        }  # fmt: skip
        return web.json_response({name: value for name, value in document.items() if value is not ...})

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [signer.jwk for signer in self.signers]})

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: values[0] for name, values in parse_qs((await request.read()).decode()).items()}
        self.forms.append(form)
        self.headers.append(dict(request.headers))
        if self.error:
            return web.json_response({"error": self.error, "error_description": "words"}, status=400)
        is_used = form.get("refresh_token", self.refresh_token) != self.refresh_token
        if form["grant_type"] == "refresh_token" and (self.grant_over or is_used):
            self.grant_over = True
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.refresh_token = f"r-{len(self.forms)}"
        said: dict[str, object] = {
            "access_token": "access", "token_type": "Bearer", "expires_in": 300, "id_token": self.id_token(),
            "refresh_token": self.refresh_token, **self.answer,
        }  # fmt: skip
        return web.json_response({name: value for name, value in said.items() if value is not ...})

    async def _userinfo(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer access"
        said = {"sub": "jane", "department": "money"} if self.userinfo is None else self.userinfo
        return web.Response(text=said if isinstance(said, str) else json.dumps(said), content_type="application/json")

    async def _pushed(self, request: web.Request) -> web.Response:
        self.forms.append({name: values[0] for name, values in parse_qs((await request.read()).decode()).items()})
        return web.json_response({"request_uri": "urn:example:pushed", "expires_in": 60}, status=201)

    async def _groups(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer access"
        number = int(parse_qs(urlsplit(str(request.url)).query).get("page", ["0"])[0])
        return web.json_response(self.groups[number])
