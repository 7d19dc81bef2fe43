"""Both bounds reach the connections they are for, and a system that allows less keeps its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from gateway.door import buffers


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    buffers.is_window_allowed.cache_clear()
    yield
    buffers.is_window_allowed.cache_clear()


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


class Transport:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self.sock


def window(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_connections_inherit_what_may_be_unsent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        buffers.bound_unsent(listening)
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == buffers.UNSENT_BYTES


def test_the_buffer_towards_a_service_is_fixed(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "WINDOW_BYTES", 100_000)  # every system allows that
    buffers.bound_window(cast(asyncio.BaseTransport, Transport(sock)))
    assert window(sock) == 200_000


def test_where_the_system_allows_less_the_buffer_grows_as_before(
    sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = window(sock)
    monkeypatch.setattr(buffers, "WINDOW_BYTES", 1 << 30)
    buffers.bound_window(cast(asyncio.BaseTransport, Transport(sock)))
    assert window(sock) == before
