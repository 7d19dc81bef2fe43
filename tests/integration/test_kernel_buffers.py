"""Readers that take nothing leave the memory of the machine's connections to the others, plain and over TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import config
from gateway.door.buffers import UNSENT_BYTES, WINDOW_BYTES, is_window_allowed
from tests.integration.conftest import request
from tests.support.authority import Authority
from tests.support.door import RunningDoor, running_door, settings_for, until
from tests.support.faulty import Faulty, Line, faulty
from tests.support.small_catalog import publish_small_catalog
from tests.support.wire import Client

ANSWER = 40_000_000  # more than Linux lets both buffers grow to
READERS = 2
SMALL = 65_536  # what the buffers of client and service take, which are not the door's
HELD = 4_500_000  # of an answer, everywhere between the service and a client that takes nothing
STILL_S = 0.3


class Sent:
    """What a service could send of each answer."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}

    def serve(self, line: Line) -> None:
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        line.request()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ANSWER)
        for sent in range(0, ANSWER, 10_000):
            self.bytes[id(line)] = sent
            line.send(b"x" * 10_000)

    def stands_still(self) -> bool:
        before = dict(self.bytes)
        time.sleep(STILL_S)
        return len(before) == READERS and before == self.bytes


@pytest.fixture(params=["plain", "tls"])
def authority(request: pytest.FixtureRequest, tmp_path: Path) -> Authority | None:
    return Authority(tmp_path, "ours") if request.param == "tls" else None


@contextlib.contextmanager
def door_before(folder: Path, authority: Authority | None, sent: Sent) -> Iterator[tuple[RunningDoor, Faulty]]:
    settings = settings_for(folder / "state")
    context = None
    if authority is not None:
        files = authority.leaf("both", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        tls = config.ListenerTls(str(files[0]), str(files[1]))
        service = config.ServiceSettings(tls=config.UpstreamTls(ca=str(authority.ca)))
        prod = replace(settings.environments["prod"], services={"component:default/echo": service})
        settings = replace(
            settings, listeners=(config.Listener("main", "127.0.0.1:0", tls),), environments={"prod": prod}
        )
    with faulty(tls=context) as upstream:
        upstream.otherwise = sent.serve
        state = Path(settings.state_folder)
        with running_door(state, publish=lambda to: publish_small_catalog(to, upstream.url), settings=settings) as door:
            yield door, upstream


@contextlib.contextmanager
def reader(door: RunningDoor, authority: Authority | None) -> Iterator[Client]:
    """A client that has asked, and reads nothing of the answer."""
    with Client(door.port, 30) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        if authority is not None:
            client.sock = ssl.create_default_context(cafile=authority.ca).wrap_socket(
                client.sock, server_hostname="127.0.0.1"
            )
        client.send(request())
        yield client


def options(door: RunningDoor) -> list[tuple[int, int]]:
    """Of each connection with an exchange: what may be unsent to the client, and the buffer towards the service."""
    found = []
    for connection in [each for part in door.door._slices for each in part]:
        if connection.exchange is not None and connection.exchange.upstream is not None:
            client = connection.transport.get_extra_info("socket")
            service = connection.exchange.upstream.transport.get_extra_info("socket")
            unsent = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
            found.append((unsent, service.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)))
    return found


def test_what_nobody_reads_stays_with_the_service(tmp_path: Path, authority: Authority | None) -> None:
    sent = Sent()
    with door_before(tmp_path, authority, sent) as (door, _), contextlib.ExitStack() as stack:
        for _ in range(READERS):
            stack.enter_context(reader(door, authority))
        until(sent.stands_still)
        assert max(sent.bytes.values()) < HELD
        found = door.thread.call(lambda: options(door))
    assert {unsent for unsent, _ in found} == {UNSENT_BYTES}
    if is_window_allowed():
        assert {window for _, window in found} == {WINDOW_BYTES * 2}
