"""A greedy client and a paced one, each a process of its own: what the first does must not show in the second's times.

    python -m tests.support.greedy upstream [MS]                  says its port, serves until its input ends
    python -m tests.support.greedy greedy PORT KIND TOKENS        `go` once it is at work, until its input ends
    python -m tests.support.greedy paced PORT SECONDS RATE TOKEN  the median and the 99th percentile, ms

Each has a host of its own, `greedy.test` and `paced.test`, and an address of its own: what they share is the door.
A service takes MS milliseconds for an answer, none unless said.
The paced client counts from the moment a request is due. `tls:PORT` is a listener with TLS.

The greedy kinds are the keys of `KINDS`; TOKENS is a token, or `@` and a file of tokens for `first_seen`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import cycle
from pathlib import Path
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BODY = 50_000_000
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY + b"x" * BODY
PIECE = b"x" * 65_536
SENT_AT_ONCE = 65_536  # what a service gives the system in one call, which nothing else of its core may interrupt
CROWD = 200  # connections
FEW = 20
GREEDY_ADDRESS = "127.0.0.2"


class Service:
    """Answers each head, after ``takes_s``; what follows the head of an upload is counted and dropped."""

    def __init__(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.left = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AT_ONCE)

    def data_received(self, data: bytes) -> None:
        if self.left:
            self.left -= len(data)
            if self.left <= 0:
                self.transport.write(ANSWER)
            return
        head, _, body = data.partition(b"\r\n\r\n")
        if head.startswith(b"POST"):
            self.left = BODY - len(body)
        elif head.startswith(b"GET /large"):
            self.transport.write(LARGE)
        else:
            answers = ANSWER * data.count(b"\r\n\r\n")
            if self.takes_s:
                asyncio.get_running_loop().call_later(self.takes_s, self.transport.write, answers)
            else:
                self.transport.write(answers)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


async def serve(takes_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: cast(asyncio.Protocol, Service(takes_s)), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


def where(port: str) -> tuple[int, ssl.SSLContext | None]:
    """`PORT` or `tls:PORT`."""
    kind, _, number = port.rpartition(":")
    if not kind:
        return int(number), None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return int(number), context


def hello(context: ssl.SSLContext) -> bytes:
    """The first bytes of a handshake."""
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


def head_of(host: str, token: str, method: str = "GET", lines: str = "", target: str = "/") -> bytes:
    identity = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{identity}{lines}\r\n".encode()


class Greedy:
    """One greedy client. A kind is a coroutine that uses a connection until it ends, and how many of them."""

    def __init__(self, port: str, tokens: str) -> None:
        self.port, self.context = where(port)
        self.tokens = Path(tokens[1:]).read_text().split() if tokens.startswith("@") else [tokens]
        self.token = self.tokens[0]
        self.unseen = cycle([head_of("greedy.test", token) for token in self.tokens])
        self.get = next(self.unseen)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(GREEDY_ADDRESS, 0), ssl=self.context
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def again_and_again(self, asked: bytes, times: int = 1) -> None:
        async with self.connection() as (reader, writer):
            while True:
                writer.write(asked * times)
                if not await reader.read(65_536):
                    return

    async def many(self) -> None:
        await self.again_and_again(self.get)

    async def pipelined(self) -> None:
        await self.again_and_again(self.get, 64)

    async def first_seen(self) -> None:
        """A signature to check for each request."""
        async with self.connection() as (reader, writer):
            while True:
                writer.write(next(self.unseen))
                if not await reader.read(65_536):
                    return

    async def unknown_host(self) -> None:
        await self.again_and_again(head_of("nobody.test", ""))

    async def nobody(self) -> None:
        await self.again_and_again(head_of("greedy.test", ""))

    async def bad_token(self) -> None:
        await self.again_and_again(head_of("greedy.test", self.token[:-8] + "AAAAAAAA"))

    async def heads(self) -> None:
        lines = "".join(f"x-field-{number}: {'v' * 200}\r\n" for number in range(95))
        await self.again_and_again(head_of("greedy.test", self.token, lines=lines))

    async def too_large(self) -> None:
        lines = "".join(f"x-field-{number}: {'v' * 200}\r\n" for number in range(300))
        await self.again_and_again(head_of("greedy.test", self.token, lines=lines))

    async def bodies(self) -> None:
        async with self.connection() as (_, writer):
            writer.write(head_of("greedy.test", self.token, "POST", f"Content-Length: {BODY}\r\n"))
            while True:
                writer.write(PIECE)
                await writer.drain()

    async def crumbs(self) -> None:
        """A chunked body in chunks of one byte."""
        async with self.connection() as (_, writer):
            writer.write(head_of("greedy.test", self.token, "POST", "Transfer-Encoding: chunked\r\n"))
            while True:
                writer.write(b"1\r\nx\r\n" * 8192)
                await writer.drain()

    async def downloads(self) -> None:
        async with self.connection() as (reader, writer):
            writer.write(head_of("greedy.test", self.token, target="/large"))
            while await reader.read(1 << 20):
                pass

    async def slow_readers(self) -> None:
        async with self.connection() as (reader, writer):
            writer.write(head_of("greedy.test", self.token, target="/large"))
            while await reader.read(2048):
                await asyncio.sleep(0.01)

    async def connects(self) -> None:
        async with self.connection() as (reader, writer):
            writer.write(self.get)
            await reader.read(65_536)

    async def churn(self) -> None:
        """Connects and leaves, without a word."""
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.bind((GREEDY_ADDRESS, 0))
            await loop.sock_connect(sock, ("127.0.0.1", self.port))

    async def leaves(self) -> None:
        """Connects and asks many times, and then leaves with all connections in one moment."""
        async with contextlib.AsyncExitStack() as stack:
            many = [await stack.enter_async_context(self.connection()) for _ in range(CROWD)]
            for reader, writer in many:
                writer.write(self.get)
                await reader.read(65_536)

    async def handshakes(self) -> None:
        async with self.connection():
            pass

    async def hellos(self) -> None:
        """Connects many times, and then begins all handshakes in one moment."""
        loop = asyncio.get_running_loop()
        assert self.context is not None
        async with contextlib.AsyncExitStack() as stack:
            socks = [stack.enter_context(socket.socket()) for _ in range(CROWD)]
            for sock in socks:
                sock.setblocking(False)
                sock.bind((GREEDY_ADDRESS, 0))
                await loop.sock_connect(sock, ("127.0.0.1", self.port))
            await asyncio.sleep(0.05)
            for sock in socks:
                await loop.sock_sendall(sock, hello(self.context))
            await asyncio.gather(*(loop.sock_recv(sock, 65_536) for sock in socks))


KINDS: dict[str, tuple[Callable[[Greedy], Awaitable[None]], int]] = {
    "many": (Greedy.many, CROWD),
    "pipelined": (Greedy.pipelined, FEW),
    "unknown_host": (Greedy.unknown_host, CROWD),
    "nobody": (Greedy.nobody, CROWD),
    "bad_token": (Greedy.bad_token, CROWD),
    "heads": (Greedy.heads, CROWD),
    "too_large": (Greedy.too_large, CROWD),
    "bodies": (Greedy.bodies, FEW),
    "crumbs": (Greedy.crumbs, FEW),
    "downloads": (Greedy.downloads, FEW),
    "slow_readers": (Greedy.slow_readers, CROWD),
    "connects": (Greedy.connects, FEW),
    "churn": (Greedy.churn, FEW),
    "leaves": (Greedy.leaves, 1),
    "first_seen": (Greedy.first_seen, CROWD),
    "handshakes": (Greedy.handshakes, FEW),
    "hellos": (Greedy.hellos, 1),
}
WITH_TLS = ("handshakes", "hellos")  # make no sense without


async def take_all(port: str, kind: str, tokens: str) -> None:
    greedy = Greedy(port, tokens)
    use, connections = KINDS[kind]

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await use(greedy)
            await asyncio.sleep(0)

    work = [asyncio.ensure_future(one()) for _ in range(connections)]
    await asyncio.sleep(0.5)
    print("go", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for each in work:
        each.cancel()


def pace(port: str, seconds: float, rate: float, token: str) -> None:
    number, context = where(port)
    sock = socket.create_connection(("127.0.0.1", number), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        sock = context.wrap_socket(sock)
    request = head_of("paced.test", token)
    times = []
    due = time.perf_counter()
    for _ in range(int(seconds * rate)):
        due = max(due + 1 / rate, time.perf_counter())  # what is late is not made up for: it would be a burst
        time.sleep(max(0.0, due - time.perf_counter()))
        sock.sendall(request)
        answer = sock.recv(65_536)
        if not answer.startswith(b"HTTP/1.1 200"):
            sys.exit(f"the paced client was not served: {answer!r}")
        times.append((time.perf_counter() - due) * 1000)
    times.sort()
    print(times[len(times) // 2], times[len(times) * 99 // 100], flush=True)


if __name__ == "__main__":
    role, *words = sys.argv[1:]
    if role == "upstream":
        uvloop.run(serve(float(*words or "0") / 1000))
    elif role == "greedy":
        os.nice(5)  # a client's own machine would be another one
        with contextlib.suppress(asyncio.CancelledError):
            uvloop.run(take_all(*words))
    else:
        pace(words[0], float(words[1]), float(words[2]), words[3])
