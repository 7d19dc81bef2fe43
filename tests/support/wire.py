"""Reading HTTP/1.1 answers off a raw socket, with h11 as the strict judge of what the door sends."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import h11
import orjson


@dataclass
class Got:
    """One whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    version: str

    @property
    def code(self) -> str:
        return str(self.problem["code"])

    @property
    def problem(self) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(self.body)
        return document


class Client:
    """A client connection that sends raw bytes and reads answers one by one."""

    def __init__(self, port: int, timeout_s: float = 5.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Client:
        self.sock.sendall(data)
        return self

    def answer(self, method: str = "GET") -> Got:
        """The next answer. Interim ones are skipped; raises `ConnectionError` when the answer is cut."""
        judge = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        judge.send(h11.Request(method=method, target="/", headers=[("Host", "judge")]))
        judge.send(h11.EndOfMessage())
        if self.buffer:  # b"" would mean the end of the connection
            judge.receive_data(self.buffer)
        head: h11.Response | None = None
        body = b""
        while True:
            event = judge.next_event()
            if event is h11.NEED_DATA:
                piece = self.sock.recv(65536)
                if not piece and head is None:
                    raise ConnectionError("closed before an answer")
                judge.receive_data(piece)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("closed within an answer")
        assert head is not None
        self.buffer = judge.trailing_data[0]
        headers = {key.decode(): value.decode("latin-1") for key, value in head.headers}
        return Got(head.status_code, headers, body, head.http_version.decode())

    def ended(self) -> bool:
        """The door closed its side, with nothing more to read."""
        return self.buffer == b"" and self.sock.recv(1) == b""
