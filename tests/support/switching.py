"""Services and clients that switch protocols, byte by byte: blocking sockets in the hands of the test.

`SwitchingService` listens; `meet` gives the next connection of the door with the head that came on it. `asks` is the
client's side. Both read a head up to its empty line and nothing further, so that a test sees which bytes came behind.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from dataclasses import dataclass, field

from tests.integration.conftest import request

UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@dataclass
class Side:
    """One connection: what was read of it up to now lies in ``buffer``."""

    sock: socket.socket
    buffer: bytes = b""
    head: bytes = b""

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Side:
        self.sock.sendall(data)
        return self

    def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self.buffer:
            piece = self.sock.recv(65536)
            if not piece:
                raise ConnectionError(f"ended within a head: {self.buffer!r}")
            self.buffer += piece
        self.head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return self.head

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        pieces, missing = [self.buffer], size - len(self.buffer)
        while missing > 0:
            piece = self.sock.recv(min(missing, 1 << 20))
            if not piece:
                raise ConnectionError(f"ended {missing} bytes early")
            pieces.append(piece)
            missing -= len(piece)
        whole = b"".join(pieces)
        self.buffer = whole[size:]
        return whole[:size]

    def has_ended(self) -> bool:
        """Wait for the end, by FIN or reset; bytes before it fail the test."""
        try:
            return self.buffer == b"" and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def was_reset(self) -> bool:
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            return True
        return False

    def is_silent(self, for_s: float = 0.15) -> bool:
        """Nothing arrives, not even the end."""
        return self.buffer == b"" and not select.select([self.sock], [], [], for_s)[0]


@dataclass
class SwitchingService:
    """A listening service whose connections the test answers by hand."""

    listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=512))
    met: list[Side] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listening.settimeout(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def accept(self) -> Side:
        sock, _ = self.listening.accept()
        sock.settimeout(5)
        side = Side(sock)
        self.met.append(side)
        return side

    def meet(self) -> Side:
        """The door's next connection, its request's head read."""
        side = self.accept()
        side.read_head()
        return side

    def close(self) -> None:
        self.listening.close()
        for side in self.met:
            with contextlib.suppress(OSError):
                side.sock.close()


def asks(port: int, target: str = "/live", *, sub: str | None = "jane", host: str = "echo.test",
         lines: bytes = UPGRADE, glued: bytes = b"") -> Side:  # fmt: skip
    """A client that has sent a request to switch, with ``glued`` in the same packet."""
    side = Side(socket.create_connection(("127.0.0.1", port), 5))
    return side.send(request(target, sub=sub, host=host, lines=lines) + glued)


def elapsed_until_end(side: Side) -> float:
    """Seconds until this side's connection ends."""
    began = time.monotonic()
    assert side.has_ended()
    return time.monotonic() - began
