"""As whom a catalog is asked: a client gets its token once, and what goes wrong on the way is told without secrets."""

from __future__ import annotations

import asyncio
import base64
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.config.sources import Backstage, ClientCredentials
from gateway.engine.sources.backstage_api import CatalogApi, CatalogFault
from gateway.engine.sources.credentials import ANSWER_BYTES, ClientToken, FileToken, NoToken, credentials_of
from tests.support.catalogs import entity
from tests.support.fake_catalog import FakeCatalog

SECRET = "s3cret: with/odd%20parts"


class Issuer:
    """A token endpoint that says what a test wants it to say."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, list[str]]]] = []  # credentials and form of each call
        self.status = 200
        self.location = ""
        self.answer: Any = None  # bytes, or JSON; None = a good one, numbered
        self.life_s: Any = 100
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _answerer(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _answerer(issuer: Issuer) -> type[http.server.BaseHTTPRequestHandler]:
    class Answerer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            _, _, pair = self.headers["Authorization"].partition("Basic ")
            issuer.asked.append((base64.b64decode(pair).decode(), form))
            good = {"access_token": f"token-{len(issuer.asked)}", "token_type": "Bearer", "expires_in": issuer.life_s}
            said = good if issuer.answer is None else issuer.answer
            text = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(issuer.status)
            if issuer.location:
                self.send_header("Location", issuer.location)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    return Answerer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


def client_of(issuer: Issuer, folder: Path, **changes: Any) -> ClientCredentials:
    file = folder / "client.secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    said = {"url": issuer.url, "client_id": "stage:door", "client_secret_file": str(file), **changes}
    return ClientCredentials(**said)


def tokens(credentials: ClientToken, count: int = 1) -> list[str]:
    async def ask() -> list[str]:
        async with aiohttp.ClientSession() as session:
            return [await credentials.token(session) for _ in range(count)]

    return asyncio.run(ask())


def test_a_token_is_asked_for_once_and_again_before_its_end(issuer: Issuer, tmp_path: Path) -> None:
    """RFC 6749, 4.4.2, with the credentials of 2.3.1."""
    now_s = [0.0]
    client = client_of(issuer, tmp_path, scopes=("catalog.read", "x"), audience="backstage")
    credentials = ClientToken(client, lambda: now_s[0])
    assert tokens(credentials, 3) == ["token-1"] * 3
    now_s[0] = 89.9
    assert tokens(credentials) == ["token-1"]
    now_s[0] = 90.0
    assert tokens(credentials, 2) == ["token-2"] * 2
    pair, form = issuer.asked[0]
    assert [urllib.parse.unquote_plus(part) for part in pair.split(":")] == ["stage:door", SECRET]
    assert form == {"grant_type": ["client_credentials"], "scope": ["catalog.read x"], "audience": ["backstage"]}


@pytest.mark.parametrize("said", [None, "soon", True, -5])
def test_a_life_that_is_not_said_is_short_and_never_none(issuer: Issuer, tmp_path: Path, said: object) -> None:
    issuer.life_s = said
    assert tokens(ClientToken(client_of(issuer, tmp_path)), 2) == ["token-1"] * 2


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (401, {"error": "invalid_client", "error_description": SECRET}, "answered 401 `invalid_client`"),
        (400, {"error": "\x1b[2J"}, "answered 400"),
        (400, {"error": ["a"]}, "answered 400"),
        (200, b"<html>sign in</html>", "answered 200 and no JSON"),
        (200, [], "answered 200 and no JSON"),
        (200, b'{"access_token": "' + b"a" * ANSWER_BYTES + b'"}', "answered 200 and no JSON"),
        (302, {}, "answered 302"),
        (200, {"access_token": "a", "token_type": "mac"}, "gave no bearer token"),
        (200, {"access_token": 5, "token_type": "Bearer"}, "gave no bearer token"),
        (200, {"access_token": "a\r\nX-Other: b", "token_type": "bearer"}, "cannot be sent"),
        (200, {"access_token": "", "token_type": "bearer"}, "cannot be sent"),
    ],
)
def test_an_answer_without_a_usable_token_is_told(
    issuer: Issuer, tmp_path: Path, status: int, answer: Any, why: str
) -> None:
    issuer.status, issuer.answer = status, answer
    issuer.location = issuer.url if status == 302 else ""
    with pytest.raises(NoToken) as told:
        tokens(ClientToken(client_of(issuer, tmp_path)))
    assert why in str(told.value) and told.value.fix
    assert SECRET not in str(told.value) and "\x1b" not in str(told.value)
    assert len(issuer.asked) == 1, "no redirect is followed"


def test_an_issuer_that_is_away_and_a_secret_that_cannot_be_read_are_told(issuer: Issuer, tmp_path: Path) -> None:
    client = client_of(issuer, tmp_path)
    issuer.close()
    with pytest.raises(NoToken, match="cannot be reached"):
        tokens(ClientToken(client))
    Path(client.client_secret_file).unlink()
    with pytest.raises(NoToken, match=r"cannot read `.*client.secret`"):
        tokens(ClientToken(client))


def test_what_is_said_decides_how_a_catalog_is_asked(issuer: Issuer, tmp_path: Path) -> None:
    assert isinstance(credentials_of(Backstage("a", "u", "file")), FileToken)
    assert isinstance(credentials_of(Backstage("a", "u", "", client=client_of(issuer, tmp_path))), ClientToken)


def read(catalog: FakeCatalog, client: ClientCredentials, times: int = 1) -> int:
    """How many entities came, in one life of the client."""

    async def ask() -> int:
        api = CatalogApi(Backstage("main", catalog.url, "", client=client))
        try:
            found = 0
            for _ in range(times):
                found = sum([len(page.items) async for page in api.pages(["kind"], lambda items: items)])
            return found
        finally:
            await api.close()

    return asyncio.run(ask())


def test_a_catalog_is_read_with_a_clients_token_and_with_a_new_one_when_it_knows_the_first_no_more(
    issuer: Issuer, tmp_path: Path
) -> None:
    catalog = FakeCatalog(entity("Group", "payments"))
    client = client_of(issuer, tmp_path)
    try:
        catalog.token = "token-1"
        assert (read(catalog, client, 2), len(issuer.asked)) == (1, 1)
        issuer.asked.clear()
        catalog.token = "token-2"
        assert (read(catalog, client), len(issuer.asked)) == (1, 2)
        catalog.token = "another"
        issuer.asked.clear()
        with pytest.raises(CatalogFault, match="401"):
            read(catalog, client)
        assert len(issuer.asked) == 2, "a catalog that knows none is not asked for ever"
    finally:
        catalog.close()
