"""The lab's provider as an OAuth server: Authlib's grants over the lab's people, clients and keys.

Authlib knows RFC 6749, 7636 (S256 alone, always) and OpenID Connect Core 1.0; here is what it has to be told: who the
clients are, what a code stands for, and how our tokens look. Access tokens are JWTs (RFC 9068), the ID token beside
them names the sign-in (`sid`, `auth_time`, `acr`, `amr`).
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from aiohttp import web
from authlib.oauth2.rfc6749 import AuthorizationServer as OAuthServer
from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Request, grants
from authlib.oauth2.rfc6749.requests import OAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from authlib.oidc.core.grants.code import OpenIDToken

from gateway.lab.sign_ins import Code, Refresh, SignIn, SignIns

SCOPES: Final = ("openid", "profile", "email", "groups", "offline_access")
Claims = dict[str, Any]
# How clients that sign people in say who they are.
_BY_PEOPLE: Final = ("client_secret_basic", "client_secret_post", "none")
_LOOPBACK_PORT: Final = re.compile(r"(?<=\Ahttp://127\.0\.0\.1):[0-9]{1,5}(?=/)")


@dataclass(frozen=True)
class LabClient(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """``redirect_uris`` make it one that signs people in; every other one has credentials alone. Without a ``secret``
    it is a native one on somebody's machine, whose addresses on loopback may have any port (RFC 8252, 7.3)."""

    client_id: str
    secret: str
    redirect_uris: tuple[str, ...] = ()
    client_metadata: Mapping[str, Any] = field(default_factory=dict)
    logout_uri: str = ""

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uris[0] if self.redirect_uris else ""

    def get_allowed_scope(self, scope: str) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        if not self.secret:
            redirect_uri = _LOOPBACK_PORT.sub("", redirect_uri, count=1)
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(self.secret) and hmac.compare_digest(client_secret.encode(), self.secret.encode())

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in (("client_secret_basic", "client_secret_post") if self.secret else ("none",))

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and bool(self.redirect_uris)

    def check_grant_type(self, grant_type: str) -> bool:
        by_people = ("authorization_code", "refresh_token")
        return grant_type in (by_people if self.redirect_uris else ("client_credentials",))


@dataclass(frozen=True)
class Parts:
    """What the server is made of. ``workload`` and ``person`` make claims: of a client's token for a scope, and of a
    person's access token; ``about`` says what an ID token says of a user; ``sign`` takes claims and a `typ`."""

    client: Callable[[str], LabClient | None]
    workload: Callable[[str, str], Claims]
    person: Callable[[str, str, str], Claims]
    about: Callable[[str], Claims]
    sign: Callable[[Claims, str], str]
    issuer: Callable[[], str]
    clock: Callable[[], float]
    lifetime_s: int


class _Payload(OAuth2Payload):  # type: ignore[misc]  # Authlib has no types
    """Parameters of the query and of the form; a parameter twice is seen as such."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.data = dict(pairs)
        self.datalist: dict[str, list[str]] = {}
        for name, value in pairs:
            self.datalist.setdefault(name, []).append(value)

    data: dict[str, str] = {}  # noqa: RUF012  # Authlib has properties of these names
    datalist: dict[str, list[str]] = {}  # noqa: RUF012  # as above


class LabRequest(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A request as Authlib wants it: read already."""

    def __init__(self, method: str, uri: str, headers: Mapping[str, str], form: Mapping[str, str]) -> None:
        super().__init__(method, uri, headers=dict(headers))
        self._form = dict(form)
        self.payload = _Payload([*parse_qsl(urlsplit(uri).query, keep_blank_values=True), *form.items()])

    @property
    def args(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.uri).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return self._form


async def request_of(request: web.Request, issuer: str) -> LabRequest:
    form = {name: str(value) for name, value in (await request.post()).items()}
    return LabRequest(request.method, issuer + request.raw_path, request.headers, form)


class AuthorizationServer(OAuthServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's, answering with aiohttp's responses."""

    def __init__(self, parts: Parts, sign_ins: SignIns) -> None:
        super().__init__()
        self.parts = parts
        self.sign_ins = sign_ins
        self.register_token_generator("default", self._token)
        self.register_grant(_ClientCredentials)
        self.register_grant(_ByCode, [_IdToken(), _Challenge(required=True)])
        self.register_grant(_ByRefresh, [_RefreshedIdToken()])

    def query_client(self, client_id: str) -> LabClient | None:
        return self.parts.client(client_id)

    def save_token(self, token: dict[str, Any], request: LabRequest) -> None:
        """Access tokens are kept nowhere: who has one shows it to the services."""

    def create_oauth2_request(self, request: LabRequest) -> LabRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> web.Response:
        sent = {name: value for name, value in headers if name.lower() != "content-type"}
        if status == 302:
            return web.Response(status=303, headers=sent)
        if status == 401:
            sent.setdefault("WWW-Authenticate", 'Basic realm="lab"')
        return web.json_response(body, status=status, headers=sent)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def _token(
        self, grant_type: str, client: LabClient, user: SignIn | None = None, scope: str = "",
        expires_in: int | None = None, include_refresh_token: bool = True,
    ) -> dict[str, Any]:  # fmt: skip
        parts = self.parts
        scope = scope or ""
        if user is None:
            claims = parts.workload(client.client_id, scope)
        else:
            claims = parts.person(user.user, client.client_id, scope) | {
                "auth_time": user.at, "acr": user.acr, "amr": user.amr, "sid": user.sid,
            }  # fmt: skip
        token = {
            "access_token": parts.sign(claims, "at+jwt"), "token_type": "Bearer",
            "expires_in": parts.lifetime_s, "scope": scope,
        }  # fmt: skip
        if user is not None and include_refresh_token:
            token["refresh_token"] = self.sign_ins.put_refresh(Refresh(client.client_id, scope, user))
        return token


class _ClientCredentials(grants.ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


class _ByCode(grants.AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = _BY_PEOPLE

    def save_authorization_code(self, code: str, request: LabRequest) -> None:
        said = request.payload.data
        sign_ins: SignIns = self.server.sign_ins
        sign_in: SignIn = request.user
        sign_in.clients.add(request.client.client_id)
        sign_ins.put_code(
            Code(
                code, request.client.client_id, said.get("redirect_uri", ""), request.scope, said.get("nonce", ""),
                said.get("code_challenge", ""), said.get("code_challenge_method", ""), sign_in, sign_ins.until(),
            )
        )  # fmt: skip

    def query_authorization_code(self, code: str, client: LabClient) -> Code | None:
        found: Code | None = self.server.sign_ins.take_code(code, client.client_id)
        return found

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It went when it was looked up."""

    def authenticate_user(self, authorization_code: Code) -> SignIn:
        return authorization_code.sign_in


class _ByRefresh(grants.RefreshTokenGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = _BY_PEOPLE
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        found: Refresh | None = self.server.sign_ins.find_refresh(refresh_token)
        return found

    def authenticate_user(self, refresh_token: Refresh) -> SignIn:
        return refresh_token.sign_in

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        self.server.sign_ins.use_refresh(refresh_token)


class _Challenge(CodeChallenge):  # type: ignore[misc]  # Authlib has no types
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    DEFAULT_CODE_CHALLENGE_METHOD = "S256"

    def get_authorization_code_challenge(self, authorization_code: Code) -> str:
        return authorization_code.challenge

    def get_authorization_code_challenge_method(self, authorization_code: Code) -> str:
        return authorization_code.challenge_method or "S256"


def _signed(server: AuthorizationServer, client_id: str, sign_in: SignIn, nonce: str) -> str:
    parts = server.parts
    now = int(parts.clock())
    claims = {
        **parts.about(sign_in.user), "iss": parts.issuer(), "aud": client_id, "iat": now, "exp": now + 300,
        "auth_time": sign_in.at, "acr": sign_in.acr, "amr": sign_in.amr, "sid": sign_in.sid,
        **({"nonce": nonce} if nonce else {}),
    }  # fmt: skip
    return parts.sign(claims, "JWT")


class _IdToken(OpenIDCode):  # type: ignore[misc]  # Authlib has no types
    def exists_nonce(self, nonce: str, request: LabRequest) -> bool:
        return False  # a code is good once, and its nonce with it

    def process_token(self, grant: Any, response: tuple[int, dict[str, Any], Any]) -> dict[str, Any]:
        _, token, _ = response
        code: Code = grant.request.authorization_code
        if "openid" in code.scope.split():
            token["id_token"] = _signed(grant.server, code.client_id, code.sign_in, code.nonce)
        return token


class _RefreshedIdToken(OpenIDToken):  # type: ignore[misc]  # Authlib has no types
    def process_token(self, grant: Any, response: tuple[int, dict[str, Any], Any]) -> dict[str, Any]:
        _, token, _ = response
        used: Refresh = grant.request.refresh_token
        if "openid" in used.scope.split():
            token["id_token"] = _signed(grant.server, used.client_id, used.sign_in, "")
        return token


def logout_token(parts: Parts, client_id: str, sub: str, sid: str) -> str:
    """OpenID Connect Back-Channel Logout 1.0, 2.4."""
    now = int(parts.clock())
    claims = {
        "iss": parts.issuer(), "sub": sub, "aud": client_id, "iat": now, "exp": now + 120,
        "jti": secrets.token_hex(12), "sid": sid, "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }  # fmt: skip
    return parts.sign(claims, "logout+jwt")
