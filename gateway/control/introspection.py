"""Ask an issuer what a token is worth now (RFC 7662), for the doors, which call nobody.

The token goes to the one endpoint that the configuration or the issuer's own discovery names, over verified TLS, in a
form and never in an address; it is kept nowhere but under way, and known by its digest. Whoever asks about the same
token meanwhile waits for the same answer. So many calls at a time, so many that wait for one, one deadline, one cap
on the answer: a slow or hostile endpoint costs its own issuer's tokens and nothing else.

An answer counts for `introspection.cache`, and no longer than the token; that a token is not active is remembered for
a moment only. What is not exactly an answer is remembered not at all: the token is then neither good nor bad, and the
door says `issuer_unavailable`.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote_plus

import aiohttp
from cachetools import LRUCache

from gateway import telemetry
from gateway.config import Introspection, Issuer
from gateway.control.fetch import FetchFault, bounded, introspection_endpoint, is_allowed
from gateway.identity.introspection import ANSWER_LIMIT_BYTES, ends_at, is_active, read_answer
from gateway.secret_files import read_secret

DEADLINE_S: Final = 3.0  # from question to answer; a door waits two seconds, and asks again for the next request
AT_ONCE: Final = 16
QUEUED: Final = 256
CACHED_BYTES: Final = 16 * 1024 * 1024
ENTRY_BYTES: Final = 512  # what an answer takes beside its text
INACTIVE: Final = 1024  # remembered apart: tokens that somebody made up push out no good ones
INACTIVE_S: Final = 5
SPARE_S: Final = 2  # an answer that ends sooner is no answer any more when it gets to the door
ENDPOINT_S: Final = 3600.0  # until discovery is asked again
MOVED_S: Final = 30.0  # after a failure
NO_RESPONSE: Final = "what was answered is no introspection response: an object with `active` true or false"


class Answer(NamedTuple):
    """What the issuer answered, and until when it counts (epoch seconds). ``text`` is empty when it did not."""

    text: bytes
    until: int


NONE: Final = Answer(b"", 0)


class Introspector:
    """Asks one issuer."""

    def __init__(
        self,
        issuer: Issuer,
        asked: Introspection,
        session: aiohttp.ClientSession,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        # for its whole life
        self.issuer = issuer
        self._asked = asked
        self._session = session
        self._wall = wall
        self._monotonic = monotonic
        # what is known
        self.fault = ""  # of the last call
        self._active: LRUCache[bytes, Answer] = LRUCache(CACHED_BYTES, lambda answer: ENTRY_BYTES + len(answer.text))
        self._inactive: LRUCache[bytes, Answer] = LRUCache(INACTIVE)
        self._endpoint = asked.url
        self._endpoint_until_s = float("inf") if asked.url else 0.0
        # what is under way
        self._flights: dict[bytes, asyncio.Task[Answer]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._discovering = asyncio.Lock()

    async def ask(self, token: str) -> Answer:
        """The issuer's word about the token, remembered or fresh; `NONE` when it cannot be had now."""
        digest = sha256(token.encode()).digest()
        known = self._active.get(digest) or self._inactive.get(digest)
        if known is not None and known.until >= self._wall() + SPARE_S:
            return known
        flight = self._flights.get(digest)
        if flight is None:
            if len(self._flights) >= AT_ONCE + QUEUED:
                self._failed(f"more than {AT_ONCE + QUEUED} tokens at once")
                return NONE
            flight = asyncio.get_running_loop().create_task(self._fly(digest, token))
            self._flights[digest] = flight
        return await asyncio.shield(flight)

    async def is_active_now(self, token: str) -> bool:
        """The issuer's word about the token, of which nothing is remembered or logged. Raises `FetchFault`."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                claims = read_answer(await self._call(token))
        except TimeoutError:
            raise FetchFault(f"no answer in {DEADLINE_S:g} s") from None
        if claims is None:
            raise FetchFault(NO_RESPONSE)
        return is_active(claims)

    def close(self) -> None:
        for flight in self._flights.values():
            flight.cancel()

    async def _fly(self, digest: bytes, token: str) -> Answer:
        try:
            async with asyncio.timeout(DEADLINE_S), self._turns:
                asked_at = self._wall()
                answer = self._take(digest, await self._call(token), asked_at)
        except FetchFault as fault:
            self._failed(str(fault))
            return NONE
        except TimeoutError:
            self._failed(f"no answer in {DEADLINE_S:g} s")
            return NONE
        except Exception as error:  # a fault of ours: what was under way must be answered all the same
            self._failed(type(error).__name__)  # its words might hold the token
            return NONE
        finally:
            del self._flights[digest]
        if self.fault:
            telemetry.log("introspection_answered", issuer=self.issuer.name)
        self.fault = ""
        return answer

    async def _call(self, token: str) -> bytes:
        address = await self._address()
        if not is_allowed(address):
            raise FetchFault(f"`{address}` is not https")
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            async with self._session.post(
                address, data=form, headers={"Authorization": self._credentials()}, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise FetchFault(f"`{address}` answered {answer.status}")
                return await bounded(answer, address, ANSWER_LIMIT_BYTES)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFault(f"cannot ask `{address}`: {str(error) or type(error).__name__}") from error

    async def _address(self) -> str:
        async with self._discovering:
            if self._monotonic() >= self._endpoint_until_s:
                self._endpoint = await introspection_endpoint(self._session, self.issuer)
                self._endpoint_until_s = self._monotonic() + ENDPOINT_S
        return self._endpoint

    def _credentials(self) -> str:
        """RFC 6749 section 2.3.1: both parts are form-encoded before they are joined."""
        file = self._asked.client_secret_file
        try:
            secret = read_secret(file)
        except (OSError, ValueError) as error:
            raise FetchFault(f"cannot use `{file}`: {type(error).__name__}") from None
        pair = f"{quote_plus(self._asked.client_id)}:{quote_plus(secret)}"
        return "Basic " + b64encode(pair.encode()).decode()

    def _take(self, digest: bytes, text: bytes, asked_at: float) -> Answer:
        claims = read_answer(text)
        if claims is None:
            raise FetchFault(NO_RESPONSE)
        self._active.pop(digest, None)
        until = int(asked_at + self._asked.cache_s)
        if not is_active(claims):
            answer = Answer(text, min(until, int(asked_at) + INACTIVE_S))
            self._inactive[digest] = answer
            return answer
        ends = ends_at(claims)
        answer = Answer(text, until if ends is None else min(until, ends))
        self._active[digest] = answer
        return answer

    def _failed(self, fault: str) -> None:
        if fault != self.fault:
            telemetry.log("introspection_failed", level="warning", issuer=self.issuer.name, why=fault)
        self.fault = fault
        if not self._asked.url:  # it may have moved
            self._endpoint_until_s = min(self._endpoint_until_s, self._monotonic() + MOVED_S)
