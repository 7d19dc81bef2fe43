"""Who is signed in at the lab's provider, and what it has promised its clients: codes and refresh tokens.

All of it in memory: when the lab starts again, everybody signs in again. A code is good once and for a minute, a
refresh token once; using one a second time takes back all that its sign-in has given (RFC 9700, 4.14.2).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from authlib.oidc.core.models import AuthorizationCodeMixin

CODE_S: Final = 60
MFA: Final = "mfa"
PASSWORD: Final = "pwd"


@dataclass
class SignIn:
    """One browser's."""

    sid: str
    user: str
    at: int  # epoch seconds
    mfa: bool
    clients: set[str] = field(default_factory=set)  # that were told of it

    @property
    def acr(self) -> str:
        return MFA if self.mfa else PASSWORD

    @property
    def amr(self) -> list[str]:
        return [PASSWORD, MFA] if self.mfa else [PASSWORD]


@dataclass(frozen=True)
class Code(AuthorizationCodeMixin):  # type: ignore[misc]  # Authlib has no types
    """What a client will get for a code, and what it has to show."""

    value: str
    client_id: str
    redirect_uri: str
    scope: str
    nonce: str
    challenge: str
    challenge_method: str
    sign_in: SignIn
    until: int

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.sign_in.at

    def get_acr(self) -> str:
        return self.sign_in.acr

    def get_amr(self) -> list[str]:
        return self.sign_in.amr


@dataclass(frozen=True)
class Refresh:
    """A refresh token, as Authlib asks about it."""

    client_id: str
    scope: str
    sign_in: SignIn

    def check_client(self, client: Any) -> bool:
        return bool(client.get_client_id() == self.client_id)

    def get_scope(self) -> str:
        return self.scope


class SignIns:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of_browser: dict[str, SignIn] = {}  # by the cookie
        self._codes: dict[str, Code] = {}
        self._refreshes: dict[str, Refresh] = {}
        self._used: dict[str, Refresh] = {}

    # === browsers ===

    def begin(self, user: str, *, mfa: bool) -> tuple[str, SignIn]:
        """The cookie and the sign-in of somebody who has just shown who they are."""
        cookie = secrets.token_urlsafe(24)
        self._of_browser[cookie] = SignIn(secrets.token_hex(12), user, int(self._clock()), mfa)
        return cookie, self._of_browser[cookie]

    def of(self, cookie: str) -> SignIn | None:
        return self._of_browser.get(cookie)

    def end(self, sid: str) -> SignIn | None:
        """Nothing that it has given counts any more."""
        ended = next((each for each in self._of_browser.values() if each.sid == sid), None)
        self._of_browser = {cookie: each for cookie, each in self._of_browser.items() if each.sid != sid}
        self._codes = {value: each for value, each in self._codes.items() if each.sign_in.sid != sid}
        self._refreshes = {value: each for value, each in self._refreshes.items() if each.sign_in.sid != sid}
        return ended

    def of_user(self, user: str) -> list[SignIn]:
        return [each for each in self._of_browser.values() if each.user == user]

    # === codes and refresh tokens ===

    def put_code(self, code: Code) -> None:
        now = int(self._clock())
        self._codes = {value: each for value, each in self._codes.items() if each.until > now}
        self._codes[code.value] = code

    def take_code(self, value: str, client_id: str) -> Code | None:
        code = self._codes.pop(value, None)
        good = code is not None and code.client_id == client_id and code.until > int(self._clock())
        return code if good else None

    def until(self) -> int:
        """When a code of now ends."""
        return int(self._clock()) + CODE_S

    def put_refresh(self, refresh: Refresh) -> str:
        value = secrets.token_urlsafe(32)
        self._refreshes[value] = refresh
        return value

    def find_refresh(self, value: str) -> Refresh | None:
        """None where it is unknown; what it belongs to ends where it was used before."""
        used = self._used.get(value)
        if used is not None:
            self.end(used.sign_in.sid)
        return self._refreshes.get(value)

    def use_refresh(self, refresh: Refresh) -> None:
        for value in [value for value, each in self._refreshes.items() if each is refresh]:
            self._used[value] = self._refreshes.pop(value)
