"""WebSocket through the door with another make's client and server: `websockets`, over TCP and over TLS."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio import client as asyncio_client
from websockets.asyncio import server as asyncio_server
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from gateway import config
from gateway.audit.chain import verify_paths
from tests.integration.conftest import token
from tests.support.certificates import make
from tests.support.door import LoopThread, RunningDoor, running_door, settings_for
from tests.support.small_catalog import publish_small_catalog


@pytest.fixture
def echo() -> Iterator[Server]:
    def answer(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(answer, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


@pytest.fixture
def door(tmp_path: Path, echo: Server) -> Iterator[RunningDoor]:
    state = tmp_path / "state"
    url = f"http://127.0.0.1:{echo.socket.getsockname()[1]}"
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, url), settings=settings_for(state)
    ) as running:
        yield running


def connected(door: RunningDoor, sub: str | None = "jane", **options: Any) -> ClientConnection:
    made: ClientConnection = connect(
        "ws://echo.test/live",
        sock=door.connect(),
        additional_headers={"Authorization": f"Bearer {token(sub).decode()}"} if sub else None,
        max_size=None,
        proxy=None,
        **options,
    )
    return made


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_of_every_size_and_kind_come_back(door: RunningDoor, compression: str | None) -> None:
    with connected(door, compression=compression) as client:
        for size in (0, 1, 125, 126, 65535, 65536, 3 << 20):
            message = os.urandom(size)
            client.send(message)
            assert client.recv(timeout=10) == message
        client.send("Straße")
        assert client.recv(timeout=5) == "Straße"
        assert client.ping().wait(5)
    assert client.close_code == 1000
    (first, second) = door.records(2)
    assert (first["tunnel"], second["tunnel"]) == ("opened", "upstream")
    assert second["bytes_in"] > (3 << 20) < second["bytes_out"]


def test_many_tunnels_at_once_keep_their_messages_apart(door: RunningDoor) -> None:
    def talk(number: int) -> bool:
        with connected(door) as client:
            for turn in range(20):
                client.send(f"{number}.{turn}")
                if client.recv(timeout=10) != f"{number}.{turn}":
                    return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(talk, range(48)))
    door.records(96)


def test_a_refused_handshake_says_why(door: RunningDoor) -> None:
    with pytest.raises(InvalidStatus) as raised:
        connected(door, sub=None)
    assert raised.value.response.status_code == 401
    assert b"identity_required" in (raised.value.response.body or b"")


def test_a_tunnel_that_is_cut_off_is_an_abnormal_end_for_both(door: RunningDoor) -> None:
    with connected(door) as client:
        client.send("x")
        assert client.recv(timeout=5) == "x"
        door.control.denied = ["user:default/jane"]
        door.control.publish()
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=2)
        assert client.close_code == 1006


def test_the_trail_with_tunnels_is_whole(tmp_path: Path, echo: Server) -> None:
    state = tmp_path / "state"
    url = f"http://127.0.0.1:{echo.socket.getsockname()[1]}"
    with (
        ExitStack() as stack,
        running_door(
            state, publish=lambda folder: publish_small_catalog(folder, url), settings=settings_for(state)
        ) as door,
    ):
        for _ in range(3):
            with connected(door) as client:
                client.send("x")
                client.recv(timeout=5)
        open_at_the_end = stack.enter_context(connected(door))
        door.records(7)
    assert verify_paths([state / "audit"]).ok
    assert door.records(8)[-1]["tunnel"] == "drain"
    with pytest.raises(ConnectionClosedError):
        open_at_the_end.recv(timeout=5)


def test_over_tls_on_both_sides(tmp_path: Path) -> None:
    """Client and server run on event loops here: with the blocking ones of this library a thread reads from an
    `ssl` object while another one writes to it, and Python 3.11 does not lock those (mended in 3.13)."""
    for leaf, name in (("door", "echo.localhost"), ("upstream", "upstream.localhost")):
        make(tmp_path, leaf, name)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(tmp_path / "upstream.pem", tmp_path / "upstream.key")
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    async def answer(connection: asyncio_server.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def open_service() -> asyncio_server.Server:
        return await asyncio_server.serve(answer, "127.0.0.1", 0, ssl=theirs, max_size=None)

    async def close_service() -> None:
        service.close()
        await service.wait_closed()

    async def talk() -> int | None:
        opening = asyncio_client.connect(
            "wss://echo.test/live", sock=door.connect(), ssl=context, server_hostname="echo.localhost", max_size=None,
            proxy=None, additional_headers={"Authorization": f"Bearer {token().decode()}"},
        )  # fmt: skip
        async with opening as client:
            for size in (5, 5 << 20):
                message = os.urandom(size)
                await client.send(message)
                assert await asyncio.wait_for(client.recv(), 10) == message
        return client.close_code

    state = tmp_path / "state"
    files = str(tmp_path / "door.pem"), str(tmp_path / "door.key")
    verified = config.UpstreamTls(ca=str(tmp_path / "ca.pem"), server_name="upstream.localhost")
    settings = settings_for(state, listeners=(config.Listener("main", "127.0.0.1:0", config.ListenerTls(*files)),))
    services = {"component:default/echo": config.ServiceSettings(tls=verified)}
    prod = replace(settings.environments["prod"], services=services)
    loops = LoopThread("websockets")
    service = loops.wait(open_service())
    url = f"https://127.0.0.1:{next(iter(service.sockets)).getsockname()[1]}"
    with running_door(
        state,
        publish=lambda folder: publish_small_catalog(folder, url),
        settings=replace(settings, environments={"prod": prod}),
    ) as door:
        assert loops.wait(talk(), 30) == 1000
        assert door.records(2)[-1]["tunnel"] in ("client", "upstream")
    loops.wait(close_service())
    loops.close()
