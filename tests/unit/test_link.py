"""Messages between roles: framing, what a wrong peer can do (end its own connection), and coming back."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway import link, socket_file
from gateway.errors import StateError
from gateway.link import Link, LinkClient, LinkServer, Message


class Recorder:
    """The owner of a server or a client: keeps what it is told and lets a test wait for it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.links: list[Link] = []
        self.closed = 0
        self.states: list[bool] = []
        self._changed = asyncio.Event()

    def heard(self, source: Link, message: Message) -> None:
        self.links.append(source)
        self.told(message)

    def told(self, message: Message) -> None:
        self.messages.append(message)
        self._changed.set()

    def lost(self, source: Link) -> None:
        self.closed += 1
        self._changed.set()

    def state(self, connected: bool) -> None:
        self.states.append(connected)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


async def server_at(path: Path, **options: Any) -> tuple[LinkServer, Recorder]:
    owner = Recorder()
    server = LinkServer(path, owner.heard, owner.lost, **options)
    await server.start()
    return server, owner


def client_at(path: Path, **options: Any) -> tuple[LinkClient, Recorder]:
    owner = Recorder()
    client = LinkClient(path, lambda: {"t": "hello", "pid": os.getpid()}, owner.told, owner.state, **options)
    client.start()
    return client, owner


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


async def ends(reader: asyncio.StreamReader) -> bytes:
    """What was read before the other side ended the connection."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


def test_a_client_says_hello_and_messages_go_both_ways(tmp_path: Path) -> None:
    async def test() -> None:
        server, at_server = await server_at(tmp_path / "engine.sock")
        client, at_client = client_at(tmp_path / "engine.sock")
        await at_server.until(lambda: bool(at_server.messages))
        assert at_server.messages == [{"t": "hello", "pid": os.getpid()}]
        assert at_client.states == [True]
        assert at_server.links[0].peer == (os.getpid(), os.getuid(), os.getgid())
        server.broadcast({"t": "base", "base": "x" * 300_000})
        await at_client.until(lambda: bool(at_client.messages))
        assert len(at_client.messages[0]["base"]) == 300_000
        assert client.send({"t": "ack"})
        await at_server.until(lambda: len(at_server.messages) == 2)
        client.close()
        await at_server.until(lambda: at_server.closed == 1)
        assert not server.links
        server.close()

    run(test)


def test_messages_survive_any_cutting_of_the_stream(tmp_path: Path) -> None:
    async def test() -> None:
        server, owner = await server_at(tmp_path / "s")
        _reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        messages = [{"t": "a", "n": n} for n in range(3)]
        for byte in b"".join(framed(orjson.dumps(message)) for message in messages):
            writer.write(bytes((byte,)))
            await writer.drain()
        await owner.until(lambda: len(owner.messages) == 3)
        assert owner.messages == messages
        writer.close()
        server.close()

    run(test)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(framed(b"{not json"), id="garbage"),
        pytest.param(framed(b"[1]"), id="no-object"),
        pytest.param(framed(b'{"x": 1}'), id="no-type"),
        pytest.param(framed(b""), id="empty"),
        pytest.param((1001).to_bytes(4, "big"), id="oversized-by-its-head-alone"),
    ],
)
def test_a_wrong_message_ends_that_connection_and_no_other(tmp_path: Path, sent: bytes) -> None:
    async def test() -> None:
        server, owner = await server_at(tmp_path / "s", limit_bytes=1000)
        _client, _ = client_at(tmp_path / "s")
        await owner.until(lambda: len(owner.messages) == 1)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(sent + framed(b'{"t": "after"}'))
        assert await ends(reader) == b""
        await owner.until(lambda: owner.closed == 1)
        assert [message["t"] for message in owner.messages] == ["hello"]
        assert len(server.links) == 1
        writer.close()
        server.close()

    run(test)


def test_a_message_of_exactly_the_limit_is_taken(tmp_path: Path) -> None:
    async def test() -> None:
        body = b'{"t": "x", "s": "' + b"a" * 981 + b'"}'
        assert len(body) == 1000
        server, owner = await server_at(tmp_path / "s", limit_bytes=1000)
        _reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(framed(body))
        await owner.until(lambda: len(owner.messages) == 1)
        writer.close()
        server.close()

    run(test)


def test_a_peer_of_another_user_is_refused_before_its_first_byte(tmp_path: Path) -> None:
    async def test() -> None:
        opened: list[Link] = []
        nobody = frozenset((os.getuid() + 1,))
        server, owner = await server_at(tmp_path / "s", uids=nobody, on_open=opened.append)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(framed(b'{"t": "hello"}'))
        assert await ends(reader) == b""
        assert (owner.messages, owner.closed, opened, server.links) == ([], 0, [], set())
        writer.close()
        server.close()

    run(test)


def test_a_client_tells_nothing_to_a_server_of_another_user_and_keeps_trying(tmp_path: Path) -> None:
    async def test() -> None:
        server, at_server = await server_at(tmp_path / "s")
        client, at_client = client_at(tmp_path / "s", uids=frozenset((os.getuid() + 1,)))
        tries = Recorder()
        counted = LinkServer(tmp_path / "s", at_server.heard, at_server.lost, on_open=lambda _link: tries.state(True))
        await counted.start()
        await tries.until(lambda: len(tries.states) >= 2)
        assert at_server.messages == []
        assert at_client.states == []
        assert not client.send({"t": "secret"})
        client.close()
        counted.close()
        server.close()

    run(test)


def test_a_client_comes_back_after_its_server_did_and_says_hello_again(tmp_path: Path) -> None:
    async def test() -> None:
        client, at_client = client_at(tmp_path / "s")  # nobody listens yet
        assert not client.send({"t": "lost"})
        for life in range(3):
            server, at_server = await server_at(tmp_path / "s")
            await at_server.until(lambda seen=at_server: bool(seen.messages))  # type: ignore[misc]  # a default binds it
            assert at_server.messages[0]["t"] == "hello"
            server.close()
            await at_client.until(lambda turns=2 * life + 2: len(at_client.states) == turns)  # type: ignore[misc]  # a default binds it
        assert at_client.states == [True, False] * 3
        client.close()

    run(test)


def test_a_successor_takes_the_path_over_and_its_predecessor_leaves_it_alone(tmp_path: Path) -> None:
    async def test() -> None:
        old, _ = await server_at(tmp_path / "s")
        new, owner = await server_at(tmp_path / "s")
        old.close()
        client, _ = client_at(tmp_path / "s")
        await owner.until(lambda: bool(owner.messages))
        client.close()
        new.close()
        assert not (tmp_path / "s").exists()

    run(test)


def test_a_socket_file_that_was_removed_is_there_again_and_who_is_connected_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_file, "LOOK_S", 0.01)

    async def test() -> None:
        server, owner = await server_at(tmp_path / "s")
        first, _ = client_at(tmp_path / "s")
        await owner.until(lambda: len(owner.messages) == 1)
        (tmp_path / "s").unlink()
        second, _ = client_at(tmp_path / "s")
        await owner.until(lambda: len(owner.messages) == 2)
        assert len(server.links) == 2
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        for each in (first, second, server):
            each.close()
        await asyncio.sleep(0.05)
        assert not (tmp_path / "s").exists()

    run(test)


def test_a_folder_in_the_place_of_the_socket_is_named(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "s").mkdir()
        with pytest.raises(StateError, match="`.*/s` is a folder"):
            await server_at(tmp_path / "s")

    run(test)


def test_the_socket_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    async def test() -> None:
        server, _ = await server_at(tmp_path / "s")
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        server.close()

    run(test)


def test_a_state_folder_may_lie_deeper_than_an_address_is_long(tmp_path: Path) -> None:
    async def test() -> None:
        folder = tmp_path / ("a" * 100) / ("b" * 100)
        folder.mkdir(parents=True)
        server, owner = await server_at(folder / "control.sock")
        client, _ = client_at(folder / "control.sock")
        await owner.until(lambda: bool(owner.messages))
        client.close()
        server.close()

    run(test)


def test_a_peer_that_does_not_read_is_ended_before_memory_is(tmp_path: Path) -> None:
    async def test() -> None:
        server, owner = await server_at(tmp_path / "s", limit_bytes=1_000_000)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(tmp_path / "s"))
        sock.sendall(framed(b'{"t": "hello"}'))
        await owner.until(lambda: len(owner.messages) == 1)
        slow = owner.links[0]
        while slow.send({"t": "base", "set": "x" * 500_000}):
            pass
        await owner.until(lambda: owner.closed == 1)
        sock.close()
        server.close()

    run(test)


def test_a_message_over_the_limit_is_the_senders_bug(tmp_path: Path) -> None:
    async def test() -> None:
        server, owner = await server_at(tmp_path / "s", limit_bytes=100)
        _client, _ = client_at(tmp_path / "s")
        await owner.until(lambda: bool(owner.messages))
        with pytest.raises(ValueError, match="over the limit"):
            owner.links[0].send({"t": "x", "s": "a" * 100})
        server.close()

    run(test)


def test_pauses_grow_while_a_server_accepts_and_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses everybody is not asked 20 times a second."""
    pauses: list[float] = []

    async def test() -> None:
        async def paused(seconds: float) -> None:
            if seconds != socket_file.LOOK_S:
                pauses.append(seconds)
            await real(0)

        real: Callable[[float], Awaitable[None]] = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", paused)
        monkeypatch.setattr(link._RANDOM, "uniform", lambda low, high: 1.0)
        server = LinkServer(tmp_path / "s", lambda *_: None, lambda _link: None, on_open=Link.close)
        await server.start()
        client, owner = client_at(tmp_path / "s")
        await owner.until(lambda: len(owner.states) >= 16)
        client.close()
        server.close()

    run(test)
    assert pauses[:7] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
