"""An upstream that misbehaves on purpose: the first connections run scripts, every later one is served well.

A script is a function of its :class:`Line`. It reads what it wants of the request, sends what it likes and ends the
connection as it pleases; a line whose script returns is closed. A well-served line answers each request with its
target as the body, so an answer that belongs to another request is noticed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

RESET = struct.pack("ii", 1, 0)  # SO_LINGER {on, 0 s}: close answers with RST


class Line:
    """The upstream's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""

    def head(self) -> bytes:
        """The next request's head. Raises `ConnectionError` when there is none."""
        while b"\r\n\r\n" not in self.buffer:
            self._read()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def body(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._read()
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return body

    def request(self) -> bytes:
        """The next request's target, its body of known length read and dropped."""
        head = self.head()
        for field in head.split(b"\r\n")[1:]:
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                self.body(int(value))
        return head.split(b" ")[1]

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    def until_gone(self) -> None:
        """Wait for the door to end the connection, dropping what it still sends."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass

    def serve(self) -> None:
        """Answer every request well until the door ends the connection."""
        while True:
            self.send(answer(self.request()))

    def _read(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionError("the door ended the connection")
        self.buffer += piece


def answer(body: bytes, *fields: bytes) -> bytes:
    head = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Faulty:
    """A listening upstream. ``lines`` counts the connections it accepted."""

    def __init__(
        self, *scripts: Callable[[Line], None], tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
    ) -> None:
        self._scripts = iter(scripts)
        self.otherwise: Callable[[Line], None] = Line.serve  # what runs on every later connection
        self._tls = tls
        self._address = address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listening = socket.create_server((address, 0), family=family)
        self._lock = threading.Lock()
        self.lines = 0
        self.handshakes: list[bool] = []  # of TLS: whether the session was resumed
        self.port: int = self._listening.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self.lines += 1
                script = next(self._scripts, self.otherwise)
                threading.Thread(target=self._run, args=(sock, script), daemon=True).start()

    def _run(self, sock: socket.socket, script: Callable[[Line], None]) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(10)
            if self._tls is not None:
                secured = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self.handshakes.append(bool(secured.session_reused))
                sock = secured
            with sock:
                script(Line(sock))


@contextlib.contextmanager
def faulty(*scripts: Callable[[Line], None], tls: ssl.SSLContext | None = None) -> Iterator[Faulty]:
    made = Faulty(*scripts, tls=tls)
    try:
        yield made
    finally:
        made.close()
