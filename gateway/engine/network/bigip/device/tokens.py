"""The token that a process has at one unit: one, however many ask at once.

A device keeps a hundred tokens per user and then lets nobody in, so a token is kept, prolonged at 70 % of its life
and given back at the end. A device counts a token's life from when it was given and ends it after ten hours; ages
are measured here by our own clock, never by the device's. A refused password is not tried again until its file
changes or some minutes have passed: devices lock accounts.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.devices import Bigip
from gateway.engine.network.bigip.device.answers import Answer, has_too_many_tokens, message_of
from gateway.engine.network.faults import Busy, DeviceFault, Rejected, Unreachable
from gateway.engine.network.transport.https import Lost
from gateway.engine.network.transport.patience import LONGEST_S, SHORTEST_S, Time
from gateway.engine.network.transport.texts import shown
from gateway.secret_files import read_secret

ABSOLUTE_S: Final = 36_000.0  # TMOS: beyond it, 406
UNSAID_LIFE_S: Final = 1200.0
SHORTEST_LIFE_S: Final = 60.0
RENEWED_AT: Final = 0.7  # of the life
HELD_OFF_S: Final = 300.0  # after a refused password
KNOWN: Final = 4  # tokens that are kept out of messages: answers to older ones may still be under way
LONGEST_TOKEN: Final = 512  # characters; TMOS gives 26
LOGIN: Final = "/mgmt/shared/authn/login"
TOKENS: Final = "/mgmt/shared/authz/tokens/"

Ask = Callable[[str, str, Any, str], Awaitable[Answer]]  # method, path, body, token


@dataclass(slots=True)
class _Held:
    text: str
    given_s: float
    life_s: float  # that one round of renewal asks for
    renewed_s: float  # when to renew
    ends_s: float


class Tokens:
    """``ask`` makes one call, without a token where it is ``""``. ``where`` names the unit in messages."""

    def __init__(self, device: Bigip, where: str, ask: Ask, time: Time) -> None:
        self._device = device
        self._where = where
        self._ask = ask
        self._time = time
        self._one_at_a_time = asyncio.Lock()
        self._held: _Held | None = None
        self._given: deque[str] = deque(maxlen=KNOWN)
        self._last_password = ""
        self._refused: tuple[tuple[int, ...], float] | None = None  # the file's stamp, and until when it counts
        self._crowded_until_s = 0.0
        self._crowded_ceiling_s = SHORTEST_S
        self.logins = 0

    async def token(self) -> str:
        """Raises `DeviceFault`."""
        if (held := self._fresh()) is not None:
            return held.text
        async with self._one_at_a_time:
            if (held := self._fresh()) is not None:
                return held.text
            old = self._held
            if old is not None and await self._prolonged(old):
                return old.text
            self._held = await self._login()
            if old is not None:
                await self._given_back(old.text)
            return self._held.text

    def refused(self, token: str) -> None:
        """The device does not know the token any more. Whoever else was told so about the same one changes nothing."""
        if self._held is not None and self._held.text == token:
            self._held = None

    def known(self) -> tuple[str, ...]:
        """What must not be shown: the last password, the token and those before it."""
        return (self._last_password, *self._given)

    async def close(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await self._given_back(held.text)

    def _fresh(self) -> _Held | None:
        held = self._held
        return held if held is not None and self._time.monotonic() < held.renewed_s else None

    async def _prolonged(self, held: _Held) -> bool:
        """False where only another login helps."""
        now_s = self._time.monotonic()
        until_s = min(held.given_s + ABSOLUTE_S, now_s + held.life_s)
        if until_s - held.ends_s < 1.0 or now_s >= held.ends_s:
            return False
        # `timeout` counts from when the token was given, not from now.
        answer = await self._ask("PATCH", TOKENS + held.text, {"timeout": int(until_s - held.given_s)}, held.text)
        if answer.status != 200:
            if answer.status >= 500:
                raise Busy(f"{self._where} cannot prolong its token now: it answered {answer.status}")
            return False
        said_s = _seconds(answer.members.get("timeout"))
        held.ends_s = min(until_s, held.given_s + said_s) if said_s else until_s
        held.renewed_s = now_s + RENEWED_AT * max(held.ends_s - now_s, 0.0)
        return True

    async def _login(self) -> _Held:
        now_s = self._time.monotonic()
        if now_s < self._crowded_until_s:
            raise Busy(f"{self._where} has no room for another login of `{self._device.username}` yet")
        password, stamp = self._password()
        self._last_password = password
        if self._refused is not None and self._refused[0] == stamp and now_s < self._refused[1]:
            raise self._refusal()
        body = {
            "username": self._device.username,
            "password": password,
            "loginProviderName": self._device.login_provider,
        }
        self.logins += 1
        answer = await self._ask("POST", LOGIN, body, "")
        if answer.status == 401:
            self._refused = (stamp, now_s + HELD_OFF_S)
            raise self._refusal()
        if answer.status != 200:
            raise self._failure(answer)
        token = answer.members.get("token")
        text = token.get("token") if isinstance(token, dict) else None
        if not isinstance(token, dict) or not isinstance(text, str) or not _is_token(text):
            raise Unreachable(f"{self._where} answers a login with what is none: is it a BIG-IP?")
        self._given.append(text)
        self._crowded_ceiling_s = SHORTEST_S
        life_s = min(max(_seconds(token.get("timeout")) or UNSAID_LIFE_S, SHORTEST_LIFE_S), ABSOLUTE_S)
        return _Held(text, now_s, life_s, now_s + RENEWED_AT * life_s, now_s + life_s)

    def _failure(self, answer: Answer) -> DeviceFault:
        said = shown(message_of(answer), self.known())
        if has_too_many_tokens(answer):
            self._crowded_until_s = self._time.monotonic() + self._time.uniform(0.0, self._crowded_ceiling_s)
            self._crowded_ceiling_s = min(2 * self._crowded_ceiling_s, LONGEST_S)
            return Busy(
                f"{self._where} gives `{self._device.username}` no token, it has a hundred: end those that nobody "
                "uses, or give Stagedoor a user of its own"
            )
        if answer.status >= 500 or answer.status == 404 or answer.form not in ("json", "empty"):
            return Busy(f"{self._where} cannot be logged in to now: it answered {answer.status}, `{said}`")
        if 300 <= answer.status < 400:
            return Unreachable(f"{self._where} leads elsewhere ({answer.status}), which is not followed")
        return Rejected(f"{self._where} refuses the login: it answered {answer.status}, `{said}`")

    def _refusal(self) -> Rejected:
        return Rejected(
            f"{self._where} refuses `{self._device.username}`: check `username`, `login_provider` and what is in "
            f"`{self._device.password_file}`"
        )

    def _password(self) -> tuple[str, tuple[int, ...]]:
        file = self._device.password_file
        try:
            told = os.stat(file)
            return read_secret(file), (told.st_ino, told.st_mtime_ns, told.st_size)
        except OSError as error:
            raise Rejected(f"cannot read the password of {self._where} in `{file}`: {error.strerror}") from None
        except ValueError as error:
            raise Rejected(f"`{file}` holds no password: {error}") from None

    async def _given_back(self, token: str) -> None:
        """Costs nothing when it fails: the token ends by itself."""
        try:
            await self._ask("DELETE", TOKENS + token, None, token)
        except (DeviceFault, Lost):
            pass


def _is_token(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) <= LONGEST_TOKEN


def _seconds(said: object) -> float:
    """Devices say numbers as such and as text; 0 for anything else."""
    if isinstance(said, str) and said.isascii() and said.isdecimal() and len(said) < 8:
        return float(said)
    return float(said) if isinstance(said, int) and not isinstance(said, bool) and 0 < said < 10**7 else 0.0
