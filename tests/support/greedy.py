"""A greedy client and a paced one, each a process of its own: what the first does must not show in the second's times.

    python -m tests.support.greedy upstream                       says its port, serves until its input ends
    python -m tests.support.greedy greedy PORT KIND TOKEN         `go` once it is at work, until its input ends
    python -m tests.support.greedy paced PORT SECONDS RATE TOKEN  the median and the 99th percentile, ms

Each has a host of its own, `greedy.test` and `paced.test`: what they share is the door.

The greedy kinds: `many` keeps 200 connections busy, `pipelined` sends 64 requests at once on each of 20, `bodies`
uploads without end on 20, `connects` opens a connection for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
import time
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONNECTIONS = {"many": 200, "pipelined": 20, "bodies": 20, "connects": 20}
BODY = 50_000_000
PIECE = b"x" * 65_536


class Service:
    """Answers each head; what follows the head of an upload is counted and dropped."""

    def __init__(self) -> None:
        self.left = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.left:
            self.left -= len(data)
            if self.left <= 0:
                self.transport.write(ANSWER)
            return
        head, _, body = data.partition(b"\r\n\r\n")
        if head.startswith(b"POST"):
            self.left = BODY - len(body)
        else:
            self.transport.write(ANSWER * data.count(b"\r\n\r\n"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: cast(asyncio.Protocol, Service()), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


def head_of(host: str, token: str, method: str = "GET", lines: str = "") -> bytes:
    return f"{method} / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{lines}\r\n".encode()


async def take_all(port: int, kind: str, token: str) -> None:
    get = head_of("greedy.test", token)
    upload = head_of("greedy.test", token, "POST", f"Content-Length: {BODY}\r\n")

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
                try:
                    await use(reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0)

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if kind == "bodies":
            writer.write(upload)
            while True:
                writer.write(PIECE)
                await writer.drain()
        while True:
            writer.write(get * (64 if kind == "pipelined" else 1))
            if not await reader.read(65_536) or kind == "connects":
                return

    work = [asyncio.ensure_future(one()) for _ in range(CONNECTIONS[kind])]
    await asyncio.sleep(0.5)
    print("go", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for each in work:
        each.cancel()


def pace(port: int, seconds: float, rate: float, token: str) -> None:
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = head_of("paced.test", token)
    times = []
    due = time.perf_counter()
    for _ in range(int(seconds * rate)):
        due = max(due + 1 / rate, time.perf_counter())  # what is late is not made up for: it would be a burst
        threading.Event().wait(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        sock.sendall(request)
        answer = sock.recv(65_536)
        if not answer.startswith(b"HTTP/1.1 200"):
            sys.exit(f"the paced client was not served: {answer!r}")
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    print(times[len(times) // 2], times[len(times) * 99 // 100], flush=True)


if __name__ == "__main__":
    role, *words = sys.argv[1:]
    if role == "upstream":
        uvloop.run(serve())
    elif role == "greedy":
        os.nice(5)  # a client's own machine would be another one
        with contextlib.suppress(asyncio.CancelledError):
            uvloop.run(take_all(int(words[0]), words[1], words[2]))
    else:
        pace(int(words[0]), float(words[1]), float(words[2]), words[3])
