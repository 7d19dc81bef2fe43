"""A virtual server of the emulator passes requests on as a BIG-IP does: shared connections, inserted fields, TLS twice.

Members are plain sockets here, so that a test sees which connection carried which request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.child import DRAINING
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.lab.bigip import requests
from gateway.lab.bigip.archive import tenants_of
from gateway.lab.bigip.listening import passing_traffic
from gateway.lab.bigip.objects import change, change_part, create
from gateway.lab.bigip.prober import Prober
from gateway.lab.bigip.unit import Unit
from tests.integration.conftest import token
from tests.support.bigip import all_closed
from tests.support.certificates import make
from tests.support.declarations import desired, device, environment, place
from tests.support.door import RunningDoor, running_door, settings_for
from tests.support.small_catalog import publish_small_catalog
from tests.support.upstream import Upstream

VIRTUAL = "/Common/vs"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WAIT_S = 50


class Members:
    """One server that stands for a member; ``seen`` has (connection, head) of each request."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []
        self.bodies: list[bytes] = []
        self.answer = OK
        self.port = 0
        self._connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        self._writers.append(writer)
        number = self._connections
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                self.seen.append((number, head))
                self.bodies.append(await _body(head.lower(), reader))
                writer.write(self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


async def _body(head: str, reader: asyncio.StreamReader) -> bytes:
    if "transfer-encoding: chunked" in head:
        return await reader.readuntil(b"0\r\n\r\n")
    length = [int(line.partition(":")[2]) for line in head.split("\r\n") if line.startswith("content-length:")]
    return await reader.readexactly(length[0]) if length else b""


@asynccontextmanager
async def stage(tls: ssl.SSLContext | None = None, **profiles: Any) -> AsyncIterator[tuple[Unit, Members, int]]:
    """A unit with the virtual server, its one member, and the port where clients come."""
    members, unit = Members(), Unit()
    server = await asyncio.start_server(members.serve, "127.0.0.1", 0, ssl=tls)
    members.port = server.sockets[0].getsockname()[1]
    create(unit.tree, "ltm/pool", {"name": "pool", "members": [f"127.0.0.1:{members.port}"]})
    create(unit.tree, "ltm/profile/http", {"name": "own", "insertXforwardedFor": "enabled"})
    attached = ["/Common/own", *profiles.get("more", ())]
    create(unit.tree, "ltm/virtual",
           {"name": "vs", "destination": "192.0.2.1:443", "pool": "pool", "profiles": attached})  # fmt: skip
    try:
        async with passing_traffic(unit, VIRTUAL, tls=profiles.get("inside")) as port:
            yield unit, members, port
    finally:
        members.close()
        server.close()
        await server.wait_closed()


async def ask(
    port: int,
    *fields: str,
    tls: ssl.SSLContext | None = None,
    method: str = "GET",
    host: str = "pay.example.com",
    path: str = "/a%2Fb?x=1",
) -> bytes:
    """One request over a connection of its own; all that came, b"" after a reset."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
    )
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    try:
        async with asyncio.timeout(WAIT_S):
            head = await reader.readuntil(b"\r\n\r\n")
            return head + await reader.readexactly(2)
    except (asyncio.IncompleteReadError, OSError) as error:
        return getattr(error, "partial", b"")
    finally:
        writer.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await test()
        await all_closed()

    asyncio.run(asyncio.wait_for(whole(), WAIT_S))


def test_with_oneconnect_strangers_share_a_connection() -> None:
    async def test() -> None:
        async with stage(more=["/Common/oneconnect"]) as (_, members, port):
            for name in ("anna", "berta", "carla"):
                assert (await ask(port, f"Authorization: Bearer {name}")).endswith(b"ok")
            assert [number for number, _ in members.seen] == [1, 1, 1]
            assert ["Bearer anna" in head for _, head in members.seen] == [True, False, False]

    run(test)


def test_without_oneconnect_each_client_has_its_own() -> None:
    async def test() -> None:
        async with stage() as (_, members, port):
            for _ in range(3):
                assert (await ask(port)).endswith(b"ok")
            assert [number for number, _ in members.seen] == [1, 2, 3]

    run(test)


def test_fields_pass_as_they_came_and_the_address_is_inserted_behind_them() -> None:
    async def test() -> None:
        async with stage(more=["/Common/oneconnect"]) as (_, members, port):
            assert (await ask(port, "X-Forwarded-For: 203.0.113.9", "Cookie: a=1", "Connection: close")).endswith(b"ok")
            head = members.seen[0][1]
            assert head.startswith("GET /a%2Fb?x=1 HTTP/1.1\r\nHost: pay.example.com\r\n")
            forwarded = [line for line in head.split("\r\n") if line.startswith("X-Forwarded-For")]
            assert forwarded == ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1"]
            assert "Xonnection: close" in head
            assert "User-Agent" not in head

    run(test)


def test_no_cookie_of_one_client_reaches_another() -> None:
    async def test() -> None:
        async with stage(more=["/Common/oneconnect"]) as (_, members, port):
            members.answer = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=annas; Path=/\r\n\r\n")
            assert b"session=annas" in await ask(port)
            await ask(port)
            assert "session" not in members.seen[1][1]

    run(test)


def test_bodies_pass() -> None:
    async def test() -> None:
        async with stage(more=["/Common/oneconnect"]) as (_, members, port):
            assert (await ask(port, "Content-Length: 5", "", "hello", method="POST")).endswith(b"ok")
            chunked = ("Transfer-Encoding: chunked", "", "5", "hello", "0")
            assert (await ask(port, *chunked, method="POST")).endswith(b"ok")
            assert (await ask(port)).endswith(b"ok")
            assert [b"hello" in body for body in members.bodies] == [True, True, False]
            assert "content-length: 5" in members.seen[0][1].lower()

    run(test)


def test_who_gets_nothing_is_reset() -> None:
    """A drained member, one that a monitor found down, a disabled server, an answer over the limits."""

    async def test() -> None:
        async with stage() as (unit, members, port):
            member = f"/Common/127.0.0.1:{members.port}"
            change_part(unit.tree, "ltm/pool", "/Common/pool", "members", member, {"session": "user-disabled"})
            assert await ask(port) == b""
            change_part(unit.tree, "ltm/pool", "/Common/pool", "members", member, {"session": "user-enabled"})
            assert (await ask(port)).endswith(b"ok")
            members.answer = OK.replace(b"\r\n\r\n", b"\r\nX: y" * 64 + b"\r\n\r\n")
            assert await ask(port) == b""
            members.answer = OK
            change(unit.tree, "ltm/virtual", VIRTUAL, {"disabled": True})
            assert await ask(port) == b""
            change(unit.tree, "ltm/virtual", VIRTUAL, {"enabled": True})
            change(unit.tree, "ltm/pool", "/Common/pool", {"monitor": "/Common/http"})
            unit.knobs.members[f"127.0.0.1:{members.port}"] = "down"
            assert await ask(port) == b""

    run(test)


@pytest.mark.parametrize(("authority", "name", "passes"), [
    ("ca.pem", "door.localhost", True), ("ca.pem", "other.localhost", False), ("other", "door.localhost", False),
])  # fmt: skip
def test_tls_ends_and_begins_anew(tmp_path: Path, authority: str, name: str, passes: bool) -> None:
    """Towards the member it is checked where the profile says so: authority and name."""
    certificate, key = make(tmp_path / "door", "door", "door.localhost", "localhost")
    inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    inside.load_cert_chain(certificate, key)
    make(tmp_path / "elsewhere", "x", "localhost")
    trusted = tmp_path / ("door" if authority == "ca.pem" else "elsewhere") / "ca.pem"

    async def test() -> None:
        async with stage(inside, more=["/Common/serverssl", "/Common/oneconnect"], inside=inside) as (
            unit,
            members,
            port,
        ):
            unit.uploads["doors.pem"] = trusted.read_bytes()
            create(unit.tree, "sys/file/ssl-cert",
                   {"name": "doors.crt", "sourcePath": "file:/var/config/rest/downloads/doors.pem"})  # fmt: skip
            change(unit.tree, "ltm/profile/server-ssl", "/Common/serverssl",
                   {"peerCertMode": "require", "caFile": "/Common/doors.crt", "authenticateName": name})  # fmt: skip
            client = ssl.create_default_context(cafile=str(tmp_path / "door" / "ca.pem"))
            for _ in range(2):
                assert (await ask(port, tls=client)).endswith(b"ok") == passes
            assert [number for number, _ in members.seen] == ([1, 1] if passes else [])

    run(test)


@pytest.mark.slow
def test_a_declared_virtual_server_leads_to_a_door_and_follows_its_health(
    tmp_path: Path, golden_upstream: Upstream
) -> None:
    """Declaration → virtual server → monitor → door → service; a door that leaves is left alone."""
    listener = config.Listener("main", "127.0.0.1:0", bigip=True, trusted_peers=("127.0.0.1/32",))
    state = tmp_path / "state"
    patient = config.Timeouts(handshake_s=60, head_s=60, connect_s=60, drain_finish_s=1.0)
    with running_door(
        state,
        publish=lambda into: publish_small_catalog(into, golden_upstream.url),
        settings=settings_for(state, listeners=(listener,), timeouts=patient),
    ) as door:
        asyncio.run(_through_a_door(door))


async def _through_a_door(door: RunningDoor) -> None:
    unit = Unit()
    member = f"127.0.0.1:{door.port}"
    create(unit.tree, "ltm/profile/client-ssl", {"name": "clients"})
    at = environment()
    declaration = declaration_of(desired(place("app")), device(at, members=[member], member_tls=False), at, {})
    status, body = await unit.engine.run(requests.asked_of(declaration, {}))
    assert status == 200, body
    (tenant,) = tenants_of(declaration)
    change(unit.tree, "ltm/monitor/http", f"/{tenant}/Shared/mon", {"interval": 1})
    prober = Prober(unit, asyncio.get_running_loop().time)
    probing = asyncio.get_running_loop().create_task(prober.run())
    async with passing_traffic(unit, f"/{tenant}/Shared/vs", prober=prober) as port:
        bearer = f"Authorization: Bearer {token().decode()}"
        await _becomes(prober, "up")
        assert (await ask(port, bearer, host="app.test", path="/")).startswith(b"HTTP/1.1 200 ")
        assert (await ask(port, host="app.test", path="/")).startswith(b"HTTP/1.1 401 ")
        door.thread.call(lambda: setattr(door.node, "value", DRAINING))
        await _becomes(prober, "draining")
        assert await ask(port, bearer, host="app.test", path="/") == b""
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
    await all_closed()


async def _becomes(prober: Prober, state: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while list(prober.states.values()) != [state]:
            await asyncio.sleep(0.01)
