"""One unit's iControl REST, as a careful stranger asks it: reads that are tried again, writes that never are in doubt.

A call carries the process's one token; a 401 is answered by one
other login and the call once more, whatever the method: a refused call did nothing. What may be tried again is:

    nothing was done (AS3's lock, AS3 not there yet, no connection)   again, reads and writes
    perhaps it was done (5xx, HTML, cut off, too late)                reads again; of a write: `Unknown`
    400, 409, 422, any other 4xx, a redirect                          never

always with full jitter and an end. No message holds the password or a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import orjson

from gateway.config.devices import Bigip
from gateway.engine.network.bigip.device.answers import Answer, Meaning, answer_of, is_locked, meaning_of, message_of
from gateway.engine.network.bigip.device.tokens import Tokens
from gateway.engine.network.faults import Busy, Rejected, Unknown, Unreachable
from gateway.engine.network.transport.https import Https, Lost, Manner, authorities, place_of
from gateway.engine.network.transport.patience import Limits, Patience, Time
from gateway.engine.network.transport.texts import shown

ANSWER_BYTES: Final = 16 * 1024 * 1024  # a declaration of ten thousand applications, or three thousand virtual servers
ASIDE_BYTES: Final = 256 * 1024  # larger answers are read in a thread
_MANNER: Final = Manner(
    "application/json", 4, ANSWER_BYTES, "units",
    "say in `ca` who signs its certificate, and reach it by a name or address that it carries",
)  # fmt: skip


class Client:
    """Made inside the running loop. ``unit``: its address, `https://192.0.2.10`."""

    def __init__(self, device: Bigip, unit: str, time: Time, limits: Limits) -> None:
        self.unit = unit
        self.time = time
        self.limits = limits
        self._device = device
        self.where = place_of(device.name, unit)
        self.https = Https(self.where, unit, _MANNER, limits, lambda: authorities(device.ca))
        self.tokens = Tokens(device, self.where, self._asked_for_token, self.time)

    async def close(self) -> None:
        """Gives the token back."""
        try:
            async with asyncio.timeout(self.limits.goodbye):
                await self.tokens.close()
        except TimeoutError:
            pass
        await self.https.close()

    @property
    def requests(self) -> int:
        return self.https.requests

    async def read(
        self, path: str, *, missing: Callable[[Answer], bool] = lambda _: False, patient: bool = True
    ) -> Any:
        """The answer to a GET, None for 204 and where a refusal says, by ``missing``, that nothing is there. Tried once
        where it is not ``patient``. Raises `DeviceFault`."""
        patience = Patience(self.time, self.limits.read if patient else 0.0)
        while True:
            try:
                answer = await self._with_token("GET", path, None)
            except Lost as lost:
                if await patience.pause():
                    continue
                raise Unreachable(f"{self.where} cannot be reached: {lost}") from None
            meaning = meaning_of(answer)
            if meaning is Meaning.GOOD and (answer.body is not None or answer.status == 204):
                return answer.body
            if meaning is Meaning.NO:
                if missing(answer):
                    return None
                raise self.refusal("GET", path, answer)
            if answer.status == 408 or not await patience.pause(locked=is_locked(answer)):
                raise Busy(f"{self.where} cannot answer now: {self.words(answer)}")

    async def write(self, method: str, path: str, body: Any) -> Answer:
        """The answer, whatever it says, once the device has understood the call. Raises `Unknown` where it may have
        been carried out, `DeviceFault` where it was not."""
        patience = Patience(self.time, self.limits.write)
        while True:
            try:
                answer = await self._with_token(method, path, body)
            except Lost as lost:
                if lost.sent:
                    raise Unknown(f"{self.where} gave no answer to a change: {lost}") from None
                if await patience.pause():
                    continue
                raise Unreachable(f"{self.where} cannot be reached: {lost}") from None
            meaning = meaning_of(answer)
            if meaning is Meaning.DOUBT:
                raise Unknown(f"{self.where} answered a change with {self.words(answer)}")
            if meaning is not Meaning.LATER:
                return answer
            if not await patience.pause(locked=is_locked(answer)):
                raise Busy(f"{self.where} cannot take a change now: {self.words(answer)}")

    def refusal(self, method: str, path: str, answer: Answer) -> Rejected | Unreachable:
        if 300 <= answer.status < 400:
            return Unreachable(f"{self.where} leads elsewhere ({answer.status}), which is not followed")
        if answer.status in (401, 403):
            return Rejected(
                f"{self.where} does not let `{self._device.username}` {method} `{path.partition('?')[0]}`: "
                "give that user the role `administrator`, or `resource-admin`"
            )
        return Rejected(f"{self.where} refused {method} `{path.partition('?')[0]}`: {self.words(answer)}")

    def words(self, answer: Answer) -> str:
        said = self.shown(message_of(answer))
        return f"{answer.status}, `{said}`" if said else f"{answer.status} without a word"

    def shown(self, text: str) -> str:
        """A text of this device without the password and the tokens, wherever it put them."""
        return shown(text, self.tokens.known())

    # === one call ===

    async def _with_token(self, method: str, path: str, body: Any) -> Answer:
        for repeatable in (True, False):
            token = await self.tokens.token()
            answer = await self._ask(method, path, body, token)
            if answer.status != 401 or not repeatable:
                return answer
            self.tokens.refused(token)
        raise AssertionError("the second answer was given back")

    async def _asked_for_token(self, method: str, path: str, body: Any, token: str) -> Answer:
        """A login in doubt is at worst a token that nobody uses: it may be asked for again by whoever asked."""
        try:
            return await self._ask(method, path, body, token)
        except Lost as lost:
            raise Lost(str(lost), sent=False) from None

    async def _ask(self, method: str, path: str, body: Any, token: str) -> Answer:
        """One request. Raises `Lost`, and `Unreachable` where trying again would not help."""
        headers = {"X-F5-Auth-Token": token} if token else {}
        content = None
        if body is not None:
            content = orjson.dumps(body)
            headers["Content-Type"] = "application/json"
        reply = await self.https.ask(method, path, content, headers)
        if len(reply.body) < ASIDE_BYTES:
            return answer_of(reply.status, reply.body)
        return await asyncio.to_thread(answer_of, reply.status, reply.body)
