"""Promises about the control socket: a door gets what it lacks, and no answer precedes the overlay it speaks of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.control.doors import SOCKET, TOKENS_LIMIT, WANTS_LIMIT, Doors
from gateway.control.introspection import Answer
from gateway.counters import LENGTH, LOOP_LAG_MAX_US, REQUEST_BYTES, Merged
from gateway.link import LinkClient, Message

JWKS = [{"kid": "one", "kty": "EC"}]


class Node:
    """Control's end and as many doors as the test wants, over real sockets."""

    def __init__(self, folder: Path, want_key: Callable[[str, str], Awaitable[None]] | None = None) -> None:
        self.folder = folder
        self.merged = Merged()
        self.wanted: list[tuple[str, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.answer = Answer(b'{"active":true}', 1_800_000_060)
        self.doors = Doors(folder, self.merged, want_key or self._want, self._introspect, lambda: {"node": "up"})
        self.clients: list[LinkClient] = []

    async def _want(self, issuer: str, kid: str) -> None:
        self.wanted.append((issuer, kid))

    async def _introspect(self, issuer: str, token: str) -> Answer:
        self.asked.append((issuer, token))
        return self.answer

    def door(self, seq: int = 0, role: str = "door", **hello: Any) -> tuple[LinkClient, asyncio.Queue[Message]]:
        heard: asyncio.Queue[Message] = asyncio.Queue()
        greeting = {"t": "hello", "role": role, "slot": 0, "pid": 1, "base": "", "seq": seq, **hello}
        client = LinkClient(self.folder / SOCKET, lambda: greeting, heard.put_nowait)
        client.start()
        self.clients.append(client)
        return client, heard

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            await self.doors.start()
            try:
                async with asyncio.timeout(10):
                    await story()
            finally:
                for client in self.clients:
                    client.close()
                self.doors.close()

        asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_new_door_gets_the_whole_overlay_and_then_every_change(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.doors.overlay.put_keys("marlow", "https://idp.example", JWKS, 100)

    async def story() -> None:
        _, heard = node.door()
        assert (await heard.get())["keys"]["marlow"]["jwks"] == JWKS
        node.doors.overlay.put_keys("marlow", "https://idp.example", JWKS, 200)
        assert (await heard.get())["seq"] == 2

    node.run(story)


def test_a_door_that_is_up_to_date_hears_nothing_until_a_change(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.doors.overlay.put_keys("marlow", "https://idp.example", JWKS, 100)

    async def story() -> None:
        _, heard = node.door(seq=1)
        await until(lambda: node.doors.connected == 1)
        node.doors.overlay.put_keys("marlow", "https://idp.example", JWKS, 200)
        assert (await heard.get())["seq"] == 2

    node.run(story)


def test_live_is_what_the_slowest_door_has_acknowledged(tmp_path: Path) -> None:
    node = Node(tmp_path)

    async def story() -> None:
        first, _ = node.door(slot=0)
        second, _ = node.door(slot=1)
        await until(lambda: node.doors.connected == 2)
        node.doors.overlay.put_keys("marlow", "https://idp.example", JWKS, 100)
        assert node.doors.live_seq == 0
        first.send({"t": "ack", "seq": 1})
        await until(lambda: any(each.seq == 1 for each in node.doors.followers))
        assert node.doors.live_seq == 0
        second.send({"t": "ack", "seq": 1})
        await until(lambda: node.doors.live_seq == 1)

    node.run(story)


def test_the_overlay_with_the_key_comes_before_the_answer(tmp_path: Path) -> None:
    async def want(issuer: str, kid: str) -> None:
        node.doors.overlay.put_keys(issuer, "https://idp.example", [{"kid": kid}], 100)

    node = Node(tmp_path, want)

    async def story() -> None:
        client, heard = node.door()
        await heard.get()
        client.send({"t": "want_key", "id": 7, "issuer": "marlow", "kid": "new"})
        assert (await heard.get())["keys"]["marlow"]["jwks"] == [{"kid": "new"}]
        assert await heard.get() == {"t": "key_done", "id": 7}

    node.run(story)


def test_questions_beyond_the_limit_are_answered_without_a_fetch(tmp_path: Path) -> None:
    never = asyncio.Event()

    async def want(issuer: str, kid: str) -> None:
        await never.wait()

    node = Node(tmp_path, want)

    async def story() -> None:
        client, heard = node.door()
        await heard.get()
        for number in range(WANTS_LIMIT + 1):
            client.send({"t": "want_key", "id": number, "issuer": "marlow", "kid": f"kid-{number}"})
        assert await heard.get() == {"t": "key_done", "id": WANTS_LIMIT}

    node.run(story)


def test_a_door_is_told_what_an_issuer_says_about_a_token(tmp_path: Path) -> None:
    node = Node(tmp_path)

    async def story() -> None:
        client, heard = node.door()
        await heard.get()
        client.send({"t": "introspect", "id": 3, "issuer": "marlow", "token": "opaque-1"})
        told = await heard.get()
        assert told == {"t": "introspected", "id": 3, "answer": '{"active":true}', "until": 1_800_000_060}
        assert node.asked == [("marlow", "opaque-1")]

    node.run(story)


def test_no_question_about_a_token_comes_from_a_stranger_or_without_bound(tmp_path: Path) -> None:
    """Before its hello nobody is a door; a token that no door would send is not passed on to anybody."""
    node = Node(tmp_path)

    async def story() -> None:
        heard: asyncio.Queue[Message] = asyncio.Queue()
        stranger = LinkClient(
            tmp_path / SOCKET, lambda: {"t": "introspect", "id": 1, "issuer": "marlow", "token": "x"}, heard.put_nowait
        )
        node.clients.append(stranger)
        stranger.start()
        client, told = node.door()
        await told.get()
        for token in ("", "x" * (16 * 1024 + 1), 7, None, ["x"]):
            client.send({"t": "introspect", "id": 2, "issuer": "marlow", "token": token})
        client.send({"t": "introspect", "id": 3, "issuer": None, "token": "x"})
        client.send({"t": "introspect", "id": 4, "issuer": "marlow", "token": "last"})
        assert (await told.get())["id"] == 4
        assert node.asked == [("marlow", "last")]
        assert heard.empty()

    node.run(story)


def test_questions_about_tokens_beyond_the_limit_are_answered_at_once(tmp_path: Path) -> None:
    never = asyncio.Event()
    node = Node(tmp_path)

    async def wait(issuer: str, token: str) -> Answer:
        await never.wait()
        return node.answer

    node.doors = Doors(tmp_path, node.merged, node._want, wait, dict)

    async def story() -> None:
        client, heard = node.door()
        await heard.get()
        for number in range(TOKENS_LIMIT + 1):
            client.send({"t": "introspect", "id": number, "issuer": "marlow", "token": f"token-{number}"})
        assert await heard.get() == {"t": "introspected", "id": TOKENS_LIMIT, "answer": "", "until": 0}

    node.run(story)


def test_counters_are_merged_and_outlive_their_door(tmp_path: Path) -> None:
    node = Node(tmp_path)
    counters = [0] * LENGTH
    counters[REQUEST_BYTES] = 42

    async def story() -> None:
        client, heard = node.door()
        await heard.get()
        client.send({"t": "stats", "slot": 0, "counters": counters})
        await until(lambda: node.merged.workers == 1)
        client.close()
        await until(lambda: node.merged.workers == 0)
        assert node.merged.total()[REQUEST_BYTES] == 42

    node.run(story)


def test_the_command_line_asks_for_the_status_without_a_hello(tmp_path: Path) -> None:
    node = Node(tmp_path)

    async def story() -> None:
        heard: asyncio.Queue[Message] = asyncio.Queue()
        client = LinkClient(tmp_path / SOCKET, lambda: {"t": "status"}, heard.put_nowait)
        node.clients.append(client)
        client.start()
        assert await heard.get() == {"t": "status", "node": "up"}
        assert node.doors.connected == 0

    node.run(story)


def test_nonsense_changes_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path)

    async def story() -> None:
        client, heard = node.door(seq=-5, slot="zero", base=None)
        await heard.get()
        for message in (
            {"t": "ack", "seq": "1"}, {"t": "stats", "counters": ["x"]}, {"t": "stats", "counters": [1]},
            {"t": "unheard-of"}, {"t": "want_key"},
        ):  # fmt: skip
            client.send(message)
        assert (await heard.get())["t"] == "key_done"
        assert node.doors.followers[0].seq == 0
        assert node.merged.workers == 0
        assert node.wanted == [("", "")]

    node.run(story)


def test_the_engine_follows_but_is_no_door(tmp_path: Path) -> None:
    node = Node(tmp_path)

    async def story() -> None:
        _, heard = node.door(role="engine")
        assert (await heard.get())["t"] == "overlay"
        assert node.doors.connected == 0
        assert node.doors.live_seq == node.doors.overlay.seq

    node.run(story)


@pytest.mark.parametrize(("role", "shown"), [("engine", [{"name": "main"}]), ("door", [])])
def test_the_engine_alone_says_how_the_catalogs_are_and_while_it_is_there(
    tmp_path: Path, role: str, shown: list[dict[str, Any]]
) -> None:
    node = Node(tmp_path)

    async def story() -> None:
        client, heard = node.door(role=role)
        await heard.get()
        client.send({"t": "catalogs", "catalogs": "nonsense"})
        client.send({"t": "catalogs", "catalogs": [5, {"name": "main"}]})
        client.send({"t": "want_key", "id": 1, "issuer": "x", "kid": "y"})
        while (await heard.get())["t"] != "key_done":
            pass
        assert node.doors.catalogs == shown
        client.close()
        async with asyncio.timeout(5):
            while node.doors.followers:
                await asyncio.sleep(0.005)
        assert node.doors.catalogs == []

    node.run(story)


def test_a_doors_base_and_stalls_are_those_it_counted_last(tmp_path: Path) -> None:
    node = Node(tmp_path)
    counters = [0] * LENGTH

    async def story() -> None:
        client, heard = node.door(base="old")
        await heard.get()
        for stall in (7, 900, 8):
            counters[LOOP_LAG_MAX_US] = stall
            client.send({"t": "stats", "slot": 0, "base": "new", "counters": counters})
        await until(lambda: len(node.doors.followers[0].stalls_us) == 3)
        (follower,) = node.doors.followers
        assert (follower.base, max(follower.stalls_us)) == ("new", 900)
        assert follower.values[LOOP_LAG_MAX_US] == 8
        assert follower.heard_s > 0
        client.send({"t": "stats", "base": 7, "counters": counters})
        client.send({"t": "stats", "base": "newer", "counters": counters[1:]})
        client.send({"t": "want_key", "id": 1})
        assert (await heard.get())["t"] == "key_done"
        assert node.doors.followers[0].base == "new"

    node.run(story)
