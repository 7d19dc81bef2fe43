"""How soon a cut holds, seen from the client's side of its sockets: one that asks again and again and one WebSocket, at
every worker of a node.

Whose worker a connection is the kernel says, so none is left out by chance. Times begin when the cut is asked for.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from gateway.node.asking import CONTROL, ask
from gateway.terminal import PARTLY
from tests.support.door import until
from tests.support.switching import SWITCHING, UPGRADE
from tests.support.upstream import OK, Seen
from tests.support.whole_node import WholeNode
from tests.support.wire import Client

PATIENCE_S = 60.0
REFUSED_S = 1.0
CLOSED_S = 2.0
PERSON = """\
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {{name: {name}}}
spec: {{memberOf: []}}
"""
Cut = Callable[[str], Awaitable[None]]


class Took(NamedTuple):
    """Seconds from asking for a cut: to the first refusal, and to the end of a WebSocket, at the last worker."""

    refused: float
    closed: float


def named(number: int) -> str:
    return f"cut-{number:04}"


def populated(node: WholeNode, people: int) -> None:
    """So many who may come, each to be cut off once, known to every worker when this returns."""
    users = "".join(PERSON.format(name=named(number)) for number in range(people))
    (node.folder / "people").write_text(users)
    (node.folder / "people").rename(node.folder / "catalog" / "people.yaml")
    node.upstream.answer = _answer

    def last_is_served() -> bool:
        with Client(node.port, PATIENCE_S) as client:
            return client.send(node.request(named(people - 1))).answer().status == 200

    until(lambda: all(last_is_served() for _ in range(8)), PATIENCE_S)


def _answer(seen: Seen) -> bytes:
    return SWITCHING if seen.header("upgrade") else OK


# === two ways to cut ===


def by_socket(node: WholeNode) -> Cut:
    """The message that `stagedoor cut` sends."""

    async def cut(who: str) -> None:
        question = {"t": "cut", "kind": "person", "ref": who, "because": "a measurement"}
        await asyncio.to_thread(ask, node.folder / "state", CONTROL, question, "cut_done", within_s=PATIENCE_S)

    return cut


def by_command(node: WholeNode) -> Cut:
    """The command itself, with the start of its process."""

    async def cut(who: str) -> None:
        words = ("cut", "person", who, "--because", "a measurement", "--config", str(node.folder / "stagedoor.yaml"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "gateway.cli", *words, stdout=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() in (0, PARTLY)

    return cut


# === one trial ===


class Connection:
    """One of a client's, and the process at the other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, worker: int) -> None:
        self.reader = reader
        self.writer = writer
        self.worker = worker

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def status(self, request: bytes) -> int:
        self.writer.write(request)
        head = await self.head()
        found = re.search(rb"(?i)\r\ncontent-length: ([0-9]+)", head)
        assert found is not None, head
        await self.reader.readexactly(int(found[1]))
        return int(head.split(None, 2)[1])


async def trial(node: WholeNode, who: str, cut: Cut) -> Took:
    """Cut somebody off who has a request under way and a WebSocket open at every worker."""
    asked = node.request(who)
    switch = node.request(who, "/live", lines=UPGRADE)
    async with AsyncExitStack() as stack, asyncio.timeout(2 * PATIENCE_S):
        askers, tunnels = [await _at_every_worker(node, stack) for _ in range(2)]
        for each in askers:
            assert await each.status(asked) == 200
        for each in tunnels:
            each.writer.write(switch)
            assert (await each.head()).startswith(b"HTTP/1.1 101 ")
        began = time.monotonic()
        watched = [
            *[asyncio.ensure_future(_until_refused(each, asked)) for each in askers],
            *[asyncio.ensure_future(_until_closed(each)) for each in tunnels],
        ]
        await cut(who)
        moments = [moment - began for moment in await asyncio.gather(*watched)]
        return Took(max(moments[: len(askers)]), max(moments[len(askers) :]))


async def _until_refused(connection: Connection, request: bytes) -> float:
    while (status := await connection.status(request)) == 200:
        await asyncio.sleep(0.001)
    assert status == 403, status
    return time.monotonic()


async def _until_closed(connection: Connection) -> float:
    try:
        assert await connection.reader.read(1) == b""
    except ConnectionResetError:
        pass
    return time.monotonic()


async def _at_every_worker(node: WholeNode, stack: AsyncExitStack) -> list[Connection]:
    """One connection to each: others are opened and closed until the kernel has given one to every worker."""
    wanted = set(node.children("door").values())
    found: dict[int, Connection] = {}
    while set(found) != wanted:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        worker = await _worker_of(writer.get_extra_info("sockname")[1], wanted)
        if worker in found:
            writer.close()
            continue
        found[worker] = Connection(reader, writer, worker)
        stack.callback(writer.close)
    return list(found.values())


async def _worker_of(port: int, workers: set[int]) -> int:
    """The process that accepted a connection of loopback from ``port``."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        inode = _inode(port)
        for pid in workers if inode else ():
            if any(_leads_to(link, f"socket:[{inode}]") for link in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
        await asyncio.sleep(0.001)
    raise AssertionError("no worker took the connection")


def _leads_to(link: Path, what: str) -> bool:
    try:
        return os.readlink(link) == what
    except OSError:  # closed meanwhile
        return False


def _inode(port: int) -> str:
    """Of the socket at the other end; "" while nobody accepted it."""
    remote = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2] == remote and fields[9] != "0":
            return fields[9]
    return ""


def measured(node: WholeNode, first: int, trials: int, cut: Cut) -> list[Took]:
    """Trials one after the other; ``first``: the number of the first of those who are cut off."""

    async def run() -> list[Took]:
        return [await trial(node, named(number), cut) for number in range(first, first + trials)]

    return asyncio.run(run())
