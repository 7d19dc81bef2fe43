"""Sign-in as control has it, without doors: a store, a key ring, a scripted provider, a browser's cookies by hand."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from gateway import config
from gateway.config import Groups, Issuer, MatchField
from gateway.config.sign_in import Client, Sessions
from gateway.control.fetch import client_session, fetch_keys
from gateway.control.signin.assembly import SignIn
from gateway.control.signin.people import Keys
from gateway.control.store import Session, open_store
from gateway.identity.session import NONCE_BYTES, Ticket, proof_of, seal_ticket
from tests.support.scripted_provider import CLIENT, ScriptedProvider

CENTRAL = "central.test"
APP = "app.test"
PROOF = "the-value-of-the-cookie-of-the-application"
HEADERS = {"Host": CENTRAL, "X-Forwarded-Proto": "https"}


class Place:
    """``ended`` and ``told`` went to the doors."""

    def __init__(self, provider: ScriptedProvider, settings: config.Settings) -> None:
        self.provider = provider
        self.settings = settings
        self.session = ""  # by which a door vouches for the browser
        self.cookies: dict[str, str] = {}
        self.ended: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.sign_in: SignIn
        self.client: TestClient[web.Request, web.Application]

    @property
    def skipped_s(self) -> int:
        """How far the clocks of control and provider are ahead of this machine's."""
        return self.provider.ahead_s

    @skipped_s.setter
    def skipped_s(self, seconds: int) -> None:
        self.provider.ahead_s = seconds

    def now(self) -> int:
        return int(time.time()) + self.skipped_s

    def ticket(self, **changes: Any) -> str:
        made = Ticket("A" * 22, APP, "/deep?x=1", proof_of(PROOF), self.now())
        return seal_ticket(replace(made, **changes), self.sign_in.context.ring.sessions, b"n" * NONCE_BYTES)

    async def get(self, path: str, **query: str) -> ClientResponse:
        target = f"{path}?{urlencode(query)}" if query else path
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.client.get(target, headers={**HEADERS, "Cookie": cookies}, allow_redirects=False)
        for line in answer.headers.getall("Set-Cookie", ()):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        return answer

    async def asked(self, **query: str) -> dict[str, str]:
        """What the browser is sent to the provider with."""
        answer = await self.get("/.stagedoor/sign-in", **{"ticket": self.ticket(), **query})
        assert answer.status == 303, await answer.text()
        found = parameters(answer.headers["Location"])
        self.provider.nonce = found.get("nonce", "")
        return found

    async def back(self, state: str, **query: str) -> ClientResponse:
        said = {"code": "c", "state": state, "iss": self.provider.issuer, **query}
        return await self.get("/.stagedoor/callback", **said)

    async def signed_in(self, **query: str) -> ClientResponse:
        return await self.back((await self.asked(**query))["state"])

    async def rows(self) -> list[Session]:
        return await self.sign_in.context.store.sessions.list()

    async def facts(self, *sids: str, used: bool = True) -> list[dict[str, Any]]:
        return await self.sign_in.context.live.answer(sids, dict.fromkeys(sids, self.now()) if used else {}, {})


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@asynccontextmanager
async def signing_control(
    folder: Path,
    provider: ScriptedProvider,
    sessions: Sessions | None = None,
    preset: str = "generic",
    beside: Place | None = None,
    **client: Any,
) -> AsyncIterator[Place]:
    """``client``: of the settings; ``beside``: another node, whose database this one has."""
    secret = folder / "secret"
    secret.write_text("s3cret:+/\n")
    issuer = Issuer(
        "sso", provider.issuer, ("api",), preset, match=(MatchField("sub", "metadata.name"),),
        groups=Groups("groups", (MatchField("groups", "metadata.name"),)),
        client=Client(**{"id": CLIENT, "secret_file": str(secret), **client}),
    )  # fmt: skip
    settings = config.Settings(
        (), (issuer,), {}, config.Catalog(), "", str(folder), central_host=CENTRAL, sessions=sessions or Sessions()
    )
    place = Place(provider, settings)
    known: dict[str, Any] = {"sso": ((), 0)}
    async with client_session() as session:

        async def want(name: str, kid: str) -> None:
            known[name] = ((await fetch_keys(session, issuer)).jwks, int(time.time()))

        await want("sso", "")
        store = beside.sign_in.context.store if beside is not None else await open_store("", folder)
        place.sign_in = SignIn(
            settings, folder, store, session, Keys(lambda name: known[name], want), lambda request: place.session,
            place.told.extend, place.ended.extend, lambda message: None, place.now,
        )  # fmt: skip
        place.sign_in.adopt(settings)
        app = web.Application()
        place.sign_in.add_to(app)
        place.client = TestClient(TestServer(app))
        await place.client.start_server()
        try:
            yield place
        finally:
            await place.client.close()
            await place.sign_in.close()
            if beside is None:
                await store.close()
