"""Scripted upstreams: raw sockets that record every byte they are sent and answer what a test says.

`Upstream` answers each request by a function of what arrived. Requests are cut from the stream by h11, which is
strict: a request the door should never have sent fails there, and `Upstream.faults` says how.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import h11

from tests.support.door import LoopThread, until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Seen:
    """One request as the upstream got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


@dataclass
class Upstream:
    """A listening upstream. ``answer`` makes the bytes of an answer; None closes without one."""

    thread: LoopThread
    answer: Callable[[Seen], bytes | None] = lambda seen: OK
    seen: list[Seen] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    gate: threading.Event | None = None  # answers wait for it
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    connections: int = 0
    open: int = 0
    port: int = 0
    server: asyncio.Server | None = None

    def start(self, port: int = 0) -> Upstream:
        self.server = self.thread.wait(self._listen(port))
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self.server is not None:
            self.thread.call(self.server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.writers.add(writer)
        number = self.connections
        judge = h11.Connection(h11.SERVER)
        try:
            while seen := await self._request(judge, reader, number):
                self.seen.append(seen)
                while self.gate is not None and not self.gate.is_set():
                    await asyncio.sleep(0.002)
                answer = self.answer(seen)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                judge = h11.Connection(h11.SERVER)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self.writers.discard(writer)
            writer.close()

    async def _request(self, judge: h11.Connection, reader: asyncio.StreamReader, number: int) -> Seen | None:
        request: h11.Request | None = None
        body = b""
        while True:
            try:
                event = judge.next_event()
            except h11.RemoteProtocolError as fault:
                self.faults.append(str(fault))
                return None
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                if not data:
                    return None
                judge.receive_data(data)
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                if judge.trailing_data[0]:
                    self.faults.append(f"bytes behind a request: {judge.trailing_data[0][:80]!r}")
                headers = [(key.decode(), value.decode("latin-1")) for key, value in request.headers]
                return Seen(request.method.decode(), request.target.decode(), headers, body, number)
            else:
                return None

    def close_connections(self) -> None:
        """End every connection, as a process that exits would."""

        def close() -> None:
            for writer in tuple(self.writers):
                writer.close()

        self.thread.call(close)

    def write_to_connections(self, data: bytes) -> None:
        """Bytes that nobody asked for."""

        def write() -> None:
            for writer in tuple(self.writers):
                writer.write(data)

        self.thread.call(write)

    def wait_for(self, count: int) -> None:
        until(lambda: len(self.seen) >= count)
