"""Through an emulated virtual server with OneConnect, strangers share connections to a real door, and nobody ever gets
an answer that was meant for another: whatever is interleaved, pipelined, refused or broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import config
from gateway.lab.bigip.data_plane import VirtualServer
from gateway.lab.bigip.listening import listening
from gateway.lab.bigip.objects import create
from gateway.lab.bigip.unit import Unit
from tests.integration.conftest import token
from tests.integration.test_bigip_traffic import VIRTUAL, WAIT_S
from tests.support.bigip import all_closed
from tests.support.door import running_door, settings_for
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import Seen, Upstream

WHO = ("jane", "joe", "")
KINDS = ("get", "post", "chunked", "head", "broken off", "ill-formed", "forged")
NUMBERS = count()
PATIENT = config.Timeouts(handshake_s=60, head_s=60, connect_s=60, drain_finish_s=1.0)
Story = Sequence[tuple[int, str, str, bool]]  # client, who asks, kind, whether the answer is waited for first


@dataclass
class Front:
    """A virtual server, and the loop that it and its clients run on."""

    runner: asyncio.Runner
    port: int
    member: str
    virtual: VirtualServer


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, golden_upstream: Upstream) -> Iterator[Front]:
    golden_upstream.answer = told
    state = tmp_path_factory.mktemp("people") / "state"
    listener = config.Listener("main", "127.0.0.1:0", bigip=True, trusted_peers=("127.0.0.2/32",))
    with (
        running_door(
            state,
            publish=lambda into: publish_small_catalog(into, golden_upstream.url),
            settings=settings_for(state, listeners=(listener,), timeouts=PATIENT),
        ) as door,
        asyncio.Runner() as runner,
    ):
        unit = Unit()
        create(unit.tree, "ltm/pool", {"name": "pool", "members": [f"127.0.0.1:{door.port}"]})
        create(unit.tree, "ltm/profile/http", {"name": "own", "insertXforwardedFor": "enabled"})
        attached = ["/Common/own", "/Common/oneconnect"]
        create(unit.tree, "ltm/virtual",
               {"name": "vs", "destination": "192.0.2.1:443", "pool": "pool", "profiles": attached})  # fmt: skip
        virtual = VirtualServer(unit, VIRTUAL)
        passing = listening(lambda _: virtual, ("127.0.0.1", 0))
        port = runner.run(passing.__aenter__())
        yield Front(runner, port, f"127.0.0.1:{door.port}", virtual)
        runner.run(passing.__aexit__(None, None, None))
        virtual.close()
        runner.run(all_closed())


def told(seen: Seen) -> bytes:
    """The service says whom it took the caller for, and what it was asked."""
    body = f"{seen.header('x-stagedoor-user')} {seen.target}".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + (b"" if seen.method == "HEAD" else body)


def written(who: str, kind: str, tag: str) -> bytes:
    bearer = f"Authorization: Bearer {token(who).decode()}\r\n" if who else ""
    method = {"get": "GET", "head": "HEAD", "forged": "GET"}.get(kind, "POST")
    fields = {
        "post": "Content-Length: 5\r\n\r\nhello",
        "chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n",
        "broken off": "Content-Length: 5000\r\n\r\nhel",
        "ill-formed": "Transfer-Encoding: chunked\r\n\r\nGET / HTTP/1.1\r\nHost: echo.test\r\n\r\n",
        "forged": "X-Stagedoor-User: user:default/root\r\nX-Forwarded-For: 127.0.0.2\r\n\r\n",
    }
    return f"{method} /{tag} HTTP/1.1\r\nHost: echo.test\r\n{bearer}{fields.get(kind, chr(13) + chr(10))}".encode()


class Person:
    """A client's connection, made anew when it has ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._due: list[tuple[str, str, str]] = []  # who, kind, tag

    async def ask(self, who: str, kind: str) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        tag = f"t{next(NUMBERS)}"
        self._writer.write(written(who, kind, tag))
        self._due.append((who, kind, tag))
        if kind in ("broken off", "ill-formed"):
            await self.settle()

    async def settle(self) -> None:
        """All answers that are due, each the right one; a connection that ended owes nothing more."""
        due, self._due = self._due, []
        if self._reader is None or self._writer is None:
            return
        for who, kind, tag in due:
            if kind == "broken off":
                self._writer.transport.abort()
                self.forget()
                return
            answer = await self._answer(kind)
            if answer is None:
                assert kind == "ill-formed", f"{kind} was not answered"
                self.forget()
                return
            head, body = answer
            expected = 200 if who else 401
            if kind == "ill-formed":
                assert b"user:" not in body, body
            else:
                assert int(head.split(b" ")[1]) == expected, head
                assert kind == "head" or not who or body == f"user:default/{who} /{tag}".encode(), (who, tag, body)
                assert who or b"user:" not in body

    async def _answer(self, kind: str) -> tuple[bytes, bytes] | None:
        assert self._reader is not None
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            size = int(lengths[0].partition(b":")[2]) if lengths and kind != "head" else 0
            return head, await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            return None

    def forget(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


async def play(port: int, story: Story) -> None:
    people = [Person(port) for _ in range(4)]
    async with asyncio.timeout(WAIT_S):
        for client, who, kind, waits in story:
            await people[client].ask(who, kind)
            if waits:
                await people[client].settle()
        await asyncio.gather(*(person.settle() for person in people))
    for person in people:
        person.forget()


STEPS = st.tuples(st.integers(0, 3), st.sampled_from(WHO), st.sampled_from(KINDS), st.booleans())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=2, max_size=14))
def test_nobody_gets_what_was_meant_for_another(front: Front, story: Story) -> None:
    front.runner.run(play(front.port, story))


def test_they_do_share_connections(front: Front) -> None:
    """Otherwise the property above says nothing. Who follows a caller without a token, on the same connection, is asked
    who they are as well."""

    async def test() -> None:
        people = [Person(front.port) for _ in range(6)]
        for number, person in enumerate(people):
            await person.ask(WHO[number % 3], "get")
            await person.settle()
        for person in people:
            person.forget()

    front.virtual.close()
    before = front.virtual.requests
    front.runner.run(test())
    assert (front.virtual.requests - before, front.virtual.members.idle_at(front.member)) == (6, 1)
