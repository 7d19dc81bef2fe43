"""Memory: connections free themselves, and answers of any size pass in a bounded amount of it."""

from __future__ import annotations

import gc

from gateway.door.downstream import Downstream
from gateway.door.exchange import Exchange
from tests.integration.conftest import request
from tests.support.door import RunningDoor, until
from tests.support.upstream import Upstream
from tests.support.wire import Client


def test_ended_connections_are_freed_without_the_collector(door: RunningDoor, upstream: Upstream) -> None:
    """Generation 2 is never collected while serving, so a cycle would be a leak."""

    def alive() -> int:
        return sum(isinstance(thing, Downstream | Exchange) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        for n in range(40):
            with Client(door.port) as client:
                if n % 4 == 0:
                    client.send(request()).answer()
                elif n % 4 == 1:
                    client.send(request(sub=None) + request()).answer()
                elif n % 4 == 2:
                    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").answer()
                else:
                    client.send(request(method="POST", lines=b"Transfer-Encoding: chunked\r\n") + b"5\r\nhel")
        until(lambda: door.door.values[door.open_connections] == 0)
        until(lambda: alive() == 0)
    finally:
        gc.enable()
    upstream.faults.clear()  # the bodies that never ended
