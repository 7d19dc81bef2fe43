"""The emulated bigd: what an answer means, what it really sends, and when a member goes down.

Against plain sockets, so that each byte is the test's own. Time is the prober's clock, moved by the tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.lab.bigip.objects import create, remove
from gateway.lab.bigip.prober import Found, Monitor, Prober, probe, unescaped, verdict
from gateway.lab.bigip.unit import Unit
from tests.support.bigip import all_closed

UP, DRAIN = b"HTTP/1.0 200 OK\r\n\r\nstate: up", b"HTTP/1.0 200 OK\r\n\r\nstate: draining"
FAILING = b"HTTP/1.0 503 Service Unavailable\r\n\r\nstate: failing"
MONITOR = Monitor(b"GET /health HTTP/1.0\r\n", "state: up", "state: draining", interval=30.0, timeout=60.0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (UP, Found.UP),
        (DRAIN, Found.DRAINING),
        (UP + DRAIN, Found.UP),  # `recv`, with or without `recv-disable`
        (FAILING, Found.NOTHING),
        (b"", Found.NOTHING),
        (b"x" * 5120 + UP, Found.NOTHING),  # too far behind
        (b"HTTP/1.0 503 state: up\r\n\r\n", Found.UP),  # the head counts, the status does not
    ],
)
def test_the_table(answer: bytes, expected: Found) -> None:
    assert verdict(MONITOR, answer) is expected


def test_a_reversed_monitor_knows_no_drain() -> None:
    turned = Monitor(b"", "bad", "state: draining", 5, 16, reverse=True)
    assert verdict(turned, DRAIN) is Found.UP
    assert verdict(turned, b"bad") is Found.NOTHING
    assert verdict(turned, b"") is Found.NOTHING


def test_escapes_of_a_send_string() -> None:
    assert unescaped(r"GET / HTTP/1.1\r\nX:\t\x41\101\\\'") == "GET / HTTP/1.1\r\nX:\tAA\\'"


class Member:
    """Answers every connection with ``answer``, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = UP
        self.asked: list[bytes] = []
        self.came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        self.came.set()


def _with_member(test: Callable[[Member, int], Awaitable[None]]) -> None:
    async def run() -> None:
        member = Member()
        server = await asyncio.start_server(member.serve, "127.0.0.1", 0)
        async with server:
            await test(member, server.sockets[0].getsockname()[1])
        await all_closed()

    asyncio.run(run())


def test_a_probe_sends_what_it_was_told_and_an_empty_line() -> None:
    async def test(member: Member, port: int) -> None:
        assert await probe(MONITOR, "127.0.0.1", port) is Found.UP
        assert member.asked == [b"GET /health HTTP/1.0\r\n\r\n"]

    _with_member(test)


@pytest.mark.slow
def test_states_of_a_member_follow_its_answers() -> None:
    """Up and draining at once, down only after the timeout; gone with its pool."""

    async def test(member: Member, port: int) -> None:
        unit, now = Unit(), [0.0]
        name = f"127.0.0.1:{port}"
        monitor = {"name": "m", "send": "GET /\\r\\n", "recv": "state: up", "recvDisable": "state: draining",
                   "interval": 1, "timeout": 16}  # fmt: skip
        create(unit.tree, "ltm/monitor/http", monitor)
        members = [name, "192.0.2.1:80"]  # the second is none of ours to ask
        create(unit.tree, "ltm/pool", {"name": "p", "monitor": "/Common/m", "members": members})
        prober = Prober(unit, lambda: now[0])
        running = asyncio.get_running_loop().create_task(prober.run())
        key = ("/Common/p", f"/Common/{name}")

        async def becomes(state: str | None) -> None:
            async with asyncio.timeout(50):
                while prober.states.get(key) != state:
                    await asyncio.sleep(0.01)

        await becomes("up")
        member.answer = DRAIN
        await becomes("draining")
        assert unit.found[name] == "up"
        member.answer = FAILING
        for _ in range(2):  # two answers that are neither change nothing
            member.came.clear()
            await asyncio.wait_for(member.came.wait(), 50)
        assert prober.states[key] == "draining"
        now[0] = 17.0
        await becomes("down")
        assert unit.presenter.parts("ltm/pool", unit.tree.objects("ltm/pool")[0], "members")[0]["state"] == "down"
        remove(unit.tree, "ltm/pool", "/Common/p")
        await becomes(None)
        assert list(prober.states) == []
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    _with_member(test)
