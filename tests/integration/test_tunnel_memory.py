"""What an open tunnel costs: everything of its request is let go, and thousands fit where thousands of clients do."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import counters
from gateway.door.downstream import Downstream
from gateway.door.exchange import Exchange
from gateway.door.standing import Standing
from gateway.door.tunnel import ServiceSide, Tunnel
from gateway.door.upstream import Upstream
from gateway.http1.request import Head
from tests.integration.conftest import request
from tests.support.door import RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import publish_small_catalog
from tests.support.switching import SWITCHING, UPGRADE, Side, SwitchingService, asks

MANY = 2000


@pytest.fixture
def service() -> Iterator[SwitchingService]:
    made = SwitchingService()
    yield made
    made.close()


@pytest.fixture
def door(tmp_path: Path, service: SwitchingService) -> Iterator[RunningDoor]:
    state = tmp_path / "state"
    settings = settings_for(state)
    settings = replace(settings, limits=replace(settings.limits, upstream_connections=8))
    with running_door(
        state, publish=lambda folder: publish_small_catalog(folder, service.url), settings=settings
    ) as running:
        yield running


def alive(*kinds: type) -> int:
    return sum(isinstance(thing, kinds) for thing in gc.get_objects())


def opened(door: RunningDoor, service: SwitchingService) -> tuple[Side, Side]:
    client = asks(door.port)
    service.met.append(client)
    there = service.meet()
    there.send(SWITCHING)
    client.read_head()
    return client, there


def test_a_tunnel_keeps_nothing_of_its_request_and_is_freed_without_the_collector(
    door: RunningDoor, service: SwitchingService
) -> None:
    gc.collect()
    gc.disable()
    try:
        tunnels = [opened(door, service) for _ in range(20)]
        until(lambda: alive(Downstream, Exchange, Upstream, Head) == 0)
        assert alive(Tunnel) == alive(ServiceSide) == alive(Standing) == 20
        for number, (client, there) in enumerate(tunnels):
            if number % 2:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sock.close()
            there.sock.close()
        until(lambda: alive(Tunnel, ServiceSide, Standing) == 0)
    finally:
        gc.enable()
    assert sum(len(each) for each in door.door.tunnels._slices) == 0
    until(lambda: door.thread.call(lambda: door.door._clients) == 0)


def test_tunnels_take_no_place_from_requests(door: RunningDoor, service: SwitchingService) -> None:
    """More of them than connections to the service are allowed, and a request still finds one."""
    for _ in range(12):
        opened(door, service)
    with Side(door.connect()) as client:
        client.send(request())
        service.meet().send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert door.thread.call(lambda: door.door.values[counters.UPSTREAM_OPEN]) == 13


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_thousands_of_idle_tunnels_take_8_kib_each_and_are_cut_off_within_two_seconds(
    door: RunningDoor, service: SwitchingService
) -> None:
    """Both ends live in this process, too: what is measured is more than what the door takes."""
    raw = request("/live", lines=UPGRADE)

    def open_one() -> tuple[socket.socket, socket.socket]:
        client = door.connect()
        client.sendall(raw)
        there, _ = service.listening.accept()
        there.recv(65536)
        there.sendall(SWITCHING)
        client.recv(65536)
        return client, there

    held = [open_one() for _ in range(200)]
    before = resident()
    held += [open_one() for _ in range(MANY)]
    each = (resident() - before) / MANY
    try:
        assert each < 8 * 1024, f"{each:.0f} bytes"
        door.control.denied = ["user:default/jane"]
        began = time.monotonic()
        door.control.publish()
        for pair in held:
            for sock in pair:
                with contextlib.suppress(ConnectionResetError):
                    assert sock.recv(1) == b""
        assert time.monotonic() - began < 2.0
        door.records(2 * len(held))
    finally:
        for pair in held:
            for sock in pair:
                sock.close()
