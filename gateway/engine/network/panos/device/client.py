"""One firewall's XML API: POST alone, the key in a header, few calls at once.

Official advice is five concurrent calls at most, and nothing enforces it: more only slow down the management plane that
people work on. What may be tried again is what did nothing: no connection, somebody else's commit or lock. An answer
that is none (a page, half a document, 5xx) is tried again for a read. No message holds a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, tostring

from gateway.config.devices import Panos
from gateway.engine.network.faults import Busy, DeviceFault, NotAllowed, Rejected, Unknown, Unreachable
from gateway.engine.network.panos.device.answers import Answer, Meaning, answer_of, meaning_of
from gateway.engine.network.panos.device.keys import Keys
from gateway.engine.network.panos.device.sifting import Sieve, Sifting
from gateway.engine.network.panos.device.turns import MOST_AT_ONCE, turns_at
from gateway.engine.network.transport.https import Https, Lost, Manner, Trusted, authorities, pinned, place_of
from gateway.engine.network.transport.patience import Limits, Patience, Time
from gateway.engine.network.transport.texts import shown

ANSWER_BYTES: Final = 8 * 1024 * 1024
ASIDE_BYTES: Final = 64 * 1024  # what is larger is made or read in a thread
SLOW_BYTES: Final = 256 * 1024  # a transaction of so much takes a device minutes
_TYPE: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_TRUST: Final = "say in `ca` who signs its certificate, or pin it with `pins`"
_QUOTED: Final = str.maketrans("`;", "',")
_READING: Final = "operational requests and the User-ID agent"
_RIGHTS: Final = {"config": "configuration", "commit": "commit"}
_KEY_FIX: Final = "make a key for its administrator, and put it into one of `key_files`"


class Client:
    """Made inside the running loop. ``unit``: its management address, `https://192.0.2.30`."""

    def __init__(self, device: Panos, unit: str, time: Time, limits: Limits) -> None:
        self.unit = unit
        self.where = place_of(device.name, unit)
        self.keys = Keys(device.key_files, self.where)
        self.vsys = device.vsys
        self.is_panorama = bool(device.device_group)
        self._device = device
        self.time = time
        self.limits = limits
        self._turns, self._own = turns_at(unit), asyncio.Semaphore(device.concurrent)
        manner = Manner("application/xml", MOST_AT_ONCE, ANSWER_BYTES, "units", _TRUST)
        self.https = Https(self.where, unit, manner, limits, self._trust)

    async def close(self) -> None:
        await self.https.close()

    async def op(self, command: Element, sieve: Sieve | None = None) -> Answer:
        """An operational command that reads. Raises `DeviceFault`."""
        said = {"type": "op", "cmd": tostring(command, encoding="unicode")}
        return await self.read({**said, "vsys": self.vsys}, sieve)

    async def read(self, parameters: Mapping[str, str], sieve: Sieve | None = None) -> Answer:
        """The answer, which is good or says that nothing is there. ``sieve`` gets its entries, where there may be more
        than can be held. Raises `DeviceFault`."""
        patience = Patience(self.time, self.limits.read)
        while True:
            try:
                answer = await self.once(parameters, sieve)
            except Lost as lost:
                if await patience.pause():
                    continue
                raise Unreachable(f"{self.where} cannot be reached: {lost}") from None
            meaning = meaning_of(answer)
            if meaning in (Meaning.GOOD, Meaning.NOTHING):
                return answer
            if meaning not in (Meaning.LATER, Meaning.DOUBT):
                raise self.refusal(answer, meaning)
            if not await patience.pause():
                raise Busy(f"{self.where} cannot answer now: {self.words(answer)}")

    async def once(self, parameters: Mapping[str, str], sieve: Sieve | None = None) -> Answer:
        """Whatever is answered to one call. A refused key did nothing: each of the others is tried once, whatever the
        call was. Raises `Lost`, which says whether it may have had an effect, and `Unreachable`."""
        is_long = sum(map(len, parameters.values())) > ASIDE_BYTES
        content = await asyncio.to_thread(_form, parameters) if is_long else _form(parameters)
        for left in reversed(range(len(self._device.key_files))):
            key = await asyncio.to_thread(self.keys.now)
            async with self._turns.turn(self._own):
                answer = await self._asked(content, {**_TYPE, "X-PAN-KEY": key}, sieve)
            if meaning_of(answer) is not Meaning.KEY or not left or not await asyncio.to_thread(self.keys.refused, key):
                return answer
        raise AssertionError("the last answer was given back")

    async def _asked(self, content: bytes, headers: Mapping[str, str], sieve: Sieve | None) -> Answer:
        sifting = Sifting(sieve, self.where) if sieve is not None else None
        reply = await self.https.ask("POST", "/api/", content, headers, sifting, slow=len(content) > SLOW_BYTES)
        if sifting is not None:
            return await sifting.answer(reply.status, reply.content_type)
        if len(reply.body) < ASIDE_BYTES:
            return answer_of(*reply)
        return await asyncio.to_thread(answer_of, *reply)

    async def write(self, parameters: Mapping[str, str]) -> Answer:
        """What may change something: sent again only where it is certain that nothing was done. Raises `DeviceFault`;
        `Unknown` where nobody can tell what became of it."""
        return await self.write_anew(lambda: parameters)

    async def write_anew(self, made: Callable[[], Mapping[str, str]]) -> Answer:
        """The same for parameters that are made anew at each try, because they hold how long something still lasts."""
        patience = Patience(self.time, self.limits.write)
        parameters = made()
        right = _RIGHTS.get(parameters.get("type", ""), _READING)
        while True:
            try:
                answer = await self.once(parameters)
            except Lost as lost:
                if lost.sent:
                    raise Unknown(f"{self.where} was told, and whether it did anything is not known: {lost}") from None
                if await patience.pause():
                    parameters = made()
                    continue
                raise Unreachable(f"{self.where} cannot be reached: {lost}") from None
            meaning = meaning_of(answer)
            if meaning in (Meaning.GOOD, Meaning.NOTHING, Meaning.PARTLY):
                return answer
            if meaning is Meaning.DOUBT or (answer.form == "page" and answer.http < 300):
                raise Unknown(f"{self.where} was told, and gave no answer that says more: {self.words(answer)}")
            if meaning is not Meaning.LATER:
                raise self.refusal(answer, meaning, right)
            if not await patience.pause():
                raise Busy(f"{self.where} has no time for it: {self.words(answer)}")
            parameters = made()

    def refusal(self, answer: Answer, meaning: Meaning, right: str = _READING) -> DeviceFault:
        if meaning is Meaning.KEY:
            return Rejected(f"{self.where} does not know the key: {self.words(answer)}; {_KEY_FIX}")
        if meaning is Meaning.RIGHT:
            return NotAllowed(
                f"the administrator of the key may not do this at {self.where}: {self.words(answer)}; "
                f"give its role XML API rights for {right}"
            )
        if 300 <= answer.http < 400:
            return Unreachable(f"{self.where} leads elsewhere ({answer.http}), which is not followed: correct `units`")
        if answer.form == "page":
            return Unreachable(
                f"{self.where} answers with a page ({answer.http}), no XML API: correct `units`, or allow the API there"
            )
        return Rejected(f"{self.where} refused: {self.words(answer)}")

    def words(self, answer: Answer) -> str:
        said = self.shown("; ".join(answer.messages[:3]))
        code = f"code {answer.code}" if answer.code else ""
        about = self.shown(", ".join(filter(None, (str(answer.http), answer.status, code))))
        return f"{about}, `{said}`" if said else about

    def shown(self, text: str) -> str:
        """A text of this device without the keys, wherever it put them. Nothing in it ends a quotation of ours, or
        begins the advice that stands behind a semicolon."""
        return shown(text, self.keys.known()).translate(_QUOTED)

    def _trust(self) -> Trusted:
        return pinned(self._device.pins) if self._device.pins else authorities(self._device.ca)


def _form(parameters: Mapping[str, str]) -> bytes:
    """Takes a while for a transaction."""
    return urlencode(parameters).encode()
