"""Backstage's catalog API as a careful stranger reads it: pages of a query, and entities by ref.

Only the address that the operator wrote is asked, over verified TLS, without redirects, cookies and proxies of the
environment. Every answer has a deadline and a size that is counted while it arrives, decompressed. An order is never
asked for: the catalog silently leaves out what lacks the field. A pull is whole or it is nothing: an error on any
page, or fewer entities than the first page announced, ends it with `CatalogFault`.

What an answer says in words is not passed on (it may hold a stack trace); the status says enough.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

import aiohttp
import orjson

from gateway.config import UpstreamTls
from gateway.config.sources import Backstage
from gateway.egress.trust import TrustFault, made
from gateway.engine.sources.credentials import NoToken, credentials_of
from gateway.errors import StagedoorError

T = TypeVar("T")
Form = Callable[[list[Any]], list[Any]]  # what becomes of the items of a page, in the worker

ANSWER_BYTES: Final = 64 * 1024 * 1024
DEADLINE_S: Final = 30.0  # of one call
CONNECT_S: Final = 5.0
PAGE: Final = 1000
REFS: Final = 1000  # of one call by ref
LARGEST: Final = 200_000  # entities of one catalog
DRIFT: Final = 0.02  # of what the first page announced may be gone when the last one comes
LONGEST_RETRY_S: Final = 600.0
KINDS: Final = ("component", "api", "user", "group", "system", "domain")

_TLS_FIX: Final = "say in `ca` who signs its certificate, and reach it by a name that the certificate carries"
_MEANINGS: Final = {
    401: ("it does not know the token", "put the token of its `backend.auth.externalAccess` into `token_file`"),
    403: ("the token may not read catalogs", "give its `accessRestrictions` plugin `catalog` and permission "
                                             "`catalog.entity.read`"),
    404: ("there is no catalog", "write the address of the Backstage backend, its `backend.baseUrl`"),
    429: ("it is asked too often", "raise `poll`"),
}  # fmt: skip


class CatalogFault(StagedoorError):
    """The catalog cannot be read now. ``fix`` is for the operator, ``retry_s`` what the catalog asked for."""

    def __init__(self, why: str, fix: str = "", retry_s: float = 0.0) -> None:
        super().__init__(why)
        self.fix = fix
        self.retry_s = retry_s


class TooLarge(CatalogFault):
    """An answer is over its size: asking for less may help."""


class Page(NamedTuple):
    """``total``: how many entities match, as the first page of the pull said."""

    items: list[Any]
    cursor: str
    total: int


class CatalogApi:
    """Calls to one catalog. Made inside the running loop; ``worker`` parses what is large."""

    def __init__(
        self, said: Backstage, worker: Executor | None = None, *, connector: aiohttp.BaseConnector | None = None
    ) -> None:
        self._said = said
        self._worker = worker
        self._connector = connector
        self._credentials = credentials_of(said)
        self._session: aiohttp.ClientSession | None = None
        self._context: ssl.SSLContext | None = None
        self._answered: dict[str, tuple[str, Page]] = {}  # address -> its ETag and what came with it
        self.date = ""  # the `Date` of the last answer

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def pages(self, fields: Sequence[str], form: Form, *, again: bool = False) -> AsyncIterator[Page]:
        """Every entity of our kinds, exactly once, each page in a ``form`` of its own. ``again``: pages that did not
        change are not sent again."""
        query = [("filter", f"kind={kind}") for kind in KINDS]
        repeated = [("fields", ",".join(fields)), ("limit", str(PAGE))]
        received, total, cursor = 0, None, ""
        answered: dict[str, tuple[str, Page]] = {}
        while True:
            address = f"/entities/by-query?{urlencode([('cursor', cursor)] if cursor else query)}&{urlencode(repeated)}"
            page = await self._page(address, form, answered if again else None)
            total = page.total if total is None else total
            received += len(page.items)
            if received > LARGEST:
                raise CatalogFault(f"it holds more than {LARGEST} entities")
            yield page
            if not page.cursor or page.cursor == cursor:
                break
            cursor = page.cursor
        if again:
            self._answered = answered
        if received < total - max(10, DRIFT * total):
            raise CatalogFault(f"it announced {total} entities and sent {received}")

    async def by_refs(self, refs: Sequence[str], fields: Sequence[str]) -> list[Any]:
        """The entities in the order of ``refs`` (lower case); None for those that are not there or not readable."""
        body = orjson.dumps({"entityRefs": list(refs), "fields": list(fields)})
        _, text = await self._call("POST", "/entities/by-refs", body, {"Content-Type": "application/json"})
        answer = await self._in_worker(lambda: parsed(text or b""))
        items = answer.get("items") if isinstance(answer, dict) else None
        if not isinstance(items, list) or len(items) != len(refs):
            raise CatalogFault("an answer by refs is none")
        return items

    async def _page(self, address: str, form: Form, answered: dict[str, tuple[str, Page]] | None) -> Page:
        known = self._answered.get(address) if answered is not None else None
        etag, text = await self._call("GET", address, None, {"If-None-Match": known[0]} if known else {})
        if text is None and known is not None:
            page = known[1]
        else:
            page = await self._in_worker(lambda: _page_of(parsed(text or b""), form))
        if answered is not None and etag:
            answered[address] = (etag, page)
        return page

    async def _in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _call(
        self, method: str, path: str, body: bytes | None, fields: dict[str, str]
    ) -> tuple[str, bytes | None]:
        """ETag and the answer, None for one that did not change. Raises `CatalogFault`."""
        try:
            return await self._asked(method, path, body, fields)
        except NoToken as fault:
            raise CatalogFault(str(fault), fault.fix) from None
        except TimeoutError:
            await self.close()
            raise CatalogFault(f"no answer within {DEADLINE_S:g} s", "find out what keeps it") from None
        except TrustFault as fault:
            raise CatalogFault(str(fault), _TLS_FIX) from None
        except aiohttp.ClientSSLError as error:
            await self.close()  # authorities are read anew next time
            why = getattr(getattr(error, "certificate_error", error), "verify_message", "") or "the handshake failed"
            raise CatalogFault(f"its TLS cannot be trusted: {why}", _TLS_FIX) from None
        except (aiohttp.ClientError, OSError) as error:
            await self.close()
            why = getattr(error, "strerror", "") or type(error).__name__
            fix = "make it reachable from here, or correct `url`"
            raise CatalogFault(f"it cannot be reached: {why}", fix) from None

    async def _asked(
        self, method: str, path: str, body: bytes | None, fields: dict[str, str]
    ) -> tuple[str, bytes | None]:
        session = await self._opened()
        address = f"{self._said.url}/api/catalog{path}"
        for repeatable in (True, False):
            headers = {**fields, "Authorization": f"Bearer {await self._credentials.token(session)}"}
            async with session.request(
                method, address, data=body, headers=headers, allow_redirects=False, ssl=self._context or True
            ) as answer:
                self.date = answer.headers.get("Date", "")
                if answer.status == 304 and "If-None-Match" in fields:
                    return fields["If-None-Match"], None
                if answer.status == 401 and self._credentials.refused() and repeatable:
                    continue  # the issuer may have changed its keys since it gave this one
                _check(answer)
                return answer.headers.get("ETag", ""), await _bounded(answer)
        raise AssertionError("the second answer was given back, or was a fault")

    async def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            said = self._said
            if said.url.startswith("https:"):
                self._context = await asyncio.to_thread(made, UpstreamTls(ca=said.ca))
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                timeout=aiohttp.ClientTimeout(total=DEADLINE_S, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "stagedoor", "Accept": "application/json"},
                trust_env=False,
            )
        return self._session


def parsed(text: bytes) -> Any:
    """JSON as data. Raises `CatalogFault`. Half a surrogate pair, which JSON lets through, spoils its entity alone."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise CatalogFault("an answer is no JSON", "is it the backend, or a page in front of it?") from None


def jittered(pause_s: float) -> float:
    """A little less: replicas that started together do not ask together, and nobody waits longer than is said."""
    return pause_s * random.uniform(0.9, 1.0)


def _page_of(answer: Any, form: Form) -> Page:
    if isinstance(answer, dict):
        items, total, info = answer.get("items"), answer.get("totalItems"), answer.get("pageInfo")
        cursor = info.get("nextCursor", "") if isinstance(info, dict) else None
        if isinstance(items, list) and type(total) is int and isinstance(cursor, str):
            return Page(form(items), cursor, total)
    raise CatalogFault("a page of its catalog is none", "is its catalog-backend at least 1.8?")


def _check(answer: aiohttp.ClientResponse) -> None:
    """Raises `CatalogFault` for everything but a good answer in JSON."""
    if answer.status != 200:
        why, fix = _MEANINGS.get(answer.status, ("", ""))
        if not why:
            why = "it is not well" if answer.status >= 500 else "that is no answer of a catalog"
            fix = "see its log" if answer.status >= 500 else "write the address of the backend, not of a page before it"
        raise CatalogFault(f"it answered {answer.status}: {why}", fix, _retry_s(answer))
    if answer.content_type != "application/json":
        fix = "write the address of the backend; a sign-in page in front of it must let this token through"
        raise CatalogFault(f"it answered with `{answer.content_type[:60]}` instead of JSON", fix)


def _retry_s(answer: aiohttp.ClientResponse) -> float:
    """`Retry-After` in seconds (RFC 9110, 10.2.3); a date counts as none."""
    said = answer.headers.get("Retry-After", "")
    return min(float(said), LONGEST_RETRY_S) if said.isascii() and said.isdecimal() else 0.0


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > ANSWER_BYTES:
            raise TooLarge(f"an answer has more than {ANSWER_BYTES // 1024 // 1024} MiB")
    return bytes(body)
