"""One HTTPS address of a device, asked as a careful stranger asks.

Only the address that the operator wrote is asked, over verified TLS, without redirects, cookies, compression and
proxies of the environment; every answer has a deadline and a size. What goes wrong is told in two kinds: `Lost`, after
which it may be tried again and which says whether the device may have read the call, and `Unreachable`, after which it
may not.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import aiohttp

from gateway.config import UpstreamTls
from gateway.egress.trust import TrustFault, made
from gateway.engine.network.faults import Unreachable
from gateway.engine.network.transport.patience import Limits
from gateway.engine.network.transport.silence import heard

Trusted = ssl.SSLContext | aiohttp.Fingerprint | bool
IDLE_S: Final = 4.0  # devices close idle connections soon; a write must not meet that
LARGE_S: Final = 600.0  # for what is large, either way
TRUSTED_S: Final = 600.0  # files of authorities are read anew then: one that was taken out counts no longer


class Lost(Exception):
    """No answer came. ``sent``: whether the device may have read the call."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class Manner(NamedTuple):
    """How a kind of device is asked. ``setting`` is the key of the configuration that holds its address."""

    accept: str
    at_once: int  # connections: management planes are small
    answer_bytes: int
    setting: str
    trust_fix: str


class Into(Protocol):
    """Where an answer goes, piece by piece. ``most``: bytes."""

    @property
    def most(self) -> int: ...

    async def feed(self, piece: bytes) -> None: ...


class Reply(NamedTuple):
    status: int
    content_type: str  # without parameters, in lower case
    body: bytes  # b"" where it went elsewhere


class _Whole:
    def __init__(self, most: int) -> None:
        self.most = most
        self.body = bytearray()

    async def feed(self, piece: bytes) -> None:
        self.body += piece


class Https:
    """Made inside the running loop. ``base``: `https://192.0.2.10`; ``trust`` is asked for at the first call, in a
    thread, and again after `TRUSTED_S` and when a handshake has failed, so that files are read anew."""

    def __init__(self, where: str, base: str, manner: Manner, limits: Limits, trust: Callable[[], Trusted]) -> None:
        self.requests = 0
        self._where = where
        self.base = base
        self._manner = manner
        self._limits = limits
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None
        self._trusted: Trusted = True
        self._trusted_s = 0.0  # when it was asked for

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], into: Into | None = None,
        *, slow: bool = False,
    ) -> Reply:  # fmt: skip
        """One request. ``into``: for an answer that is too large to be held; what it raises is raised. ``slow``: the
        device may work for minutes before it answers. Raises `Lost`, and `Unreachable` where trying again would not
        help."""
        fix = f"make it reachable from here, or correct `{self._manner.setting}`"
        try:
            return await self._answered(method, path, content, headers, into, slow=slow)
        except TrustFault as fault:
            raise Unreachable(f"{self._where}: {fault}; {self._manner.trust_fix}") from None
        except aiohttp.ServerFingerprintMismatch:
            await self.close()
            why = "it shows another certificate than the one that is pinned"
            raise Unreachable(f"the TLS of {self._where} cannot be trusted: {why}; {self._manner.trust_fix}") from None
        except aiohttp.ClientSSLError as error:
            await self.close()
            why = getattr(getattr(error, "certificate_error", error), "verify_message", "") or "the handshake failed"
            raise Unreachable(f"the TLS of {self._where} cannot be trusted: {why}; {self._manner.trust_fix}") from None
        except aiohttp.ClientConnectorError as error:
            number = error.errno or 0  # negative where a name could not be looked up
            why = os.strerror(number).lower() if number > 0 else "its name leads nowhere"
            raise Lost(f"{why}; {fix}", sent=False) from None
        except aiohttp.ConnectionTimeoutError:
            raise Lost(f"no connection within {self._limits.connect:g} s; {fix}", sent=False) from None
        except TimeoutError:
            raise Lost(f"no whole answer within {LARGE_S if slow else self._limits.call:g} s", sent=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(f"the connection broke ({type(error).__name__})", sent=True) from None

    async def _answered(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], into: Into | None,
        *, slow: bool,
    ) -> Reply:  # fmt: skip
        session = await self._opened()
        self.requests += 1
        data = None if content is None else BytesIO(content)  # in pieces: a large one would hold up the loop
        whole = _Whole(self._manner.answer_bytes)
        async with session.request(
            method, self.base + path, data=data, headers=headers, allow_redirects=False, ssl=self._trusted,
            timeout=self._patience(large=into is not None, slow=slow),
        ) as answer:  # fmt: skip
            await _taken(answer, into or whole)
            return Reply(answer.status, answer.content_type, bytes(whole.body))

    def _patience(self, *, large: bool, slow: bool) -> aiohttp.ClientTimeout:
        """A large answer may take long while it comes."""
        call_s, connect_s = self._limits.call, self._limits.connect
        silent_s = LARGE_S if slow else call_s
        return aiohttp.ClientTimeout(total=LARGE_S if large else silent_s, sock_connect=connect_s, sock_read=silent_s)

    async def _opened(self) -> aiohttp.ClientSession:
        now_s = asyncio.get_running_loop().time()
        if self._session is None or now_s - self._trusted_s >= TRUSTED_S:
            trusted = await asyncio.to_thread(self._trust)
            self._trusted, self._trusted_s = trusted, now_s  # no connection that another one let in is used again
            if self._session is None:  # somebody else may have been quicker
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=self._manner.at_once, keepalive_timeout=IDLE_S),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={
                        "User-Agent": "stagedoor", "Accept": self._manner.accept, "Accept-Encoding": "identity",
                    },
                    auto_decompress=False,  # a small answer stays one
                    trust_env=False,
                )  # fmt: skip
        return self._session


async def _taken(answer: aiohttp.ClientResponse, into: Into) -> None:
    size = 0
    async for piece in answer.content.iter_any():
        heard()
        size += len(piece)
        if size > into.most:
            answer.close()
            raise Lost(f"an answer has more than {into.most // 1024 // 1024} MiB", sent=True)
        await into.feed(piece)


def authorities(ca: str) -> Trusted:
    """Whoever the authorities of a PEM file vouch for, or the system's where it is "". Raises `TrustFault`."""
    return made(UpstreamTls(ca=ca))


def pinned(fingerprints: Sequence[str]) -> Trusted:
    """The certificates themselves, by the SHA-256 of their DER form in hexadecimal: any of them."""
    return _AnyOf([bytes.fromhex(each) for each in fingerprints])


class _AnyOf(aiohttp.Fingerprint):
    """Two units have two certificates, and one that is renewed has two for a while."""

    def __init__(self, fingerprints: Sequence[bytes]) -> None:
        super().__init__(fingerprints[0])
        self._others = [aiohttp.Fingerprint(each) for each in fingerprints[1:]]

    def check(self, transport: asyncio.Transport) -> None:
        for each in self._others:
            try:
                each.check(transport)
            except aiohttp.ServerFingerprintMismatch:
                continue
            return
        super().check(transport)


def place_of(name: str, base: str) -> str:
    """A device and one of its addresses, in messages."""
    return f"`{name}` ({urlsplit(base).netloc})"
