"""Signing in at the lab's provider: choose who you are, with a second factor or without, and sign out again.

There is no password: the company is invented, and the provider listens on 127.0.0.1 alone. All else is as elsewhere:
a sign-in outlives the visit to one service, `prompt`, `max_age` and `acr_values` ask for another one, and signing out
tells every client that knows of it (OpenID Connect Back-Channel Logout 1.0, RP-Initiated Logout 1.0).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import jinja2
from aiohttp import web
from authlib.oauth2 import OAuth2Error
from authlib.oidc.rpinitiated import EndSessionEndpoint

from gateway.lab.authorization import AuthorizationServer, LabClient, LabRequest, logout_token, request_of
from gateway.lab.directory import Directory
from gateway.lab.sign_ins import MFA, SignIn

COOKIE: Final = "lab-sign-in"
HERE: Final = Path(__file__).parent
TELL_S: Final = 5.0
_HEADERS: Final = {
    # Chromium holds redirects after a form to `form-action` too, and the client's address is one.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


class Picking:
    """``directory``: who exists now. ``trust``: for telling clients of a sign-out."""

    def __init__(
        self, server: AuthorizationServer, directory: Callable[[], Directory], jwks: Callable[[], dict[str, Any]],
        trust: ssl.SSLContext | None,
    ) -> None:  # fmt: skip
        self._server = server
        self._directory = directory
        self._trust = trust
        self._told: set[asyncio.Task[None]] = set()
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )  # fmt: skip

        class EndSession(EndSessionEndpoint):  # type: ignore[misc]  # Authlib has no types
            def get_server_jwks(self) -> dict[str, Any]:
                return jwks()

            def end_session(self, asked: Any) -> None:
                """`_sign_out` ends it, which has the browser's cookie too."""

            def create_endpoint_request(self, request: LabRequest) -> LabRequest:
                return request

        server.register_endpoint(EndSession)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/authorize", self._authorize)
        app.router.add_get("/sign-out", self._sign_out)
        app.router.add_post("/sign-out", self._sign_out)
        app.router.add_get("/pick.css", self._style)

    # === signing in ===

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = await request_of(request, self._server.parts.issuer())
        cookie = request.cookies.get(COOKIE, "")
        sign_in = self._server.sign_ins.of(cookie)
        if request.method == "POST" and "user" in asked.form:
            cookie, sign_in = self._server.sign_ins.begin(asked.form["user"], mfa="mfa" in asked.form)
        elif sign_in is not None and not self._is_enough(sign_in, asked.payload.data):
            sign_in = None
        try:
            grant = self._server.get_consent_grant(asked, sign_in)
        except OAuth2Error as error:
            answer: web.Response = self._server.handle_error_response(asked, error)
            return answer
        if "cancel" not in asked.form and sign_in is None:
            return self._page("pick.html", self._people(asked.payload.data))
        answer = self._server.create_authorization_response(asked, sign_in, grant)
        if sign_in is not None:
            answer.set_cookie(COOKIE, cookie, httponly=True, samesite="Lax")
        return answer

    def _is_enough(self, sign_in: SignIn, said: dict[str, str]) -> bool:
        if set(said.get("prompt", "").split()) & {"login", "select_account"}:
            return False
        if MFA in said.get("acr_values", "").split() and not sign_in.mfa:
            return False
        age = said.get("max_age", "")
        return not age.isdecimal() or self._server.parts.clock() - sign_in.at <= int(age)

    def _people(self, said: dict[str, str]) -> dict[str, Any]:
        users = sorted(self._directory().users.values(), key=lambda each: each.title)
        return {
            "users": [{"name": each.name, "title": each.title, "about": each.description} for each in users],
            "mfa": MFA in said.get("acr_values", "").split(), "hint": said.get("login_hint", ""),
        }  # fmt: skip

    # === signing out ===

    async def _sign_out(self, request: web.Request) -> web.Response:
        asked = await request_of(request, self._server.parts.issuer())
        try:
            wish = self._server.validate_endpoint_request("end_session", asked)
        except OAuth2Error as error:
            answer: web.Response = self._server.handle_error_response(asked, error)
            return answer
        hinted = (wish.id_token_claims or {}).get("sid", "")
        here = self._server.sign_ins.of(request.cookies.get(COOKIE, ""))
        if here is not None and not hinted and request.method == "GET":
            return self._page("sign_out.html", {"user": self._directory().user(here.user).title})
        for sid in {hinted, here.sid if here is not None else ""} - {""}:
            await self.end(sid)
        if wish.redirect_uri:
            return web.Response(status=303, headers={"Location": wish.redirect_uri})
        return self._page("signed_out.html", {})

    async def end(self, sid: str) -> None:
        """End a sign-in, and tell its clients; returns when they have answered or had their time."""
        ended = self._server.sign_ins.end(sid)
        if ended is not None:
            sub = self._directory().user(ended.user).subject
            clients = [self._server.query_client(each) for each in sorted(ended.clients)]
            await asyncio.gather(*[self._tell(each, sub, sid) for each in clients if each and each.logout_uri])

    async def _tell(self, client: LabClient, sub: str, sid: str) -> None:
        form = {"logout_token": logout_token(self._server.parts, client.client_id, sub, sid)}
        timeout = aiohttp.ClientTimeout(total=TELL_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                await session.post(client.logout_uri, data=form, ssl=self._trust or True, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError):
            pass  # as every provider: it was told once

    # === pages ===

    def _page(self, name: str, values: dict[str, Any]) -> web.Response:
        text = self._templates.get_template(name).render(values)
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    async def _style(self, _request: web.Request) -> web.Response:
        return web.Response(text=(HERE / "static" / "pick.css").read_text(), content_type="text/css")
