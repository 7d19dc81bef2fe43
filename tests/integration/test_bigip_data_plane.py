"""What passes a virtual server of the emulator byte for byte, what ends with it, what iRules and operators do to it.

Members are plain sockets that a test scripts, or a real door.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from gateway import config
from gateway.config.devices import Bigip
from gateway.engine.network.bigip.as3.declaration import PROXY_RULE, declaration_of
from gateway.lab.bigip import requests
from gateway.lab.bigip.archive import tenants_of
from gateway.lab.bigip.data_plane import VirtualServer
from gateway.lab.bigip.listening import listening, passing_traffic
from gateway.lab.bigip.objects import change_part, create
from gateway.lab.bigip.on_view import on_view
from gateway.lab.bigip.unit import Unit
from tests.integration.conftest import token
from tests.integration.test_bigip_traffic import OK, VIRTUAL, run
from tests.support.certificates import make
from tests.support.declarations import desired, device, environment, place
from tests.support.door import RunningDoor, running_door, settings_for
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import Seen, Upstream

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
MEBIBYTE = bytes(range(256)) * 4096


class Stage:
    """A virtual server with members that do what a test says. ``ended`` is set when a member's connection has."""

    def __init__(self) -> None:
        self.unit = Unit()
        self.port = 0
        self.members: list[str] = []
        self.ended = asyncio.Event()
        self.virtual = VirtualServer(self.unit, VIRTUAL)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def operator(self, member: str, **says: str) -> None:
        change_part(self.unit.tree, "ltm/pool", "/Common/pool", "members", f"/Common/{member}", says)


@asynccontextmanager
async def stage(
    *scripts: Script, profiles: tuple[str, ...] = ("http",), tls: ssl.SSLContext | None = None
) -> AsyncIterator[Stage]:
    made = Stage()
    servers, writers = [], []

    async def play(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            made.ended.set()
            writer.close()

    for script in scripts:
        server = await asyncio.start_server(partial(play, script), "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        made.members.append(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    create(made.unit.tree, "ltm/pool", {"name": "pool", "members": made.members})
    create(made.unit.tree, "ltm/virtual",
           {"name": "vs", "destination": "192.0.2.1:443", "pool": "pool",
            "profiles": [f"/Common/{name}" for name in profiles]})  # fmt: skip
    try:
        async with listening(lambda _: made.virtual, ("127.0.0.1", 0)) as made.port:
            yield made
    finally:
        made.virtual.close()
        for writer in writers:
            writer.close()
        for server in servers:
            server.close()
            await server.wait_closed()


async def answers_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))


async def is_reset(reader: asyncio.StreamReader) -> bool:
    """Nothing came, or not a whole answer."""
    try:
        return not (await reader.read()).endswith(b"ok")
    except OSError:
        return True


# === bytes ===


def test_who_asks_whether_to_go_on_is_told_by_the_member() -> None:
    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Expect: 100-continue\r\n" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(5) == b"hello"
        writer.write(OK)
        await reader.read()

    async def test() -> None:
        async with stage(member) as it:
            reader, writer = await it.connect()
            writer.write(b"PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hello")
            assert await reader.readexactly(len(OK)) == OK
            writer.close()

    run(test)


def test_chunks_and_trailers_pass_both_ways_as_they_are() -> None:
    chunked = b"3;note=x\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunked

    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(chunked)) == chunked
            writer.write(answer)

    async def test() -> None:
        async with stage(member) as it:
            reader, writer = await it.connect()
            for _ in range(2):
                writer.write(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked)
                assert await reader.readexactly(len(answer)) == answer
            writer.close()

    run(test)


@pytest.mark.parametrize("profiles", [("http",), ("http", "oneconnect")])
def test_pipelined_requests_are_answered_in_order(profiles: tuple[str, ...]) -> None:
    async def test() -> None:
        async with stage(answers_all, profiles=profiles) as it:
            reader, writer = await it.connect()
            writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a.test\r\n\r\n" % number for number in range(20)))
            for number in range(20):
                await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(len(path := b"/%d" % number)) == path
            writer.close()

    run(test)


@pytest.mark.parametrize("request_bytes", [
    b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
    b"GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
])  # fmt: skip
def test_where_two_readers_could_see_two_ends_nobody_gets_anything(request_bytes: bytes) -> None:
    async def test() -> None:
        async with stage(answers_all, profiles=("http", "oneconnect")) as it:
            reader, writer = await it.connect()
            writer.write(request_bytes)
            assert await is_reset(reader)
            writer.close()
            assert it.virtual.members.idle_at(it.members[0]) == 0

    run(test)


def test_an_answer_that_breaks_off_is_no_whole_answer_for_the_client() -> None:
    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")

    async def test() -> None:
        async with stage(member) as it:
            reader, writer = await it.connect()
            writer.write(GET)
            with pytest.raises(OSError):
                await reader.read()
            writer.close()

    run(test)


def test_a_client_that_goes_frees_the_member() -> None:
    """In the middle of an answer that never ends, with nothing to write."""

    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await reader.read()

    async def test() -> None:
        async with stage(member) as it:
            reader, writer = await it.connect()
            writer.write(GET)
            await reader.readuntil(b"hello")
            writer.close()
            await it.ended.wait()

    run(test)


def test_a_slow_reader_slows_the_member_down() -> None:
    """A large answer waits where it comes from."""
    size, sent = 64, 0

    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size * len(MEBIBYTE)))
        for _ in range(size):
            writer.write(MEBIBYTE)
            await writer.drain()
            sent += 1
        await reader.read()

    async def test() -> None:
        async with stage(member) as it:
            reader, writer = await it.connect()
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            still, before = 0, -1
            while still < 20:  # turns of the loop in which nothing moved
                still, before = (still + 1 if sent == before else 0), sent
                await asyncio.sleep(0.01)
            assert sent < size // 2
            for _ in range(size):
                assert await reader.readexactly(len(MEBIBYTE)) == MEBIBYTE
            writer.close()

    run(test)


def test_without_an_http_profile_bytes_pass() -> None:
    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line[::-1])

    async def test() -> None:
        async with stage(member, profiles=("tcp",)) as it:
            reader, writer = await it.connect()
            for said in (b"abc\n", b"\0\1\n"):
                writer.write(said)
                assert await reader.readexactly(len(said)) == said[::-1]
            writer.close()
            await it.ended.wait()

    run(test)


# === rules ===


def proxied(it: Stage) -> None:
    create(it.unit.tree, "ltm/rule", {"name": "proxy", "apiAnonymous": PROXY_RULE})
    it.unit.tree.put("ltm/virtual", VIRTUAL, {**(it.unit.tree.find("ltm/virtual", VIRTUAL) or {}),
                                              "rules": ["/Common/proxy"]})  # fmt: skip


@pytest.mark.parametrize("secure", [False, True])
def test_the_rule_for_proxy_lines_is_played_before_tls(tmp_path: Path, secure: bool) -> None:
    lines: list[bytes] = []
    certificate, key = make(tmp_path / "door", "door", "localhost")
    inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    inside.load_cert_chain(certificate, key)

    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        if secure:
            assert await reader.readexactly(2) == b"\x16\x03", "TLS begins behind the line"
            return
        await answers_all(reader, writer)

    async def test() -> None:
        profiles = ("http", "serverssl") if secure else ("http",)
        async with stage(member, profiles=profiles) as it:
            proxied(it)
            reader, writer = await it.connect()
            own = writer.get_extra_info("sockname")
            writer.write(GET)
            if secure:
                await it.ended.wait()
            else:
                assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert lines == [b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (own[1], it.port)]
            writer.close()

    run(test)


def test_a_rule_that_is_not_known_is_named_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with stage(answers_all) as it:
            create(it.unit.tree, "ltm/rule", {"name": "own", "apiAnonymous": "when HTTP_REQUEST { reject }"})
            held = it.unit.tree.find("ltm/virtual", VIRTUAL) or {}
            it.unit.tree.put("ltm/virtual", VIRTUAL, {**held, "rules": ["/Common/own"]})
            reader, writer = await it.connect()
            for _ in range(2):
                writer.write(GET)
                assert b"200 OK" in await reader.readuntil(b"\r\n\r\n/")
            writer.close()
            (shown,) = on_view(it.unit, lambda path: (it.virtual.requests, it.virtual.members))["virtuals"]
            assert (shown["not_executed"], shown["requests"]) == (["iRule /Common/own is not executed"], 2)

    run(test)
    assert [each.getMessage() for each in caplog.records].count(f"{VIRTUAL}: iRule /Common/own is not executed") == 1


# === operators ===


def test_a_member_that_an_operator_disables_keeps_what_it_has_and_gets_nothing_new() -> None:
    """Without OneConnect a client stays with its member; with a disabled one others meet the other alone."""
    met: list[str] = []

    def named(name: str) -> Script:
        async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                met.append(name)
                writer.write(OK)

        return member

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(GET)
        assert await reader.readexactly(len(OK)) == OK
        return met[-1]

    async def test() -> None:
        async with stage(named("a"), named("b")) as it:
            old = await it.connect()
            first = await ask(*old)
            it.operator(it.members["ab".index(first)], session="user-disabled")
            assert [await ask(*old) for _ in range(3)] == [first] * 3
            fresh = [await it.connect() for _ in range(4)]
            other = {"a": "b", "b": "a"}[first]
            assert [await ask(*each) for each in fresh] == [other] * 4
            it.operator(it.members["ab".index(other)], state="user-down", session="user-disabled")
            late = await it.connect()
            late[1].write(GET)
            assert await is_reset(late[0])
            for _, writer in (old, late, *fresh):
                writer.close()

    run(test)


# === a real door ===


@pytest.mark.parametrize("proxy_protocol", [False, True])
def test_a_declared_virtual_server_tells_a_real_door_who_came(
    tmp_path: Path, golden_upstream: Upstream, proxy_protocol: bool
) -> None:
    """By X-Forwarded-For, or by the declared rule's PROXY line: beside that, what clients write counts for nothing."""
    forwarded: list[str | None] = []

    def noting(seen: Seen) -> bytes:
        forwarded.append(seen.header("x-forwarded-for"))
        return OK

    golden_upstream.answer = noting
    listener = config.Listener(
        "main", "127.0.0.1:0", bigip=True, proxy_protocol=proxy_protocol, trusted_peers=("127.0.0.2/32",)
    )
    with a_door(tmp_path, golden_upstream.url, listener) as door:

        async def test() -> None:
            at = environment(proxy_protocol=proxy_protocol)
            members = [f"127.0.0.1:{door.port}"]
            made = device(at, members=members, member_tls=False, health_port=1)
            async with declared(made) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.7", 0))
                fields = b"Authorization: Bearer " + token() + b"\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
                writer.write(b"GET / HTTP/1.1\r\nHost: app.test\r\n" + fields)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
                writer.close()

        run(test)
    assert forwarded == ["127.0.0.7"]


def test_a_websocket_passes_virtual_server_and_door_and_its_connection_is_never_used_again(tmp_path: Path) -> None:
    listener = config.Listener("main", "127.0.0.1:0", bigip=True, trusted_peers=("127.0.0.2/32",))

    async def say_path(socket: ServerConnection) -> None:
        assert socket.request is not None
        await socket.send(socket.request.path)

    async def test() -> None:
        async with serve(say_path, "127.0.0.1", 0) as service:
            url = f"http://127.0.0.1:{service.sockets[0].getsockname()[1]}"
            with a_door(tmp_path, url, listener) as door:
                at = environment()
                made = device(at, members=[f"127.0.0.1:{door.port}"], member_tls=False)
                async with declared(made) as port:
                    fields = {"Authorization": f"Bearer {token().decode()}"}
                    for number in range(3):
                        address = f"ws://app.test/live/{number}"
                        async with connect(address, host="127.0.0.1", port=port, additional_headers=fields) as socket:
                            assert await socket.recv() == f"/live/{number}"

    run(test)


def a_door(folder: Path, url: str, listener: config.Listener) -> AbstractContextManager[RunningDoor]:
    state = folder / "state"
    patient = config.Timeouts(handshake_s=60, head_s=60, connect_s=60, drain_finish_s=1.0)
    settings = settings_for(state, listeners=(listener,), timeouts=patient)
    return running_door(state, publish=lambda into: publish_small_catalog(into, url), settings=settings)


@asynccontextmanager
async def declared(made: Bigip) -> AsyncIterator[int]:
    """The virtual server that is declared for the door, without TLS; nobody probes, so its member is up."""
    unit = Unit()
    create(unit.tree, "ltm/profile/client-ssl", {"name": "clients"})
    declaration = declaration_of(desired(place("app")), made, made.environments[0], {})
    status, body = await unit.engine.run(requests.asked_of(declaration, {}))
    assert status == 200, body
    (tenant,) = tenants_of(declaration)
    async with passing_traffic(unit, f"/{tenant}/Shared/vs") as port:
        yield port
    await unit.records.close()
