"""Promises about the control role: keys reach the doors, a restart with the provider away keeps them, a reload follows
the issuers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from gateway import config
from gateway.control.doors import SOCKET
from gateway.control.fetch import client_session
from gateway.control.role import Control, _obey
from gateway.control.store import open_store
from gateway.lab.provider import AUDIENCE, Provider
from gateway.lab.signing import SigningKeys
from gateway.link import LinkClient, Message, NodeState, ParentChannel, RoleContext

EXAMPLES = Path(__file__).parents[3] / "examples" / "catalog"


class Node:
    """Control on a real state folder, with a real provider that the test starts, rotates and stops."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = SigningKeys(folder / "provider.json")
        self.provider = Provider("", self.keys, EXAMPLES, "secret", lambda: 0.0)
        self.server: TestServer | None = None
        self.address = "http://127.0.0.1:9"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.place = self.listener.getsockname()
        self.admin = f"http://127.0.0.1:{self.place[1]}"
        self.ours, self.theirs = socket.socketpair()
        self.node = NodeState.create()

    async def start_provider(self) -> None:
        self.server = TestServer(self.provider.app())
        await self.server.start_server()
        self.address = self.provider.issuer = str(self.server.make_url("")).rstrip("/")

    def context(self) -> RoleContext:
        issuer = config.Issuer("marlow", self.address, (AUDIENCE,))
        settings = config.Settings((), (issuer,), {}, config.Catalog(), "", str(self.folder))
        parent = ParentChannel(self.theirs)
        return RoleContext("control", 0, settings, self.folder, {"admin": self.listener}, parent, self.node)

    async def with_control(self, story: Callable[[Control], Awaitable[None]]) -> None:
        async with client_session() as session, asyncio.timeout(15):
            store = await open_store("", self.folder)
            control = Control(self.context(), session, store)
            await control.start(None)
            try:
                await story(control)
            finally:
                await control.close()
                await store.close()

    def door(self, seq: int = 0, base: str = "") -> tuple[LinkClient, asyncio.Queue[Message]]:
        """What it hears but for the keys that greet every door (`test_every_door_is_greeted_with_one_key`)."""
        heard: asyncio.Queue[Message] = asyncio.Queue()
        hello = {"t": "hello", "role": "door", "slot": 0, "pid": 1, "base": base, "seq": seq}

        def hear(message: Message) -> None:
            if message["t"] not in ("assertion_key", "session_keys"):
                heard.put_nowait(message)

        client = LinkClient(self.folder / SOCKET, lambda: hello, hear)
        client.start()
        return client, heard

    async def admin_text(self, path: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.admin + path) as answer:
            return await answer.text()

    def close(self) -> None:
        for each in (self.listener, self.ours, self.theirs):
            each.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.close()


def test_every_door_is_greeted_with_one_key_and_no_other_role_is(node: Node) -> None:
    """By it control knows what a door says of callers; it is in memory alone."""

    async def story(_control: Control) -> None:
        heard: dict[str, asyncio.Queue[Message]] = {}
        clients = []
        for name, role in (("a", "door"), ("b", "door"), ("c", "engine"), ("d", "")):
            queue = heard[name] = asyncio.Queue()
            hello = {"t": "hello", "role": role, "slot": 0, "pid": 1, "base": "", "seq": 0}
            clients.append(LinkClient(node.folder / SOCKET, partial(dict, hello), queue.put_nowait))
            clients[-1].start()
        first, second = await heard["a"].get(), await heard["b"].get()
        assert first["t"] == "assertion_key"
        assert first == second
        for name in ("c", "d"):
            assert (await heard[name].get())["t"] == "overlay"
            assert heard[name].empty()
        for client in clients:
            client.close()
        kept = b"".join(path.read_bytes() for path in node.folder.rglob("*") if path.is_file())
        assert first["secret"].encode() not in kept

    asyncio.run(node.with_control(story))


async def keys_of(heard: asyncio.Queue[Message]) -> set[str]:
    """The kids of the first overlay that has any."""
    while True:
        message = await heard.get()
        keys: dict[str, Any] = message.get("keys", {})
        if "marlow" in keys:
            return {jwk["kid"] for jwk in keys["marlow"]["jwks"]}


def test_keys_reach_a_door_and_a_rotation_is_fetched_at_its_question(node: Node) -> None:
    async def story(_control: Control) -> None:
        client, heard = node.door()
        before = await keys_of(heard)
        new = set(node.keys.rotate())
        client.send({"t": "want_key", "id": 1, "issuer": "marlow", "kid": min(new)})
        assert await keys_of(heard) == before | new
        client.close()

    async def whole() -> None:
        await node.start_provider()
        await node.with_control(story)
        assert node.server is not None
        await node.server.close()

    asyncio.run(whole())


def test_a_restart_with_the_provider_away_keeps_serving_its_keys(node: Node) -> None:
    async def first(_control: Control) -> None:
        client, heard = node.door()
        await keys_of(heard)
        client.close()

    async def second(control: Control) -> None:
        client, heard = node.door()
        assert len(await keys_of(heard)) == 2
        while not control._issuers()[0].fault:
            await asyncio.sleep(0.01)
        text = await node.admin_text("/readyz?verbose")
        assert "[note] issuer marlow: 2 keys, away" in text
        client.close()

    async def whole() -> None:
        await node.start_provider()
        await node.with_control(first)
        assert node.server is not None
        await node.server.close()
        node.listener = socket.create_server(node.place)
        await node.with_control(second)

    asyncio.run(whole())


def test_a_reload_without_the_issuer_takes_its_keys_from_the_doors(node: Node) -> None:
    async def story(control: Control) -> None:
        client, heard = node.door()
        await keys_of(heard)
        control.adopt(replace(control.ctx.settings, issuers=()))
        assert (await heard.get())["keys"] == {}
        client.close()

    async def whole() -> None:
        await node.start_provider()
        await node.with_control(story)
        assert node.server is not None
        await node.server.close()

    asyncio.run(whole())


def test_settings_that_cannot_be_read_change_nothing(node: Node) -> None:
    async def story(control: Control) -> None:
        (node.folder / "damaged.frame").write_bytes(b"damaged")
        for name in ("missing.frame", "damaged.frame"):
            _obey(control, asyncio.Event(), "settings", [name])
        assert [issuer.name for issuer in control._issuers()] == ["marlow"]

    asyncio.run(node.with_control(story))


def test_a_door_keeps_its_keys_when_control_lost_its_own_and_the_provider_is_away(node: Node) -> None:
    async def story(control: Control) -> None:
        first, heard = node.door(seq=7)
        second, also_heard = node.door(seq=6)
        new, greeted = node.door()
        assert (await greeted.get())["keys"] == {}
        while not control._issuers()[0].fault:
            await asyncio.sleep(0.01)
        assert (heard.qsize(), also_heard.qsize()) == (0, 0)
        for client in (first, second, new):
            client.close()

    asyncio.run(node.with_control(story))


def test_a_node_is_ready_once_every_door_decides_by_a_base(node: Node) -> None:
    """A load balancer must send nobody where everything is refused as `policy_unavailable`."""

    async def story(control: Control) -> None:
        def check() -> tuple[bool, str]:
            return next((each.good, each.detail) for each in control._checks() if each.name == "base" and each.needed)

        assert not check()[0]
        first, heard = node.door(base="")
        await heard.get()
        good, detail = check()
        assert not good
        assert "policy_unavailable" in detail
        second, heard = node.door(base="b1")
        await heard.get()
        assert check() == (False, "1 of 2 doors serve one")
        first.close()
        while control._doors.connected > 1:
            await asyncio.sleep(0)
        assert check() == (True, "1 of 1 doors serve one")
        second.close()

    asyncio.run(node.with_control(story))


def test_the_admin_listener_answers_and_the_status_names_the_roles(node: Node) -> None:
    async def story(control: Control) -> None:
        client, heard = node.door()
        await heard.get()
        assert await node.admin_text("/livez") == "ok\n"
        assert "not ready" in await node.admin_text("/readyz")
        status = control._status()
        assert status["node"] == "starting"
        assert [role["role"] for role in status["roles"]] == ["door"]
        assert status["issuers"][0]["age_s"] is None
        client.close()

    asyncio.run(node.with_control(story))
