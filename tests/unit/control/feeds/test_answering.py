"""Below `/.stagedoor/feeds/`, over control's own socket: one 404 for all that is nobody's business, whole documents,
conditional requests, and no document without a door's word."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.metrics_core import Metric

from gateway import config
from gateway.config.devices import Bigip, BigipEnvironment, Devices, Panos, PanosEnvironment, Readers
from gateway.control.api.callers import Callers
from gateway.control.feeds.answering import WHY, Feeds
from gateway.control.feeds.gauges import feed_gauges
from gateway.control.feeds.memory import Memory
from gateway.control.web import make_app
from gateway.identity.assertion import FIELD, Assertion, Request, SharedKey, sealed
from policy.builtin import BUILTIN_SERVICE, FEEDS
from policy.facts import Principal

NOW = 1_800_000_000
READER, STRANGER, FIREWALL = "198.51.100.7", "203.0.113.9", "203.0.113.30"
AS3 = f"{FEEDS}/bigip/dc1/prod/as3.json"
NOBODY = Principal("anonymous")
SECRET = "a-password-of-this-year"


def device(name: str, readers: Readers) -> Bigip:
    return Bigip(name, (), "", "", environments=(BigipEnvironment("prod"),), readers=readers)


class Control:
    """``code``: of what the engine withholds."""

    def __init__(self, folder: Path) -> None:
        (folder / "pw").write_text(SECRET)
        self.code = ""
        self.text = "{1}"
        self.gate: asyncio.Barrier | None = None
        callers = Callers((), (), lambda: NOW)
        said = callers.message()
        self._key = callers._key
        assert said["kid"] == self._key.kid
        self.feeds = Feeds(callers, Memory(self._ask, lambda: 0.0))
        here = ("198.51.100.0/24",)
        devices = (
            device("dc1", Readers(here)), device("dc2", Readers(here, "dc2", (str(folder / "pw"),))),
            device("dc3", Readers()), device("dc4", Readers(("192.0.2.0/24",))),
        )  # fmt: skip
        firewall = Panos("edge", (), (), environments=(PanosEnvironment("prod"),), readers=Readers((FIREWALL,)))
        found = Devices(devices, (firewall,))
        self.feeds.adopt(config.Settings((), (), {}, config.Catalog(), "", "", devices=found))
        self.client: TestClient[Any, Any]

    async def _ask(self, _question: dict[str, Any], _within_s: float) -> dict[str, Any]:
        if self.gate is not None:
            await self.gate.wait()
        documents = {"as3.json": ["application/json", self.text], "data-groups/hosts.txt": ["text/plain", "a\n"]}
        return {"code": self.code, "mark": self.text, "documents": documents}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Control]:
        app = make_app()
        self.feeds.add_to(app)
        async with TestClient(TestServer(app)) as self.client:
            yield self

    async def ask(
        self,
        path: str,
        client: str = READER,
        *,
        method: str = "GET",
        key: SharedKey | None = None,
        without: str = "",
        **headers: str,
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """As a door sends it."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = Request(method, "central.test", path, "r1")
        word = sealed(
            Assertion(NOBODY, "nothing", (), asked, client=client), BUILTIN_SERVICE.ref, key or self._key, NOW
        )
        usual = {"Host": "central.test", "X-Request-Id": "r1", "X-Forwarded-Proto": "https", FIELD: word.decode()}
        sent = {name: value for name, value in (usual | sent).items() if name != without}
        url = self.client.make_url("/").join(_raw(path))
        async with self.client.session.request(method, url, headers=sent, allow_redirects=False) as answer:
            return answer, await answer.read()


def _raw(path: str) -> Any:
    from yarl import URL

    return URL(path, encoded=True)


def run(folder: Path, scene: Callable[[Control], Coroutine[Any, Any, None]]) -> None:
    async def timed() -> None:
        async with Control(folder).running() as control:
            await asyncio.wait_for(scene(control), 60)

    asyncio.run(timed())


def test_a_document_is_whole_with_its_type_and_a_strong_tag(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        answer, body = await control.ask(AS3)
        assert (answer.status, body, answer.headers["Content-Length"]) == (200, b"{1}", "3")
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert answer.headers["ETag"].startswith('"')
        head, none = await control.ask(AS3, method="HEAD")
        assert (head.status, none, head.headers["Content-Length"]) == (200, b"", "3")
        assert head.headers["ETag"] == answer.headers["ETag"]

    run(tmp_path, scene)


def test_lists_of_a_firewall_are_read_under_its_own_vendor(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        found = [
            (await control.ask(f"{FEEDS}/{path}/prod/data-groups/hosts.txt", FIREWALL))[0].status
            for path in ("panos/edge", "bigip/edge", "panos/dc1")
        ]
        assert found == [200, 404, 404]

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("field", "is_same"),
    [("{}", True), ("W/{}", True), ('"other", {}', True), ("*", True), ('"other"', False), ("", False),
     ("nonsense {", False)],
)  # fmt: skip
def test_who_has_it_is_told_so(tmp_path: Path, field: str, is_same: bool) -> None:
    async def scene(control: Control) -> None:
        etag = (await control.ask(AS3))[0].headers["ETag"]
        answer, body = await control.ask(AS3, If_None_Match=field.replace("{}", etag))
        assert (answer.status, body) == ((304, b"") if is_same else (200, b"{1}"))
        assert answer.headers["ETag"] == etag
        control.text = "{2}"
        answer, body = await control.ask(AS3, If_None_Match=etag)
        assert (answer.status, body) == (200, b"{2}")

    run(tmp_path, scene)


HIDDEN = [
    AS3, f"{FEEDS}", f"{FEEDS}/", f"{FEEDS}/bigip/dc3/prod/as3.json", f"{FEEDS}/bigip/none/prod/as3.json",
    f"{FEEDS}/bigip/dc1/dev/as3.json", f"{FEEDS}/bigip/dc1/prod/none.txt", f"{FEEDS}/panos/dc1/prod/as3.json",
    f"{FEEDS}/bigip/dc2/prod/as3.json", f"{FEEDS}/bigip/dc4/prod/as3.json",
]  # fmt: skip


def test_whoever_is_no_reader_gets_the_same_answer_whatever_there_is(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        found = set()
        for path in (*HIDDEN, f"{FEEDS}/{'x' * 4000}"):
            for method in ("GET", "POST", "HEAD"):
                answer, body = await control.ask(path, STRANGER, method=method)
                headers = {name: value for name, value in answer.headers.items() if name != "Date"}
                found.add((answer.status, json.dumps(headers, sort_keys=True), body if method != "HEAD" else b""))
        assert {status for status, _, _ in found} == {404}
        assert len(found) == 2, "with a body, and without for HEAD"

    run(tmp_path, scene)


@pytest.mark.parametrize(
    "path",
    [
        *HIDDEN[3:8], f"{FEEDS}/bigip/dc4/prod/as3.json", f"{FEEDS}/bigip/dc1/prod", f"{FEEDS}/bigip/dc1/prod/",
        f"{FEEDS}/bigip/dc1/prod/as3.json/", f"{FEEDS}/bigip/dc1/prod/as3%2Ejson",
        f"{FEEDS}/bigip/dc1/prod/../as3.json",
        f"{FEEDS}/bigip/dc1%2Fprod/as3.json", f"{FEEDS}/bigip/DC1/prod/as3.json", f"{FEEDS}//bigip/dc1/prod/as3.json",
        f"{FEEDS}/bigip/dc1/prod/{'x' * 300}", f"{FEEDS}/bigip/dc1/prod/data-groups/../as3.json",
        f"{FEEDS}/bigip/dc1/prod/data-groups%2Fhosts.txt", f"{FEEDS}/bigip/dc1/prod/.as3.json",
    ],
)  # fmt: skip
def test_a_reader_finds_documents_by_their_very_path_alone(tmp_path: Path, path: str) -> None:
    async def scene(control: Control) -> None:
        answer, body = await control.ask(path)
        assert (answer.status, body) == (404, b"404 not found\n")

    run(tmp_path, scene)


def test_a_password_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        path = AS3.replace("dc1", "dc2")
        answer, _ = await control.ask(path)
        assert (answer.status, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
        shown = "Basic " + b64encode(f"dc2:{SECRET}".encode()).decode()
        assert (await control.ask(path, Authorization=shown))[0].status == 200
        assert (await control.ask(path, Authorization=shown, X_Forwarded_Proto="http"))[0].status == 404
        (tmp_path / "pw").unlink()
        answer, _ = await control.ask(path, Authorization=shown)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "60")

    run(tmp_path, scene)


def test_only_reading_is_understood(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer, _ = await control.ask(AS3, method=method)
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")

    run(tmp_path, scene)


@pytest.mark.parametrize("code", [*sorted(set(WHY) - {"starting", "secret", "away"}), "of another version"])
def test_what_is_withheld_says_when_to_come_again_and_nothing_of_the_inside(tmp_path: Path, code: str) -> None:
    async def scene(control: Control) -> None:
        await control.ask(AS3)
        control.code = code
        answer, body = await control.ask(AS3, If_None_Match="*")
        assert answer.status == 503
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert body.startswith(f"503 withheld ({code})".encode())
        assert "ETag" not in answer.headers

    run(tmp_path, scene)


def test_the_index_lists_what_the_asker_may_read(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        answer, body = await control.ask(f"{FEEDS}/")
        said = json.loads(body)
        assert [each["path"] for each in said["feeds"]] == [AS3, AS3.replace("as3.json", "data-groups/hosts.txt")]
        assert said["feeds"][0]["etag"] == (await control.ask(AS3))[0].headers["ETag"]
        assert said["withheld"] == []
        control.code = "held"
        said = json.loads((await control.ask(f"{FEEDS}/"))[1])
        assert [each["code"] for each in said["withheld"]] == ["held"]
        assert said["feeds"] == []

    run(tmp_path, scene)


def test_the_index_waits_for_an_engine_that_is_slow_but_once(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        control.gate = asyncio.Barrier(2)  # nobody is answered before both are asked about
        password = b64encode(f"dc2:{SECRET}".encode()).decode()
        said = json.loads((await control.ask(f"{FEEDS}/", Authorization=f"Basic {password}"))[1])
        assert {each["device"] for each in said["feeds"]} == {"dc1", "dc2"}

    run(tmp_path, scene)


def test_a_request_that_no_door_vouches_for_finds_nothing(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        forged = SharedKey("forged", b"x" * 32)
        assert (await control.ask(AS3, key=forged))[0].status == 503, "a door that has not met this process yet"
        assert (await control.ask(AS3, **dict[str, Any]({FIELD: "x"})))[0].status == 404
        for path in HIDDEN:
            answer, body = await control.ask(path, without=FIELD)
            assert (answer.status, body[:23]) == (503, b"503 withheld (starting)"), "a door that has no key yet"

    run(tmp_path, scene)


def test_reads_are_counted_by_how_they_ended_and_strangers_choose_no_label(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        etag = (await control.ask(AS3))[0].headers["ETag"]
        await control.ask(AS3, If_None_Match=etag)
        for path in HIDDEN:
            await control.ask(path.replace("none", "a-name-of-mine"), STRANGER)
        control.code = "held"
        await control.ask(AS3)
        metrics: dict[str, Metric] = {each.name: each for each in feed_gauges(control.feeds)}
        samples = metrics["stagedoor_feed_reads"].samples
        counted = {(each.labels["device"], each.labels["feed"], each.labels["outcome"]): each.value for each in samples}
        assert counted[("dc1", "as3.json", "given")] == 1
        assert counted[("dc1", "as3.json", "same")] == 1
        assert counted[("dc1", "", "withheld")] == 1
        assert sum(number for (_, _, outcome), number in counted.items() if outcome == "refused") == len(HIDDEN)
        assert "a-name-of-mine" not in str(samples)

    run(tmp_path, scene)
