"""Log-in and tokens: a life from the start on, at most ten hours of it, at most a hundred for each user but `admin`.

A token's life is counted from when it began, however often it is extended.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.lab.bigip.presenting import HOST
from gateway.lab.bigip.refusals import Json, Refusal, refused

LIFE_S: Final = 1200
LONGEST_S: Final = 36000
MOST: Final = 100
ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
PATH: Final = "/mgmt/shared/authz/tokens"


@dataclass
class Token:
    value: str
    user: str
    provider: str
    started: float
    life: int = LIFE_S
    generation: int = 1

    def ends(self) -> float:
        return self.started + self.life

    def shown(self) -> Json:
        micros = int(self.started * 1_000_000)
        began = datetime.fromtimestamp(self.started, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
        return {
            "token": self.value,
            "name": self.value,
            "userName": self.user,
            "authProviderName": self.provider,
            "user": {"link": f"{HOST}/mgmt/shared/authz/users/{self.user}"},
            "timeout": self.life,
            "startTime": began,
            "address": "127.0.0.1",
            "partition": "[All]",
            "generation": self.generation,
            "lastUpdateMicros": micros,
            "expirationMicros": micros + self.life * 1_000_000,
            "kind": "shared:authz:tokens:authtokenitemstate",
            "selfLink": f"{HOST}{PATH}/{self.value}",
        }


class Tokens:
    """``users``: name → password. ``clock``: epoch seconds, the device's own."""

    def __init__(self, users: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._users = users
        self._clock = clock
        self._live: dict[str, Token] = {}
        self.logins = 0

    def log_in(self, body: Any) -> Json:
        self.logins += 1
        user, password = str(_word(body, "username")), str(_word(body, "password"))
        provider = str(_word(body, "loginProviderName") or "tmos")
        if not self._known(user, password):
            raise _unauthorised("Authentication failed.")
        self._forget_ended()
        if user != "admin" and sum(token.user == user for token in self._live.values()) >= MOST:
            raise refused(400, f"user {user} has reached maximum active login tokens")
        value = "".join(secrets.choice(ALPHABET) for _ in range(26))
        token = self._live[value] = Token(value, user, provider, self._clock())
        return {
            "username": user,
            "loginReference": {"link": f"{HOST}/mgmt/cm/system/authn/providers/{provider}/login"},
            "loginProviderName": provider,
            "token": token.shown(),
            "generation": 0,
            "lastUpdateMicros": 0,
        }

    def admit(self, headers: Mapping[str, str], path: str) -> str:
        """The user. Raises `Refusal` 401 for a token or a password that does not count."""
        value = headers.get("X-F5-Auth-Token")
        if value is not None:
            return self._held(value).user
        scheme, _, coded = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise _unauthorised("Authentication failed.") from None
            if self._known(user, password):
                return user
            raise _unauthorised("Authentication failed.")
        raise _unauthorised(
            "Authorization failed: no user authentication header or token detected. "
            f"Uri:http://localhost:8100{path} Referrer:127.0.0.1 Sender:127.0.0.1"
        )

    def extend(self, value: str, body: Any) -> Json:
        token = self._held(value, missing=404)
        try:
            life = int(_word(body, "timeout"))
        except ValueError:
            raise refused(400, "timeout must be a number of seconds") from None
        if life > LONGEST_S:
            raise refused(406, f"Auth-token absolute timeout ({LONGEST_S} seconds) exceeded")
        token.life, token.generation = life, token.generation + 1
        return token.shown()

    def end(self, value: str) -> Json:
        token = self._held(value, missing=404)
        del self._live[value]
        return token.shown()

    def one(self, value: str) -> Json:
        return self._held(value, missing=404).shown()

    def live(self) -> list[Json]:
        self._forget_ended()
        return [token.shown() for token in self._live.values()]

    def revoke(self) -> None:
        self._live.clear()

    def _known(self, user: str, password: str) -> bool:
        held = self._users.get(user)
        return held is not None and hmac.compare_digest(held.encode(), password.encode())

    def _held(self, value: str, missing: int = 401) -> Token:
        self._forget_ended()
        if value not in self._live:
            raise _unauthorised("X-F5-Auth-Token does not exist.", missing)
        return self._live[value]

    def _forget_ended(self) -> None:
        now = self._clock()
        self._live = {value: token for value, token in self._live.items() if token.ends() > now}


def _word(body: Any, name: str) -> Any:
    return body.get(name, "") if isinstance(body, dict) else ""


def _unauthorised(message: str, status: int = 401) -> Refusal:
    body: Json = {"code": status, "message": message, "referer": "127.0.0.1", "restOperationId": 1,
                  "kind": ":resterrorresponse"}  # fmt: skip
    return Refusal(status, body)
